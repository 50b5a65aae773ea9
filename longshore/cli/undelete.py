"""`longshore undelete` and `longshore purge`: what was deleted comes back, or goes for good."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longshore.cli import output as answers
from longshore.cli.naming import image_of
from longshore.cli.operator import entry_of, on_record
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.model import DeletedImage
    from registry.names import Digest, RegistryRef, RepositoryName, Tag
    from registry.undelete import Kept, Purged, Returned, Undone

_STATUS = {"undeleted": "is back", "there": "was there again", "refused": "stays deleted"}


@click.command()
@click.argument("image", metavar="REPOSITORY[@DIGEST|:TAG]")
@click.option("--all", "everything", is_flag=True, help="Bring back every deleted image of the repository.")
@click.option("--repository-too", is_flag=True, help="Make the repository again, if it is gone, with its settings.")
@click.option("--dry-run", is_flag=True, help="Say what would come back, exactly, and change nothing.")
@with_registry
@with_data
@with_output("table", "json")
def undelete(
    image: str,
    everything: bool,
    repository_too: bool,
    dry_run: bool,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> int:
    """Bring back what was deleted, or expired.

    REPOSITORY alone lists what can come back. With a digest, or a tag that it had, an image comes back with all that
    it needs, and with those of its tags that no other image has by now. REPOSITORY --repository-too brings back a
    deleted repository with the images that went with it.

    Works beside a running server. The exit code is 1 where something could not come back.
    """
    name, reference = image_of(image)
    if reference is not None and everything:
        raise click.UsageError("--all goes with a REPOSITORY alone")

    async def listed(config: Config, deps: "Deps") -> "Kept":
        from registry import undelete as room

        return await room.kept(deps, registry_of(config, account, region), name)

    async def brought_back(config: Config, deps: "Deps") -> "Undone":
        ref = registry_of(config, account, region)
        return await _bring(config, deps, ref, name, reference, everything, repository_too, dry_run)

    if reference is None and not everything and not repository_too:
        kept = in_rooms(data, file, listed)
        answers.show_json(_kept_facts(name, kept)) if output == "json" else _show_kept(name, kept)
        return 0
    undone = in_rooms(data, file, brought_back)
    if output == "json":
        answers.show_json(_undone_facts(name, undone, dry_run))
    else:
        _show_undone(name, undone, dry_run)
    return int(any(one.status == "refused" for one in undone.images))


async def _bring(
    config: Config,
    deps: "Deps",
    registry: "RegistryRef",
    name: "RepositoryName",
    reference: "Digest | Tag | None",
    everything: bool,
    repository_too: bool,
    dry_run: bool,
) -> "Undone":
    from registry import undelete as room
    from registry.names import repository_arn

    told = entry_of(
        registry,
        "Undelete",
        resource=repository_arn(registry, name),
        image=reference,
        all=everything,
        repositoryToo=repository_too,
    )
    deps = on_record(config, deps, told)
    if reference is not None:
        return await room.one(deps, registry, name, reference, repository_too=repository_too, dry_run=dry_run)
    return await room.repository(
        deps, registry, name, everything=everything, repository_too=repository_too, dry_run=dry_run
    )


@click.command()
@click.argument("image", metavar="REPOSITORY@DIGEST")
@with_registry
@with_data
@with_output("table", "json")
def purge(
    image: str, account: str | None, region: str | None, data: Path | None, file: Path | None, output: str
) -> None:
    """Let a deleted image go for good, before its time: for a secret that got into it.

    It cannot be brought back then. The next garbage collection takes its bytes, without a grace period, where nothing
    else needs them.
    """
    from registry.names import Digest

    name, reference = image_of(image)
    if not isinstance(reference, Digest):
        raise click.UsageError("name the image by its digest: REPOSITORY@DIGEST")

    async def work(config: Config, deps: "Deps") -> "Purged":
        from registry import undelete as room
        from registry.names import repository_arn

        ref = registry_of(config, account, region)
        told = entry_of(ref, "Purge", resource=repository_arn(ref, name), image=reference)
        return await room.purge(on_record(config, deps, told), ref, name, reference)

    purged = in_rooms(data, file, work)
    if output == "json":
        answers.show_json(_purged_facts(name, purged))
        return
    click.echo(f"{answers.count(len(purged.images), 'image')} purged")
    if purged.freed:
        click.echo(f"freed by the next garbage collection, `longshore gc`: {_amount(purged.freed)}")
    if purged.needed:
        click.echo(f"not freed, as other images or repositories need them: {_amount(purged.needed)}")
        for digest, size in purged.needed.items():
            click.echo(f"  {digest}  {answers.size(size)}")


# --- answers ----------------------------------------------------------------------------------------------------------


def _show_kept(name: str, kept: "Kept") -> None:
    if kept.deleted is not None:
        deleted = kept.deleted
        click.echo(
            f"{name} was deleted at {deleted.deleted_at:%Y-%m-%d %H:%M} UTC by {deleted.doer.principal}; "
            f"--repository-too brings it back, until {deleted.expires_at:%Y-%m-%d %H:%M} UTC"
        )
    rows = [
        (
            one.digest,
            ", ".join(one.tags) or "-",
            answers.size(one.image_size),
            f"{one.deleted_at:%Y-%m-%d %H:%M}",
            one.doer.principal,
            f"{one.expires_at:%Y-%m-%d %H:%M}",
        )
        for one in kept.images
    ]
    titles = ("IMAGE", "TAGS", "SIZE", "DELETED (UTC)", "BY", "UNTIL (UTC)")
    answers.show_table(titles, rows, empty=f"no deleted image of {name} can be brought back")


def _show_undone(name: str, undone: "Undone", dry_run: bool) -> None:
    would = "would be" if dry_run else "is"
    if undone.repository:
        click.echo(f"the repository {name} {would} there again")
    rows = [(one.digest, ", ".join(one.tags) or "-", _result(one, dry_run)) for one in undone.images]
    answers.show_table(("IMAGE", "TAGS", "RESULT"), rows, empty="there are no images to bring back")
    for one in undone.images:
        for tag, digest in one.taken.items():
            click.echo(f"longshore: {name}:{tag} names {digest} by now, and is left as it is", err=True)
    if any(one.expired for one in undone.images):
        click.echo(
            f"longshore: the lifecycle policy of {name} took images that come back, and may take them again: change "
            "it, or keep them by `longshore image use add`",
            err=True,
        )


def _result(one: "Returned", dry_run: bool) -> str:
    if one.status == "refused":
        return f"stays deleted: {one.why}"
    return "would come back" if dry_run and one.status == "undeleted" else _STATUS[one.status]


def _amount(sizes: "Mapping[Digest, int]") -> str:
    return f"{answers.count(len(sizes), 'layer')} ({answers.size(sum(sizes.values()))})"


def _kept_facts(name: str, kept: "Kept") -> dict[str, Any]:
    """What can come back, for programs; the keys are promised."""
    deleted = kept.deleted
    return {
        "repository": name,
        "repositoryDeleted": None
        if deleted is None
        else _end(deleted.deleted_at, deleted.doer.principal, deleted.expires_at),
        "images": [_image_facts(one) for one in kept.images],
    }


def _image_facts(one: "DeletedImage") -> dict[str, Any]:
    return {
        "digest": one.digest,
        "tags": list(one.tags),
        "sizeBytes": one.image_size,
        "pushedAt": one.pushed_at,
        **_end(one.deleted_at, one.doer.principal, one.expires_at),
        "cause": one.cause,
        "reason": one.reason,
    }


def _end(at: dt.datetime, by: str, until: dt.datetime) -> dict[str, Any]:
    return {"deletedAt": at, "deletedBy": by, "until": until}


def _undone_facts(name: str, undone: "Undone", dry_run: bool) -> dict[str, Any]:
    """What came back, for programs; the keys are promised."""
    return {
        "dryRun": dry_run,
        "repository": name,
        "repositoryUndeleted": undone.repository,
        "images": [
            {
                "digest": one.digest,
                "status": one.status,
                "tags": list(one.tags),
                "taken": dict(one.taken),
                "why": one.why or None,
            }
            for one in undone.images
        ],
    }


def _purged_facts(name: str, purged: "Purged") -> dict[str, Any]:
    """What is gone for good, for programs; the keys are promised."""
    return {
        "repository": name,
        "images": list(purged.images),
        "freed": [{"digest": digest, "sizeBytes": size} for digest, size in purged.freed.items()],
        "needed": [{"digest": digest, "sizeBytes": size} for digest, size in purged.needed.items()],
    }
