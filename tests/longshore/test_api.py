"""`longshore api`, and the page that it writes."""

import json

from registry.aws import spec
from registry.aws.door import OPERATIONS
from tests.servers import ROOT


def test_the_coverage_page_is_what_the_command_prints(cli):
    printed = cli("api", "--output", "markdown")

    assert (printed.code, printed.err) == (0, "")
    assert (ROOT / "docs" / "api-coverage.md").read_text(encoding="utf-8") == printed.out


def test_every_operation_is_listed(cli):
    found = json.loads(cli("api", "--output", "json").out)
    models = {(name, operation) for name in ("ecr", "sts") for operation in spec.load(name).operations}

    assert models <= {(one["service"], one["operation"]) for one in found}
    assert {(one["service"], one["operation"]) for one in found if one["implemented"]} == {
        (entry.service, entry.name) for entry in OPERATIONS
    }


def test_the_table_has_a_line_for_each(cli):
    lines = cli("api").out.splitlines()

    assert lines[0].split() == ["SERVICE", "OPERATION", "IMPLEMENTED"]
    assert ["ecr", "PutImage", "yes"] in [line.split() for line in lines]
    assert len(lines) == 1 + len(json.loads(cli("api", "--output", "json").out))
