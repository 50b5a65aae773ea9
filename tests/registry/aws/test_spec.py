"""The models say what botocore's own reader makes of them, and need none of it at run time."""

import subprocess
import sys

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from registry.aws import spec

SERVICES = ["ecr", "sts", "iam", "ecs"]


@pytest.mark.parametrize("name", SERVICES)
def test_operations_are_botocores(name):
    service, theirs = spec.load(name), ServiceModel(Loader().load_service_model(name, "service-2"))

    assert list(service.operations) == theirs.operation_names
    for operation in service.operations.values():
        model = theirs.operation_model(operation.name)
        assert operation.input == (model.input_shape and model.input_shape.name)
        assert operation.output == (model.output_shape and model.output_shape.name)
        assert operation.errors == {shape.name for shape in model.error_shapes}
    assert service.signing_name == theirs.signing_name
    assert service.api_version == theirs.api_version


@pytest.mark.parametrize("name", SERVICES)
def test_errors_are_botocores(name):
    service, theirs = spec.load(name), ServiceModel(Loader().load_service_model(name, "service-2"))

    codes = {getattr(shape, "error_code", None) for shape in theirs.error_shapes}
    assert {error.code for error in service.errors.values()} == codes


@pytest.mark.parametrize("name", ["ecr", "sts", "iam"])
def test_the_models_use_no_trait_that_the_reader_does_not_know(name):
    """A newer botocore may bring one: then the reader, `validate` and `serialize` need to learn it."""
    known = {
        "type", "members", "required", "member", "key", "value", "min", "max", "pattern", "enum", "exception", "error",
        "fault", "shape", "documentation", "deprecated", "deprecatedMessage", "deprecatedSince", "sensitive", "box",
        "union",
    }  # fmt: skip
    used = set()
    for body in spec._read(name)["shapes"].values():
        used |= set(body)
        for reference in [*body.get("members", {}).values(), body.get("member", {}), body.get("key", {})]:
            used |= set(reference)

    assert used <= known


def test_an_unknown_service_is_no_service():
    with pytest.raises(LookupError):
        spec.load("no-such-service")


def test_the_door_starts_without_botocore_and_without_a_model():
    """Reading them costs a quarter of a second; start to ready has 1.5 s in all."""
    code = (
        "import sys, registry.sts; from registry.aws import spec; "
        "print([m for m in sys.modules if m.startswith('botocore')], spec.load.cache_info().currsize)"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[] 0"
