"""`longshore backup` and `longshore restore`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.check import affected, facts, image_facts, look, show
from longshore.cli.options import with_data, with_output
from longshore.cli.progress import showing, with_progress

if TYPE_CHECKING:
    from longshore.backup import Made
    from longshore.restore import Restored


@click.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path, file_okay=False))
@with_data
@click.option("--verify", is_flag=True, help="Hash what earlier backups copied to DEST, and copy anew what is damaged.")
@with_progress
@with_output("table", "json")
def backup(destination: Path, data: Path | None, file: Path | None, verify: bool, progress: bool, output: str) -> int:
    """Copy the data directory beside a running server.

    The backup in DEST holds every image that was acknowledged before it began. Again into the same DEST, only what is
    new is copied, and until that is done the backup of before can be used. DEST holds the keys of the installation:
    guard it like the data directory. The exit code is 1 when something could not be copied.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import backup as room

    before = "the backup of before can be used" if (destination / "backup.json").exists() else ""
    with _telling(before), showing(progress) as watch:
        made = room.make(loaded, destination, verify=verify, watch=watch)
    if output == "json":
        answers.show_json(_made_facts(destination, made))
    else:
        _show_made(destination, made)
    return 1 if made.description.lost else 0


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@with_data
@click.option("--partial", is_flag=True, help="Restore what is good of a damaged backup, and mark what is lost.")
@with_progress
@with_output("table", "json")
def restore(source: Path, data: Path | None, file: Path | None, partial: bool, progress: bool, output: str) -> int:
    """Put a backup back.

    It goes from SOURCE into a data directory that is empty or not there yet. Every byte is checked on its way, and at
    the end all of it as `longshore check` does, with its exit code. No server may use the directory meanwhile; one that
    is started too soon refuses.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import restore as room

    with _telling(f"nothing was left in {loaded.server.data}"), showing(progress) as watch:
        restored = room.restore(loaded, source, partial=partial, watch=watch)
    with showing(progress) as watch:
        report = look(loaded, deep=False, watch=watch)
    if output == "json":
        answers.show_json({**_restored_facts(restored), "check": facts(report)})
    else:
        _show_restored(restored)
        show(report)
    return 0 if report.is_sound else 1


@contextlib.contextmanager
def _telling(consolation: str) -> Iterator[None]:
    """Failures as one line that says what to do. `consolation`: what is not lost."""
    from longshore.archive import BackupTrouble
    from longshore.wiring import CannotStart
    from registry.errors import DatabaseDamaged
    from registry.records.schema import SchemaTooNew, SchemaTooOld
    from registry.storage.base import StoreMismatch

    kept = [consolation] if consolation else []
    try:
        yield
    except (BackupTrouble, CannotStart, SchemaTooNew, SchemaTooOld, StoreMismatch) as error:
        raise click.ClickException(str(error)) from None
    except DatabaseDamaged as error:
        raise click.ClickException(
            "; ".join([f"the database is damaged ({error.why}): see `longshore check`", *kept])
        ) from None
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        told = [f"{error.strerror or error}{where}", "mend that and run this again", *kept]
        raise click.ClickException("; ".join(told)) from None


# --- answers ----------------------------------------------------------------------------------------------------------


def _show_made(destination: Path, made: "Made") -> None:
    description = made.description
    if made.lost:
        rows = [(one.digest, one.why, affected(one.images, one.image_count)) for one in made.lost]
        answers.show_table(("LOST BLOB", "WHY", "AFFECTS"), rows, empty="")
    click.echo(
        f"{destination}: {_content(description.blobs, made.uploads, description.bytes)}; "
        f"{made.copied} copied now ({answers.size(made.copied_bytes)}), "
        f"{answers.count(made.removed, 'old file')} removed, in {made.seconds:.1f} s"
    )
    _warn_of_keys(description.files)
    if description.lost:
        click.echo(
            f"longshore: {answers.count(description.lost, 'blob')} could not be copied, since the data directory is "
            "damaged: see `longshore check`",
            err=True,
        )


def _warn_of_keys(names: "dict[str, Any]") -> None:
    from longshore.wiring import MASTER_KEY

    if MASTER_KEY not in names:
        click.echo(
            "longshore: the master key is not in the backup, since the configuration brings it: keep it safe yourself",
            err=True,
        )


def _content(blobs: int, uploads: int, size: int) -> str:
    return f"{answers.count(blobs, 'blob')}, {answers.count(uploads, 'open upload')} ({answers.size(size)})"


def _show_restored(restored: "Restored") -> None:
    click.echo(
        f"{restored.data}: {_content(restored.blobs, restored.uploads, restored.bytes)}, "
        f"as of {restored.description.created_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    _warn_of_keys(restored.description.files)


def _made_facts(destination: Path, made: "Made") -> dict[str, Any]:
    """A backup for programs; the keys are promised."""
    description = made.description
    return {
        "destination": str(destination),
        "createdAt": description.created_at,
        "complete": description.lost == 0,
        "blobs": description.blobs,
        "uploads": made.uploads,
        "bytes": description.bytes,
        "copied": made.copied,
        "copiedBytes": made.copied_bytes,
        "removed": made.removed,
        "databaseBytes": description.files["longshore.db"].size,
        "databaseCopies": made.rounds,
        "files": sorted(description.files),
        "lost": description.lost,
        "lostBlobs": [
            {
                "digest": one.digest,
                "why": one.why,
                "images": image_facts(one.images),
                "imageCount": one.image_count,
            }
            for one in made.lost
        ],
        "seconds": round(made.seconds, 3),
    }


def _restored_facts(restored: "Restored") -> dict[str, Any]:
    """A restore for programs; the keys are promised."""
    return {
        "data": str(restored.data),
        "createdAt": restored.description.created_at,
        "blobs": restored.blobs,
        "uploads": restored.uploads,
        "bytes": restored.bytes,
        "damaged": restored.damaged,
    }
