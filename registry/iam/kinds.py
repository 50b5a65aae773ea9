"""One function for several operations: what IAM has for users, groups and roles alike is written once.

    @for_each("Attach{}Policy")
    async def attach(kind: Kind, ctx: Context, req: Params) -> Result: ...

enters AttachUserPolicy, AttachGroupPolicy and AttachRolePolicy, each on the ARN of what it names.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from registry.aws.door import ConditionKeys, Params, Result, operation
from registry.context import Context
from registry.entities import Kind
from registry.iam.resources import NAMES, on

Shared = Callable[[Kind, Context, Params], Awaitable[Result]]

ALL: Final[tuple[Kind, ...]] = ("user", "group", "role")


def for_each(
    template: str, kinds: Sequence[Kind] = ALL, *, keys: ConditionKeys = lambda req: {}
) -> Callable[[Shared], Shared]:
    """Enter the decorated function once for each kind; `{}` in the operation's name is User, Group or Role."""

    def enter(shared: Shared) -> Shared:
        for kind in kinds:
            name = template.format(kind.capitalize())
            operation("iam", name, on=on(kind), keys=keys)(functools.partial(shared, kind))
        return shared

    return enter


def name_of(kind: Kind, req: Params) -> str:
    """The name of the user, group or role that a request is about."""
    return str(req[NAMES[kind]])
