"""Answers are read back by botocore's own parser as what went in."""

import datetime as dt
import json

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from registry.aws import query, serialize, spec
from registry.aws.errors import Face

LOADER = Loader()
MOMENT = st.datetimes(
    dt.datetime(1971, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)
)  # fmt: skip


def values(service: spec.Service, name: str, text: st.SearchStrategy[str], depth: int = 0) -> st.SearchStrategy:
    """Values that fit a shape's form; limits are no matter of the answer."""
    shape = service.shapes[name]
    match shape.kind:
        case "structure":
            if depth > 6:
                return st.just({})
            return st.fixed_dictionaries(
                {}, optional={key: values(service, inner, text, depth + 1) for key, inner in shape.members.items()}
            )
        case "list":
            return st.lists(values(service, shape.item, text, depth + 1), max_size=2)
        case "map":
            return st.dictionaries(text.filter(bool), values(service, shape.value, text, depth + 1), max_size=2)
        case "string":
            return text
        case "integer" | "long":
            return st.integers(-(2**31), 2**31 - 1)
        case "double" | "float":
            return st.floats(allow_nan=False, allow_infinity=False, width=32)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(max_size=20)
        case "timestamp":
            return MOMENT.map(lambda moment: moment.replace(microsecond=0))


def without_empty(value):
    """botocore's XML parser does not tell an empty structure, list or map from none."""
    if isinstance(value, dict):
        return {key: kept for key, item in value.items() if (kept := without_empty(item)) not in ({}, [])}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


def parsed(service: str, protocol: str, operation: str, body: bytes, status: int = 200):
    model = ServiceModel(LOADER.load_service_model(service, "service-2"))
    answer = {"body": body, "status_code": status, "headers": {"x-amzn-requestid": "id"}}
    shape = model.operation_model(operation).output_shape
    assert shape is not None
    found = create_parser(protocol).parse(answer, shape)
    found.pop("ResponseMetadata", None)
    return found


ECR = spec.load("ecr")
JSON_OPERATIONS = [
    "DescribeRepositories",
    "DescribeImages",
    "BatchGetImage",
    "DescribeImageScanFindings",
    "GetAuthorizationToken",
]


@pytest.mark.parametrize("operation", JSON_OPERATIONS)
@given(data=st.data())
def test_botocore_reads_json_answers_as_they_were_meant(operation, data):
    shape = ECR.operations[operation].output
    assert shape is not None
    value = data.draw(values(ECR, shape, st.text(max_size=10)))

    assert value == parsed("ecr", "json", operation, serialize.result(ECR, shape, value))


XML_TEXT = st.text(st.characters(exclude_categories=["C"]), max_size=10).map(str.strip)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sts", "GetCallerIdentity"),
        ("sts", "AssumeRole"),
        ("iam", "ListUsers"),
        ("iam", "GetAccountSummary"),
        ("iam", "SimulatePrincipalPolicy"),
    ],
)
@given(data=st.data())
def test_botocore_reads_xml_answers_as_they_were_meant(service, operation, data):
    model = spec.load(service)
    described = model.operations[operation]
    assert described.output is not None
    value = data.draw(values(model, described.output, XML_TEXT.filter(bool)))
    body = query.result(model, described, value, "id")

    assert without_empty(value) == without_empty(parsed(service, "query", operation, body))


def test_members_that_the_shape_does_not_know_stay_inside():
    body = serialize.result(ECR, "DeleteRepositoryResponse", {"repository": {"repositoryName": "a", "id": 7}, "x": 1})

    assert json.loads(body) == {"repository": {"repositoryName": "a"}}


def test_none_is_left_out_and_false_and_zero_are_not():
    value = {"repository": {"repositoryUri": None, "imageScanningConfiguration": {"scanOnPush": False}}}

    assert json.loads(serialize.result(ECR, "DeleteRepositoryResponse", value)) == {
        "repository": {"imageScanningConfiguration": {"scanOnPush": False}}
    }


def test_timestamps_are_numbers_of_seconds():
    value = {"repository": {"createdAt": dt.datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=dt.UTC)}}

    assert serialize.result(ECR, "DeleteRepositoryResponse", value) == b'{"repository":{"createdAt":1767323045.679}}'


def test_an_operation_without_output_answers_an_empty_object():
    assert serialize.result(ECR, None, {}) == b"{}"


@given(st.text(st.characters(), max_size=40))
def test_any_message_can_be_told(message):
    """A message may quote a header that is no UTF-8, or a character that XML cannot hold."""
    face = Face(code="X", status=400, message=message)
    told = json.loads(serialize.error(face))

    assert told["__type"] == "X"
    assert parsed("sts", "query", "GetCallerIdentity", query.error(None, face, "id"), 400)["Error"]["Code"] == "X"
