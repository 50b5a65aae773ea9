"""What the texts in conditions stand for, so that they can be compared: numbers, times, addresses, bytes.

Each function returns None for a text that is no such value. The same readers serve when a policy is written, where
None refuses it, and when a request is decided, where a value of the request that is None matches nothing. What was
read is kept for a while, since many conditions ask for the same value of a request.

Sources: AWS IAM user guide, "IAM JSON policy elements: Condition operators"; W3C note "Date and Time Formats".
"""

import base64
import binascii
import datetime as dt
import functools
import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER = re.compile(r"([+-]?)([0-9]{1,40})(?:\.([0-9]{1,40}))?(?:[eE]([+-]?[0-9]{1,3}))?")
_SMALLEST: Final = 999 + 40  # decimal places that the pattern above can reach
_EPOCH = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")
_TIME = re.compile(
    r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))?",
)
_SECOND: Final = 10**9
_DAY: Final = 86_400
_DAY_ZERO: Final = dt.date(1970, 1, 1).toordinal()
_KEPT: Final = 256
_BOOLEANS: Final = {"true": True, "false": False}


def boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower())


@functools.lru_cache(maxsize=_KEPT)
def number(text: str) -> int | None:
    """A decimal number, exactly: in units of 10**-1039, the smallest that can be written."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    digits = int(whole + (fraction or ""))
    scale = _SMALLEST - len(fraction or "") + int(exponent or 0)
    return (-digits if sign == "-" else digits) * int(10**scale)


@functools.lru_cache(maxsize=_KEPT)
def instant(text: str) -> int | None:
    """ISO 8601 to the month at least, or seconds since 1970: in nanoseconds since 1970. Without a zone it is UTC."""
    epoch = _EPOCH.fullmatch(text)
    if epoch:
        return int(epoch[1]) * _SECOND + _nanoseconds(epoch[2])
    day, separator, time = text.replace("t", "T").partition("T")
    date = _DATE.fullmatch(day)
    within = _within_day(time) if separator else 0
    if date is None or within is None or (separator and not date[3]):
        return None
    try:
        ordinal = dt.date(int(date[1]), int(date[2]), int(date[3] or 1)).toordinal()
    except ValueError:
        return None
    return (ordinal - _DAY_ZERO) * _DAY * _SECOND + within


def _within_day(text: str) -> int | None:
    """Nanoseconds from the start of the day in UTC; before or beyond the day where the zone moves it there."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction, sign, off_hour, off_minute = found.groups()
    numbers = [int(part or 0) for part in (hour, minute, second, off_hour, off_minute)]
    if any(value >= limit for value, limit in zip(numbers, (24, 60, 60, 24, 60), strict=True)):
        return None
    offset = numbers[3] * 3600 + numbers[4] * 60
    seconds = numbers[0] * 3600 + numbers[1] * 60 + numbers[2] - (-offset if sign == "-" else offset)
    return seconds * _SECOND + _nanoseconds(fraction)


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "0").ljust(9, "0"))


@functools.lru_cache(maxsize=_KEPT)
def octets(text: str) -> bytes | None:
    """Bytes written in base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def network(text: str) -> Network | None:
    """A range of addresses, or one address as the range of itself; bits below the prefix may be set."""
    if "%" in text or ("/" in text and not text.rpartition("/")[2].isdigit()):
        return None  # a scope, and masks in other forms, mean nothing in a policy
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@functools.lru_cache(maxsize=_KEPT)
def address(text: str) -> Address | None:
    """One address; an IPv4 address in IPv6 form (`::ffff:a.b.c.d`) is the IPv4 address, however the socket tells it."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found
