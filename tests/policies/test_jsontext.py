"""JSON with one reading, or none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import jsontext
from policies.jsontext import MAX_DEPTH, MAX_INT, NotJson, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    # no surrogates: a string that UTF-8 cannot hold is refused
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_reads_what_json_writes(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)

    assert value == loads(text) == loads(text.encode())


@given(st.binary(max_size=200) | st.text('{}[]",:\\u1e-tn ', max_size=60))
def test_any_bytes_are_read_as_json_reads_them_or_refused(data: bytes | str) -> None:
    try:
        found = loads(data)
    except NotJson:
        return

    assert found == json.loads(data)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not JSON"),
        (b"{", "brackets do not match"),
        (b"}{", "brackets do not match"),
        (b"[}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"{} {}", "not JSON"),
        (b'{"a":1,"a":1}', 'the key "a" appears twice'),
        (b'{"a":1,"\\u0061":1}', 'the key "a" appears twice'),
        (b'[{"b":{"a":1,"c":2,"a":3}}]', 'the key "a" appears twice'),
        (b'{"a":NaN}', "NaN is no JSON value"),
        (b'{"a":Infinity}', "Infinity is no JSON value"),
        (b'{"a":-Infinity}', "-Infinity is no JSON value"),
        (b'{"a":1e400}', "out of range"),
        (b'{"a":-1e400}', "out of range"),
        (b'{"a":9223372036854775808}', "does not fit in 64 bits"),
        (b'{"a":-9223372036854775808}', "does not fit in 64 bits"),
        (b'{"a":' + b"9" * 5000 + b"}", "does not fit in 64 bits"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b'["\\udc00\\ud800"]', "surrogate"),
        ('["\ud800"]', "surrogate"),
        (b'{"a":"\x01"}', "not JSON"),
        (b'"' * 50_001, "not JSON"),
        (b'"' + b'\\"' * 50_000, "not JSON"),
        (b'"\\', "not JSON"),
        (b"[" * 100_000, "brackets do not match"),
        (b"[" * 65 + b"]" * 65, "more than 64 levels"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 levels"),
        (b"[" + b"{}," * jsontext.MAX_CONTAINERS + b"{}]", "more than 200000 objects"),
    ],
)
def test_what_parsers_read_differently_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(NotJson) as trouble:
        loads(text)

    assert why in str(trouble.value)
    assert len(str(trouble.value)) < 200


def test_depth_counts_brackets_outside_strings_only() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    in_string = json.dumps(["[" * 1000, '"' + "{" * 1000, "\\"])

    assert json.loads(deepest) == loads(deepest)
    assert json.loads(in_string) == loads(in_string)


def test_the_limits_themselves_are_within() -> None:
    assert loads(f"[{MAX_INT},-{MAX_INT}]") == [MAX_INT, -MAX_INT]
    assert len(loads("[" + "{}," * (jsontext.MAX_CONTAINERS - 2) + "{}]")) == jsontext.MAX_CONTAINERS - 1


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert loads('["\\ud83d\\udc0b"]') == ["\U0001f40b"]


def test_a_late_duplicate_among_many_keys_is_found_in_one_pass() -> None:
    pairs = [(str(index), 0) for index in range(100_000)]

    with pytest.raises(NotJson, match="twice"):
        jsontext._object([*pairs, ("7", 1)])


def test_names_from_outside_are_shown_short_and_printable() -> None:
    assert jsontext.shown("a\n\u202e") == '"a\\n\\u202e"'
    assert len(jsontext.shown("x" * 10_000)) < 70


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63) + 1, 0])
def test_integers_of_64_bits_are_read(number: int) -> None:
    assert loads(str(number)) == number


@pytest.mark.parametrize("text", [str(2**63), str(-(2**63)), "1" + "0" * 20, "1" + "0" * 5000], ids=len)
def test_larger_integers_are_refused(text: str) -> None:
    with pytest.raises(NotJson, match="an integer does not fit in 64 bits"):
        loads(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", '"a"'),
        ('a"\n\u202e', '"a\\"\\n\\u202e"'),
        ("x" * 64, f'"{"x" * 64}"'),
        ("x" * 65, f'"{"x" * 61}..."'),
    ],
)
def test_a_string_is_shown_short_and_printable(text: str, shown: str) -> None:
    assert jsontext.shown(text) == shown


def test_the_place_of_an_error_is_told() -> None:
    with pytest.raises(NotJson, match=r"^not JSON: Expecting value at character 5$"):
        loads('{"a":}')
    with pytest.raises(NotJson, match=r"^not JSON: NaN is no JSON value$"):
        loads("NaN")
