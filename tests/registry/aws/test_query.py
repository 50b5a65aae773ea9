"""The query protocol: a form's fields become the values that botocore put in."""

import contextlib
import datetime as dt
from urllib.parse import urlencode

import pytest
from botocore.awsrequest import AWSRequest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from registry.aws import query, spec, validate
from registry.aws.errors import Refusal
from registry.errors import InvalidParameter

IAM, STS = spec.load("iam"), spec.load("sts")


def sent(service: str, operation: str, value: dict) -> dict:
    """What arrives when botocore sends `value`."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"))
    request = create_serializer("query", include_validation=False).serialize_to_request(
        value, model.operation_model(operation)
    )
    prepared = AWSRequest("POST", "http://h/", data=request["body"], headers=request["headers"]).prepare()
    assert isinstance(prepared.body, str | bytes)
    return read(service, operation, prepared.body.encode() if isinstance(prepared.body, str) else prepared.body)


def read(service: str, operation: str, body: bytes) -> dict:
    model = spec.load(service)
    shape = model.operations[operation].input
    return validate.params(model, shape, query.tree(model, shape, query.fields(body)), query.SCALARS)


@pytest.mark.parametrize(
    ("service", "operation", "value"),
    [
        ("sts", "GetCallerIdentity", {}),
        (
            "sts",
            "AssumeRole",
            {
                "RoleArn": "arn:aws:iam::111122223333:role/ci",
                "RoleSessionName": "ci+run=1,2@x",
                "DurationSeconds": 900,
                "PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnly"}, {"arn": "arn:aws:iam::aws:policy/Other"}],
                "Tags": [{"Key": "tëam", "Value": "a b+c=d"}, {"Key": "x", "Value": ""}],
                "TransitiveTagKeys": [],
            },
        ),
        ("iam", "ListUsers", {"PathPrefix": "/a/", "MaxItems": 3}),
        ("iam", "UpdateAccountPasswordPolicy", {"RequireSymbols": True, "RequireNumbers": False}),
        ("iam", "DeleteUser", {"UserName": "ann"}),
    ],
)
def test_what_botocore_sends_arrives(service, operation, value):
    assert sent(service, operation, value) == value


def test_more_than_nine_items_keep_their_order():
    names = [f"s3:Action{number}" for number in range(1, 24)]
    value = {"PolicySourceArn": "arn:aws:iam::111122223333:user/ann", "ActionNames": names}

    assert sent("iam", "SimulatePrincipalPolicy", value) == value


def test_maps_are_read():
    shape = spec.Shape(name="M", kind="map", key="K", value="V")
    text = spec.Shape(name="K", kind="string")
    top = spec.Shape(name="T", kind="structure", members={"Map": "M"})
    service = spec.Service(
        name="x", signing_name="x", title="X", protocol="query", api_version="1", target_prefix="", xml_namespace="",
        operations={}, shapes={"M": shape, "K": text, "V": text, "T": top}, errors={},
    )  # fmt: skip
    form = query.fields(b"Map.entry.1.key=a&Map.entry.1.value=1&Map.entry.2.key=b&Map.entry.2.value=2")

    assert validate.params(service, "T", query.tree(service, "T", form), query.SCALARS) == {"Map": {"a": "1", "b": "2"}}


@pytest.mark.parametrize(
    "body",
    [
        b"A=1&A=2",
        b"A=%ff",
        "A=é".encode(),
        b"RoleArn=x&RoleArn.member.1=y",
        b"RoleArn.member.1=y&RoleArn=x",
        b"Tags.member=1",
        b"Tags.member.x.Key=a",
        b"Tags.member.0.Key=a",
        b"Tags.1.Key=a",
        b"Tags.member.99999.Key=a",
        b"PolicyArns=x",
        b"DurationSeconds=1e3",
        b"DurationSeconds=99999999999",
        b"DurationSeconds=" + "١".encode(),
        b"DurationSeconds.member.1=5",
        b".".join([b"Tags"] * 30) + b"=1",
        b"&".join(b"P%d=1" % number for number in range(3000)),
    ],
)
def test_a_malformed_form_is_refused(body):
    body += b"&RoleSessionName=s1&RoleArn=arn:aws:iam::111122223333:role/ci" if b"RoleArn" not in body else b""
    with pytest.raises((Refusal, InvalidParameter)):
        read("sts", "AssumeRole", body)


@given(st.lists(st.tuples(st.text("abTagsmember.19Key", max_size=12), st.text(max_size=5)), max_size=6))
def test_any_form_is_taken_or_refused(pairs):
    with contextlib.suppress(Refusal, InvalidParameter):
        read("sts", "AssumeRole", urlencode(pairs).encode())


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("double", "1.5", 1.5),
        ("timestamp", "2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("timestamp", "2026-01-02T03:04:05", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("blob", "AP8=", b"\x00\xff"),
    ],
)
def test_scalars_are_read_from_text(kind, raw, value):
    assert query.SCALARS[kind](raw) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("boolean", "True"),
        ("boolean", {}),
        ("double", "nan"),
        ("double", ""),
        ("timestamp", "yesterday"),
        ("long", " 1"),
    ],
)
def test_other_text_is_no_scalar(kind, raw):
    with pytest.raises(ValueError):
        query.SCALARS[kind](raw)
