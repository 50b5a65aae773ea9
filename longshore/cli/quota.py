"""`longshore quota`: what accounts and repositories may hold, beside a running server or without one."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.operator import entry_of, on_record
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.names import RegistryRef, RepositoryName
    from registry.quotas import Listed

_UNITS: Final = {
    unit: size
    for power, letter in enumerate("kMGTP", 1)
    for unit, size in ((f"{letter.lower()}b", 1000**power), (f"{letter.lower()}ib", 1024**power))
} | {"": 1, "b": 1}
_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]{0,3})")
_UNLIMITED: Final = "unlimited"
_MOST: Final = 2**63 - 1


@click.group()
def quota() -> None:
    """Set what accounts and repositories may hold.

    An account's quota spans all its regions; a repository's is for that repository. Where none is set, the settings
    quotas.* hold.
    """


def bytes_of(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """`500MB`, `20GiB`, a number of bytes; `unlimited` is 0."""
    if text is None or text == _UNLIMITED:
        return None if text is None else 0
    found = _SIZE.fullmatch(text)
    unit = None if found is None else _UNITS.get(found[2].lower())
    size = (
        0 if found is None or unit is None else int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit
    )
    if not 0 < size <= _MOST:
        raise click.BadParameter(f"'{text}' is not like 500MB, 20GiB, 1000000 or {_UNLIMITED}")
    return size


def count_of(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """A number; `unlimited` is 0."""
    if text is None or text == _UNLIMITED:
        return None if text is None else 0
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        raise click.BadParameter(f"'{text}' is not a number above 0 or {_UNLIMITED}")
    return int(text)


@quota.command("set")
@click.argument("repository", required=False)
@click.option("--bytes", "most_bytes", callback=bytes_of, help="Bytes: 500MB, 20GiB, 1000000, or unlimited.")
@click.option("--images", "most_images", callback=count_of, help="Images: a number, or unlimited.")
@with_registry
@with_data
@with_output("table", "json")
def set_(
    repository: str | None,
    most_bytes: int | None,
    most_images: int | None,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Set the quota of REPOSITORY, or of the account where none is named.

    What is not given holds as the settings say. A quota may be less than what is held: then no more comes in until
    enough was deleted.
    """
    if most_bytes is None and most_images is None:
        raise click.UsageError("say how much: --bytes, --images or both")
    allowed = {"bytes_allowed": most_bytes, "images_allowed": most_images}

    async def work(config: Config, deps: "Deps") -> "Listed":
        from registry import quotas

        ref, name = _named(config, account, region, repository)
        noted = on_record(config, deps, _entry("SetQuota", ref, name, **allowed))
        if name is None:
            return await quotas.set_for_account(noted, ref.account, **allowed)
        return await quotas.set_for_repository(noted, ref, name, **allowed)

    made = in_rooms(data, file, work)
    if output == "json":
        answers.show_json(facts(made))
    else:
        _show([made])


@quota.command()
@click.argument("repository", required=False)
@with_registry
@with_data
@with_output("text", "json")
def remove(
    repository: str | None,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Let the settings hold again for REPOSITORY, or for the account where none is named."""

    async def work(config: Config, deps: "Deps") -> "tuple[RegistryRef, RepositoryName | None, bool]":
        from registry import quotas

        ref, name = _named(config, account, region, repository)
        noted = on_record(config, deps, _entry("RemoveQuota", ref, name))
        if name is None:
            return ref, None, await quotas.remove_from_account(noted, ref.account)
        return ref, name, await quotas.remove_from_repository(noted, ref, name)

    ref, name, was_set = in_rooms(data, file, work)
    whose = f"the account {ref.account}" if name is None else str(name)
    if not was_set:
        raise click.ClickException(f"no quota was set for {whose}; `longshore quota list` shows those that were")
    if output == "json":
        answers.show_json({"account": ref.account, "region": None if name is None else ref.region, "repository": name})
    else:
        click.echo(f"removed the quota of {whose}")


@quota.command()
@with_data
@with_output("text", "json")
def recount(data: Path | None, file: Path | None, output: str) -> None:
    """Count anew what quotas count, from all rows: where `longshore check` found a count that is wrong."""

    async def work(config: Config, deps: "Deps") -> int:
        from registry import quotas

        return await quotas.recount(
            on_record(config, deps, _entry("RecountQuotas", registry_of(config, None, None), None))
        )

    wrong = in_rooms(data, file, work)
    if output == "json":
        answers.show_json({"setRight": wrong})
    else:
        click.echo(f"{answers.count(wrong, 'count')} set right" if wrong else "all counts were right")


@quota.command("list")
@click.option("--of", type=click.Choice(["accounts", "repositories"]), default="accounts", show_default=True)
@click.option("--after", default="", help="Only what comes behind this one, as the last answer's `next` says.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@with_data
@with_output("table", "json")
def list_(of: str, after: str, limit: int, data: Path | None, file: Path | None, output: str) -> None:
    """List quotas of accounts, or of repositories, and how much of each is used."""
    if of == "repositories" and not re.fullmatch(r"[0-9]{0,18}", after):
        raise click.BadParameter("is a number, as the last answer's `next` says", param_hint="--after")

    async def work(_config: Config, deps: "Deps") -> "list[tuple[str, Listed]]":
        from registry import quotas

        if of == "accounts":
            found = await quotas.page_of_accounts(deps, after=after, limit=limit + 1)
            return [(one.account, one) for one in found]
        return [
            (str(one), quota)
            for one, quota in await quotas.page_of_repositories(deps, after=int(after or 0), limit=limit + 1)
        ]

    found = in_rooms(data, file, work)
    following = found[limit - 1][0] if len(found) > limit else None
    listed = [quota for _, quota in found[:limit]]
    if output == "json":
        answers.show_json({"quotas": [facts(one) for one in listed], "next": following})
        return
    _show(listed)
    if following is not None:
        click.echo(f"longshore: there are more: --after {following}", err=True)


# --- answers ----------------------------------------------------------------------------------------------------------


def facts(listed: "Listed") -> dict[str, Any]:
    """A quota for programs; the keys are promised. None: any number."""
    held, allowed = listed.quota.holding, listed.allowance
    return {
        "account": listed.account,
        "region": listed.region,
        "repository": listed.repository,
        "setAt": listed.quota.set_at,
        "bytes": allowed.bytes,
        "images": allowed.images,
        "used": {"bytes": held.needed_bytes, "images": held.images, "unneededBytes": held.unneeded_bytes},
    }


def _show(listed: "list[Listed]") -> None:
    rows = []
    for one in listed:
        held, allowed = one.quota.holding, one.allowance
        rows.append(
            (
                one.account,
                one.region or "all",
                one.repository or "all",
                answers.size(held.needed_bytes),
                "unlimited" if allowed.bytes is None else answers.size(allowed.bytes),
                share(held.needed_bytes, allowed.bytes),
                str(held.images),
                "unlimited" if allowed.images is None else str(allowed.images),
                answers.size(held.unneeded_bytes),
            )
        )
    titles = ("ACCOUNT", "REGION", "REPOSITORY", "BYTES", "ALLOWED", "USED", "IMAGES", "ALLOWED", "UNNEEDED")
    answers.show_table(titles, rows, empty="there are no quotas: `longshore quota set` makes one")


def share(used: int, allowed: int | None) -> str:
    """How much of it is used: `45%`."""
    return "-" if allowed is None else f"{used * 100 // allowed}%"


# --- inside -----------------------------------------------------------------------------------------------------------


def _named(
    config: Config, account: str | None, region: str | None, repository: str | None
) -> "tuple[RegistryRef, RepositoryName | None]":
    from registry.names import BadName, RepositoryName

    ref = registry_of(config, account, region)
    if repository is None:
        if region is not None:
            raise click.UsageError("an account's quota spans all regions: --region goes with a REPOSITORY")
        return ref, None
    try:
        return ref, RepositoryName.parse(repository)
    except BadName as error:
        raise click.BadParameter(error.why) from None


def _entry(action: str, ref: "RegistryRef", name: "RepositoryName | None", **parameters: object) -> Any:
    from registry.names import repository_arn

    return entry_of(ref, action, resource="" if name is None else repository_arn(ref, name), **parameters)
