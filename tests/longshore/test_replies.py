"""Replies given again: to the very same bytes only, and only while what they stand on holds."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import HttpVersion10, HttpVersion11, web
from multidict import CIMultiDict

from longshore.replies import Replies, is_lone_request

ASKED = b"GET /v2/app/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n"
KEY = ("127.0.0.1", ASKED)


class Evidence:
    part: Any = None
    again: Any = None

    def __init__(self) -> None:
        self.is_good = True

    def holds(self, now: float) -> bool:
        return self.is_good


def request(**more: Any) -> Any:
    values: dict[str, Any] = {
        "method": "GET",
        "raw_path": "/v2/app/manifests/v1",
        "version": HttpVersion11,
        "keep_alive": True,
        "headers": CIMultiDict(),
        **more,
    }
    return SimpleNamespace(**values)


def answer(body: bytes = b"{}", **more: Any) -> web.Response:
    return web.Response(
        body=body, headers={"Docker-Content-Digest": "sha256:0"}, content_type="application/json", **more
    )


def kept(replies: Replies, *, key: Any = KEY, asked: Any = None, answered: Any = None) -> Any:
    evidence: Any = Evidence()
    replies.keep(key, asked or request(), answered or answer(), evidence)
    return evidence


@pytest.fixture
def replies() -> Replies:
    return Replies(most_bytes=100_000)


def test_the_same_bytes_get_the_same_reply_with_an_id_of_its_own(replies):
    kept(replies)
    first, second = (replies.find(KEY, lambda number=number: f"id-{number}") for number in (1, 2))

    assert first is not None and second is not None
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nDocker-Content-Digest: sha256:0\r\n" in head
    assert b"\r\nContent-Length: 2\r\n" in head and body == b"{}"
    assert b"\r\nDate: " in head and b"\r\nx-amzn-RequestId: id-1\r\n" in head
    assert second == first.replace(b"id-1", b"id-2")


@pytest.mark.parametrize(
    "key",
    [("127.0.0.2", ASKED), ("127.0.0.1", ASKED.replace(b"v1", b"v2")), ("127.0.0.1", ASKED.replace(b" x", b" y"))],
    ids=["address", "path", "credential"],
)
def test_other_bytes_get_nothing(replies, key):
    kept(replies)

    assert replies.find(key, str) is None


def test_a_reply_goes_with_its_evidence(replies):
    evidence = kept(replies)
    evidence.is_good = False
    gone = replies.find(KEY, str)
    evidence.is_good = True

    assert gone is None
    assert replies.find(KEY, str) is None


def test_a_head_request_gets_no_body_but_its_length(replies):
    key = ("127.0.0.1", ASKED.replace(b"GET", b"HEAD"))
    kept(replies, key=key, asked=request(method="HEAD"), answered=answer(b"12345"))
    reply = replies.find(key, str)

    assert reply is not None and reply.endswith(b"\r\n\r\n") and b"Content-Length: 5\r\n" in reply


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (request(raw_path="/v2/app/manifests/v2"), answer()),
        (request(method="HEAD"), answer()),
        (request(version=HttpVersion10), answer()),
        (request(keep_alive=False), answer()),
        (request(headers=CIMultiDict(Connection="close")), answer()),
        (request(), answer(status=404)),
        (request(), answer(status=206)),
        (request(), answer(b"x" * 300_000)),
    ],
    ids=["other-path", "other-method", "http-1.0", "no-keep-alive", "connection", "not-found", "partial", "large"],
)
def test_what_cannot_be_given_again_is_not_kept(replies, asked, answered):
    kept(replies, asked=asked, answered=answered)

    assert replies.find(KEY, str) is None


def test_the_oldest_go_when_there_are_too_many_bytes(replies):
    keys = [("127.0.0.1", ASKED.replace(b"Bearer x", f"Bearer {number}".encode())) for number in range(20)]
    for key in keys[:10]:
        kept(replies, key=key, answered=answer(b"x" * 5000))
    used = replies.find(keys[0], str)
    for key in keys[10:]:
        kept(replies, key=key, answered=answer(b"x" * 5000))
    left = [number for number, key in enumerate(keys) if replies.find(key, str) is not None]

    assert used is not None
    assert left[0] == 0 and left[1:] == list(range(20 - len(left) + 1, 20)) and 10 < len(left) < 18


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (ASKED, True),
        (ASKED.replace(b"GET", b"HEAD"), True),
        (ASKED + ASKED, False),
        (ASKED + b"x", False),
        (ASKED[:-1], False),
        (b"", False),
        (ASKED.replace(b"GET", b"PUT"), False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (ASKED.replace(b"Host", b"X" * 9000), False),
    ],
    ids=["get", "head", "two", "more", "less", "nothing", "put", "elsewhere", "long"],
)
def test_a_lone_request_is_known(data, is_one):
    assert is_lone_request(data) is is_one
