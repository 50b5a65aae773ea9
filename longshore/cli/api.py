"""`longshore api`: which operations of AWS's services this version answers. docs/api-coverage.md is its page."""

import click

from longshore.cli import output as answers
from longshore.cli.options import with_output


@click.command()
@with_output("table", "json", "markdown")
def api(output: str) -> None:
    """List AWS's operations, and which of them are implemented."""
    import longshore.app  # whose doors put their operations on the table
    from registry.aws import coverage

    assert longshore.app.DOORS
    if output == "markdown":
        click.echo(coverage.page(), nl=False)
        return
    rows = coverage.rows()
    if output == "json":
        answers.show_json(
            [{"service": row.service, "operation": row.operation, "implemented": row.implemented} for row in rows]
        )
        return
    cells = [(row.service, row.operation, "yes" if row.implemented else "no") for row in rows]
    answers.show_table(("SERVICE", "OPERATION", "IMPLEMENTED"), cells, empty="there are no operations")
