"""`longshore jobs`: what waits, runs or was given up, beside a running server or without one."""

import datetime as dt
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.operator import entry_of
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import registry_of
from longshore.config import Config

if TYPE_CHECKING:
    from registry.model import Job, JobState
    from registry.records.engine import Opened, Tx

T = TypeVar("T")


@click.group()
def jobs() -> None:
    """List jobs, try them again, cancel them.

    A job is work that the server does later. One that is done is not listed any more; one that was given up waits here.
    """


@jobs.command("list")
@click.option("--state", type=click.Choice(["waiting", "running", "failed"]), help="Only jobs of this state.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only jobs behind this ID: the next page.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@with_data
@with_output("table", "json")
def list_(
    state: "JobState | None",
    kind: str | None,
    after: int,
    limit: int,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """List jobs, oldest first."""
    from registry.records import jobs as rows

    found = _with(
        data,
        file,
        lambda _, db: db.read_here(lambda tx: rows.page(tx, after=after, limit=limit, state=state, kind=kind)),
    )
    if output == "json":
        answers.show_json([_facts(job) for job in found])
        return
    now = dt.datetime.now(dt.UTC)
    table = [
        (str(job.id), job.kind, job.state, _when(job, now), str(job.failures), (job.last_error or "-").split("\n")[0])
        for job in found
    ]
    answers.show_table(("ID", "KIND", "STATE", "RUNS", "FAILURES", "LAST ERROR"), table, empty="there are no such jobs")


@jobs.command()
@click.argument("job_id", metavar="ID", type=int)
@with_data
@with_output("text", "json")
def show(job_id: int, data: Path | None, file: Path | None, output: str) -> None:
    """Show all of one job."""
    from registry.records import jobs as rows

    found = _with(data, file, lambda _, db: db.read_here(lambda tx: rows.find(tx, job_id)))
    if found is None:
        raise _unknown(job_id)
    if output == "json":
        answers.show_json(_facts(found))
        return
    for name, value in _facts(found).items():
        click.echo(f"{name}: {f'{value:%Y-%m-%d %H:%M:%S} UTC' if isinstance(value, dt.datetime) else value}")


@jobs.command()
@click.argument("job_ids", metavar="ID...", type=int, nargs=-1, required=True)
@with_data
def retry(job_ids: tuple[int, ...], data: Path | None, file: Path | None) -> None:
    """Have jobs tried now that were given up, or that wait."""
    from registry.records import jobs as rows

    def again(job_id: int, tx: "Tx") -> None:
        if not rows.retry(tx, job_id, dt.datetime.now(dt.UTC)):
            raise click.ClickException(f"job {job_id} runs, or is done: it cannot be tried again")

    _change(data, file, "RetryJob", job_ids, again, "is tried again now")


@jobs.command()
@click.argument("job_ids", metavar="ID...", type=int, nargs=-1, required=True)
@with_data
def cancel(job_ids: tuple[int, ...], data: Path | None, file: Path | None) -> None:
    """Take jobs away. One that runs ends at its next step, and what it did by then stays done."""
    from registry.records import jobs as rows

    def away(job_id: int, tx: "Tx") -> None:
        if not rows.cancel(tx, job_id):
            raise _unknown(job_id)

    _change(data, file, "CancelJob", job_ids, away, "is cancelled")


def _change(
    data: Path | None,
    file: Path | None,
    action: str,
    job_ids: Sequence[int],
    change: "Callable[[int, Tx], None]",
    told: str,
) -> None:
    """Change one job after the other, each on record as the operator's deed."""
    from registry import audit

    def work(config: Config, db: "Opened") -> None:
        keep = dt.timedelta(days=config.audit.keep_days)
        for job_id in job_ids:
            entry = entry_of(registry_of(config, None, None), action, jobId=job_id)
            db.write_here(audit.recorded(functools.partial(change, job_id), entry, keep=keep))
            click.echo(f"job {job_id} {told}")

    _with(data, file, work)


def _with(data: Path | None, file: Path | None, work: "Callable[[Config, Opened], T]") -> T:
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import wiring

    try:
        with wiring.opened_rows(loaded) as db:
            return work(loaded, db)
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None


def _unknown(job_id: int) -> click.ClickException:
    return click.ClickException(f"there is no job {job_id}; one that is done is not kept")


def _when(job: "Job", now: dt.datetime) -> str:
    if job.state == "running":
        return "now"
    if job.state == "failed":
        return "no more"
    left = (job.run_at - now).total_seconds()
    return "as soon as it can" if left <= 0 else f"in {dt.timedelta(seconds=round(left))}"


def _facts(job: "Job") -> dict[str, Any]:
    """A job for programs; the keys are promised."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "payload": dict(job.payload),
        "dedupeKey": job.dedupe_key,
        "orderKey": job.order_key,
        "createdAt": job.created_at,
        "runAt": job.run_at,
        "attempts": job.attempts,
        "failures": job.failures,
        "leaseOwner": job.lease_owner,
        "leaseUntil": job.lease_until,
        "lastError": job.last_error,
    }
