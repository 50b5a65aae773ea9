"""`longshore admin`: what only the operator may do, beside a running server: accounts and what bounds them.

Each change goes on record with itself, as the operator's.
"""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.operator import entry_of
from longshore.cli.options import with_data, with_output
from registry.names import AccountId, BadName, Region, RegistryRef

if TYPE_CHECKING:
    from registry.records.engine import Opened, T, Tx, Unit


@click.group()
def admin() -> None:
    """Manage accounts, and the policies that bound them.

    These commands change the data directory itself, beside the server that runs on it.
    """


@admin.group()
def account() -> None:
    """Make and list accounts."""


@admin.group()
def scp() -> None:
    """Put, show and delete the service control policy of an account.

    It bounds all identities of the account, the root user too: what it does not allow, nobody there may do.
    """


def _account(_ctx: click.Context, _param: click.Parameter, text: str) -> AccountId:
    try:
        return AccountId.parse(text)
    except BadName as error:
        raise click.BadParameter(error.why) from None


_ACCOUNT = click.argument("account_id", metavar="ACCOUNT_ID", callback=_account)


@contextlib.contextmanager
def _opened(config: configuration.Config) -> "Iterator[Opened]":
    from longshore import wiring

    try:
        with wiring.opened_rows(config) as db:
            yield db
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None


def _change(
    config: configuration.Config, db: "Opened", unit: "Unit[T]", action: str, account_id: AccountId, **parameters: str
) -> "T":
    """What `unit` makes of the account, on record."""
    from registry import audit

    registry = RegistryRef(account_id, Region(config.registry.region))
    entry = entry_of(registry, action, accountId=account_id, **parameters)
    return db.write_here(audit.recorded(unit, entry, keep=dt.timedelta(days=config.audit.keep_days)))


def _loaded(data: Path | None, file: Path | None) -> configuration.Config:
    return configuration.load(data=data, file=file, env=os.environ, flags={})


@account.command()
@_ACCOUNT
@with_data
@with_output("table", "json")
def create(account_id: AccountId, data: Path | None, file: Path | None, output: str) -> None:
    """Make the account ACCOUNT_ID and print the access key of its root user.

    The secret is shown this once.
    """
    from longshore import wiring
    from registry import accounts

    config = _loaded(data, file)
    with _opened(config) as db:
        sealer = wiring.sealer_of(config, db)
        now = dt.datetime.now(dt.UTC)
        made = _change(config, db, lambda tx: accounts.create(tx, account_id, sealer, now), "CreateAccount", account_id)
    facts = {"accountId": account_id, "accessKeyId": made.key.id, "secretAccessKey": made.secret}
    if output == "json":
        answers.show_json(facts)
        return
    for title, value in zip(("account", "access key id", "secret access key"), facts.values(), strict=True):
        click.echo(f"{title:<18} {value}")


@account.command("list")
@with_data
@with_output("table", "json")
def list_(data: Path | None, file: Path | None, output: str) -> None:
    """List accounts."""
    from registry import accounts

    with _opened(_loaded(data, file)) as db:
        found = db.read_here(accounts.every)
    if output == "json":
        answers.show_json(
            [
                {
                    "accountId": one.id,
                    "createdAt": one.created_at,
                    "serviceControlPolicy": one.service_control_policy is not None,
                }
                for one in found
            ]
        )
        return
    now = dt.datetime.now(dt.UTC)
    rows = [
        (one.id, answers.age(one.created_at, now), "yes" if one.service_control_policy is not None else "-")
        for one in found
    ]
    answers.show_table(("ACCOUNT", "CREATED", "SCP"), rows, empty="no accounts")


@scp.command("put")
@_ACCOUNT
@click.argument("policy", metavar="FILE", type=click.File(encoding="utf-8"))
@with_data
def put_scp(account_id: AccountId, policy: TextIO, data: Path | None, file: Path | None) -> None:
    """Put the policy in FILE (`-`: standard input) above the account ACCOUNT_ID, instead of one that is there."""
    from registry import accounts

    try:
        text = policy.read()
    except UnicodeDecodeError:
        raise click.ClickException(f"{policy.name} is not text in UTF-8") from None
    config = _loaded(data, file)

    def put(tx: "Tx") -> None:
        accounts.put_service_control_policy(tx, account_id, text)

    with _opened(config) as db:
        _change(config, db, put, "PutServiceControlPolicy", account_id, policyDocument=text)


@scp.command("get")
@_ACCOUNT
@with_data
def get_scp(account_id: AccountId, data: Path | None, file: Path | None) -> None:
    """Print the policy above the account ACCOUNT_ID, as it was put."""
    from registry import accounts

    with _opened(_loaded(data, file)) as db:
        found = db.read_here(lambda tx: accounts.require(tx, account_id))
    if found.service_control_policy is None:
        raise click.ClickException(f"no service control policy is above account {account_id}")
    click.echo(found.service_control_policy.rstrip("\n"))


@scp.command("delete")
@_ACCOUNT
@with_data
def delete_scp(account_id: AccountId, data: Path | None, file: Path | None) -> None:
    """Take away the policy above the account ACCOUNT_ID."""
    from registry import accounts

    config = _loaded(data, file)

    def delete(tx: "Tx") -> None:
        accounts.put_service_control_policy(tx, account_id, None)

    with _opened(config) as db:
        _change(config, db, delete, "DeleteServiceControlPolicy", account_id)
