"""Who a credential speaks for."""

import dataclasses
from typing import Literal

from registry.names import AccountId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The identity behind a request. It holds no rights: those are decided at each request.

    `arn` is the ARN that policies and messages name; `id` is AWS's unique id of it (for a root user the account id).
    """

    kind: Literal["root", "anonymous"]
    account: AccountId | None  # None only for anonymous
    arn: str
    id: str
    access_key: str | None = None  # the key that the credential came from, to be checked on every use

    @property
    def is_anonymous(self) -> bool:
        return self.kind == "anonymous"


ANONYMOUS = Principal(kind="anonymous", account=None, arn="*", id="anonymous")


def root(account: AccountId, access_key: str | None = None, *, partition: str = "aws") -> Principal:
    """The root user of an account."""
    return Principal(
        kind="root", account=account, arn=f"arn:{partition}:iam::{account}:root", id=account, access_key=access_key
    )
