"""promises.md T15, T16, T20, T38, T61, T62: names, digests, tags, ids and numbers that want to be something else."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from registry import names
from registry.names import BadName, RepositoryName
from registry.v2.routes import parse
from tests import wire
from tests.builders import EMPTY, OCI_IMAGE, digest_of, image, push, push_blob, unique_bytes
from tests.damage import stored_files
from tests.servers import SECRET, Answer, RunningServer, basic

HEX = "0" * 64


def told(answer: Answer) -> str:
    """The error's text, after a look that it tells nothing of the inside (T52)."""
    text = answer.body.decode()
    for inside in ("Traceback", "sqlite", "longshore-data", "/blobs/us-east-1", ".py"):
        assert inside not in text
    return text


# --- T15: paths -------------------------------------------------------------------------------------------------------

# What is tried for `<name>` in a request for its tags, and in an upload to it. `{r}` is a repository that is there.
FORMS = [
    "..", ".", "...", "../..", "../../etc/passwd", "{r}/..", "{r}/../{r}", "{r}/.", "./{r}", "{r}/./x",
    "{r}/../../etc", "..%2f..%2fetc", "%2e%2e", "%2e%2e%2f%2e%2e", "..%2F", "%2E%2E/%2E%2E", "{r}%2f..", "{r}%2f",
    "%2f{r}", "{r}%2fx", "..%252f..", "%252e%252e", "%25252e", "..%c0%af..", "%c0%ae%c0%ae", "%e0%80%af", "%c1%9c",
    "%uff0e%uff0e", "%u002e", "..%5c..", "..\\..", "{r}\\..\\x", "%5c%5c", "C:", "c:\\x", "C%3A%5c", "{r}%00",
    "{r}%00.txt", "%00", "{r}%0a", "{r}%0d%0a", "{r}%20", "{r}%09", "{r}//x", "//{r}", "/{r}", "{r}/", "", "~",
    "~root", "{r};x=1", "{r}/_manifests", "_manifests", "{r}/_uploads", ".git", "{r}.", "{r}-", "{r}_", "-{r}",
    "_{r}", "{r}___x", "{r}..x", "{r}/.x", "Upper", "{r}:8080", "{r}@x", "{r}+x", "{r}*", "*", "{r}'", '{r}"',
    "<script>", "{r}$(id)", "`id`", "|id", "a" * 257, "a/" * 128 + "a", "\u00e4", "\u2025", "\uff0e\uff0e", "%ff%fe",
    "{r}%", "{r}%2", "{r}%zz",
]  # fmt: skip


def send(server: RunningServer, method: str, target: bytes | str, body: bytes = b"") -> Answer:
    """An answer, with whatever the server makes of this request line."""
    return wire.ask(server, method, target, body)


@pytest.mark.parametrize("form", FORMS)
def test_T15_a_path_that_is_none_is_400_or_404_and_touches_nothing(
    shared_server: RunningServer, repository: str, form: str
) -> None:
    before = stored_files(shared_server.data)
    name = form.replace("{r}", repository)
    digest = digest_of(b"hostile")
    for method, target, body in (
        ("GET", f"/v2/{name}/tags/list", b""),
        ("GET", f"/v2/{name}/blobs/{digest}", b""),
        ("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", b"hostile"),
        ("PUT", f"/v2/{name}/manifests/v1", b"{}"),
        ("DELETE", f"/v2/{name}/manifests/v1", b""),
    ):
        answer = send(shared_server, method, target.encode(), body)
        assert answer.status in (400, 404), target
        assert told(answer)

    assert stored_files(shared_server.data) == before


TARGETS = [
    "http://evil.example/v2/", "http://evil.example/v2/../../etc/passwd", "https://{h}/v2/{r}/tags/list",
    "//{h}/v2/{r}/tags/list", "/v2/../v2/{r}/tags/list", "/./v2/{r}/tags/list", "/v2//{r}/tags/list",
    "/V2/{r}/tags/list", "/v2%2f{r}/tags/list", "/v2/{r}/tags//list", "/v2/{r}/tags/list/", "/v2/{r}/tags/list/..",
    "/v2/{r}/tags/../tags/list", "/v2/{r}/tags/LIST", "/v2/{r}/tags", "/v2/{r}/manifests/", "/v2/{r}/manifests",
    "/v2/{r}/blobs/", "/v2/{r}/blobs/uploads/x/y", "/v2/{r}/referrers/", "/v2/_catalog/", "/v2/_catalog/x",
    "/v2/_nothing", "/v2/..", "/v2/.", "/v2/?/../", "/v2x", "/v2/{r}/tags/list%3Fn=1", "/v2/{r}/manifests/..",
    "/v2/{r}/manifests/../x", "/v2/{r}/blobs/..", "/v2/{r}/blobs/uploads/..", "/longshore-store.json",
    "/blobs/us-east-1/", "/../data/longshore.db", "/v2/{r}/blobs/longshore.db",
    "/v2/{r}/manifests/%2e%2e%2flongshore.db", "/v2/{r}/tags/list#x", "/" + "v2/" * 400,
    "/v2/" + "a" * 5000 + "/tags/list",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_T15_a_target_of_another_form_finds_no_route(
    shared_server: RunningServer, repository: str, target: str
) -> None:
    before = stored_files(shared_server.data)
    given = target.replace("{r}", repository).replace("{h}", shared_server.netloc)

    answer = send(shared_server, "GET", given)

    assert answer.status in ((200,) if given.startswith("/v2/?") else (400, 404))  # a query ends the path
    assert stored_files(shared_server.data) == before


@pytest.mark.parametrize(
    "raw",
    [
        b"/v2/\xff\xfe/tags/list", b"/v2/a\x00b/tags/list", b"/v2/a b/tags/list", b"/v2/a\tb/tags/list",
        b"/v2/\x7f/tags/list", b"/v2/a\rb/tags/list", b"/v2/a\nb/tags/list", b"v2/x/tags/list", b"*", b"",
        b"/v2/\xc3\xa4/tags/list",
    ],
)  # fmt: skip
def test_T15_bytes_that_no_target_has_are_refused(shared_server: RunningServer, raw: bytes) -> None:
    before = stored_files(shared_server.data)

    assert send(shared_server, "GET", raw).status in (400, 404)
    assert stored_files(shared_server.data) == before


@pytest.mark.parametrize(
    "path", ["/v2/a%2fb/tags/list", "/v2/../x/tags/list", "/v2/a/tags/list%00", "/v2/%2e/tags/list"]
)
def test_T15_nothing_is_decoded_but_a_colon(path: str) -> None:
    """Unit: no escape and no dot segment survives to a name."""
    try:
        _, name, reference = parse(path)
    except Exception as error:
        assert getattr(error, "status", 0) == 404
        return
    with pytest.raises(BadName):
        RepositoryName.parse(name)
    assert "%" not in name + reference


def test_T15_a_name_of_256_characters_is_served(shared_server: RunningServer, ecr: Any) -> None:
    name = "a" * 128 + "/" + "b" * 127
    ecr.create_repository(repositoryName=name)
    built = image()
    push(shared_server, name, built, "v1")

    assert len(name) == 256
    assert shared_server.request("GET", f"/v2/{name}/manifests/v1").body == built.body


# --- T16: digests, tags, upload ids -----------------------------------------------------------------------------------

DIGESTS = [
    "sha256:../../x", f"sha256:{HEX[1:]}", f"sha256:{HEX}0", f"sha256:{'A' * 64}", f"SHA256:{HEX}", f"Sha256:{HEX}",
    f"sha256:%00{HEX[1:]}", f"sha256:{HEX}%00", f"sha256:{HEX}%0a", f"sha256:%20{HEX[1:]}", f"sha256:{HEX[:62]}..",
    "sha256:", "sha256", ":", f":{HEX}", f"sha256:{'g' * 64}", f"sha256::{HEX}", f"sha256:sha256:{HEX}",
    f"sha512:{HEX}", f"sha256:{HEX}{HEX}", f"md5:{'0' * 32}", f"sha384:{'0' * 96}", f"blake3:{HEX}",
    f"sha256+b64:{HEX}", f"sha256:{HEX}/x", f"../sha256:{HEX}", f"sha256:{'٠' * 64}", f"sha256:{'０' * 64}",
    "sha512:" + "0" * 127, "sha512:" + "0" * 129,
]  # fmt: skip


@pytest.mark.parametrize("digest", DIGESTS)
def test_T16_a_digest_that_is_none_is_400_wherever_it_stands(
    shared_server: RunningServer, repository: str, digest: str
) -> None:
    before = stored_files(shared_server.data)
    given = digest if "%" in digest else quote(digest, safe=":/")
    location = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
    requests = [
        ("GET", f"/v2/{repository}/blobs/{given}", b""),
        ("DELETE", f"/v2/{repository}/blobs/{given}", b""),
        ("GET", f"/v2/{repository}/referrers/{given}", b""),
        ("POST", f"/v2/{repository}/blobs/uploads/?digest={given}", b"x"),
        ("POST", f"/v2/{repository}/blobs/uploads/?mount={given}&from={repository}", b""),
        ("PUT", f"{location}?digest={given}", b"x"),
    ]
    if ":" in digest:
        requests.append(("PUT", f"/v2/{repository}/manifests/{given}", b"{}"))
    for method, target, body in requests:
        answer = send(shared_server, method, target, body)
        in_path = "?" not in target
        assert answer.status == 400 or (in_path and answer.status == 404), (method, target, answer.status)

    assert stored_files(shared_server.data) == before


@pytest.mark.parametrize("digest", [one for one in DIGESTS if "%" not in one])
@pytest.mark.parametrize("field", ["config", "layers", "subject"])
def test_T16_a_digest_that_is_none_is_400_in_a_manifest(
    shared_server: RunningServer, repository: str, field: str, digest: str
) -> None:
    push_blob(shared_server, repository, b"{}")
    good = {"mediaType": EMPTY, "digest": digest_of(b"{}"), "size": 2}
    bad = {**good, "digest": digest}
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": good, "layers": []}
    document[field] = [bad] if field == "layers" else bad

    answer = shared_server.request("PUT", f"/v2/{repository}/manifests/v1", json.dumps(document).encode())

    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


TAGS = [
    "..", ".", "-", ".hidden", "a/b", "../x", "a%2fb", "%2e%2e", "a%00", "a%0a", "a" * 129, "a b", "a\\b", "a;b",
    "a&b", "a'b", 'a"b', "<b>", "ä", "a%", "*", "@", "$(id)",
]  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
def test_T16_a_tag_that_is_none_is_400_or_404(shared_server: RunningServer, repository: str, tag: str) -> None:
    given = tag if "%" in tag or tag in ("a/b", "../x") else quote(tag, safe="")
    for method in ("GET", "PUT", "DELETE"):
        answer = send(shared_server, method, f"/v2/{repository}/manifests/{given}", b"{}" if method == "PUT" else b"")
        assert answer.status in (400, 404)
        told(answer)

    assert shared_server.request("GET", f"/v2/{repository}/tags/list").json["tags"] == []


UPLOADS = [
    "..", "x", "%2e%2e", "00000000-0000-4000-8000-000000000000", "0", "a.b", "." * 100, "A" * 900, "..%2f..%2fx",
    "%00", "00000000-0000-4000-8000-000000000000.AAAA", "'", "*", "a b",
]  # fmt: skip


@pytest.mark.parametrize("upload", UPLOADS)
def test_T16_an_upload_id_that_is_none_is_404(shared_server: RunningServer, repository: str, upload: str) -> None:
    before = stored_files(shared_server.data)
    given = upload if "%" in upload else quote(upload, safe="")
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        query = f"?digest={digest_of(b'x')}" if method == "PUT" else ""
        answer = send(shared_server, method, f"/v2/{repository}/blobs/uploads/{given}{query}", b"x")
        assert answer.status in (400, 404)
        told(answer)

    assert stored_files(shared_server.data) == before


# --- T20: numbers -----------------------------------------------------------------------------------------------------

NUMBERS = [
    "1e9",
    "1000000000",
    "-1",
    "0",
    "1e30",
    "0x10",
    "9" * 40,
    "9" * 4000,
    "1,000",
    "1_000",
    "0b1",
    "٣",
    "NaN",
    "inf",
    "+1",
]


@pytest.mark.parametrize("n", NUMBERS)
def test_T20_no_number_makes_a_page_longer_than_a_thousand(
    shared_server: RunningServer, repository: str, n: str
) -> None:
    for path in (f"/v2/{repository}/tags/list", "/v2/_catalog", f"/v2/{repository}/referrers/sha256:{HEX}"):
        answer = shared_server.request("GET", f"{path}?n={quote(n)}")
        assert answer.status == (200 if n in ("0", "1000000000", "9" * 40) else 400)
        if answer.status == 200:
            assert max(len(value) for value in answer.json.values() if isinstance(value, list)) <= 1000


# --- T38: whole-string matches ----------------------------------------------------------------------------------------


def test_T38_a_mutability_filter_means_the_whole_tag(shared_server: RunningServer, repository: str, ecr: Any) -> None:
    """`v1` may move; what only begins with it, ends with it or differs by case may not."""
    ecr.put_image_tag_mutability(
        repositoryName=repository,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "v1"}],
    )
    first, second = image(), image()
    moved = {}
    for tag in ("v1", "v10", "xv1", "V1", "v1.0", "v"):
        push(shared_server, repository, first, tag)
    push(shared_server, repository, second)
    for tag in ("v1", "v10", "xv1", "V1", "v1.0", "v"):
        path = f"/v2/{repository}/manifests/{tag}"
        moved[tag] = shared_server.request("PUT", path, second.body, {"Content-Type": OCI_IMAGE}).status

    assert moved == {"v1": 201, "v10": 400, "xv1": 400, "V1": 400, "v1.0": 400, "v": 400}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x00", " ", "\u2028"])
@pytest.mark.parametrize(
    ("kind", "good"),
    [(names.Tag, "v1"), (names.RepositoryName, "a/b"), (names.Digest, f"sha256:{HEX}"), (names.AccountId, "0" * 12),
     (names.Region, "us-east-1")],
    ids=lambda one: getattr(one, "__name__", None),
)  # fmt: skip
def test_T38_a_pattern_ends_where_its_string_ends(kind: Any, good: str, end: str) -> None:
    """`$` would take a trailing newline."""
    assert kind.parse(good) == good
    for text in (good + end, end + good):
        with pytest.raises(BadName):
            kind.parse(text)


# --- T61: names that keep a pattern busy ------------------------------------------------------------------------------

# Each is refused only at its end, after every way to read it has failed.
NEAR_MISSES: dict[str, Callable[[int], str]] = {
    "separators": lambda size: ("a-" * size)[: size - 1] + "_",
    "double-underscores": lambda size: ("a__" * size)[: size - 1] + "!",
    "letters": lambda size: "a" * (size - 1) + "!",
    "hyphens": lambda size: "a" + "-" * (size - 2) + "!",
    "hyphens-between": lambda size: ("a--" * size)[: size - 1] + "!",
    "slashes": lambda size: ("a/" * size)[: size - 1] + "!",
    "everything": lambda size: ("a.b_c__d-e/" * size)[: size - 1] + "!",
    "digits": lambda size: "0" * (size - 1) + "A",
}


def cost_of(text: str) -> float:
    """Seconds to refuse a name; the best of several, which other programs disturb least."""
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        assert names._REPOSITORY.fullmatch(text) is None
        best = min(best, time.perf_counter() - began)
    return best


@pytest.mark.parametrize("near_miss", NEAR_MISSES.values(), ids=list(NEAR_MISSES))
def test_T61_refusing_a_name_costs_no_more_than_its_length(near_miss: Callable[[int], str]) -> None:
    """Sixteen times the length: sixteen times the steps, where a pattern that tries every way needs 2^3840 times."""
    short, long = near_miss(256), near_miss(4096)

    assert cost_of(long) < 100 * cost_of(short) + 1e-4


@pytest.mark.parametrize("near_miss", NEAR_MISSES.values(), ids=list(NEAR_MISSES))
def test_T61_a_long_name_never_meets_the_pattern(
    monkeypatch: pytest.MonkeyPatch, near_miss: Callable[[int], str]
) -> None:
    class Untouched:
        def fullmatch(self, text: str) -> None:
            raise AssertionError("the length is looked at first")

    monkeypatch.setattr(names, "_REPOSITORY", Untouched())
    monkeypatch.setattr(names, "_TAG", Untouched())
    monkeypatch.setattr(names, "_DIGEST", Untouched())
    for kind in (names.RepositoryName, names.Tag, names.Digest):
        with pytest.raises(BadName):
            kind.parse(near_miss(257))


@pytest.mark.parametrize("near_miss", NEAR_MISSES.values(), ids=list(NEAR_MISSES))
def test_T61_a_near_miss_is_answered(shared_server: RunningServer, near_miss: Callable[[int], str]) -> None:
    assert send(shared_server, "GET", f"/v2/{near_miss(256)}/tags/list").status in (400, 404)


# --- T62: what a statement could be made of ---------------------------------------------------------------------------

QUERIES = [
    "' or 1=1--", "%", "_", "%25", "\\", '"', "'; DROP TABLE tags; --", "' UNION SELECT body FROM manifests --", "*",
    "?", ":a", "x' || 'y", "\x00", "v1\x00", "\ud7ff", "\U0010ffff", "NULL",
]  # fmt: skip


@pytest.mark.parametrize("text", QUERIES)
def test_T62_text_is_text_in_every_field(shared_server: RunningServer, repository: str, text: str) -> None:
    """No rows more than the names that sort behind it, no rows fewer, no failure; and nothing is changed by it."""
    subject = image()
    built = image(subject=subject.descriptor())
    push(shared_server, repository, built, "v1")
    given = quote(text, safe="")

    tags = shared_server.request("GET", f"/v2/{repository}/tags/list?last={given}")
    catalog = shared_server.request("GET", f"/v2/_catalog?last={given}")
    by_type = shared_server.request("GET", f"/v2/{repository}/referrers/{subject.digest}?artifactType={given}")
    behind = shared_server.request("GET", f"/v2/{repository}/referrers/{subject.digest}?last={given}")
    token = shared_server.request("GET", f"/token?service={given}&scope={given}&account={given}")

    assert (tags.status, tags.json["tags"]) == (200, ["v1"] if text.encode() < b"v1" else [])
    assert catalog.status == 200
    assert all(name.encode() > text.encode() for name in catalog.json["repositories"])
    assert (by_type.status, by_type.json["manifests"]) == (200, [])
    assert behind.status == 200
    assert len(behind.json["manifests"]) == (1 if text.encode() < built.digest.encode() else 0)
    assert token.status == 200
    assert shared_server.request("GET", f"/v2/{repository}/manifests/v1").body == built.body


@pytest.mark.parametrize("text", QUERIES)
def test_T62_text_is_text_in_a_manifest(shared_server: RunningServer, repository: str, text: str) -> None:
    subject = image()
    built = image(subject=subject.descriptor(), annotations={text: text}, artifactType="a/b")
    push(shared_server, repository, built)

    (found,) = shared_server.request("GET", f"/v2/{repository}/referrers/{subject.digest}").json["manifests"]

    assert found["annotations"] == {text: text}


def test_T62_user_names_are_no_patterns(shared_server: RunningServer) -> None:
    for user in ("%", "AKIA%", "AKIATESTTESTTESTTES_", "' or 1=1--", "AKIATESTTESTTESTTEST\x00"):
        assert shared_server.request("GET", "/v2/", auth=basic(user, SECRET)).status == 401


def test_nothing_failed_on_the_way(shared_server: RunningServer, repository: str) -> None:
    """All of the above were refusals, none of them failures that look like one."""
    push_blob(shared_server, repository, unique_bytes())

    assert not [line for line in shared_server.output if "Traceback" in line]
