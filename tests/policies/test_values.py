"""Numbers, times, addresses and bytes: what a text stands for, and which texts stand for nothing."""

import datetime as dt
import fractions
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import values

UNIT = fractions.Fraction(1, 10**1039)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**20), max_value=10**20))
def test_a_number_is_exact(number: object) -> None:
    found = values.number(str(number).replace("E+", "e"))

    assert found is not None
    assert found * UNIT == fractions.Fraction(str(number))


@pytest.mark.parametrize(
    ("text", "same"),
    [("1", "1.000"), ("1e3", "1000"), ("1E+3", "1000"), ("-1.5e-2", "-0.015"), ("+7", "7"), ("007", "7"), ("-0", "0")],
)
def test_a_number_has_many_spellings(text: str, same: str) -> None:
    assert values.number(text) == values.number(same) is not None


def test_the_smallest_and_the_largest_number_can_be_told_from_their_neighbours() -> None:
    smallest = values.number("0." + "0" * 39 + "1e-999")
    largest = values.number("9" * 40 + "." + "9" * 40 + "e999")

    assert smallest == 1
    assert largest == (10**80 - 1) * 10 ** (999 - 40 + 1039)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1\n", ".5", "5.", "1e", "e1", "1e1000", "0x1", "1_0", "--1", "Infinity", "NaN", "1" * 41]
)
def test_what_is_no_number(text: str) -> None:
    assert values.number(text) is None


@given(st.datetimes(min_value=dt.datetime(1, 1, 3), max_value=dt.datetime(9999, 12, 29)), st.integers(-1439, 1439))
def test_an_instant_is_exact_in_every_zone(local: dt.datetime, minutes: int) -> None:
    time = local.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    passed = time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

    assert values.instant(time.isoformat()) == (passed // dt.timedelta(microseconds=1)) * 1000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1", 10**9),
        ("1970", 1970 * 10**9),
        ("1.5", 1_500_000_000),
        ("1.000000001", 1_000_000_001),
        ("999999999999999999", 999_999_999_999_999_999 * 10**9),
        ("1970-01-01", 0),
        ("1970-01", 0),
        ("1970-01-02", 86_400 * 10**9),
        ("1969-12-31T23:59:59Z", -(10**9)),
        ("1970-01-01T00:00", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.1Z", 100_000_000),
        ("1970-01-01T00:01+0001", 0),
        ("1970-01-01T00:00:00-23:59", (23 * 3600 + 59 * 60) * 10**9),
        ("1970-01-01T23:59:59z", 86_399 * 10**9),
    ],
)
def test_an_instant(text: str, nanoseconds: int) -> None:
    assert values.instant(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1.",
        "1.0000000001",
        "1" * 19,
        "1970-1-1",
        "1970-13-01",
        "1970-00-01",
        "1970-02-29",
        "0000-01-01",
        "1970-01T00:00Z",
        "1970-01-01T",
        "1970-01-01T24:00Z",
        "1970-01-01T00:60Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00+24:00",
        "1970-01-01T00:00+00:60",
        "1970-01-01T00:00Zx",
        "1970-01-01 00:00Z",
        "1970-01-01\n",
        "today",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    assert values.instant(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("FALSE", False), ("True", True), ("", None), ("yes", None), ("1", None), ("true ", None)],
)
def test_a_boolean(text: str, expected: bool | None) -> None:
    assert values.boolean(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("eA==", b"x"), ("", b""), ("eA", None), ("e A==", None), ("e-_=", None), ("é", None), ("eA==\n", None)],
)
def test_octets(text: str, expected: bytes | None) -> None:
    assert values.octets(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("2001:DB8::5/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.0/33", None),
        ("10.0.0.0/", None),
        ("10.0.0.0/255.0.0.0", None),
        ("10.0.0.0/-1", None),
        ("10.0.0.0/8/8", None),
        ("10.0.0", None),
        ("010.0.0.1", None),
        ("fe80::1%eth0", None),
        ("fe80::%1/64", None),
        ("", None),
        ("*", None),
    ],
)
def test_a_network(text: str, expected: str | None) -> None:
    assert values.network(text) == (None if expected is None else ipaddress.ip_network(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::1", "::1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::ffff:a01:203", "10.1.2.3"),
        ("10.1.2.3/32", None),
        ("fe80::1%1", None),
        ("::ffff:10.1.2.3%1", None),
        ("10.1.2", None),
        ("", None),
    ],
)
def test_an_address(text: str, expected: str | None) -> None:
    assert values.address(text) == (None if expected is None else ipaddress.ip_address(expected))
