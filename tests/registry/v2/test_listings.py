"""Lists (end-8a/b, end-12a/b, the catalog): order, pages, filters, and that a page costs what it holds."""

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from registry.records.tables.images import repositories
from tests.builders import (
    EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    Built,
    image,
    index,
    push,
    push_blob,
    put_manifest,
    unique_name,
)
from tests.conftest import Start
from tests.damage import database
from tests.servers import Answer, RunningServer

NOBODY = "sha256:" + "0" * 64


def tags(server: RunningServer, repository: str, query: str = "") -> Answer:
    return server.request("GET", f"/v2/{repository}/tags/list{query}")


def next_page(answer: Answer) -> str | None:
    """The target of the Link header, which MUST have the relation type next."""
    link = answer.headers["Link"]
    if link is None:
        return None
    target, _, relation = link.partition(";")
    assert relation.strip() == 'rel="next"'
    assert target[0] + target[-1] == "<>"
    return str(target[1:-1])


def pages(server: RunningServer, first: str, *path: str) -> list[list[Any]]:
    """The lists at `path` of the page and of all that follow it."""
    found, target = [], first
    while target:
        answer = server.request("GET", target)
        assert answer.status == 200
        body = answer.json
        for key in path:
            body = body[key]
        found.append(body)
        target = next_page(answer) or ""
    return found


@pytest.fixture
def tagged(shared_server: RunningServer, repository: str) -> tuple[str, list[str]]:
    """A repository with tags of every sort, and the tags in order of their bytes."""
    names = [
        "a",
        "B",
        "b",
        "_",
        "0",
        "9",
        "10",
        "a.b",
        "a-b",
        "a_b",
        "aa",
        "Z",
        "z",
        "A" * 128,
        "latest",
        "v1",
        "v10",
        "v2",
    ]
    built = image()
    push(shared_server, repository, built)
    shuffled = random.Random(7).sample(names, len(names))
    put_manifest(shared_server, repository, built, f"{built.digest}?{'&'.join(f'tag={name}' for name in shuffled)}")
    return repository, sorted(names)


# --- end-8: tags ------------------------------------------------------------------------------------------------------


def test_end_8a_MUST_be_200_with_all_tags_in_order(shared_server: RunningServer, tagged: tuple[str, list[str]]) -> None:
    repository, names = tagged

    answer = tags(shared_server, repository)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"name": repository, "tags": names}
    assert answer.headers["Link"] is None


@pytest.mark.parametrize("query", ["", "?n=10", "?last=zzz", "?n=0"])
def test_end_8a_a_repository_without_tags_has_an_empty_list(
    shared_server: RunningServer, repository: str, query: str
) -> None:
    answer = tags(shared_server, repository, query)

    assert (answer.status, answer.json) == (200, {"name": repository, "tags": []})


@pytest.mark.parametrize("n", [1, 2, 5, 17, 18, 19, 1000])
def test_end_8b_pages_hold_n_and_together_every_tag_once(
    shared_server: RunningServer, tagged: tuple[str, list[str]], n: int
) -> None:
    repository, names = tagged

    found = pages(shared_server, f"/v2/{repository}/tags/list?n={n}", "tags")

    assert found == [names[first : first + n] for first in range(0, len(names), n)]


def test_end_8b_n_zero_MUST_be_empty_and_without_a_link(
    shared_server: RunningServer, tagged: tuple[str, list[str]]
) -> None:
    answer = tags(shared_server, tagged[0], "?n=0")

    assert (answer.status, answer.json["tags"], answer.headers["Link"]) == (200, [], None)


@pytest.mark.parametrize("last", ["A" * 128, "a", "b0", "v1", "zz", "~", "", "-", "not a tag!"])
def test_end_8b_last_is_not_included_and_need_not_exist(
    shared_server: RunningServer, tagged: tuple[str, list[str]], last: str
) -> None:
    repository, names = tagged

    answer = tags(shared_server, repository, f"?last={quote(last)}")

    assert answer.json["tags"] == [name for name in names if name > last]


def test_end_8b_n_and_last_together(shared_server: RunningServer, tagged: tuple[str, list[str]]) -> None:
    repository, names = tagged

    answer = tags(shared_server, repository, f"?n=3&last={names[4]}")

    assert answer.json["tags"] == names[5:8]
    assert parse_qs(urlsplit(next_page(answer) or "").query) == {"n": ["3"], "last": [names[7]]}


def test_end_8b_the_link_stays_on_this_server(shared_server: RunningServer, tagged: tuple[str, list[str]]) -> None:
    """A relative target: no Host header of anyone can send a client elsewhere (T54)."""
    answer = tags(shared_server, tagged[0], "?n=1")

    assert (next_page(answer) or "").startswith(f"/v2/{tagged[0]}/tags/list?")


BAD_NUMBERS = ["ten", "-1", "1.0", "1e3", "0x10", "", " 5", "%205", "5;", "NaN", "٣", "1" * 50, "+5", "5%00"]


@pytest.mark.parametrize("n", BAD_NUMBERS)
@pytest.mark.parametrize("path", ["/v2/{name}/tags/list", "/v2/_catalog", "/v2/{name}/referrers/" + NOBODY])
def test_n_that_is_no_number_is_400(shared_server: RunningServer, repository: str, path: str, n: str) -> None:
    given = n if n.startswith("%") or "%" in n else quote(n)

    answer = shared_server.request("GET", f"{path.format(name=repository)}?n={given}")

    assert (answer.status, answer.code) == (400, "UNSUPPORTED")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with 1,200 tags in one repository, and 1,200 repositories; written straight into its rows."""
    server = RunningServer(tmp_path_factory.mktemp("crowded") / "data")
    server.start()
    server.create("app")
    built = image()
    push(server, "app", built)
    with database(server.data) as db:
        manifest, repository = db.execute("SELECT id, repository_id FROM manifests").fetchone()
        db.executemany(
            "INSERT INTO tags SELECT repository_id, ?, id, pushed_at FROM manifests WHERE id = ?",
            [(f"t{number:06}", manifest) for number in range(1200)],
        )
        columns = [name for name in repositories.c.keys() if name not in ("id", "name")]  # noqa: SIM118 # not a dict
        db.executemany(
            f"INSERT INTO repositories (name, {', '.join(columns)}) SELECT ?, {', '.join(columns)} FROM repositories "
            "WHERE id = ?",
            [(f"many/r{number:06}", repository) for number in range(1200)],
        )
    yield server
    server.stop()


@pytest.mark.parametrize("n", ["1001", "5000", "1000000000", "1" + "0" * 30])
def test_n_above_a_thousand_is_a_thousand(crowded: RunningServer, n: str) -> None:
    """T20: no request makes a larger page; the Link says where the rest is."""
    for path, key in (("/v2/app/tags/list", "tags"), ("/v2/_catalog", "repositories")):
        sizes = [len(page) for page in pages(crowded, f"{path}?n={n}", key)]
        assert sizes == [1000, 200 + (key == "repositories")]


def test_without_n_a_long_list_comes_in_pages_too(crowded: RunningServer) -> None:
    found = pages(crowded, "/v2/app/tags/list", "tags")

    assert [len(page) for page in found] == [1000, 200]
    assert [tag for page in found for tag in page] == [f"t{number:06}" for number in range(1200)]


# --- the catalog ------------------------------------------------------------------------------------------------------


def test_the_catalog_is_in_order_and_paged(start_server: Start) -> None:
    server = start_server()
    names = ["a/b", "a-b", "a.b", "ab", "bb", "zz/y/x"]
    for name in reversed(names):
        server.create(name)

    assert server.request("GET", "/v2/_catalog").json == {"repositories": sorted(names)}
    assert pages(server, "/v2/_catalog?n=4", "repositories") == [sorted(names)[:4], sorted(names)[4:]]
    assert server.request("GET", "/v2/_catalog?n=0").json == {"repositories": []}
    assert server.request("GET", "/v2/_catalog?last=b").json == {"repositories": ["bb", "zz/y/x"]}


def test_the_catalog_needs_a_login(shared_server: RunningServer) -> None:
    assert shared_server.request("GET", "/v2/_catalog", auth=None).status == 401


# --- end-12: referrers ------------------------------------------------------------------------------------------------


def referrer(subject: Built, **more: Any) -> Built:
    return image(config=b"{}", config_type=EMPTY, layers=[], subject=subject.descriptor(), **more)


def referrers(server: RunningServer, repository: str, digest: str, query: str = "") -> Answer:
    return server.request("GET", f"/v2/{repository}/referrers/{digest}{query}")


@pytest.fixture
def subject(shared_server: RunningServer, repository: str) -> Built:
    built = image()
    push(shared_server, repository, built)
    push_blob(shared_server, repository, b"{}")
    return built


@pytest.mark.parametrize("digest", [NOBODY, "sha512:" + "0" * 128])
@pytest.mark.parametrize("query", ["", "?artifactType=a/b"])
def test_end_12_MUST_NOT_be_404_in_a_known_repository(
    shared_server: RunningServer, repository: str, digest: str, query: str
) -> None:
    answer = referrers(shared_server, repository, digest, query)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert answer.json == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def test_end_12a_descriptors_MUST_hold_type_and_annotations(
    shared_server: RunningServer, repository: str, subject: Built
) -> None:
    typed = referrer(subject, artifactType="application/vnd.example.sbom", annotations={"org.example": "ä\n"})
    untyped = image(config=b"{}", config_type="application/vnd.example.config", layers=[], subject=subject.descriptor())
    listed = index(subject=subject.descriptor(), artifactType="application/vnd.example.list")
    bare = index(subject=subject.descriptor(), annotations={"a": "b"})
    for built in (typed, untyped, listed, bare):
        push(shared_server, repository, built)

    found = {one["digest"]: one for one in referrers(shared_server, repository, subject.digest).json["manifests"]}

    assert found == {
        typed.digest: {
            "mediaType": OCI_IMAGE,
            "digest": typed.digest,
            "size": len(typed.body),
            "artifactType": "application/vnd.example.sbom",
            "annotations": {"org.example": "ä\n"},
        },
        untyped.digest: {
            "mediaType": OCI_IMAGE,
            "digest": untyped.digest,
            "size": len(untyped.body),
            "artifactType": "application/vnd.example.config",  # the config's, where the image names none
        },
        listed.digest: {
            "mediaType": OCI_INDEX,
            "digest": listed.digest,
            "size": len(listed.body),
            "artifactType": "application/vnd.example.list",
        },
        bare.digest: {  # of an index that names none it MUST be omitted
            "mediaType": OCI_INDEX,
            "digest": bare.digest,
            "size": len(bare.body),
            "annotations": {"a": "b"},
        },
    }


def test_end_12a_a_referrer_may_come_before_its_subject(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push_blob(shared_server, repository, b"{}")
    early = referrer(built)
    push(shared_server, repository, early)
    push(shared_server, repository, built)

    (found,) = referrers(shared_server, repository, built.digest).json["manifests"]

    assert found["digest"] == early.digest


def test_end_12a_only_of_this_repository(
    shared_server: RunningServer, repository: str, subject: Built, ecr: Any
) -> None:
    other = unique_name()
    ecr.create_repository(repositoryName=other)
    push(shared_server, repository, referrer(subject))

    assert referrers(shared_server, other, subject.digest).json["manifests"] == []


def test_end_12a_a_deleted_referrer_is_gone_and_a_deleted_subject_keeps_them(
    shared_server: RunningServer, repository: str, subject: Built
) -> None:
    first, second = referrer(subject, annotations={"n": "1"}), referrer(subject, annotations={"n": "2"})
    for built in (first, second):
        push(shared_server, repository, built)
    shared_server.request("DELETE", f"/v2/{repository}/manifests/{first.digest}")
    shared_server.request("DELETE", f"/v2/{repository}/manifests/{subject.digest}")

    (found,) = referrers(shared_server, repository, subject.digest).json["manifests"]

    assert found["digest"] == second.digest


@pytest.mark.parametrize("digest", ["sha256:abc", "sha256", "md5:" + "0" * 32, "v1", NOBODY.upper(), NOBODY + "0"])
def test_end_12a_a_digest_that_is_none_MUST_be_400(shared_server: RunningServer, repository: str, digest: str) -> None:
    answer = referrers(shared_server, repository, digest)

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_end_12b_a_filter_is_applied_and_told(shared_server: RunningServer, repository: str, subject: Built) -> None:
    kinds = {name: referrer(subject, artifactType=f"application/vnd.example.{name}") for name in ("a", "b", "ab")}
    for built in kinds.values():
        push(shared_server, repository, built)

    answer = referrers(shared_server, repository, subject.digest, "?artifactType=application%2Fvnd.example.a")

    assert [one["digest"] for one in answer.json["manifests"]] == [kinds["a"].digest]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


@pytest.mark.parametrize("query", ["", "?artifactType="])
def test_end_12b_without_a_filter_none_is_told(
    shared_server: RunningServer, repository: str, subject: Built, query: str
) -> None:
    push(shared_server, repository, referrer(subject))

    answer = referrers(shared_server, repository, subject.digest, query)

    assert len(answer.json["manifests"]) == 1
    assert "OCI-Filters-Applied" not in answer.headers


@pytest.mark.parametrize("query", ["?n=2", "?n=2&artifactType=application%2Fvnd.example.kept"])
def test_end_12_pages_together_hold_every_referrer_once(
    shared_server: RunningServer, repository: str, subject: Built, query: str
) -> None:
    pushed = []
    for number in range(5):
        built = referrer(subject, artifactType="application/vnd.example.kept", annotations={"n": str(number)})
        pushed.append(push(shared_server, repository, built))
    if "artifactType" in query:
        push(shared_server, repository, referrer(subject, artifactType="application/vnd.example.left"))

    found = pages(shared_server, f"/v2/{repository}/referrers/{subject.digest}{query}", "manifests")

    assert [len(page) for page in found] == [2, 2, 1]
    assert [one["digest"] for page in found for one in page] == sorted(pushed)


def test_end_12_a_link_MUST_be_there_when_one_manifest_cannot_hold_them(start_server: Start) -> None:
    """Each page is an index that any registry would take: at most 4 MiB, whatever the annotations hold."""
    server = start_server()
    server.create("app")
    subject = image()
    push_blob(server, "app", b"{}")
    pushed = []
    for number in range(4):
        built = referrer(subject, annotations={"text": "x" * 1_500_000, "n": str(number)})
        pushed.append(push(server, "app", built))

    found = pages(server, f"/v2/app/referrers/{subject.digest}", "manifests")

    assert [one["digest"] for page in found for one in page] == sorted(pushed)
    assert len(found) == 2
    assert all(len(json.dumps(page)) < 4_194_304 for page in found)


def test_end_12_a_page_is_a_hundred_at_most(start_server: Start) -> None:
    server = start_server()
    server.create("app")
    subject = image()
    push_blob(server, "app", b"{}")
    for number in range(103):
        put_manifest(server, "app", referrer(subject, annotations={"n": str(number)}))

    for query in ("", "?n=1000", "?n=101"):
        found = pages(server, f"/v2/app/referrers/{subject.digest}{query}", "manifests")
        assert [len(page) for page in found] == [100, 3]


def test_a_tag_that_goes_while_pages_are_read_moves_no_other(shared_server: RunningServer, repository: str) -> None:
    """A page begins behind a name, not at a number."""
    built = image()
    push(shared_server, repository, built)
    names = [f"t{number}" for number in range(6)]
    put_manifest(shared_server, repository, built, f"{built.digest}?{'&'.join(f'tag={name}' for name in names)}")
    first = tags(shared_server, repository, "?n=3")
    for name in ("t2", "t4"):
        shared_server.request("DELETE", f"/v2/{repository}/manifests/{name}")

    rest = shared_server.request("GET", next_page(first) or "").json["tags"]

    assert first.json["tags"] + rest == ["t0", "t1", "t2", "t3", "t5"]
