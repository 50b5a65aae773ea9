"""`longshore webhook deliveries` and `longshore webhook dead`: events that are on their way, and those given up."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.cli.webhook_parts import audited, known
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.records.deliveries import Delivery, State
    from registry.records.listeners import Listener

_AFTER: Final = click.option(
    "--after", type=click.IntRange(0), default=0, help="Only events behind this ID: the next page."
)
_LIMIT: Final = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many."
)
_IDS: Final = click.argument("ids", metavar="[ID...]", type=int, nargs=-1)
_ALL: Final = click.option("--all", "every", is_flag=True, help="All of them.")


@click.command()
@click.argument("name")
@_AFTER
@_LIMIT
@with_registry
@with_data
@with_output("table", "json")
def deliveries(
    name: str,
    after: int,
    limit: int,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """List events that are on their way to a webhook, oldest first. One that was delivered is not listed any more."""
    _show(_listed(data, file, account, region, name, "waiting", after, limit), output, f"nothing waits for {name}")


@click.group()
def dead() -> None:
    """List events that a webhook did not take, send them again, drop them."""


@dead.command("list")
@click.argument("name")
@_AFTER
@_LIMIT
@with_registry
@with_data
@with_output("table", "json")
def list_(
    name: str,
    after: int,
    limit: int,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """List events that were given up, oldest first."""
    _show(_listed(data, file, account, region, name, "dead", after, limit), output, f"{name} has no dead events")


@dead.command()
@click.argument("name")
@_IDS
@_ALL
@with_registry
@with_data
def resend(
    name: str,
    ids: tuple[int, ...],
    every: bool,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
) -> None:
    """Have dead events sent again, by their IDs or all."""
    _check(ids, every)

    async def change(deps: "Deps", webhook: "Listener") -> int:
        from registry import webhooks

        return await webhooks.resend(deps, webhook, ids)

    count = audited(data, file, account, region, name, "ResendDeadEvents", change, ids=ids or "all")
    click.echo(f"{answers.count(count, 'event')} of {name} sent again now")


@dead.command()
@click.argument("name")
@_IDS
@_ALL
@with_registry
@with_data
def drop(
    name: str,
    ids: tuple[int, ...],
    every: bool,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
) -> None:
    """Remove dead events, by their IDs or all."""
    _check(ids, every)

    async def change(deps: "Deps", webhook: "Listener") -> int:
        from registry import webhooks

        return await webhooks.drop(deps, webhook, ids)

    count = audited(data, file, account, region, name, "DropDeadEvents", change, ids=ids or "all")
    click.echo(f"{answers.count(count, 'event')} of {name} dropped")


def _check(ids: tuple[int, ...], every: bool) -> None:
    if bool(ids) == every:
        raise click.UsageError("name events by their IDs, or all by --all")


def _listed(
    data: Path | None,
    file: Path | None,
    account: str | None,
    region: str | None,
    name: str,
    state: "State",
    after: int,
    limit: int,
) -> "list[Delivery]":
    async def work(config: Config, deps: "Deps") -> "list[Delivery]":
        from registry import webhooks

        found = await known(deps, registry_of(config, account, region), name)
        return await webhooks.events(deps, found.webhook, state, after=after, limit=limit)

    return in_rooms(data, file, work)


def _show(found: "list[Delivery]", output: str, nothing: str) -> None:
    if output == "json":
        answers.show_json([_facts(one) for one in found])
        return
    rows = [
        (
            str(one.id),
            one.type,
            one.repository,
            f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            str(one.failures),
            one.last_error or "-",
        )
        for one in found
    ]
    answers.show_table(("ID", "EVENT", "REPOSITORY", "SINCE (UTC)", "FAILURES", "LAST ERROR"), rows, empty=nothing)


def _facts(one: "Delivery") -> dict[str, Any]:
    """An event on its way, for programs; the keys are promised."""
    import json

    return {
        "id": one.id,
        "eventId": one.event_id,
        "type": one.type,
        "repository": one.repository,
        "state": one.state,
        "createdAt": one.created_at,
        "failures": one.failures,
        "nextTryAt": one.next_at,
        "diedAt": one.died_at,
        "lastError": one.last_error,
        "event": json.loads(one.event),
    }
