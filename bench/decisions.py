"""How long a decision takes: policies of the largest size, and of the worst kind.

    python bench/decisions.py             a few seconds; exit status 1 where a target is missed
    python bench/decisions.py --rounds 20000

A round is one call of `evaluate` with policies that are ready, as the server keeps them; what it costs to make them
ready stands in a line of its own. Time is this process's own on the processor, so that other programs do not count.
Targets are those of promises.md, T37 and R10.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from bench import thread_time
from policies import wildcards
from policies.access import Form, Policies, Request, Source, evaluate
from policies.callers import Caller, context

ACCOUNT: Final = "111122223333"
REPOSITORY: Final = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app"
USER: Final = Caller(kind="user", account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/Bob", user_id="AIDAEXAMPLE")
LARGE: Final = 10_240
READ_ONLY: Final = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:DescribeRepositories",
    "ecr:ListImages",
    "ecr:DescribeImages",
    "ecr:BatchGetImage",
]


def _cases() -> list[thread_time.Case]:
    small = _identity({"Action": READ_ONLY, "Resource": "*"})
    mixed = _filled(_mixed, "resource")
    return [
        ("the policy of a reader", None, _deciding(Policies(identity=(small,)))),
        ("10 KB, of all elements", 1.0, _deciding(Policies(resource=(mixed,)))),
        ("10 KB in each of five places", None, _deciding(_everywhere(mixed))),
        ("10 KB of names of actions", 1.0, _deciding(_only(_filled_list("Action", "ecr:Nothing{}")))),
        ("10 KB of beginnings of actions", 1.0, _deciding(_only(_filled_list("Action", "ecr:X{}*")))),
        ("10 KB of wildcards in actions", 1.0, _deciding(_only(_filled_list("Action", "ecr:*a*?{}")))),
        ("10 KB of ARNs", 1.0, _deciding(_only(_filled_list("Resource", "arn:aws:ecr:*:*:repository/x{}/*")))),
        ("10 KB of variables", 1.0, _deciding(_only(_filled_list("Resource", "arn:aws:ecr:*:*:${{aws:userid}}{}")))),
        ("10 KB of conditions", 1.0, _deciding(_only(_filled(_conditional, "identity")))),
        ("4 KB of wildcards, against 300 characters", 20.0, lambda: _wild("*a" * 2_000)),
        ("4 KB of wildcards with question marks", 20.0, lambda: _wild("*a?" * 1_333)),
        ("to read a policy of 10 KB", None, lambda: _filled(_mixed, "resource")),
    ]


def _deciding(policies: Policies) -> Callable[[], object]:
    request = Request(
        caller=USER,
        action="ecr:BatchGetImage",
        resource=REPOSITORY,
        resource_account=ACCOUNT,
        context={
            **context(USER),
            "aws:SourceIp": "198.51.100.7",
            "aws:SecureTransport": "true",
            "aws:CurrentTime": "2026-01-01T00:00:00Z",
            "aws:EpochTime": "1767225600",
            "aws:UserAgent": "docker/29.0",
            "aws:RequestedRegion": "us-east-1",
            "aws:ResourceTag/team": "red",
            "ecr:ResourceTag/team": "red",
        },
    )
    found = evaluate(request, policies)
    assert not found.error, found.error
    return lambda: evaluate(request, policies)


def _wild(pattern: str) -> bool:
    return wildcards.compiled((pattern,)).matches("a" * 300)


# --- policies ---------------------------------------------------------------------------------------------------------


def _only(source: Source) -> Policies:
    return Policies(identity=(source,))


def _everywhere(resource: Source) -> Policies:
    other = _filled(_conditional, "identity")
    return Policies(resource=(resource,), identity=(other,), boundary=(other,), session=(other,), scps=((other,),))


def _identity(*statements: dict[str, Any]) -> Source:
    return _source("identity", [{"Effect": "Allow", **statement} for statement in statements])


def _source(form: Form, statements: list[dict[str, Any]]) -> Source:
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    found = Source.read(form, "policy", text)
    assert found.policy is not None and len(text) <= LARGE
    return found


def _filled(make: Callable[[int], dict[str, Any]], form: Form) -> Source:
    """As many statements as fit."""
    statements: list[dict[str, Any]] = []
    size = 60
    while True:
        following = make(len(statements))
        size += len(json.dumps(following, separators=(",", ":"))) + 1
        if size > LARGE:
            return _source(form, statements)
        statements.append(following)


def _filled_list(element: str, text: str) -> Source:
    """One statement with as many values as fit."""
    count = (LARGE - 150) // (len(text) + 6)
    values = [text.format(number) for number in range(count)]
    return _identity({"Action": "*", "Resource": "*", element: values})


def _mixed(number: int) -> dict[str, Any]:
    """One grant after the other, to users and roles; none is the caller."""
    return {
        "Sid": f"grant {number}",
        "Effect": "Allow",
        "Principal": {
            "AWS": [f"arn:aws:iam::{ACCOUNT}:user/u{number}", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/r{number}"]
        },
        "Action": ["ecr:Batch*", "ecr:GetDownloadUrlForLayer", "ecr:*Image"],
        "Condition": {
            "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", f"192.0.2.{number}/32"]},
            "StringLike": {"aws:ResourceTag/team": f"red{number}*"},
        },
    }


def _conditional(number: int) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {
            "DateLessThan": {"aws:CurrentTime": f"2020-01-{number % 28 + 1:02}"},
            "NumericGreaterThan": {"aws:EpochTime": f"{number}e11"},
            "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:role/x{number}*"},
            "StringNotEquals": {"aws:userid": "${aws:userid}"},
        },
    }


if __name__ == "__main__":
    thread_time.main(__doc__, _cases, rounds=3_000, percent=99, digits=4)
