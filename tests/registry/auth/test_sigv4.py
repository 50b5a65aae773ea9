"""Signatures: what botocore signs verifies, what anyone alters does not (promises.md T28-T31, T33)."""

import dataclasses
import datetime as dt
import hashlib
import hmac
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from registry.auth import sigv4
from registry.errors import NotAuthenticated

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
TARGET = "AmazonEC2ContainerRegistry_V20150921.ListImages"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


def signed(
    *,
    body: bytes = b"{}",
    at: dt.datetime = NOW,
    secret: str = SECRET,
    names: tuple[str, ...] | None = None,
    headers: dict[str, str] | None = None,
    date: str | None = None,
    query: str = "",
    **scope: str,
) -> sigv4.SignedRequest:
    """A request as an honest client would sign it, or one that signs less (`names`) or another scope."""
    pairs = {"Host": "registry.example:5000", "X-Amz-Date": stamp(at), "X-Amz-Target": TARGET, **(headers or {})}
    claim = sigv4.Claim(
        access_key_id=KEY_ID,
        date=date or f"{at:%Y%m%d}",
        region=scope.get("region", "eu-west-1"),
        service=scope.get("service", "ecr"),
        signed_headers=names or tuple(sorted(name.lower() for name in pairs)),
        signature="",
        timestamp=at,
    )
    request = sigv4.SignedRequest(
        method="POST", raw_path="/", raw_query=query, headers=tuple(pairs.items()), body_sha256=sha256(body)
    )
    signature = sigv4.signature(claim, request, secret)
    credential = f"{KEY_ID}/{claim.date}/{claim.region}/{claim.service}/aws4_request"
    value = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(claim.signed_headers)}, "
        f"Signature={signature}"
    )
    return dataclasses.replace(request, headers=(*request.headers, ("Authorization", value)))


def changed(request: sigv4.SignedRequest, name: str, value: str | None) -> sigv4.SignedRequest:
    """The request with another value of a header, or without it."""
    kept = tuple((key, value if key.lower() == name.lower() else old) for key, old in request.headers)
    return dataclasses.replace(request, headers=tuple((key, new) for key, new in kept if new is not None))


def edited(request: sigv4.SignedRequest, old: str, new: str) -> sigv4.SignedRequest:
    """The request with something else in its Authorization header."""
    value = dict(request.headers)["Authorization"]
    assert old in value
    return changed(request, "Authorization", value.replace(old, new))


def check(
    request: sigv4.SignedRequest, secret: str | None = SECRET, *, now: dt.datetime = NOW, token: str = ""
) -> None:
    claim = sigv4.parse(request.headers, request.raw_query)
    sigv4.verify(claim, request, secret, now=now, token=token)


def code_of(request: sigv4.SignedRequest, secret: str | None = SECRET, *, now: dt.datetime = NOW) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        check(request, secret, now=now)
    return caught.value.code


# --- the same signature as everyone else ------------------------------------------------------------------------------

EXAMPLE_TIME = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC)
# Amazon's published Signature Version 4 test suite (credentials AKIDEXAMPLE, scope us-east-1/service): method, query,
# headers beside Host and X-Amz-Date, body, signature.
SUITE: list[Any] = [
    pytest.param(
        "GET", "", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", id="get-vanilla"
    ),
    pytest.param(
        "POST", "", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", id="post-vanilla"
    ),
    pytest.param(
        "GET",
        "Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        id="get-vanilla-query-order-key-case",
    ),
    pytest.param(
        "GET",
        "",
        {"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        id="get-header-value-trim",
    ),
    pytest.param(
        "POST",
        "",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        id="post-x-www-form-urlencoded",
    ),
]


@pytest.mark.parametrize(("method", "query", "headers", "body", "signature"), SUITE)
def test_published_signatures_are_reproduced(method, query, headers, body, signature):
    pairs = {"Host": "example.amazonaws.com", "X-Amz-Date": "20150830T123600Z", **headers}
    request = sigv4.SignedRequest(
        method=method, raw_path="/", raw_query=query, headers=tuple(pairs.items()), body_sha256=sha256(body)
    )
    claim = sigv4.Claim(
        access_key_id=KEY_ID,
        date="20150830",
        region="us-east-1",
        service="service",
        signed_headers=tuple(sorted(name.lower() for name in pairs)),
        signature=signature,
        timestamp=EXAMPLE_TIME,
    )

    assert signature == sigv4.signature(claim, request, SECRET)


@given(
    body=st.binary(max_size=300),
    secret=st.text(min_size=1, max_size=60),
    path=st.sampled_from(["/", "/a/b", "/a%20b", "/~x/%E2%82%AC"]),
    query=st.sampled_from(["", "a=1", "b=2&a=1", "a=%20%2B&b"]),
    agent=st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=30),
)
def test_what_botocore_signs_verifies(body, secret, path, query, agent):
    request = AWSRequest("POST", f"http://registry.example:5000{path}" + (f"?{query}" if query else ""), data=body)
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    request.headers["X-Amz-Target"] = TARGET
    request.headers["X-Amz-Meta"] = agent
    SigV4Auth(Credentials(KEY_ID, secret), "ecr", "eu-west-1").add_auth(request)
    headers = (("Host", "registry.example:5000"), *request.headers.items())
    received = sigv4.SignedRequest(
        method="POST", raw_path=path, raw_query=query, headers=headers, body_sha256=sha256(body)
    )

    check(received, secret, now=dt.datetime.now(dt.UTC))


def test_a_claim_says_what_the_header_says():
    claim = sigv4.parse(signed().headers, "")

    assert (
        claim.access_key_id,
        claim.date,
        claim.region,
        claim.service,
        claim.timestamp,
    ) == (KEY_ID, "20260301", "eu-west-1", "ecr", NOW)
    assert claim.signed_headers == ("host", "x-amz-date", "x-amz-target")


# --- forged requests --------------------------------------------------------------------------------------------------


def test_an_honest_request_verifies():
    check(signed())


def test_another_secret_is_a_wrong_signature():
    assert code_of(signed(secret="another")) == "InvalidSignatureException"


def test_an_unknown_key_is_told_only_after_the_same_work(monkeypatch):
    """T33: the paths differ in what they say, not in what they do."""
    request = signed(secret="wrong")
    work: list[str] = []
    real = sigv4.signature

    def signature(claim, request, secret):
        work.append(secret)
        return real(claim, request, secret)

    monkeypatch.setattr(sigv4, "signature", signature)
    compared: list[int] = []
    compare = hmac.compare_digest

    def counting(one, other):
        compared.append(len(one))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    with_known = code_of(request)
    known_work, known_compared = len(work), list(compared)
    work.clear()
    compared.clear()

    assert code_of(request, None) == "UnrecognizedClientException"
    assert with_known == "InvalidSignatureException"
    assert (len(work), compared) == (known_work, known_compared)


def test_an_unknown_key_has_no_secret_that_a_client_could_know():
    for guess in ("", "None", "dummy"):
        assert code_of(signed(secret=guess), None) == "UnrecognizedClientException"


def test_the_body_is_covered_whatever_its_hash_header_claims():
    """T29."""
    for claimed in (sha256(b"{}"), sha256(b'{"a":1}'), "nonsense"):
        honest = signed(body=b"{}", headers={"X-Amz-Content-SHA256": claimed})
        check(honest)
        forged = dataclasses.replace(honest, body_sha256=sha256(b'{"a":1}'))

        assert code_of(forged) == "InvalidSignatureException"


UNSIGNED_MODES = [
    "UNSIGNED-PAYLOAD",
    "unsigned-payload",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
]


@pytest.mark.parametrize("mode", UNSIGNED_MODES)
def test_modes_that_leave_the_body_unsigned_are_refused(mode):
    """T28: rightly signed with the mode as payload hash, which is how S3 would take it."""
    request = signed(headers={"X-Amz-Content-SHA256": mode})
    as_s3_signs = dataclasses.replace(request, body_sha256=mode)

    assert code_of(request) == "InvalidSignatureException"
    assert code_of(as_s3_signs) == "InvalidSignatureException"


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Credential=AKIDEXAMPLE%2F20260301%2Feu-west-1%2Fecr%2Faws4_request",
        "x-amz-signature=00",
        "X%2DAmz%2DAlgorithm=AWS4-HMAC-SHA256",
        "a=1&X-Amz-Expires=60",
    ],
)
def test_credentials_in_the_query_string_are_refused(query):
    assert code_of(signed(query=query)) == "IncompleteSignatureException"
    without = changed(signed(query=query), "Authorization", None)
    assert code_of(without) == "IncompleteSignatureException"


def test_no_credential_at_all():
    assert code_of(changed(signed(), "Authorization", None)) == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("minutes", [-14, -1, 0, 1, 14])
def test_a_signature_may_be_fourteen_minutes_off(minutes):
    check(signed(at=NOW + dt.timedelta(minutes=minutes)))


@pytest.mark.parametrize("minutes", [-60 * 24 * 365, -16, 16, 60 * 24 * 365])
def test_a_signature_may_not_be_sixteen_minutes_off(minutes):
    """T30."""
    assert code_of(signed(at=NOW + dt.timedelta(minutes=minutes))) == "InvalidSignatureException"


@pytest.mark.parametrize("seconds", [-120, 120])
def test_midnight_may_lie_between_the_signature_and_now(seconds):
    midnight = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)

    check(signed(at=midnight - dt.timedelta(seconds=seconds)), now=midnight + dt.timedelta(seconds=seconds))


@pytest.mark.parametrize("date", ["20260228", "20260302", "20250301"])
def test_the_scope_is_of_the_signatures_day(date):
    assert code_of(signed(date=date)) == "InvalidSignatureException"


@pytest.mark.parametrize(
    "text",
    [
        "99991231T235959Z",
        "20260301T120000",
        "2026-03-01T12:00:00Z",
        "20260301T120000Z ",
        "20261301T120000Z",
        "00000301T120000Z",
        "٢٠٢٦٠٣٠١T120000Z",
        "Sun, 01 Mar 2026 12:00:00 GMT",
        "",
    ],
)
def test_odd_dates_are_refused(text):
    code = code_of(changed(signed(), "X-Amz-Date", text))

    assert code in ("InvalidSignatureException", "IncompleteSignatureException")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/eu-west-1/", "/us-east-1/"),
        ("/ecr/", "/sts/"),
        ("/aws4_request", "/aws4_reques"),
        ("/aws4_request", ""),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("SignedHeaders=host;x-amz-date;", "SignedHeaders=x-amz-date;host;"),
        ("SignedHeaders=host;", "SignedHeaders=host;host;"),
        ("SignedHeaders=host;", "SignedHeaders=Host;"),
        ("SignedHeaders=host;", "SignedHeaders=a-header-that-is-not-there;host;"),
        ("SignedHeaders=host;", "SignedHeaders=;host;"),
        (", Signature=", ", Signature=00"),
        (", Signature=", ", Signature=" + "0" * 64 + ", Signature="),
        (", Signature=", ", Nonce=1, Signature="),
        (f"Credential={KEY_ID}/", "Credential=/"),
        ("Credential=", "Credentials="),
    ],
)
def test_an_altered_authorization_header_is_refused(old, new):
    """T31."""
    assert code_of(edited(signed(), old, new)) in ("InvalidSignatureException", "IncompleteSignatureException")


@pytest.mark.parametrize("unsigned", ["host", "x-amz-date", "x-amz-target"])
def test_headers_that_decide_the_meaning_must_be_signed(unsigned):
    """T31: else they could be altered, or added."""
    names = tuple(name for name in ("host", "x-amz-date", "x-amz-target") if name != unsigned)

    assert code_of(signed(names=names)) == "InvalidSignatureException"


def test_an_amz_header_cannot_be_added():
    request = signed()
    added = dataclasses.replace(request, headers=(*request.headers, ("X-Amz-Security-Token", "t")))

    assert code_of(added) == "InvalidSignatureException"


@pytest.mark.parametrize("name", ["Authorization", "X-Amz-Target", "X-Amz-Date", "Host", "Content-Type", "x-amz-foo"])
def test_repeated_headers_are_refused(name):
    request = signed(headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Foo": "1"})
    value = {key.lower(): text for key, text in request.headers}[name.lower()]
    for extra in (value, "other"):
        repeated = dataclasses.replace(request, headers=(*request.headers, (name.lower(), extra)))

        assert code_of(repeated) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("name", "value"), [("Host", "evil.example"), ("X-Amz-Target", TARGET.replace("ListImages", "PutImage"))]
)
def test_an_altered_header_is_refused(name, value):
    assert code_of(changed(signed(), name, value)) == "InvalidSignatureException"


@pytest.mark.parametrize(
    "change", [{"method": "GET"}, {"raw_path": "/v2/"}, {"raw_query": "Action=DeleteRepository"}], ids=str
)
def test_an_altered_request_line_is_refused(change):
    assert code_of(dataclasses.replace(signed(), **change)) == "InvalidSignatureException"


def test_a_security_token_goes_with_its_key_only():
    request = signed(headers={"X-Amz-Security-Token": "session"})

    check(request, token="session")
    for token in ("", "other"):
        with pytest.raises(NotAuthenticated) as caught:
            check(request, token=token)
        assert caught.value.code == "UnrecognizedClientException"


@given(st.text(st.characters(codec="latin-1"), max_size=120), st.text(st.characters(codec="ascii"), max_size=60))
def test_garbage_is_refused_and_never_crashes(authorization, query):
    for text in (authorization, f"AWS4-HMAC-SHA256 {authorization}", f"AWS4-HMAC-SHA256 Credential={authorization}"):
        headers = (("Host", "h"), ("X-Amz-Date", stamp(NOW)), ("Authorization", text))
        with pytest.raises(NotAuthenticated):
            sigv4.parse(headers, query)


def test_bytes_that_are_not_utf8_do_not_crash():
    request = signed(headers={"X-Amz-Odd": "\udcff"}, query="\udcff=1")

    check(request)
