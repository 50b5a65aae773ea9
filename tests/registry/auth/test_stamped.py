"""What is kept of rights: for as long as nothing changed, and not a moment longer; and at what cost."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry.auth.authorizer import Asked, Authorizer
from registry.auth.principals import root, user
from registry.auth.stamped import Stamped
from registry.entities import Identity, new_id
from registry.model import Repository
from registry.names import AccountId, Region, RegistryRef, RepositoryName, repository_arn
from registry.records import accounts, attachments, identities, repositories, schema, stamps
from registry.records.engine import Database, Tx
from tests.iam import policy

ACCOUNT = AccountId("000000000000")
REGISTRY = RegistryRef(ACCOUNT, Region("us-east-1"))
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "rows.db")
    found.write_here(schema.upgrade)
    found.write_here(lambda tx: accounts.insert(tx, ACCOUNT, NOW))
    yield found
    found.close()


@pytest.fixture
def statements(db: Database) -> Iterator[list[str]]:
    """Every statement that this process runs by SQLAlchemy."""
    ran: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        ran.append(statement)

    sa.event.listen(db._engine, "before_cursor_execute", note)
    yield ran
    sa.event.remove(db._engine, "before_cursor_execute", note)


def make_user(tx: Tx, name: str, document: str) -> Identity:
    made = Identity(id=new_id("user"), account=ACCOUNT, kind="user", name=name, path="/", created_at=NOW)
    identities.insert(tx, made)
    attachments.put_inline(tx, made.id, "p", document)
    stamps.move_policy(tx)
    return made


def make_repository(tx: Tx, name: str) -> None:
    repositories.insert(tx, Repository(id=0, registry=REGISTRY, name=RepositoryName(name), created_at=NOW))


def asked(principal: Any, name: str, action: str = "ecr:BatchGetImage") -> Asked:
    return Asked(
        principal=principal, action=action, resource=repository_arn(REGISTRY, name), region="us-east-1", now=NOW
    )


async def test_a_value_is_read_once_while_the_stamp_stands(db):
    stamped, calls = Stamped(db), []

    def unit(tx: Tx) -> int:
        calls.append(1)
        return len(calls)

    first = [await stamped.get("k", unit) for _ in range(3)]
    await db.write(lambda tx: tx.exec_driver_sql("SELECT 1"))
    await db.write(lambda tx: make_repository(tx, "other"))  # moves the stamp
    second = [await stamped.get("k", unit) for _ in range(3)]

    assert (first, second) == ([1, 1, 1], [2, 2, 2])


async def test_a_commit_that_changes_no_right_keeps_what_is_kept(db):
    stamped, calls = Stamped(db), []
    await stamped.get("k", lambda tx: calls.append(1))
    await db.write(lambda tx: tx.exec_driver_sql("UPDATE accounts SET created_at = created_at"))
    await stamped.get("k", lambda tx: calls.append(1))

    assert len(calls) == 1


async def test_a_change_by_another_process_is_seen(db, tmp_path):
    """Another Database on the file stands for it: its commits are foreign ones."""
    stamped, other = Stamped(db), Database(tmp_path / "rows.db")
    before = await stamped.get("k", lambda tx: repositories.page(tx, REGISTRY, after="", limit=9))
    await other.write(lambda tx: make_repository(tx, "app"))
    after = await stamped.get("k", lambda tx: repositories.page(tx, REGISTRY, after="", limit=9))
    other.close()

    assert (len(before), len(after)) == (0, 1)


async def test_a_warm_decision_asks_the_database_nothing(db, statements):
    made = await db.write(lambda tx: make_user(tx, "ann", policy(Action="ecr:*", Resource="*")))
    await db.write(lambda tx: make_repository(tx, "app"))
    authorizer, principal = Authorizer(Stamped(db)), user(made, "AKIA")
    await authorizer.check(asked(principal, "app"))
    statements.clear()
    decisions = [await authorizer.check(asked(principal, "app")) for _ in range(5)]

    assert all(decision.allowed for decision in decisions)
    assert statements == []


async def test_a_decision_that_depends_on_the_time_is_made_each_time(db):
    condition = {"DateLessThan": {"aws:CurrentTime": "2026-11-02T00:00:00Z"}}
    document = policy(Action="ecr:*", Resource="*", Condition=condition)
    made = await db.write(lambda tx: make_user(tx, "ann", document))
    authorizer, question = Authorizer(Stamped(db)), asked(user(made, "AKIA"), "app")
    later = Asked(
        principal=question.principal,
        action=question.action,
        resource=question.resource,
        region="us-east-1",
        now=NOW + dt.timedelta(days=2),
    )

    assert (await authorizer.decide(question)).allowed
    assert not (await authorizer.decide(later)).allowed
    assert (await authorizer.decide(question)).allowed


async def test_absent_and_forbidden_cost_the_same(db, statements):
    """T12: in statements, since time is for a bench."""
    made = await db.write(lambda tx: make_user(tx, "ann", policy(Action="iam:*", Resource="*")))
    await db.write(lambda tx: make_repository(tx, "there"))
    principal = user(made, "AKIA")
    costs = {}
    for name in ("there", "absent"):
        authorizer = Authorizer(Stamped(db))
        statements.clear()
        decision = await authorizer.decide(asked(principal, name))
        costs[name] = [line for line in statements if line.startswith("SELECT")]

        assert not decision.allowed

    assert costs["there"] == costs["absent"]


async def test_the_root_user_is_judged_without_policies(db):
    authorizer = Authorizer(Stamped(db))
    elsewhere = repository_arn(RegistryRef(AccountId("111122223333"), Region("us-east-1")), "app")
    question = asked(root(ACCOUNT), "app")
    foreign = Asked(principal=root(ACCOUNT), action=question.action, resource=elsewhere, region="us-east-1", now=NOW)

    assert (await authorizer.decide(question)).allowed
    assert not (await authorizer.decide(foreign)).allowed
