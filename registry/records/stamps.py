"""Stamps: numbers that grow with every change of something, so that a cache can tell whether it still holds.

The policy stamp moves with every change of who there is or what they may: identities, groups, access keys, policies of
every kind, repositories and what is set for a registry. It moves in the transaction of the change itself.
"""

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from registry.records.engine import Tx
from registry.records.tables.installation import stamps

T = TypeVar("T")

_POLICY = "policy"


def policy(tx: Tx) -> int:
    """The policy stamp."""
    return int(tx.execute(_READ).scalar_one())


def move_policy(tx: Tx) -> None:
    tx.execute(_MOVE)


def changing(unit: Callable[[Tx], T]) -> Callable[[Tx], T]:
    """`unit`, which changes identities or policies, as one that moves the policy stamp with it."""

    def changed(tx: Tx) -> T:
        result = unit(tx)
        move_policy(tx)
        return result

    return changed


_READ = sa.select(stamps.c.value).where(stamps.c.name == _POLICY)
_MOVE = sa.update(stamps).where(stamps.c.name == _POLICY).values(value=stamps.c.value + 1)
