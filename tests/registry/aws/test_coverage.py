"""The coverage page counts what is in the table and what is in the models."""

from registry.aws import coverage, door, spec


async def _nothing(_ctx, _req):
    return {}


def table() -> door.Operations:
    made = door.Operations()
    made.operation("ecr", "ListImages", on=door.NO_PERMISSION_NEEDED)(_nothing)
    made.operation("sts", "GetCallerIdentity", on=door.NO_PERMISSION_NEEDED)(_nothing)
    return made


def test_every_operation_of_every_service_has_a_row():
    found = coverage.rows(table())

    assert {(row.service, row.operation) for row in found if row.implemented} == {
        ("ecr", "ListImages"),
        ("sts", "GetCallerIdentity"),
    }
    assert len(found) == len(spec.load("ecr").operations) + len(spec.load("sts").operations)


def test_the_page_says_so():
    page = coverage.page(table())

    assert "| ListImages | yes |" in page
    assert "| PutImage | no |" in page
    assert f"(`ecr`): 1 of {len(spec.load('ecr').operations)}" in page
    assert "(`sts`): 1 of " in page
