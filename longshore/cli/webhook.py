"""`longshore webhook`: who is told of events by HTTP, beside a running server or without one."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.operator import entry_of, on_record
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.cli.webhook_dead import dead, deliveries
from longshore.cli.webhook_parts import audited, known
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.delivering import Answered
    from registry.records.listeners import Listener
    from registry.webhooks import Standing

_EVENTS: Final = ("push", "delete", "expire", "storage-class")


@click.group()
def webhook() -> None:
    """Say who is told of events, and see what became of that, in the data directory itself."""


webhook.add_command(deliveries)
webhook.add_command(dead)


@webhook.command()
@click.argument("name")
@click.argument("url")
@click.option("--event", "types", multiple=True, type=click.Choice(_EVENTS), help="Only these events.  [default: all]")
@click.option("--repository", "filters", multiple=True, metavar="FILTER", help="Only repositories like team/*.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the secret that signs: whsec_ and base64.  [default: a new one, shown once]",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="Events that may wait for it; what comes beyond is dropped, and counted.",
)
@with_registry
@with_data
@with_output("text", "json")
def add(
    name: str,
    url: str,
    types: tuple[str, ...],
    filters: tuple[str, ...],
    secret_file: Path | None,
    max_waiting: int,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Have events sent to URL from now on, as the webhook NAME."""
    secret = _secret(secret_file)

    async def work(config: Config, deps: "Deps") -> "Listener | None":
        from yarl import URL

        from registry import webhooks

        ref = registry_of(config, account, region)
        wish = webhooks.Wish(name=name, url=url, types=types, filters=filters, most_waiting=max_waiting, secret=secret)
        # Paths and queries may hold secrets, which are nothing for the record.
        told = entry_of(ref, "AddWebhook", name=name, host=URL(url).host, events=types, repositories=filters)
        return await webhooks.add(on_record(config, deps, told), ref, wish)

    added = in_rooms(data, file, work)
    if added is None:
        raise click.ClickException(f"there is a webhook {name}: remove it first, or choose another name")
    from registry import webhook_signing

    shown = None if secret_file is not None else webhook_signing.shown(secret)
    if output == "json":
        answers.show_json({"name": name, "url": url, "secret": shown})
        return
    click.echo(f"webhook {name} is told of events from now on")
    if shown is not None:
        click.echo(f"its secret, which is shown this once: {shown}")


def _secret(file: Path | None) -> bytes:
    from registry import webhook_signing

    if file is None:
        return webhook_signing.new_secret()
    try:
        return webhook_signing.parse(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise click.BadParameter(f"{file}: {why}", param_hint="--secret-file") from None


@webhook.command("list")
@click.option("--after", default="", help="Only webhooks behind this NAME: the next page.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@with_registry
@with_data
@with_output("table", "json")
def list_(
    after: str,
    limit: int,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """List webhooks, by name."""

    async def work(config: Config, deps: "Deps") -> "list[Standing]":
        from registry import webhooks

        return await webhooks.page(deps, registry_of(config, account, region), after=after, limit=limit)

    found = in_rooms(data, file, work)
    if output == "json":
        answers.show_json([_facts(one) for one in found])
        return
    now = dt.datetime.now(dt.UTC)
    rows = [
        (one.webhook.name, _origin(one.webhook.url), _state(one.webhook, now), str(one.waiting), str(one.dead))
        for one in found
    ]
    nothing = "there are no webhooks; `longshore webhook add NAME URL` makes one"
    answers.show_table(("NAME", "TO", "STATE", "WAITING", "DEAD"), rows, empty=nothing)


@webhook.command()
@click.argument("name")
@with_registry
@with_data
@with_output("text", "json")
def show(name: str, account: str | None, region: str | None, data: Path | None, file: Path | None, output: str) -> None:
    """Show all of one webhook but its secret."""

    async def work(config: Config, deps: "Deps") -> "Standing":
        return await known(deps, registry_of(config, account, region), name)

    found = in_rooms(data, file, work)
    if output == "json":
        answers.show_json(_facts(found))
        return
    for key, value in _facts(found).items():
        if isinstance(value, dt.datetime):
            value = f"{value:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(
            f"{key}: {', '.join(value) or 'all' if isinstance(value, list) else '-' if value is None else value}"
        )


@webhook.command()
@click.argument("name")
@with_registry
@with_data
def remove(name: str, account: str | None, region: str | None, data: Path | None, file: Path | None) -> None:
    """Tell a webhook nothing any more; what waits for it goes too."""
    from registry import webhooks

    audited(data, file, account, region, name, "RemoveWebhook", webhooks.remove)
    click.echo(f"webhook {name} is removed")


@webhook.command()
@click.argument("name")
@with_registry
@with_data
def pause(name: str, account: str | None, region: str | None, data: Path | None, file: Path | None) -> None:
    """Send nothing to a webhook for now; events are kept for it, up to its bound."""
    from registry import webhooks

    audited(data, file, account, region, name, "PauseWebhook", webhooks.pause)
    click.echo(f"webhook {name} is paused; `longshore webhook resume {name}` lets it go on")


@webhook.command()
@click.argument("name")
@with_registry
@with_data
def resume(name: str, account: str | None, region: str | None, data: Path | None, file: Path | None) -> None:
    """Send to a webhook again, now, all that waits for it."""
    from registry import webhooks

    audited(data, file, account, region, name, "ResumeWebhook", webhooks.resume)
    click.echo(f"webhook {name} goes on")


@webhook.command()
@click.argument("name")
@with_registry
@with_data
@with_output("text", "json")
def test(name: str, account: str | None, region: str | None, data: Path | None, file: Path | None, output: str) -> None:
    """Send an event that tells of nothing, from this machine, and say how it was answered."""

    async def work(config: Config, deps: "Deps") -> "Answered":
        from registry import webhooks

        ref = registry_of(config, account, region)
        return await webhooks.test(deps, ref, (await known(deps, ref, name)).webhook)

    answered = in_rooms(data, file, work)
    if output == "json":
        answers.show_json({"delivered": answered.error is None, "status": answered.status, "error": answered.error})
    elif answered.error is None:
        click.echo(f"webhook {name} answered {answered.status}: it takes events")
    if answered.error is not None:
        raise click.ClickException(f"webhook {name} did not take it: {answered.error}")


def _state(one: "Listener", now: dt.datetime) -> str:
    if one.paused is not None:
        return f"paused: {one.paused}"
    if one.rest_until is not None and one.rest_until > now:
        return f"fails: {one.last_error}"
    return "active"


def _origin(url: str) -> str:
    """Scheme and host: what comes behind may be a secret."""
    from yarl import URL

    return str(URL(url).origin())


def _facts(standing: "Standing") -> dict[str, Any]:
    """A webhook for programs; the keys are promised."""
    one = standing.webhook
    return {
        "name": one.name,
        "url": one.url,
        "events": list(one.types),
        "repositories": list(one.filters),
        "maxWaiting": one.most_waiting,
        "createdAt": one.created_at,
        "paused": one.paused,
        "waiting": standing.waiting,
        "dead": standing.dead,
        "delivered": one.delivered,
        "failedTries": one.failed,
        "dropped": one.dropped,
        "lastDeliveredAt": one.delivered_at,
        "lastFailedAt": one.failed_at,
        "lastError": one.last_error,
        "restsUntil": one.rest_until,
    }
