"""Which operations of the AWS services are built: from the models and the operation table, so it cannot be wrong."""

import dataclasses

from registry.aws.door import OPERATIONS, Operations

_HEAD = """\
# AWS API coverage

Which operations of AWS's services a client may call. One that is not implemented answers
`UnsupportedOperationException` and changes nothing.

This page is written by `longshore api --output markdown`.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation of a service's model."""

    service: str
    operation: str
    implemented: bool


def rows(table: Operations = OPERATIONS) -> list[Row]:
    """Every operation of the services in the table, by service and name."""
    return [
        Row(service=service.name, operation=name, implemented=table.find(service.name, name) is not None)
        for service in table.services()
        for name in sorted(service.operations)
    ]


def page(table: Operations = OPERATIONS) -> str:
    """The page for docs/, in Markdown."""
    parts, found = [_HEAD], rows(table)
    for service in table.services():
        mine = [row for row in found if row.service == service.name]
        done = sum(row.implemented for row in mine)
        lines = [f"| {row.operation} | {'yes' if row.implemented else 'no'} |" for row in mine]
        parts.append(
            f"## {service.title} (`{service.name}`): {done} of {len(mine)}\n\n"
            + "| operation | implemented |\n|---|---|\n"
            + "\n".join(lines)
            + "\n"
        )
    return "\n".join(parts)
