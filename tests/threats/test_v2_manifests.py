"""promises.md T06, T07, T17, T22, T58: tags that stay, manifests that want two readings, graphs, foreign URLs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import canary, iam, wire
from tests.builders import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    OCI_LAYER,
    Built,
    descriptor,
    digest_of,
    image,
    index,
    push,
    push_blob,
    put_manifest,
    unique_bytes,
    unique_name,
)
from tests.canary import Canary
from tests.servers import RunningServer, basic

NOBODY = "sha256:" + "0" * 64


def tags(server: RunningServer, repository: str) -> list[str]:
    found: list[str] = server.request("GET", f"/v2/{repository}/tags/list").json["tags"]
    return found


def digest_behind(server: RunningServer, repository: str, tag: str) -> str | None:
    answer = server.request("HEAD", f"/v2/{repository}/manifests/{tag}")
    assert answer.status in (200, 404)
    return answer.headers["Docker-Content-Digest"] if answer.status == 200 else None


# --- T06: no tag is special -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["latest", "v1", "LATEST", "stable", "main"])
@pytest.mark.parametrize("by", ["tag", "parameter", "api"])
def test_T06_an_immutable_tag_stays_whatever_it_is_called(
    shared_server: RunningServer, repository: str, ecr: Any, tag: str, by: str
) -> None:
    first, second = image(), image()
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    push(shared_server, repository, first, tag)
    push(shared_server, repository, second)
    if by == "tag":
        refused = put_manifest(shared_server, repository, second, tag)
        assert (refused.status, refused.code) == (400, "DENIED")  # as ECR: a code at which no client tries again
        assert "tag is immutable" in refused.json["errors"][0]["message"]
    elif by == "parameter":
        refused = put_manifest(shared_server, repository, second, f"{second.digest}?tag={tag}")
        assert (refused.status, refused.code) == (400, "DENIED")
    else:
        told = iam.refused(ecr.put_image, repositoryName=repository, imageManifest=second.body.decode(), imageTag=tag)
        assert (told.code, told.status) == ("ImageTagAlreadyExistsException", 400)

    assert digest_behind(shared_server, repository, tag) == first.digest
    assert put_manifest(shared_server, repository, first, tag).status == 201  # the same is no overwriting


# --- T07: a tag never names nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mutability", ["MUTABLE", "IMMUTABLE"])
def test_T07_deleting_by_digest_takes_the_tags_along(
    shared_server: RunningServer, repository: str, ecr: Any, mutability: str
) -> None:
    built = image()
    push(shared_server, repository, built, "v1")
    put_manifest(shared_server, repository, built, "v2")
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability=mutability)

    assert shared_server.request("DELETE", f"/v2/{repository}/manifests/{built.digest}").status == 202
    assert tags(shared_server, repository) == []
    for reference in ("v1", "v2", built.digest):
        assert shared_server.request("GET", f"/v2/{repository}/manifests/{reference}").status == 404


@pytest.mark.parametrize("reference", ["v1", "digest"])
def test_T07_without_the_right_neither_way_deletes(
    shared_server: RunningServer, repository: str, reference: str
) -> None:
    """T08 too: both paths ask for the same right."""
    built, name = image(), unique_name("writer")
    push(shared_server, repository, built, "v1")
    _, keys = iam.make_user(shared_server, name)
    with iam.client(shared_server, "iam") as client:
        client.put_user_policy(
            UserName=name,
            PolicyName="all-but-delete",
            PolicyDocument=iam.policy(
                {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"},
                {"Effect": "Deny", "Action": "ecr:BatchDeleteImage", "Resource": "*"},
            ),
        )
    target = built.digest if reference == "digest" else reference

    refused = shared_server.request(
        "DELETE", f"/v2/{repository}/manifests/{target}", auth=basic(keys.access_key_id, keys.secret)
    )

    assert (refused.status, refused.code) == (403, "DENIED")
    assert digest_behind(shared_server, repository, "v1") == built.digest
    assert tags(shared_server, repository) == ["v1"]


# --- T17: one digest, one reading -------------------------------------------------------------------------------------


@pytest.fixture
def blob(shared_server: RunningServer, repository: str) -> dict[str, Any]:
    """The descriptor of a blob, which may stand as config and as layer."""
    push_blob(shared_server, repository, b"{}")
    return descriptor(b"{}", EMPTY)


def text(**fields: Any) -> str:
    return json.dumps({"schemaVersion": 2, **fields})


def confused(blob: dict[str, Any], child: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What has two readings, by name: (document, Content-Type)."""
    one = json.dumps(blob)
    return {
        "layers-and-manifests": (text(mediaType=OCI_IMAGE, config=blob, layers=[blob], manifests=[child]), OCI_IMAGE),
        "manifests-and-layers": (text(mediaType=OCI_INDEX, manifests=[child], layers=[blob]), OCI_INDEX),
        "config-and-manifests": (text(mediaType=OCI_INDEX, manifests=[child], config=blob), OCI_INDEX),
        "both-and-no-media-type": (text(config=blob, layers=[], manifests=[]), OCI_IMAGE),
        "an-image-called-index": (text(mediaType=OCI_INDEX, config=blob, layers=[blob]), OCI_INDEX),
        "an-index-called-image": (text(mediaType=OCI_IMAGE, manifests=[child]), OCI_IMAGE),
        "an-index-called-image-by-header": (text(manifests=[child]), OCI_IMAGE),
        "header-and-document-differ": (text(mediaType=OCI_IMAGE, config=blob, layers=[]), DOCKER_IMAGE),
        "header-and-document-differ-in-kind": (text(mediaType=OCI_INDEX, manifests=[child]), OCI_IMAGE),
        "media-type-in-other-letters": (
            text(mediaType=OCI_IMAGE.upper(), config=blob, layers=[]),
            OCI_IMAGE.upper(),
        ),
        "a-key-twice": (f'{{"schemaVersion":2,"config":{one},"layers":[],"layers":[{one}]}}', OCI_IMAGE),
        "a-media-type-twice": (
            f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","config":{one},"layers":[],"mediaType":"{OCI_IMAGE}"}}',
            OCI_IMAGE,
        ),
        "a-key-in-two-spellings": (f'{{"schemaVersion":2,"config":{one},"layers":[],"Layers":[{one}]}}', OCI_IMAGE),
        "a-key-escaped": (
            f'{{"schemaVersion":2,"config":{one},"layers":[],"\\u006cayers":[{one}]}}',
            OCI_IMAGE,
        ),
        "a-digest-twice": (
            f'{{"schemaVersion":2,"config":{{"digest":"{NOBODY}",{one[1:]},"layers":[]}}',
            OCI_IMAGE,
        ),
        "docker-list-with-layers": (text(mediaType=DOCKER_LIST, manifests=[child], layers=[blob]), DOCKER_LIST),
        "schema-1-inside": (text(mediaType=OCI_IMAGE, config=blob, layers=[], fsLayers=[]), OCI_IMAGE),
    }


@pytest.mark.parametrize("form", confused({}, {}))
def test_T17_what_has_two_readings_is_refused(
    shared_server: RunningServer, repository: str, blob: dict[str, Any], form: str
) -> None:
    child = image()
    push(shared_server, repository, child)
    body, content_type = confused(blob, child.descriptor())[form]

    refused = shared_server.request(
        "PUT", f"/v2/{repository}/manifests/v1", body.encode(), {"Content-Type": content_type}
    )

    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert tags(shared_server, repository) == []


def test_T17_one_document_is_not_taken_under_two_types(
    shared_server: RunningServer, repository: str, blob: dict[str, Any]
) -> None:
    """Without a mediaType of its own, the first Content-Type is its reading for good."""
    body = text(config=blob, layers=[], annotations={"n": unique_bytes(8).hex()}).encode()
    statuses = {}
    for tag, media_type in (("a", OCI_IMAGE), ("b", DOCKER_IMAGE), ("c", "application/vnd.example"), ("d", OCI_IMAGE)):
        statuses[tag] = put_manifest(shared_server, repository, Built(body, media_type), tag).status

    assert statuses == {"a": 201, "b": 400, "c": 400, "d": 201}
    for accept in (OCI_IMAGE, DOCKER_IMAGE, OCI_INDEX, "application/vnd.example", "*/*"):
        answer = shared_server.request("GET", f"/v2/{repository}/manifests/a", headers={"Accept": accept})
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, body, OCI_IMAGE)


def test_T17_two_content_types_are_none(shared_server: RunningServer, repository: str, blob: dict[str, Any]) -> None:
    body = text(config=blob, layers=[]).encode()
    head = wire.root_head(
        shared_server,
        "PUT",
        f"/v2/{repository}/manifests/v1",
        {"Content-Length": str(len(body)), "Content-Type": "a/b"},
    ).replace(b"\r\n\r\n", f"\r\nContent-Type: {OCI_IMAGE}\r\n\r\n".encode())
    with wire.connect(shared_server) as connection:
        connection.send(head + body)

        assert connection.receive().status == 400
    assert tags(shared_server, repository) == []


# --- T22: graphs ------------------------------------------------------------------------------------------------------


def timed(work: Any, *arguments: Any) -> tuple[Any, float]:
    began = time.monotonic()
    return work(*arguments), time.monotonic() - began


def test_T22_forty_levels_that_each_list_the_next_twice_cost_forty(
    shared_server: RunningServer, repository: str
) -> None:
    """2^40 ways down; each step looks one level down and visits nothing twice."""
    levels = [image()]
    push(shared_server, repository, levels[0])
    for _ in range(40):
        below = levels[-1].descriptor()
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [below, below]}).encode()
        levels.append(Built(body, OCI_INDEX))
    times = [timed(put_manifest, shared_server, repository, built)[1] for built in levels[1:]]
    top = levels[-1]
    answer, reading = timed(shared_server.request, "GET", f"/v2/{repository}/manifests/{top.digest}")
    refused = shared_server.request("DELETE", f"/v2/{repository}/manifests/{levels[20].digest}")
    removing = [
        timed(shared_server.request, "DELETE", f"/v2/{repository}/manifests/{built.digest}")
        for built in reversed(levels)
    ]

    assert answer.body == top.body
    assert refused.status == 405
    assert [one.status for one, _ in removing] == [202] * 41
    assert max(*times, reading, *(seconds for _, seconds in removing)) < 2


def test_T22_an_index_cannot_list_itself(shared_server: RunningServer, repository: str) -> None:
    """A cycle would need the digest of what holds it; an index that names some digest of its own is refused."""
    inner = index(annotations={"n": unique_bytes(8).hex()})
    outer = index(inner)

    assert put_manifest(shared_server, repository, outer).code == "MANIFEST_BLOB_UNKNOWN"
    assert put_manifest(shared_server, repository, inner).status == 201
    assert put_manifest(shared_server, repository, outer).status == 201


def test_T22_a_subject_may_lead_in_a_circle_and_nothing_follows_it(
    shared_server: RunningServer, repository: str
) -> None:
    """Subjects need not exist, so two may be made to name each other's neighbours; listing looks one step."""
    push_blob(shared_server, repository, b"{}")
    first = image(config=b"{}", config_type=EMPTY, layers=[], subject=descriptor(b"x", OCI_IMAGE))
    chain = [first]
    for _ in range(20):
        chain.append(image(config=b"{}", config_type=EMPTY, layers=[], subject=chain[-1].descriptor()))
    for built in chain:
        assert put_manifest(shared_server, repository, built).status == 201

    listed = shared_server.request("GET", f"/v2/{repository}/referrers/{first.digest}").json["manifests"]

    assert [one["digest"] for one in listed] == [chain[1].digest]


def test_T22_an_index_of_ten_thousand_children(shared_server: RunningServer, repository: str) -> None:
    child = image()
    push(shared_server, repository, child)
    one = {"mediaType": OCI_IMAGE, "digest": child.digest, "size": len(child.body)}
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [one] * 10_000}).encode()
    many = Built(body, OCI_INDEX)
    more = Built(json.dumps({**many.document, "manifests": [one] * 10_001}).encode(), OCI_INDEX)

    pushed, pushing = timed(put_manifest, shared_server, repository, many, "many")
    refused = put_manifest(shared_server, repository, more, "more")
    removed, removing = timed(shared_server.request, "DELETE", f"/v2/{repository}/manifests/{many.digest}")

    assert (pushed.status, removed.status) == (201, 202)
    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert max(pushing, removing) < 2


def test_T22_an_index_of_ten_thousand_absent_children_is_refused(shared_server: RunningServer, repository: str) -> None:
    absent = [
        {"mediaType": OCI_IMAGE, "digest": digest_of(str(number).encode()), "size": 2} for number in range(10_000)
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": absent}).encode()

    refused, seconds = timed(put_manifest, shared_server, repository, Built(body, OCI_INDEX), "v1")

    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert seconds < 2
    assert absent[0]["digest"] in refused.json["errors"][0]["message"]
    assert "and 9900 more" in refused.json["errors"][0]["message"]


# --- T58: URLs in manifests -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listener() -> Iterator[Canary]:
    with canary.listening() as found:
        yield found


@pytest.mark.parametrize(
    "media_type",
    [OCI_LAYER, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
     "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"],
    ids=["plain", "nondistributable", "foreign"],
)  # fmt: skip
@pytest.mark.parametrize("there", [True, False], ids=["there", "absent"])
def test_T58_no_url_of_a_manifest_is_fetched(
    shared_server: RunningServer, repository: str, listener: Canary, ecr: Any, media_type: str, there: bool
) -> None:
    """By no door and no way: push, pull, HEAD and GET of the layer, the API, referrers, delete."""
    data = unique_bytes()
    layer = {**descriptor(data, media_type), "urls": [f"{listener.url}/layer", f"{listener.url}/other"]}
    config = unique_bytes()
    push_blob(shared_server, repository, config)
    if there:
        push_blob(shared_server, repository, data)
    subject = {**descriptor(b"x", OCI_IMAGE), "urls": [f"{listener.url}/subject"]}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": {**descriptor(config), "urls": [f"{listener.url}/config"]},
        "layers": [layer],
        "subject": subject,
    }
    built = Built(json.dumps(document).encode(), OCI_IMAGE)

    pushed = put_manifest(shared_server, repository, built, "v1")
    for method, path in (
        ("GET", "manifests/v1"),
        ("HEAD", f"blobs/{digest_of(data)}"),
        ("GET", f"blobs/{digest_of(data)}"),
        ("GET", f"referrers/{subject['digest']}"),
        ("DELETE", "manifests/v1"),
        ("DELETE", f"manifests/{built.digest}"),
    ):
        assert shared_server.request(method, f"/v2/{repository}/{path}").status < 500
    ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(data)])
    ecr.describe_images(repositoryName=repository)

    assert pushed.status == (201 if there or media_type != OCI_LAYER else 404)
    assert listener.hits == 0
