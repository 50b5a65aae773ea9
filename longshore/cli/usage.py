"""`longshore usage`: how much accounts and repositories hold, beside a running server or without one."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output
from longshore.cli.quota import share
from longshore.cli.rooms import in_rooms, registry_of
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.usage import Used


@click.command()
@click.argument("account", required=False)
@click.option("--repository", metavar="NAME", help="Only this repository.")
@click.option("--region", help="Region of the repository.  [default: the default registry's]")
@click.option(
    "--by",
    type=click.Choice(["account", "repository"]),
    default="account",
    show_default=True,
    help="A row for each account, or for each repository.",
)
@click.option("--after", default="", help="Only what comes behind this one, as the last answer's `next` says.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many rows.")
@with_data
@with_output("table", "json")
def usage(
    account: str | None,
    repository: str | None,
    region: str | None,
    by: str,
    after: str,
    limit: int,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Show how much ACCOUNT holds, or all accounts, or each repository.

    Stored are the bytes of layers, each once, and of manifests. Shared of these are the bytes of layers that other
    repositories, or other accounts, hold too. Unneeded are layers that no image needs: garbage collection takes them
    away after their grace period. Kept is what only deleted images need that can be brought back: no quota counts it.
    Quotas bound what images need.
    """
    if by == "repository" and not re.fullmatch(r"[0-9]{0,18}", after):
        raise click.BadParameter("is a number, as the last answer's `next` says", param_hint="--after")

    async def work(config: Config, deps: "Deps") -> "list[tuple[str, Used]]":
        from registry import usage as room

        if repository is not None:
            return [("", await _repository(config, deps, account, region, repository))]
        whose = None if account is None else registry_of(config, account, None).account
        if by == "repository":
            page = await room.by_repository(deps, after=int(after or 0), limit=limit + 1, account=whose)
            return [(str(one), used) for one, used in page]
        if whose is not None:
            return [("", await room.of_account(deps, whose))]
        return [(one.account, one) for one in await room.by_account(deps, after=after, limit=limit + 1)]

    found = in_rooms(data, file, work)
    following = found[limit - 1][0] if len(found) > limit else None
    used = [one for _, one in found[:limit]]
    if output == "json":
        answers.show_json({"usage": [facts(one) for one in used], "next": following})
        return
    show(used)
    if following is not None:
        click.echo(f"longshore: there are more: --after {following}", err=True)


async def _repository(config: Config, deps: "Deps", account: str | None, region: str | None, name: str) -> "Used":
    from registry import usage as room
    from registry.names import BadName, RepositoryName

    try:
        parsed = RepositoryName.parse(name)
    except BadName as error:
        raise click.BadParameter(error.why) from None
    return await room.of_repository(deps, registry_of(config, account, region), parsed)


# --- answers ----------------------------------------------------------------------------------------------------------


def show(found: "list[Used]") -> None:
    rows = [
        (
            one.account,
            one.region or "all",
            one.repository or "all",
            str(one.holding.images),
            answers.size(one.stored_bytes),
            answers.size(one.shared_bytes),
            answers.size(one.holding.unneeded_bytes),
            answers.size(one.kept_bytes),
            "unlimited" if one.allowance.bytes is None else answers.size(one.allowance.bytes),
            share(one.holding.needed_bytes, one.allowance.bytes),
        )
        for one in found
    ]
    titles = ("ACCOUNT", "REGION", "REPOSITORY", "IMAGES", "STORED", "SHARED", "UNNEEDED", "KEPT", "QUOTA", "USED")
    answers.show_table(titles, rows, empty="there are no repositories")


def facts(used: "Used") -> dict[str, Any]:
    """Usage for programs; the keys are promised. Quotas of None: any number."""
    return {
        "account": used.account,
        "region": used.region,
        "repository": used.repository,
        "images": used.holding.images,
        "blobs": used.usage.blobs,
        "storedBytes": used.stored_bytes,
        "blobBytes": used.usage.blob_bytes,
        "manifestBytes": used.usage.image_bytes,
        "sharedBytes": used.shared_bytes,
        "neededBytes": used.holding.needed_bytes,
        "unneededBytes": used.holding.unneeded_bytes,
        "keptBytes": used.kept_bytes,
        "describedBytes": used.described_bytes,
        "quota": {"bytes": used.allowance.bytes, "images": used.allowance.images},
    }
