"""`longshore check`: rows and bytes held against each other, for people and for cron."""

import asyncio
import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output
from longshore.cli.progress import Watch, showing, with_progress

if TYPE_CHECKING:
    from registry.findings import Finding, ImageName, Report

_FEW: Final = 3  # images that a row of the table names


@click.command()
@with_data
@click.option("--deep", is_flag=True, help="Hash the stored bytes too, which takes as long as reading them all.")
@with_progress
@with_output("table", "json")
def check(data: Path | None, file: Path | None, deep: bool, progress: bool, output: str) -> int:
    """Hold rows and bytes against each other.

    Works beside a running server, and changes nothing. The exit code is 0 when all is sound and 1 when something is
    wrong; bytes that no row names are only told.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore.wiring import CannotStart
    from registry.records.schema import SchemaTooNew, SchemaTooOld

    try:
        with showing(progress) as watch:
            report = look(loaded, deep=deep, watch=watch)
    except (CannotStart, SchemaTooNew, SchemaTooOld) as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        answers.show_json(facts(report))
    else:
        show(report)
    return 0 if report.is_sound else 1


def look(config: configuration.Config, *, deep: bool, watch: Watch) -> "Report":
    """Check the data directory. Raises CannotStart, SchemaTooNew, SchemaTooOld."""
    from longshore import wiring
    from registry import integrity

    with wiring.opened(config) as (db, stores):
        looking = integrity.check(
            db,
            stores,
            now=dt.datetime.now(dt.UTC),
            deep=deep,
            accept_sparse=config.registry.accept_sparse,
            watch=watch,
        )
        return asyncio.run(stores.during(looking))


def show(report: "Report") -> None:
    """What was found, as a table and a last line."""
    if report.findings:
        rows = [
            (one.kind, one.subject, one.message, affected(one.images, one.image_count), one.to_do)
            for one in report.findings
        ]
        answers.show_table(("KIND", "WHAT", "FOUND", "AFFECTS", "TO DO"), rows, empty="")
    click.echo(_last_line(report))


def affected(images: "Sequence[ImageName]", count: int) -> str:
    """The first few of `count` images, by name."""
    few = [_image(image) for image in images[:_FEW]]
    more = count - len(few)
    return ", ".join([*few, *([f"{more} more"] if more > 0 else [])]) or "-"


def _image(image: "ImageName") -> str:
    if image.tags:
        return f"{image.repository}:{image.tags[0]}"
    return f"{image.repository}@{image.digest}"


def _last_line(report: "Report") -> str:
    if "database" in report.counts:
        return "the database is damaged, so that nothing else can be judged"
    blobs = f"{answers.count(report.blobs, 'blob')} ({answers.size(report.blob_bytes)})"
    parts = [
        f"{'hashed' if report.deep else 'looked at'} {blobs}, {answers.count(report.images, 'image')}, "
        f"{answers.count(report.tags, 'tag')}, {answers.count(report.uploads, 'open upload')}"
    ]
    if report.unverified and not report.deep:
        parts.append(f"{answers.count(report.unverified, 'blob')} changed on disk since being hashed, so try --deep")
    if report.in_flight:
        parts.append(f"{answers.count(report.in_flight, 'file')} of pushes that may be at work")
    if report.litter:
        parts.append(f"{answers.count(report.litter, 'file')} ({answers.size(report.litter_bytes)}) that no row names")
    wrong = sum(count for kind, count in report.counts.items() if kind != "litter")
    parts.append(f"{answers.count(wrong, 'trouble')} found" if wrong else "all is sound")
    return "; ".join(parts)


def facts(report: "Report") -> dict[str, Any]:
    """A report for programs; the keys are promised."""
    return {
        "sound": report.is_sound,
        "deep": report.deep,
        "checked": {
            "blobs": report.blobs,
            "blobBytes": report.blob_bytes,
            "images": report.images,
            "tags": report.tags,
            "uploads": report.uploads,
            "storedKeys": report.stored_keys,
        },
        "unverifiedBlobs": report.unverified,
        "inFlight": report.in_flight,
        "litter": report.litter,
        "litterBytes": report.litter_bytes,
        "counts": dict(report.counts),
        "findings": [_finding_facts(one) for one in report.findings],
    }


def _finding_facts(finding: "Finding") -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "error": finding.is_error,
        "region": finding.region,
        "subject": finding.subject,
        "message": finding.message,
        "toDo": finding.to_do,
        "images": image_facts(finding.images),
        "imageCount": finding.image_count,
    }


def image_facts(images: "Sequence[ImageName]") -> list[dict[str, Any]]:
    return [
        {
            "account": image.registry.account,
            "region": image.registry.region,
            "repository": image.repository,
            "digest": image.digest,
            "tags": image.tags,
        }
        for image in images
    ]
