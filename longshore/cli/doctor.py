"""`longshore doctor`: does this installation work, and if not, what is there to do?"""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output

if TYPE_CHECKING:
    from longshore.doctor.finding import Finding


@click.command()
@with_data
@with_output("table", "json")
def doctor(data: Path | None, file: Path | None, output: str) -> int:
    """Try an installation from end to end, and say what to do.

    Looks at settings, keys, disk, database, every region's store (writing, reading and deleting a blob of 9 MiB there),
    TLS, host names and the running server. Nothing is left behind. The exit code is 0 unless there is trouble.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore.doctor.examination import examine

    findings = list(examine(loaded))
    troubles = [finding for finding in findings if finding.state == "trouble"]
    if output == "json":
        answers.show_json({"sound": not troubles, "findings": [_facts(finding) for finding in findings]})
    else:
        rows = [(finding.look, finding.state, finding.found, finding.to_do) for finding in findings]
        answers.show_table(("LOOK", "STATE", "FOUND", "TO DO"), rows, empty="")
        click.echo(f"{answers.count(len(troubles), 'trouble')} found" if troubles else "this installation works")
    return 1 if troubles else 0


def _facts(finding: "Finding") -> dict[str, str]:
    facts = dataclasses.asdict(finding)
    return {"look": facts["look"], "state": facts["state"], "found": facts["found"], "toDo": facts["to_do"]}
