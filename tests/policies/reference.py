"""Decisions once more, slow and in other words, to hold the real ones against; and random requests to hold them to.

Nothing here comes from `policies/`: policies are read as JSON, patterns matched by trying everything, numbers are
fractions and dates datetimes, and what is needed for an Allow is written as sets of what each layer allows. What may
not be decided at all (policies that cannot be read) does not occur.
"""

import base64
import datetime as dt
import fractions
import functools
import ipaddress
import json
import random
from typing import Any

from policies.access import Policies, Request
from policies.callers import Caller
from tests.policies.asking import source

Json = dict[str, Any]

# --- matching ---------------------------------------------------------------------------------------------------------

ANY, ONE = object(), object()


@functools.cache
def like(pattern: tuple[object, ...], text: str) -> bool:
    """A pattern of characters, ANY and ONE: a table of which beginnings match which."""
    reach = {0}
    for symbol in pattern:
        if symbol is ANY:
            reach = set(range(min(reach), len(text) + 1)) if reach else set()
        else:
            reach = {at + 1 for at in reach if at < len(text) and symbol in (ONE, text[at])}
    return len(text) in reach


def expand(text: str, version: str, keys: Json) -> tuple[object, ...] | None:
    """The text as symbols, variables replaced; None when one of them stands for nothing."""
    symbols: list[object] = []
    at = 0
    while at < len(text):
        end = text.find("}", at)
        if version == "2012-10-17" and text.startswith("${", at) and end >= 0:
            value = value_of(text[at + 2 : end], keys)
            if value is None:
                return None
            symbols += value
            at = end + 1
        else:
            symbols.append({"*": ANY, "?": ONE}.get(text[at], text[at]))
            at += 1
    return tuple(symbols)


def value_of(name: str, keys: Json) -> str | None:
    if name in ("*", "?", "$"):
        return name
    name, comma, rest = name.partition(",")
    default = rest.strip(" ")[1:-1] if comma else None
    value = keys.get(name.lower())
    return value if isinstance(value, str) else default


def plain(symbols: tuple[object, ...]) -> str:
    """The text of symbols where `*` and `?` are characters."""
    return "".join({ANY: "*", ONE: "?"}.get(symbol, str(symbol)) for symbol in symbols)


# --- conditions -------------------------------------------------------------------------------------------------------


def number(text: str) -> fractions.Fraction | None:
    try:
        return fractions.Fraction(text)
    except ValueError:
        return None


def moment(text: str) -> dt.datetime | None:
    if text.isdigit():
        return dt.datetime.fromtimestamp(int(text), dt.UTC)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def order(name: str, own: Any, other: Any) -> bool:
    if own is None or other is None:
        return False
    return bool(
        {
            "Equals": own == other,
            "LessThan": own < other,
            "LessThanEquals": own <= other,
            "GreaterThan": own > other,
            "GreaterThanEquals": own >= other,
        }[name]
    )


def same(operator: str, own: str, other: str, version: str, keys: Json) -> bool:
    """Whether one value of the request matches one of the policy, under a positive operator."""
    if operator.startswith("Numeric"):
        return order(operator.removeprefix("Numeric"), number(own), number(other))
    if operator.startswith("Date"):
        return order(operator.removeprefix("Date"), moment(own), moment(other))
    if operator == "IpAddress":
        try:
            return ipaddress.ip_address(own) in ipaddress.ip_network(other, strict=False)
        except ValueError:
            return False
    if operator == "BinaryEquals":
        try:
            return base64.b64decode(own, validate=True) == base64.b64decode(other)
        except ValueError:
            return False
    symbols = expand(other, version, keys)
    return symbols is not None and same_text(operator, own, symbols)


def same_text(operator: str, own: str, symbols: tuple[object, ...]) -> bool:
    text = plain(symbols)
    if operator == "Bool":
        return own.lower() == text.lower() and own.lower() in ("true", "false")
    if operator == "StringEquals":
        return own == text
    if operator == "StringEqualsIgnoreCase":
        return own.casefold() == text.casefold()
    if operator == "StringLike":
        return like(symbols, own)
    segments: list[list[object]] = [[]]
    for symbol in symbols:
        if symbol == ":" and len(segments) < 6:
            segments.append([])
        else:
            segments[-1].append(symbol)
    parts = own.split(":", 5)
    return len(segments) == 6 == len(parts) and all(
        like(tuple(segment), part) for segment, part in zip(segments, parts, strict=True)
    )


def holds(operator: str, key: str, of_policy: Any, version: str, keys: Json) -> bool:
    quantifier, _, name = operator.rpartition(":")
    base = name.removesuffix("IfExists")
    found = keys.get(key.lower(), ())
    own = [found] if isinstance(found, str) else list(found)
    wanted = of_policy if isinstance(of_policy, list) else [of_policy]
    if base == "Null":
        return any((own == []) == (each == "true") for each in wanted)
    if quantifier and set(own) <= {""}:
        own = []
    negated = "Not" in base
    if not own:
        return base != name or quantifier == "ForAllValues" or (negated and not quantifier)
    hits = [any(same(base.replace("Not", ""), each, other, version, keys) for other in wanted) for each in own]
    if not quantifier:
        return any(hits) != negated
    return (all if quantifier == "ForAllValues" else any)(hit != negated for hit in hits)


# --- statements -------------------------------------------------------------------------------------------------------


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def means(element: Any, names: list[str]) -> list[str]:
    """By which of the caller's names, written as Principal elements write them, an element means them."""
    if element == "*" or "*" in listed(element.get("AWS", [])):
        return ["*"]
    told = [text for kind in element for text in listed(element[kind])]
    told = [f"arn:aws:iam::{text}:root" if text.isdigit() else text for text in told]
    return [name for name in names if name in told]


def applies(statement: Json, version: str, request: Json) -> list[str]:
    """By which names the statement is about the request; empty if it is not."""
    names = ["*"]
    if "Principal" in statement:
        names = means(statement["Principal"], request["names"])
    if "NotPrincipal" in statement:
        spared = means(statement["NotPrincipal"], request["names"])
        names = [] if spared == ["*"] or (spared and spared == request["names"]) else ["*"]
    for element, asked, fold in (("Action", request["action"], True), ("Resource", request["resource"], False)):
        for word, wanted in ((element, True), (f"Not{element}", False)):
            if word in statement:
                texts = listed(statement[word])
                patterns = [
                    expand(text.lower() if fold else text, "2008-10-17" if fold else version, request["keys"])
                    for text in texts
                ]
                hit = any(p is not None and like(p, asked.lower() if fold else asked) for p in patterns)
                names = names if hit == wanted else []
    for operator, block in statement.get("Condition", {}).items():
        for key, value in block.items():
            names = names if holds(operator, key, value, version, request["keys"]) else []
    return names


# --- decisions --------------------------------------------------------------------------------------------------------

LAYERS = ("identity", "boundary", "session", "resource")


def decide(case: Json) -> str:
    """allowed, explicitDeny or implicitDeny. A case is JSON: the caller, the request, and the documents by layer."""
    caller, layers = case["caller"], case["layers"]
    arns = {
        "user": [caller["arn"]],
        "role-session": [caller["arn"], caller["behind"]],
        "federated-user": [caller["arn"], caller["behind"]],
        "service": [caller["arn"]],
        "provider": [caller["arn"]],
    }.get(caller["kind"], [])
    account = [f"arn:aws:iam::{caller['account']}:root"] if caller["account"] else []
    keys = {name.lower(): value for name, value in case["keys"].items()}
    request = {
        "names": arns + account,
        "action": case["action"],
        "resource": case["resource"],
        "keys": keys,
    }

    def said(documents: list[Json] | None, effect: str) -> list[str]:
        return [
            name
            for document in documents or []
            for statement in document["Statement"]
            if statement["Effect"] == effect
            for name in applies(statement, document["Version"], request)
        ]

    everywhere = [document for layer in LAYERS for document in layers[layer] or []]
    everywhere += [document for level in layers["scps"] for document in level]
    if said(everywhere, "Deny"):
        return "explicitDeny"
    scp = all(said(level, "Allow") for level in layers["scps"])
    by = said(layers["resource"], "Allow")
    home = caller["account"] == case["owner"]
    root = caller["kind"] == "root" or (caller["kind"] == "federated-user" and caller["behind"].endswith(":root"))
    identity = root or bool(said(layers["identity"], "Allow"))
    boundary = layers["boundary"] is None or bool(said(layers["boundary"], "Allow"))
    if layers["session"] is None:
        session = caller["kind"] != "federated-user"
    else:
        session = bool(said(layers["session"], "Allow"))
    own = "*" in by or (arns[:1] and arns[0] in by)
    behind = len(arns) > 1 and arns[1] in by
    if not caller["account"]:
        allowed = bool(by)
    elif home and case["trust"]:
        allowed = bool(own or (behind and boundary and session) or (by and identity and boundary and session))
    elif home:
        allowed = bool(own or ((identity or behind) and boundary and session))
    else:
        allowed = bool(by and identity and boundary and session)
    return "allowed" if allowed and scp else "implicitDeny"


# --- random cases -----------------------------------------------------------------------------------------------------

A, B = "111122223333", "444455556666"
CALLERS = [
    {"kind": "user", "account": A, "arn": f"arn:aws:iam::{A}:user/u", "behind": ""},
    {
        "kind": "role-session",
        "account": A,
        "arn": f"arn:aws:sts::{A}:assumed-role/r/s",
        "behind": f"arn:aws:iam::{A}:role/r",
    },
    {
        "kind": "federated-user",
        "account": A,
        "arn": f"arn:aws:sts::{A}:federated-user/f",
        "behind": f"arn:aws:iam::{A}:user/u",
    },
    {
        "kind": "federated-user",
        "account": A,
        "arn": f"arn:aws:sts::{A}:federated-user/f",
        "behind": f"arn:aws:iam::{A}:root",
    },
    {"kind": "root", "account": A, "arn": f"arn:aws:iam::{A}:root", "behind": ""},
    {"kind": "service", "account": "", "arn": "ecs.amazonaws.com", "behind": ""},
    {"kind": "anonymous", "account": "", "arn": "", "behind": ""},
]
AWS = [A, B, f"arn:aws:iam::{A}:root", "*"] + [
    name for caller in CALLERS for name in (caller["arn"], caller["behind"]) if name.startswith("arn")
]
ACTIONS = ["ecr:PutImage", "ecr:BatchGetImage", "iam:GetUser"]
ACTION_PATTERNS = [
    *ACTIONS,
    "*",
    "*",
    "ecr:*",
    "ecr:*",
    "ECR:put*",
    "ecr:*Image",
    "ecr:?utImage",
    "*:PutImage",
    "iam:*",
    "ecr:B*?t*",
]
RESOURCES = ["*", *(f"arn:aws:ecr:eu-west-1:{owner}:repository/{name}" for owner in (A, B) for name in ("x", "y/x"))]
RESOURCE_PATTERNS = [
    *RESOURCES,
    "*",
    "*",
    "arn:aws:ecr:*:*:repository/*",
    "arn:aws:ecr:*:*:repository/?",
    f"arn:aws:ecr:eu-west-?:{A}:*x",
    "arn:aws:ecr:*:*:repository/${aws:x}",
    "arn:aws:ecr:*:*:repository/${aws:y, 'x'}*",
    "arn:aws:ecr:*:*:repository/${*}",
]
KEYS = ["aws:x", "AWS:Y", "aws:z"]
STRINGS = ["", "x", "X", "y", "x*", "?", "*", "${aws:x}", "${aws:Y}z", "${aws:z, 'x'}", "${*}", "${?}y", "${aws:x", "ß"]
ARNS = [*AWS[4:8], "arn:aws:iam::*:user/*", "arn:*:*:*:*:*", "arn:aws:sts::*:assumed-role/r/${aws:x}", "*", "a:b:c:d:e"]
POOLS = {
    "String": STRINGS,
    "Numeric": ["0", "-1", "1", "1.0", "1e1", "10", "9007199254740993", "9007199254740992"],
    "Date": ["2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00", "1577836800", "1577836801", "0"],
    "Bool": ["true", "false", "True", "${aws:x}"],
    "BinaryEquals": ["eA==", "eQ==", ""],
    "IpAddress": ["10.0.0.0/8", "10.1.2.3", "10.1.2.3/31", "::/0", "2001:db8::1"],
    "Arn": ARNS,
    "Null": ["true", "false"],
}
OF_REQUEST = ["", "x", "X", "*", "true", "10", "1", "10.1.2.3", "2001:db8::1", "2020-01-01", "1577836800", "eA==", "xz"]
OPERATORS = (
    [f"String{name}" for name in ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")]
    + [
        f"{family}{name}"
        for family in ("Numeric", "Date")
        for name in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
    ]
    + [
        "Bool",
        "BinaryEquals",
        "IpAddress",
        "NotIpAddress",
        "ArnEquals",
        "ArnNotEquals",
        "ArnLike",
        "ArnNotLike",
        "Null",
    ]
)


class Dice:
    """Random cases, small enough to collide often."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def some(self, pool: list[Any], most: int = 2) -> Any:
        """One of the pool, or a list of a few."""
        if self.random.random() < 0.5:
            return self.random.choice(pool)
        return [self.random.choice(pool) for _ in range(self.random.randint(1, most))]

    def several(self) -> tuple[str, ...]:
        return tuple(self.random.choice(OF_REQUEST) for _ in range(self.random.randint(0, 3)))

    def one(self, *of: Any) -> Any:
        return self.random.choice(of)

    def condition(self) -> Json:
        found: Json = {}
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2))):
            operator = self.random.choice(OPERATORS)
            pool = next(pool for family, pool in POOLS.items() if operator.replace("Not", "").startswith(family))
            if operator != "Null":
                operator = self.one("", "", "ForAllValues:", "ForAnyValue:") + operator + self.one("", "", "IfExists")
            found[operator] = {self.random.choice(KEYS): self.some(pool)}
        return found

    def principal(self) -> Any:
        return self.one("*", {"AWS": self.some(AWS, 3)}, {"AWS": self.some(AWS, 3), "Service": "ecs.amazonaws.com"})

    def statement(self, form: str, deny: float) -> Json:
        found: Json = {"Effect": "Deny" if self.random.random() < deny else "Allow"}
        found[self.one("Action", "Action", "NotAction")] = self.some(ACTION_PATTERNS, 3)
        if form == "identity" or self.random.random() < 0.5:
            found[self.one("Resource", "Resource", "NotResource")] = self.some(RESOURCE_PATTERNS, 3)
        if form == "resource":
            word = self.one("Principal", "NotPrincipal") if found["Effect"] == "Deny" else "Principal"
            found[word] = self.principal()
        condition = self.condition()
        if condition:
            found["Condition"] = condition
        return found

    def document(self, form: str = "identity", deny: float = 0.08) -> Json:
        statements = [self.statement(form, deny) for _ in range(self.random.randint(1, 3))]
        return {"Version": self.one("2012-10-17", "2012-10-17", "2008-10-17"), "Statement": statements}

    def documents(self, form: str = "identity") -> list[Json]:
        return [self.document(form) for _ in range(self.random.choice((0, 1, 1, 2, 2)))]

    def case(self) -> Json:
        resource = self.random.choice(RESOURCES)
        keys = {
            key: self.one(self.random.choice(OF_REQUEST), self.random.choice(ARNS), self.several())
            for key in KEYS
            if self.random.random() < 0.7
        }
        return {
            "caller": self.random.choice(CALLERS),
            "action": self.random.choice(ACTIONS),
            "resource": resource,
            "owner": resource.split(":")[4] if resource != "*" else A,
            "keys": keys,
            "trust": self.random.random() < 0.2,
            "layers": {
                "identity": self.documents(),
                "boundary": self.documents() if self.random.random() < 0.25 else None,
                "session": self.documents() if self.random.random() < 0.25 else None,
                "resource": self.documents("resource"),
                "scps": [self.documents() for _ in range(self.random.choice((0, 0, 0, 1, 2)))],
            },
        }


def real(case: Json) -> tuple[Request, Policies]:
    """The case in the values of `policies/`."""

    def made(documents: list[Json] | None, form: Any = "identity") -> Any:
        if documents is None:
            return None
        return tuple(
            source(*document["Statement"], form=form, name=json.dumps(document), version=document["Version"])
            for document in documents
        )

    layers = case["layers"]
    request = Request(
        caller=Caller(**case["caller"]),
        action=case["action"],
        resource=case["resource"],
        resource_account=case["owner"],
        context=case["keys"],
    )
    return request, Policies(
        identity=made(layers["identity"]),
        boundary=made(layers["boundary"]),
        session=made(layers["session"]),
        resource=made(layers["resource"], "resource"),
        scps=tuple(made(level) for level in layers["scps"]),
        trust=case["trust"],
    )
