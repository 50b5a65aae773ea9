"""Parameters against the models: what AWS's limits refuse is refused in ECR's words; hostile JSON costs nothing."""

import base64
import datetime as dt
import json
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.aws import spec, validate
from registry.aws.errors import Refusal
from registry.errors import InvalidParameter

ECR = spec.load("ecr")
DIGEST = "sha256:" + "a" * 64


def params(operation: str, **raw):
    return validate.params(ECR, ECR.operations[operation].input, raw, validate.JSON)


def refused(operation: str, **raw) -> InvalidParameter:
    with pytest.raises(InvalidParameter) as caught:
        params(operation, **raw)
    return caught.value


def test_known_members_come_through_and_unknown_ones_are_left_out():
    """AWS ignores members that it does not know: a newer client's request still works."""
    found = params("DescribeRepositories", repositoryNames=["a/b"], maxResults=5, tomorrow={"x": 1}, nextToken=None)

    assert found == {"repositoryNames": ["a/b"], "maxResults": 5}


def test_blobs_are_decoded():
    found = params(
        "UploadLayerPart",
        repositoryName="app",
        uploadId="0b6d0a9c-3c1f-4a35-9d3a-111122223333",
        partFirstByte=0,
        partLastByte=2,
        layerPartBlob=base64.b64encode(b"\x00\xff1").decode(),
    )

    assert found["layerPartBlob"] == b"\x00\xff1"


def test_timestamps_become_moments():
    scalars = validate.JSON["timestamp"]

    assert scalars(1_700_000_000.5) == dt.datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=dt.UTC)


NAME_PATTERN = ECR.shapes["RepositoryName"].pattern
LIMITS = [
    ("CreateRepository", {}, "repositoryName", "Member must not be null"),
    ("CreateRepository", {"repositoryName": None}, "repositoryName", "Member must not be null"),
    (
        "CreateRepository",
        {"repositoryName": "a"},
        "repositoryName",
        "Member must have length greater than or equal to 2",
    ),
    (
        "CreateRepository",
        {"repositoryName": "a" * 257},
        "repositoryName",
        "Member must have length less than or equal to 256",
    ),
    (
        "CreateRepository",
        {"repositoryName": "UPPER"},
        "repositoryName",
        f"must satisfy regular expression '{NAME_PATTERN}'",
    ),
    (
        "CreateRepository",
        {"repositoryName": "ok\n"},
        "repositoryName",
        f"must satisfy regular expression '{NAME_PATTERN}'",
    ),
    (
        "CreateRepository",
        {"repositoryName": "ok", "registryId": "1" * 13},
        "registryId",
        "must satisfy regular expression '[0-9]{12}'",
    ),
    (
        "CreateRepository",
        {"repositoryName": "ok", "registryId": "١" * 12},
        "registryId",
        "must satisfy regular expression '[0-9]{12}'",
    ),
    (
        "CreateRepository",
        {"repositoryName": "ok", "imageTagMutability": "SOMETIMES"},
        "imageTagMutability",
        "Member must satisfy enum value set: [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]",
    ),
    (
        "CreateRepository",
        {"repositoryName": "ok", "tags": [{"Key": "a", "Value": "1"}, {"Value": "2"}]},
        "tags.2.member.Key",
        "Member must not be null",
    ),
    (
        "CreateRepository",
        {"repositoryName": "ok", "tags": [{"Key": "a", "Value": "x\0"}]},
        "tags.1.member.Value",
        "Member must not hold the NUL character",
    ),
    ("DescribeRepositories", {"maxResults": 0}, "maxResults", "Member must have value greater than or equal to 1"),
    ("DescribeRepositories", {"maxResults": 1001}, "maxResults", "Member must have value less than or equal to 1000"),
    (
        "DescribeRepositories",
        {"repositoryNames": []},
        "repositoryNames",
        "Member must have length greater than or equal to 1",
    ),
    (
        "DescribeRepositories",
        {"repositoryNames": ["ok"] * 101},
        "repositoryNames",
        "Member must have length less than or equal to 100",
    ),
    (
        "UploadLayerPart",
        {
            "repositoryName": "ok",
            "uploadId": "0b6d0a9c-3c1f-4a35-9d3a-111122223333",
            "partFirstByte": -1,
            "partLastByte": 0,
            "layerPartBlob": "",
        },
        "partFirstByte",
        "Member must have value greater than or equal to 0",
    ),
    (
        "UploadLayerPart",
        {
            "repositoryName": "ok",
            "uploadId": "0b6d0a9c-3c1f-4a35-9d3a-111122223333",
            "partFirstByte": 0,
            "partLastByte": 0,
            "layerPartBlob": base64.b64encode(b"x" * 20_971_521).decode(),
        },
        "layerPartBlob",
        "Member must have length less than or equal to 20971520",
    ),
]


@pytest.mark.parametrize(("operation", "raw", "field", "why"), LIMITS, ids=[f"{c[2]}-{c[3][:40]}" for c in LIMITS])
def test_a_limit_is_told_in_the_words_of_ecr(operation, raw, field, why):
    error = refused(operation, **raw)

    assert str(error) == f"Invalid parameter at '{field}' failed to satisfy constraint: '{why}'"
    assert error.field == field.partition(".")[0]


@pytest.mark.parametrize(
    ("operation", "raw"),
    [
        ("CreateRepository", {"repositoryName": 5}),
        ("CreateRepository", {"repositoryName": ["ok"]}),
        ("CreateRepository", {"repositoryName": {"$ne": ""}}),
        ("CreateRepository", {"repositoryName": "ok", "tags": {"Key": "a"}}),
        ("CreateRepository", {"repositoryName": "ok", "tags": ["a"]}),
        ("CreateRepository", {"repositoryName": "ok", "tags": [None]}),
        ("CreateRepository", {"repositoryName": "ok", "imageScanningConfiguration": "yes"}),
        ("CreateRepository", {"repositoryName": "ok", "imageScanningConfiguration": {"scanOnPush": "true"}}),
        ("CreateRepository", {"repositoryName": "ok", "imageScanningConfiguration": {"scanOnPush": 1}}),
        ("DescribeRepositories", {"maxResults": "5"}),
        ("DescribeRepositories", {"maxResults": 5.0}),
        ("DescribeRepositories", {"maxResults": True}),
        ("DescribeRepositories", {"maxResults": 2**31}),
        ("UploadLayerPart", {"repositoryName": "ok", "uploadId": "0b6d0a9c-3c1f-4a35-9d3a-111122223333"}
         | {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "not base64"}),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_of_another_type_is_a_serialization_error(operation, raw):
    with pytest.raises(Refusal) as caught:
        params(operation, **raw)

    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)


HOSTILE = {
    "deep arrays": b"[" * 200_000,
    "deep closed arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "NaN": b'{"maxResults":NaN}',
    "infinity": b'{"maxResults":-Infinity}',
    "number out of range": b'{"maxResults":1e400}',
    "huge integer": b'{"maxResults":' + b"9" * 900_000 + b"}",
    "integer beyond 64 bits": b'{"maxResults":9223372036854775808}',
    "duplicate key": b'{"repositoryName":"a","repositoryName":"b"}',
    "duplicate key by escape": b'{"a":1,"\\u0061":2}',
    "lone surrogate": b'{"repositoryName":"\\ud800"}',
    "not UTF-8": b'{"repositoryName":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a list": b"[]",
    "a string": b'"a"',
    "null": b"null",
    "nothing but space": b"  ",
    "cut": b'{"a":',
    "two values": b"{}{}",
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "comment": b"{}//",
    "raw control character": b'{"a":"\x00"}',
    "unclosed string of quotes": b'{"a' + b'\\"' * 400_000,
    "very many objects": b"[" + b"{}," * 340_000 + b"{}]",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_is_refused_quickly(body):
    """T21."""
    began = time.process_time()
    with pytest.raises(Refusal) as caught:
        validate.read_json(body)

    assert caught.value.code == "SerializationException"
    assert time.process_time() - began < 0.5  # an order above what it takes; the bound is against the quadratic


def test_an_empty_body_is_an_empty_object():
    assert validate.read_json(b"") == {}


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON_VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(JSON_VALUES)
def test_any_json_value_anywhere_is_taken_or_refused(value):
    """P8: nothing a client can send gets past the two refusals as another exception."""
    body = json.dumps({"repositoryName": value, "tags": [value], "imageScanningConfiguration": {"scanOnPush": value}})
    try:
        raw = validate.read_json(body.encode())
        params("CreateRepository", **raw)
        params("DescribeImages", repositoryName="ok", imageIds=value, filter=value, maxResults=value)
    except (Refusal, InvalidParameter):
        pass


# --- patterns ---------------------------------------------------------------------------------------------------------

SERVICES = ["ecr", "sts", "iam", "ecs"]
PATTERNS = sorted({
    (shape.pattern, int(shape.max) if shape.max is not None else 4096)
    for service in SERVICES
    for shape in spec.load(service).shapes.values()
    if shape.pattern is not None
})  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_the_models_compiles(service):
    for shape in spec.load(service).shapes.values():
        if shape.pattern is not None:
            validate.compiled(shape.pattern)


_ATTACK = """
import sys, json
from registry.aws import validate
patterns = json.load(sys.stdin)
for pattern, longest in patterns:
    for unit in ("a", "0", "*", "a-", "a_", "a__", "a.", "a/", "a-a", "-", "_", "/", "a*", " ", ":", "arn:aws", "é"):
        for end in ("!", "\\n", "-", "/", "", "A"):
            n = min(longest, 2048) - len(end)
            validate.compiled(pattern).fullmatch((unit * n)[:n] + end)
"""


def test_no_pattern_of_ecr_can_be_made_to_backtrack_for_long():
    """T37, T61: in a process of its own, since nothing can interrupt a match that never ends."""
    patterns = sorted({
        (shape.pattern, int(shape.max) if shape.max is not None else 4096)
        for service in ("ecr", "sts")
        for shape in spec.load(service).shapes.values()
        if shape.pattern is not None
    })  # fmt: skip

    subprocess.run([sys.executable, "-c", _ATTACK], input=json.dumps(patterns), text=True, check=True, timeout=60)


SCANNING = ECR.shapes["ScanningRepositoryFilterValue"].pattern or ""


@given(st.text("a0*.-_/A\n", max_size=12))
def test_the_linear_form_of_the_scanning_filter_means_the_same(text):
    assert bool(validate.compiled(SCANNING).fullmatch(text)) == bool(re.compile(SCANNING).fullmatch(text))


@pytest.mark.parametrize(
    ("text", "matches"), [("straße 9_.:/=+-@", True), ("漢字", True), ("a!", False), ("a\t", False)]
)
def test_unicode_categories_are_understood(text, matches):
    pattern = spec.load("ecs").shapes["TagKey"].pattern

    assert bool(validate.compiled(pattern).fullmatch(text)) is matches


def test_word_characters_are_ascii_as_in_the_engine_that_the_models_were_written_for():
    pattern = ECR.shapes["PrincipalArn"].pattern

    assert validate.compiled(pattern).fullmatch("arn:aws:iam::111122223333:role/ci")
    assert not validate.compiled(pattern).fullmatch("arn:aws:iam::111122223333:role/ümlaut")
