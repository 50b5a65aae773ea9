"""Conditions: which values of a request satisfy which operator; each case names the page that it rests on.

Every case is decided twice, under an Allow and under a Deny. Pages as `tests/policies/asking.py` says.
"""

from typing import Any

import pytest

from policies import operators
from policies.conditions import OPERATORS, Condition, Operator
from policies.variables import Keys
from tests.policies.asking import Context, allow, ask, deny

OPERATOR = "reference_policies_elements_condition_operators"
CONDITION = "reference_policies_elements_condition"
MULTI = "reference_policies_condition-single-vs-multi-valued-context-keys"
LOGIC = "reference_policies_condition-logic-multiple-context-keys-or-values"
GRAMMAR = "reference_policies_grammar"

Value = str | tuple[str, ...] | None  # of the request; None: it lacks the key

TOPIC = "arn:aws:sns:us-east-1:123456789012:topic"
STORE = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"

# The operator, the policy's values, the request's, whether it holds, the page.
ONE_KEY: list[tuple[str, Any, Value, bool, str]] = [
    # strings
    ("StringEquals", "a", "a", True, OPERATOR),
    ("StringEquals", "a", "A", False, OPERATOR),
    ("StringEquals", "a", "ab", False, OPERATOR),
    ("StringEquals", "a", "a\n", False, OPERATOR),
    ("StringEquals", "", "", True, OPERATOR),
    ("StringEquals", "", "a", False, OPERATOR),
    ("StringEquals", "a*", "ab", False, OPERATOR),
    ("StringEquals", "a*", "a*", True, OPERATOR),
    ("StringEquals", "a?", "ab", False, OPERATOR),
    ("StringEquals", ["a", "b"], "b", True, LOGIC),
    ("StringEquals", ["a", "b"], "c", False, LOGIC),
    ("StringEquals", [], "a", False, LOGIC),
    ("StringEquals", 10, "10", True, GRAMMAR),
    ("StringEquals", True, "true", True, GRAMMAR),
    ("StringEquals", True, "True", False, GRAMMAR),
    ("StringEquals", "a", None, False, OPERATOR),
    ("StringEquals", "a", (), False, OPERATOR),
    ("StringNotEquals", "a", "a", False, OPERATOR),
    ("StringNotEquals", "a", "b", True, OPERATOR),
    ("StringNotEquals", "a", "A", True, OPERATOR),
    ("StringNotEquals", ["a", "b"], "a", False, LOGIC),
    ("StringNotEquals", ["a", "b"], "b", False, LOGIC),
    ("StringNotEquals", ["a", "b"], "c", True, LOGIC),
    ("StringNotEquals", [], "a", True, LOGIC),
    ("StringNotEquals", "a", None, True, OPERATOR),
    ("StringNotEquals", "a", (), True, OPERATOR),
    ("StringEqualsIgnoreCase", "JohnDoe", "johndoe", True, OPERATOR),
    ("StringEqualsIgnoreCase", "JohnDoe", "JOHNDOE", True, OPERATOR),
    ("StringEqualsIgnoreCase", "JohnDoe", "johndo", False, OPERATOR),
    ("StringEqualsIgnoreCase", "jo*", "John", False, OPERATOR),
    ("StringEqualsIgnoreCase", "É", "é", True, OPERATOR),
    ("StringEqualsIgnoreCase", ["x", "JOHN"], "john", True, OPERATOR),
    ("StringEqualsIgnoreCase", "STRASSE", "straße", True, OPERATOR),
    ("StringEqualsIgnoreCase", "k", "\u212a", True, OPERATOR),  # KELVIN SIGN
    ("StringEqualsIgnoreCase", "a", None, False, OPERATOR),
    ("StringNotEqualsIgnoreCase", "JohnDoe", "johndoe", False, OPERATOR),
    ("StringNotEqualsIgnoreCase", "JohnDoe", "jane", True, OPERATOR),
    ("StringNotEqualsIgnoreCase", ["JohnDoe", "Jane"], "jane", False, OPERATOR),
    ("StringNotEqualsIgnoreCase", "a", None, True, OPERATOR),
    ("StringLike", "home/*", "home/", True, OPERATOR),
    ("StringLike", "home/*", "home/a/b", True, OPERATOR),
    ("StringLike", "home/*", "home", False, OPERATOR),
    ("StringLike", "home/*", "xhome/a", False, OPERATOR),
    ("StringLike", "Home/*", "home/a", False, OPERATOR),
    ("StringLike", "t?.*", "t2.micro", True, OPERATOR),
    ("StringLike", "t?.*", "t.micro", False, OPERATOR),
    ("StringLike", "t?.*", "t22.micro", False, OPERATOR),
    ("StringLike", "*", "", True, OPERATOR),
    ("StringLike", "?", "", False, OPERATOR),
    ("StringLike", "[a-z]*", "abc", False, OPERATOR),
    ("StringLike", "a.c", "abc", False, OPERATOR),
    ("StringLike", "a*z", "a\nz", True, OPERATOR),
    ("StringLike", ["t1.*", "t2.*"], "t2.nano", True, OPERATOR),
    ("StringLike", ["t1.*", "t2.*"], "t3.nano", False, OPERATOR),
    ("StringLike", "arn:aws:someservice:*:111122223333:finance/*", STORE, True, OPERATOR),
    ("StringLike", "*", None, False, OPERATOR),
    ("StringNotLike", "home/*", "home/a", False, OPERATOR),
    ("StringNotLike", "home/*", "Home/a", True, OPERATOR),
    ("StringNotLike", ["a*", "b*"], "bx", False, OPERATOR),
    ("StringNotLike", ["a*", "b*"], "cx", True, OPERATOR),
    ("StringNotLike", "*", None, True, OPERATOR),
    # numbers
    ("NumericEquals", "10", "10", True, OPERATOR),
    ("NumericEquals", 10, "10.0", True, OPERATOR),
    ("NumericEquals", "1e1", "10", True, OPERATOR),
    ("NumericEquals", "0.1", "1E-1", True, OPERATOR),
    ("NumericEquals", "-0", "0", True, OPERATOR),
    ("NumericEquals", "10", "11", False, OPERATOR),
    ("NumericEquals", "10", "ten", False, OPERATOR),
    ("NumericEquals", "10", "", False, OPERATOR),
    ("NumericEquals", "10", " 10", False, OPERATOR),
    ("NumericEquals", "10", "0x0a", False, OPERATOR),
    ("NumericEquals", "10", "١٠", False, OPERATOR),
    ("NumericEquals", "9007199254740993", "9007199254740992", False, OPERATOR),
    ("NumericEquals", [1, 2], "2", True, LOGIC),
    ("NumericEquals", "10", None, False, OPERATOR),
    ("NumericNotEquals", "10", "11", True, OPERATOR),
    ("NumericNotEquals", "10", "10.0", False, OPERATOR),
    ("NumericNotEquals", [1, 2], "2", False, LOGIC),
    ("NumericNotEquals", "10", "ten", True, OPERATOR),
    ("NumericNotEquals", "10", None, True, OPERATOR),
    ("NumericLessThan", "10", "9", True, OPERATOR),
    ("NumericLessThan", "10", "10", False, OPERATOR),
    ("NumericLessThan", "10", "9.99999999999999999999", True, OPERATOR),
    ("NumericLessThan", "10", "100", False, OPERATOR),
    ("NumericLessThan", "-1", "-1.5", True, OPERATOR),
    ("NumericLessThan", "10", None, False, OPERATOR),
    ("NumericLessThanEquals", "10", "10", True, OPERATOR),
    ("NumericLessThanEquals", "10", "10.01", False, OPERATOR),
    ("NumericLessThanEquals", "10", "x", False, OPERATOR),
    ("NumericLessThanEquals", ["1", "10"], "5", True, LOGIC),
    ("NumericGreaterThan", "10", "11", True, OPERATOR),
    ("NumericGreaterThan", "10", "10", False, OPERATOR),
    ("NumericGreaterThan", "-1", "-0.5", True, OPERATOR),
    ("NumericGreaterThan", "10", None, False, OPERATOR),
    ("NumericGreaterThanEquals", "10", "10", True, OPERATOR),
    ("NumericGreaterThanEquals", "10", "9.9", False, OPERATOR),
    # dates
    ("DateEquals", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", True, OPERATOR),
    ("DateEquals", "2020-01-01", "2020-01-01T00:00:00Z", True, OPERATOR),
    ("DateEquals", "2020-01", "2020-01-01", True, OPERATOR),
    ("DateEquals", "2020-01-01T00:00Z", "2020-01-01t00:00:00z", True, OPERATOR),
    ("DateEquals", "2020-01-01T02:00:00+02:00", "2020-01-01T00:00:00Z", True, OPERATOR),
    ("DateEquals", "2019-12-31T22:30:00-0130", "2020-01-01T00:00:00Z", True, OPERATOR),
    ("DateEquals", "1577836800", "2020-01-01T00:00:00Z", True, OPERATOR),
    ("DateEquals", 1577836800, "1577836800", True, OPERATOR),
    ("DateEquals", "2020-01-01T00:00:00.5Z", "2020-01-01T00:00:00.500Z", True, OPERATOR),
    ("DateEquals", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000000001Z", False, OPERATOR),
    ("DateEquals", "2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z", False, OPERATOR),
    ("DateEquals", "2020-01-01", "yesterday", False, OPERATOR),
    ("DateEquals", "2020-01-01", "2020-02-30", False, OPERATOR),
    ("DateEquals", "2020-01-01", None, False, OPERATOR),
    ("DateNotEquals", "2020-01-01", "2020-01-01", False, OPERATOR),
    ("DateNotEquals", "2020-01-01", "2020-01-02", True, OPERATOR),
    ("DateNotEquals", "2020-01-01", "yesterday", True, OPERATOR),
    ("DateNotEquals", "2020-01-01", None, True, OPERATOR),
    ("DateLessThan", "2020-01-01", "2019-12-31T23:59:59Z", True, OPERATOR),
    ("DateLessThan", "2020-01-01", "2020-01-01", False, OPERATOR),
    ("DateLessThan", "2020-01-01", "0", True, OPERATOR),
    ("DateLessThan", "2020-01-01", None, False, OPERATOR),
    ("DateLessThanEquals", "2020-01-01", "2020-01-01", True, OPERATOR),
    ("DateLessThanEquals", "2020-01-01", "2020-01-01T00:00:00.001Z", False, OPERATOR),
    ("DateGreaterThan", "2020-01-01T00:00:01Z", "2020-01-01T00:00:02Z", True, OPERATOR),
    ("DateGreaterThan", "2020-01-01T00:00:01Z", "2020-01-01T00:00:01Z", False, OPERATOR),
    ("DateGreaterThan", "2020-01-01", None, False, OPERATOR),
    ("DateGreaterThanEquals", "2020-01-01", "2020-01-01", True, OPERATOR),
    ("DateGreaterThanEquals", "2020-01-01", "2019-12-31", False, OPERATOR),
    ("DateGreaterThan", "1960-06-01", "1969-12-31T23:59:59Z", True, OPERATOR),
    # booleans
    ("Bool", "true", "true", True, OPERATOR),
    ("Bool", "true", "True", True, OPERATOR),
    ("Bool", True, "true", True, GRAMMAR),
    ("Bool", "TRUE", "true", True, OPERATOR),
    ("Bool", "true", "false", False, OPERATOR),
    ("Bool", "false", "false", True, OPERATOR),
    ("Bool", False, "true", False, GRAMMAR),
    ("Bool", "false", "no", False, OPERATOR),
    ("Bool", "false", "", False, OPERATOR),
    ("Bool", "true", "1", False, OPERATOR),
    ("Bool", ["true", "false"], "false", True, LOGIC),
    ("Bool", "false", None, False, OPERATOR),
    ("Bool", "true", None, False, OPERATOR),
    # bytes
    ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", True, OPERATOR),
    ("BinaryEquals", "eA==", "eQ==", False, OPERATOR),
    ("BinaryEquals", "eA==", "x", False, OPERATOR),
    ("BinaryEquals", "eA==", "ea==", False, OPERATOR),
    ("BinaryEquals", ["eA==", "eQ=="], "eQ==", True, LOGIC),
    ("BinaryEquals", "eA==", None, False, OPERATOR),
    # addresses
    ("IpAddress", "203.0.113.0/24", "203.0.113.0", True, OPERATOR),
    ("IpAddress", "203.0.113.0/24", "203.0.113.255", True, OPERATOR),
    ("IpAddress", "203.0.113.0/24", "203.0.114.0", False, OPERATOR),
    ("IpAddress", "203.0.113.0/24", "203.0.112.255", False, OPERATOR),
    ("IpAddress", "203.0.113.7", "203.0.113.7", True, OPERATOR),
    ("IpAddress", "203.0.113.7", "203.0.113.8", False, OPERATOR),
    ("IpAddress", "203.0.113.7/24", "203.0.113.200", True, OPERATOR),
    ("IpAddress", "0.0.0.0/0", "198.51.100.1", True, OPERATOR),
    ("IpAddress", "0.0.0.0/0", "2001:db8::1", False, OPERATOR),
    ("IpAddress", "::/0", "198.51.100.1", False, OPERATOR),
    ("IpAddress", "2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", True, OPERATOR),
    ("IpAddress", "2001:DB8:1234:5678::/64", "2001:db8:1234:5679::1", False, OPERATOR),
    ("IpAddress", "::1", "::1", True, OPERATOR),
    ("IpAddress", "::1", "0:0:0:0:0:0:0:1", True, OPERATOR),
    ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", True, OPERATOR),
    ("IpAddress", "::/0", "fe80::1%eth0", False, OPERATOR),
    ("IpAddress", ["10.0.0.0/8", "2001:db8::/32"], "2001:db8::9", True, OPERATOR),
    ("IpAddress", "0.0.0.0/0", "localhost", False, OPERATOR),
    ("IpAddress", "0.0.0.0/0", "10.0.0.0/8", False, OPERATOR),
    ("IpAddress", "0.0.0.0/0", None, False, OPERATOR),
    ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", False, OPERATOR),
    ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", True, OPERATOR),
    ("NotIpAddress", ["10.0.0.0/8", "203.0.113.0/24"], "203.0.113.9", False, LOGIC),
    ("NotIpAddress", ["10.0.0.0/8", "203.0.113.0/24"], "192.0.2.1", True, LOGIC),
    ("NotIpAddress", "0.0.0.0/0", "localhost", True, OPERATOR),
    ("NotIpAddress", "0.0.0.0/0", None, True, OPERATOR),
    # ARNs
    ("ArnEquals", TOPIC, TOPIC, True, OPERATOR),
    ("ArnEquals", TOPIC, TOPIC.upper(), False, OPERATOR),
    ("ArnEquals", "arn:aws:sns:*:123456789012:t*", TOPIC, True, OPERATOR),
    ("ArnEquals", TOPIC, TOPIC + ":extra", False, OPERATOR),
    ("ArnLike", "arn:aws:sns:us-east-?:*:topic", TOPIC, True, OPERATOR),
    ("ArnLike", "arn:*:*:*:*:*", TOPIC, True, OPERATOR),
    ("ArnLike", "arn:aws:sns:*:topic", TOPIC, False, OPERATOR),
    ("ArnLike", "arn:aws:sns:*", TOPIC, False, OPERATOR),
    ("ArnLike", "*", TOPIC, False, OPERATOR),
    ("ArnLike", "arn:aws:someservice:*:111122223333:finance/*", STORE, False, OPERATOR),
    ("ArnLike", "arn:aws:someservice:*:*:store/*:finance/*", STORE, True, OPERATOR),
    ("ArnLike", "arn:aws:someservice:*:*:*", STORE, True, OPERATOR),
    ("ArnLike", "arn:aws:someservice:us-east-2:*:finance/*", STORE, False, OPERATOR),
    ("StringLike", "arn:aws:someservice:us-east-2:*:finance/*", STORE, True, OPERATOR),
    ("ArnLike", "arn:aws:iam::*:role/*", "arn:aws:iam::123456789012:role/a/b", True, OPERATOR),
    ("ArnLike", "arn:aws:iam:*:*:role/*", "arn:aws:iam::123456789012:role/a", True, OPERATOR),
    ("ArnLike", "arn:aws:iam:?:*:role/*", "arn:aws:iam::123456789012:role/a", False, OPERATOR),
    ("ArnLike", "arn:*:*:*:*:*", "topic", False, OPERATOR),
    ("ArnLike", "arn:*:*:*:*:*", "arn:aws:sns:us-east-1:topic", False, OPERATOR),
    ("ArnLike", ["arn:aws:sqs:*:*:*", "arn:aws:sns:*:*:*"], TOPIC, True, LOGIC),
    ("ArnLike", "arn:*:*:*:*:*", None, False, OPERATOR),
    ("ArnNotEquals", TOPIC, TOPIC, False, OPERATOR),
    ("ArnNotEquals", "arn:aws:sns:*:*:t*", TOPIC, False, OPERATOR),
    ("ArnNotEquals", "arn:aws:sns:*:*:x*", TOPIC, True, OPERATOR),
    ("ArnNotLike", "arn:aws:sns:*:*:topic", TOPIC, False, OPERATOR),
    ("ArnNotLike", ["arn:aws:sqs:*:*:*", "arn:aws:sns:*:*:*"], TOPIC, False, LOGIC),
    ("ArnNotLike", "arn:*:*:*:*:*", "topic", True, OPERATOR),
    ("ArnNotLike", "arn:*:*:*:*:*", None, True, OPERATOR),
    # is the key there
    ("Null", "true", None, True, OPERATOR),
    ("Null", "true", (), True, OPERATOR),
    ("Null", "true", "x", False, OPERATOR),
    ("Null", "true", "", False, OPERATOR),
    ("Null", "false", "x", True, OPERATOR),
    ("Null", "false", ("x", "y"), True, OPERATOR),
    ("Null", "false", None, False, OPERATOR),
    ("Null", False, None, False, OPERATOR),
    ("Null", "FALSE", "x", True, OPERATOR),
    ("Null", ["true", "false"], None, True, LOGIC),
    ("Null", ["true", "false"], "x", True, LOGIC),
    ("Null", [], None, False, LOGIC),
    # if it is there
    ("StringEqualsIfExists", "a", None, True, OPERATOR),
    ("StringEqualsIfExists", "a", (), True, OPERATOR),
    ("StringEqualsIfExists", "a", "a", True, OPERATOR),
    ("StringEqualsIfExists", "a", "b", False, OPERATOR),
    ("StringEqualsIfExists", "a", "", False, OPERATOR),
    ("StringLikeIfExists", ["t1.*", "t2.*"], "t3.nano", False, OPERATOR),
    ("StringNotEqualsIfExists", "a", None, True, OPERATOR),
    ("StringNotEqualsIfExists", "a", "a", False, OPERATOR),
    ("NumericLessThanIfExists", "10", None, True, OPERATOR),
    ("NumericLessThanIfExists", "10", "10", False, OPERATOR),
    ("DateGreaterThanIfExists", "2020-01-01", None, True, OPERATOR),
    ("BoolIfExists", "true", None, True, OPERATOR),
    ("BoolIfExists", "true", "false", False, OPERATOR),
    ("BinaryEqualsIfExists", "eA==", None, True, OPERATOR),
    ("IpAddressIfExists", "10.0.0.0/8", None, True, OPERATOR),
    ("IpAddressIfExists", "10.0.0.0/8", "192.0.2.1", False, OPERATOR),
    ("ArnLikeIfExists", TOPIC, None, True, OPERATOR),
    ("ArnNotEqualsIfExists", TOPIC, TOPIC, False, OPERATOR),
    # keys with several values
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True, MULTI),
    ("ForAllValues:StringEquals", ["a", "b"], ("a",), True, MULTI),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False, MULTI),
    ("ForAllValues:StringEquals", ["a", "b"], "a", True, MULTI),
    ("ForAllValues:StringEquals", "a", (), True, MULTI),
    ("ForAllValues:StringEquals", "a", None, True, MULTI),
    ("ForAllValues:StringEquals", "a", "", True, MULTI),
    ("ForAllValues:StringEquals", "a", ("", ""), True, MULTI),
    ("ForAllValues:StringEquals", "a", ("a", ""), False, MULTI),
    ("ForAllValues:StringEquals", [], ("a",), False, MULTI),
    ("ForAllValues:StringLike", ["a*"], ("a1", "a2"), True, MULTI),
    ("ForAllValues:StringLike", ["a*"], ("a1", "b2"), False, MULTI),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "d"), True, MULTI),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("a", "c"), False, MULTI),
    ("ForAllValues:StringNotLike", "a*", ("b1", "c2"), True, MULTI),
    ("ForAllValues:StringNotLike", "a*", ("b1", "a2"), False, MULTI),
    ("ForAllValues:NumericLessThan", "10", ("1", "9"), True, MULTI),
    ("ForAllValues:NumericLessThan", "10", ("1", "11"), False, MULTI),
    ("ForAllValues:ArnLike", "arn:aws:sns:*:*:*", (TOPIC, TOPIC), True, MULTI),
    ("ForAllValues:StringEqualsIfExists", "a", None, True, MULTI),
    ("ForAllValues:StringEqualsIfExists", "a", ("b",), False, MULTI),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "b"), True, MULTI),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "d"), False, MULTI),
    ("ForAnyValue:StringEquals", ["a", "b"], "b", True, MULTI),
    ("ForAnyValue:StringEquals", "a", (), False, MULTI),
    ("ForAnyValue:StringEquals", "a", None, False, MULTI),
    ("ForAnyValue:StringEquals", "", "", False, MULTI),
    ("ForAnyValue:StringEquals", "", ("", "a"), True, MULTI),
    ("ForAnyValue:StringEquals", [], ("a",), False, MULTI),
    ("ForAnyValue:StringLike", ["a*", "b*"], ("x", "b1"), True, MULTI),
    ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "c"), True, MULTI),
    ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "b"), False, MULTI),
    ("ForAnyValue:StringNotEquals", "a", None, False, MULTI),
    ("ForAnyValue:StringNotLike", "a*", ("a1", "a2"), False, MULTI),
    ("ForAnyValue:StringNotLike", "a*", ("a1", "b2"), True, MULTI),
    ("ForAnyValue:NumericGreaterThan", "10", ("1", "11"), True, MULTI),
    ("ForAnyValue:IpAddress", "10.0.0.0/8", ("192.0.2.1", "10.1.1.1"), True, MULTI),
    ("ForAnyValue:StringEqualsIfExists", "a", None, True, MULTI),
    ("ForAnyValue:StringEqualsIfExists", "a", ("b",), False, MULTI),
    ("ForAnyValue:Null", "false", ("a",), True, MULTI),
    ("ForAllValues:Null", "true", None, True, MULTI),
    ("ForAnyValue:Bool", "true", ("false", "true"), True, MULTI),
]

BOTH = {"StringEquals": {"aws:x": "1", "aws:y": "2"}}
TWO_OPERATORS = {"StringLike": {"aws:x": "1*"}, "StringNotEquals": {"aws:x": "10"}}
BOTH_WAYS = {"Bool": {"aws:x": "true"}, "BoolIfExists": {"aws:y": "true"}}
RANGE = {"NumericGreaterThanEquals": {"aws:x": "5"}, "NumericLessThan": {"aws:x": "9"}}

# A whole Condition element, the keys of the request, whether it holds, the page.
MORE_KEYS: list[tuple[dict[str, Any], Context, bool, str]] = [
    ({}, {}, True, LOGIC),
    ({"StringEquals": {}}, {}, True, LOGIC),
    (BOTH, {"aws:x": "1", "aws:y": "2"}, True, LOGIC),
    (BOTH, {"aws:x": "1", "aws:y": "3"}, False, LOGIC),
    (BOTH, {"aws:x": "3", "aws:y": "2"}, False, LOGIC),
    (BOTH, {"aws:x": "1"}, False, LOGIC),
    (BOTH, {"aws:y": "2"}, False, LOGIC),
    (TWO_OPERATORS, {"aws:x": "1"}, True, LOGIC),
    (TWO_OPERATORS, {"aws:x": "10"}, False, LOGIC),
    (TWO_OPERATORS, {"aws:x": "2"}, False, LOGIC),
    (BOTH_WAYS, {"aws:x": "true"}, True, OPERATOR),
    (BOTH_WAYS, {"aws:x": "true", "aws:y": "false"}, False, OPERATOR),
    (BOTH_WAYS, {"aws:y": "true"}, False, OPERATOR),
    (RANGE, {"aws:x": "5"}, True, LOGIC),
    (RANGE, {"aws:x": "9"}, False, LOGIC),
    (RANGE, {"aws:x": "4"}, False, LOGIC),
    ({"StringEquals": {"AWS:X": "1"}}, {"aws:x": "1"}, True, CONDITION),
    ({"StringEquals": {"aws:x": "1"}}, {"Aws:X": "1"}, True, CONDITION),
    ({"StringEquals": {"aws:RequestTag/Team": "1"}}, {"aws:requesttag/TEAM": "1"}, True, CONDITION),
    ({"StringEquals": {"aws:x": "1"}}, {"aws:xx": "1"}, False, CONDITION),
    ({"StringEquals": {"x": "1"}}, {"aws:x": "1"}, False, CONDITION),
    ({"Null": {"aws:x": "false"}, "StringEquals": {"aws:x": "1"}}, {"aws:x": "1"}, True, OPERATOR),
    ({"Null": {"aws:x": "false"}, "StringNotEquals": {"aws:x": "1"}}, {}, False, OPERATOR),
    ({"Null": {"aws:x": "false"}, "ForAllValues:StringEquals": {"aws:x": "1"}}, {}, False, MULTI),
    ({"Null": {"aws:x": "false"}, "ForAllValues:StringEquals": {"aws:x": "1"}}, {"aws:x": ("1",)}, True, MULTI),
]


def check(condition: dict[str, Any], keys: Context, holds: bool) -> None:
    allowed = ask(identity=allow(Condition=condition), keys=keys)
    denied = ask(identity=[allow(), deny(Condition=condition)], keys=keys)

    assert not allowed.error and not denied.error
    assert allowed.kind == ("allowed" if holds else "implicitDeny")
    assert denied.kind == ("explicitDeny" if holds else "allowed")


@pytest.mark.parametrize(("operator", "of_policy", "of_request", "holds", "page"), ONE_KEY)
def test_one_key(operator: str, of_policy: Any, of_request: Value, holds: bool, page: str) -> None:
    check({operator: {"a:Key": of_policy}}, {} if of_request is None else {"A:key": of_request}, holds)


@pytest.mark.parametrize(("condition", "keys", "holds", "page"), MORE_KEYS)
def test_several_keys_and_operators(condition: dict[str, Any], keys: Context, holds: bool, page: str) -> None:
    check(condition, keys, holds)


def test_the_tables_hold_many_distinct_cases_of_both_outcomes_each_with_its_page() -> None:
    rows = [*(repr(row[:3]) for row in ONE_KEY), *(repr(row[:2]) for row in MORE_KEYS)]
    outcomes = [row[-2] for row in [*ONE_KEY, *MORE_KEYS]]

    assert len(set(rows)) == len(rows) >= 250
    assert min(outcomes.count(True), outcomes.count(False)) >= 100
    assert all(row[-1] for row in [*ONE_KEY, *MORE_KEYS])
    assert {row[0].rpartition(":")[2].removesuffix("IfExists") for row in ONE_KEY} == set(OPERATORS)


# --- a key with several values under an operator without a quantifier -------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "of_request", "holds"),
    [
        ("StringEquals", ("b", "a"), True),
        ("StringEquals", ("b", "c"), False),
        ("StringNotEquals", ("b", "a"), False),
        ("StringNotEquals", ("b", "c"), True),
    ],
)
def test_without_a_quantifier_any_value_may_match_and_negation_is_the_opposite(
    operator: str, of_request: tuple[str, ...], holds: bool
) -> None:
    """AWS asks for a quantifier there and leaves open what happens without."""
    check({operator: {"a:b": "a"}}, {"a:b": of_request}, holds)


VALUE = {
    "string": "x",
    "numeric": "1",
    "date": "2020-01-01",
    "bool": "true",
    "binary": "eA==",
    "ip": "::1",
    "arn": TOPIC,
    "null": "false",
}


@pytest.mark.parametrize("name", [name for name in OPERATORS if "Not" in name])
@pytest.mark.parametrize("of_request", [None, "1", "x", "::1", TOPIC, "2020-01-01", ("1", "x")])
def test_a_negated_operator_is_the_opposite_of_its_positive_one(name: str, of_request: Value) -> None:
    def holds(operator: str) -> bool:
        family = OPERATORS[operator]
        condition = Condition(operator=Operator(name=operator, family=family), key="a:b", values=(VALUE[family],))
        return operators.compiled(condition, "2012-10-17")(Keys({} if of_request is None else {"a:b": of_request}))

    assert holds(name) is not holds(name.replace("Not", ""))


def test_arn_operators_are_two_names_of_one() -> None:
    for one, other in (("ArnEquals", "ArnLike"), ("ArnNotEquals", "ArnNotLike")):
        for row in ONE_KEY:
            if row[0] in (one, other):
                check({one: {"a:b": row[1]}}, {} if row[2] is None else {"a:b": row[2]}, row[3])
                check({other: {"a:b": row[1]}}, {} if row[2] is None else {"a:b": row[2]}, row[3])
