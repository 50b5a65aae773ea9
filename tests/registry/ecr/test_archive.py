"""Images in the archive: UpdateImageStorageClass, what is told of them, and that nobody pulls them."""

import datetime as dt

import pytest

from tests import elsewhere
from tests.api import push_image, put_image, refusal
from tests.archives import archive, await_status, change, restore, statuses
from tests.builders import Built, digest_of, image, index, push, put_manifest, unique_name
from tests.commands import longshore
from tests.servers import ACCOUNT, REGION, RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("boto3")

ABSENT = digest_of(b"no image has these bytes")
NOT_SUPPORTED = "ImageStorageClassUpdateNotSupportedException"


def referrer(subject: Built, **more) -> Built:
    """A signature of an image."""
    return image(subject=subject.descriptor(), artifactType="application/vnd.example.signature", **more)


def describe(ecr, repository: str, built: Built) -> dict:
    (found,) = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": built.digest}])["imageDetails"]
    return dict(found)


def pull(server: RunningServer, repository: str, reference: str, method: str = "GET") -> int:
    return server.request(method, f"/v2/{repository}/manifests/{reference}", headers={"Accept": "*/*"}).status


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_id", [{"imageTag": "v1"}, {"imageDigest": ""}, {"imageTag": "v1", "imageDigest": ""}])
def test_an_image_is_archived_and_restored_by_what_names_it(ecr, repository, image_id):
    made = image()
    push_image(ecr, repository, made, "v1")
    named = {key: value or made.digest for key, value in image_id.items()}
    asked = {"repositoryName": repository, "imageId": named}
    there = ecr.update_image_storage_class(**asked, targetStorageClass="ARCHIVE")
    back = ecr.update_image_storage_class(**asked, targetStorageClass="STANDARD")
    await_status(ecr, repository, "ACTIVE", made)

    for answer, wanted in ((there, {"ARCHIVED"}), (back, {"ACTIVE", "ACTIVATING"})):
        answer.pop("ResponseMetadata")
        assert answer.pop("imageStatus") in wanted
        assert answer == {
            "registryId": ACCOUNT,
            "repositoryName": repository,
            "imageId": {"imageDigest": made.digest} | {key: one for key, one in named.items() if key == "imageTag"},
        }


def test_an_image_tells_when_it_was_archived_and_restored(shared_server, ecr, repository):
    made, before = image(), dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
    push(shared_server, repository, made, "v1")
    fresh = describe(ecr, repository, made)
    archive(ecr, repository, made)
    archived = describe(ecr, repository, made)
    restore(ecr, repository, made)
    restored = describe(ecr, repository, made)

    assert [one["imageStatus"] for one in (fresh, archived, restored)] == ["ACTIVE", "ARCHIVED", "ACTIVE"]
    assert not {"lastArchivedAt", "lastActivatedAt"} & fresh.keys()
    assert "lastActivatedAt" not in archived
    assert before <= archived["lastArchivedAt"] <= restored["lastActivatedAt"] <= dt.datetime.now(dt.UTC)
    assert restored["lastArchivedAt"] == archived["lastArchivedAt"]
    assert {one["imagePushedAt"] for one in (fresh, archived, restored)} == {fresh["imagePushedAt"]}
    assert archived["imageTags"] == ["v1"]


@pytest.mark.parametrize("reference", ["tag", "digest"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_archived_image_is_not_pulled(shared_server, ecr, repository, method, reference):
    """Asked more than once before: an answer that is given again must end too."""
    made = image()
    push(shared_server, repository, made, "v1")
    named = made.digest if reference == "digest" else "v1"
    before = [pull(shared_server, repository, named, method) for _ in range(3)]
    archive(ecr, repository, made)
    refused = [pull(shared_server, repository, named, method) for _ in range(3)]
    restore(ecr, repository, made)

    assert before == [200] * 3
    assert refused == [404] * 3
    assert pull(shared_server, repository, named, method) == 200


def test_a_refused_pull_says_what_to_do(shared_server, ecr, repository):
    made = image()
    push(shared_server, repository, made, "v1")
    archive(ecr, repository, made)
    answer = shared_server.request("GET", f"/v2/{repository}/manifests/v1")

    assert answer.code == "MANIFEST_UNKNOWN"
    assert "is archived; restore it with UpdateImageStorageClass" in answer.json["errors"][0]["message"]


def test_batch_get_image_tells_an_archived_image_apart(shared_server, ecr, repository):
    archived, active = image(), image()
    push(shared_server, repository, archived, "old")
    push(shared_server, repository, active, "new")
    archive(ecr, repository, archived)
    wanted = [{"imageTag": "old"}, {"imageDigest": archived.digest}, {"imageTag": "new"}, {"imageTag": "none"}]
    answer = ecr.batch_get_image(repositoryName=repository, imageIds=wanted)

    assert [one["imageId"]["imageDigest"] for one in answer["images"]] == [active.digest]
    assert [(one["imageId"], one["failureCode"]) for one in answer["failures"]] == [
        ({"imageTag": "old"}, "ImageInaccessible"),
        ({"imageDigest": archived.digest}, "ImageInaccessible"),
        ({"imageTag": "none"}, "ImageNotFound"),
    ]
    assert "is archived" in answer["failures"][0]["failureReason"]


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(shared_server, ecr) -> tuple[str, dict[str, list[Built]]]:
    """A repository of five active and four archived images, one of each without a tag; by status."""
    name = unique_name("archived")
    shared_server.create(name)
    found: dict[str, list[Built]] = {"ACTIVE": [image() for _ in range(5)], "ARCHIVED": [image() for _ in range(4)]}
    for status, listed in found.items():
        for number, one in enumerate(listed):
            push(shared_server, name, one, f"{status.lower()}-{number}" if number else None)
    archive(ecr, name, *found["ARCHIVED"])
    return name, found


@pytest.mark.parametrize("size", [2, 100])
@pytest.mark.parametrize("tagged", ["ANY", "TAGGED", "UNTAGGED"])
@pytest.mark.parametrize("status", [None, "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"])
def test_lists_are_filtered_by_status_and_paged(ecr, mixed, status, tagged, size):
    name, found = mixed
    wanted_statuses = {None: ["ACTIVE"], "ANY": ["ACTIVE", "ARCHIVED"]}.get(status, [status])
    wanted = {
        one.digest
        for each in wanted_statuses
        for number, one in enumerate(found.get(each, []))
        if tagged == "ANY" or (number > 0) == (tagged == "TAGGED")
    }
    given = {"tagStatus": tagged, **({"imageStatus": status} if status else {})}
    walked = {}
    for operation, key in (("list_images", "imageIds"), ("describe_images", "imageDetails")):
        pages = ecr.get_paginator(operation).paginate(
            repositoryName=name, filter=given, PaginationConfig={"PageSize": size}
        )
        walked[operation] = [one["imageDigest"] for page in pages for one in page[key]]

    assert {operation: sorted(digests) for operation, digests in walked.items()} == {
        "list_images": sorted(wanted),
        "describe_images": sorted(wanted),
    }


def test_a_mark_of_one_status_does_not_continue_another(ecr, mixed):
    first = ecr.list_images(repositoryName=mixed[0], maxResults=1, filter={"imageStatus": "ARCHIVED"})
    refused = refusal(ecr.list_images, repositoryName=mixed[0], maxResults=1, nextToken=first["nextToken"], filter={})

    assert refused.code == "InvalidParameterException"


def test_tags_of_archived_images_are_not_listed_for_pulling(shared_server, mixed):
    name, _ = mixed
    first = shared_server.request("GET", f"/v2/{name}/tags/list?n=2").json["tags"]
    rest = shared_server.request("GET", f"/v2/{name}/tags/list?n=2&last={first[-1]}").json["tags"]

    assert first + rest == [f"active-{number}" for number in range(1, 5)]


def test_who_names_an_archived_image_is_told_of_it_unless_a_filter_says_otherwise(ecr, mixed):
    name, found = mixed
    ids = [{"imageDigest": found[status][0].digest} for status in ("ACTIVE", "ARCHIVED")]

    def told(**more) -> list[str]:
        return [
            one["imageStatus"] for one in ecr.describe_images(repositoryName=name, imageIds=ids, **more)["imageDetails"]
        ]

    assert told() == ["ACTIVE", "ARCHIVED"]
    assert told(filter={"imageStatus": "ARCHIVED"}) == ["ARCHIVED"]
    assert told(filter={"imageStatus": "ACTIVE"}) == ["ACTIVE"]
    assert told(filter={"imageStatus": "ANY"}) == ["ACTIVE", "ARCHIVED"]


# --- what goes along --------------------------------------------------------------------------------------------------


def test_a_signature_goes_and_comes_with_what_it_signs(shared_server, ecr, repository):
    subject = image()
    signature = referrer(subject)
    countersigned = referrer(signature)
    for one in (subject, signature, countersigned):
        push(shared_server, repository, one)
    archive(ecr, repository, subject)
    archived, shown = statuses(ecr, repository), {}
    for status in (None, "ACTIVE", "ARCHIVED", "ANY"):
        answer = ecr.list_image_referrers(
            repositoryName=repository,
            subjectId={"imageDigest": subject.digest},
            **({"filter": {"artifactStatus": status}} if status else {}),
        )
        shown[status] = [(one["digest"], one["artifactStatus"]) for one in answer["referrers"]]
    listed = shared_server.request("GET", f"/v2/{repository}/referrers/{subject.digest}").json["manifests"]
    restore(ecr, repository, subject)
    await_status(ecr, repository, "ACTIVE", signature, countersigned)

    assert set(archived.values()) == {"ARCHIVED"} and len(archived) == 3
    gone = [(signature.digest, "ARCHIVED")]
    assert shown == {None: [], "ACTIVE": [], "ARCHIVED": gone, "ANY": gone}
    assert listed == []
    assert pull(shared_server, repository, signature.digest) == 200


def test_an_index_takes_its_parts_along_and_brings_all_back_that_it_lists(shared_server, ecr, repository):
    part, named, shared = image(), image(), image()
    inner = index(part)
    outer, other = index(inner, named, shared), index(shared)
    signature = referrer(part)
    for one in (part, inner, shared, signature):
        push(shared_server, repository, one)
    push(shared_server, repository, named, "named")
    push(shared_server, repository, outer, "outer")
    push(shared_server, repository, other, "other")
    archive(ecr, repository, outer)
    first = statuses(ecr, repository)
    archive(ecr, repository, named, other)
    second = statuses(ecr, repository)
    refused = {reference: pull(shared_server, repository, reference) for reference in ("outer", part.digest)}
    restore(ecr, repository, outer)
    await_status(ecr, repository, "ACTIVE", part, inner, named, shared, signature)

    along = {one.digest for one in (outer, inner, part, signature)}
    assert {digest for digest, status in first.items() if status == "ARCHIVED"} == along
    assert set(second.values()) == {"ARCHIVED"}
    assert refused == {"outer": 404, part.digest: 404}
    assert statuses(ecr, repository)[other.digest] == "ARCHIVED"
    for reference in ("outer", inner.digest, part.digest, "named", shared.digest):
        assert pull(shared_server, repository, reference) == 200


def test_a_child_comes_back_by_itself(shared_server, ecr, repository):
    child = image()
    parent = index(child)
    push(shared_server, repository, child)
    push(shared_server, repository, parent, "all")
    archive(ecr, repository, parent)
    restore(ecr, repository, child)

    assert statuses(ecr, repository) == {child.digest: "ACTIVE", parent.digest: "ARCHIVED"}
    assert pull(shared_server, repository, "all") == 404


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "target", "told"),
    [
        ("active", "STANDARD", "is active"),
        ("archived", "ARCHIVE", "is archived"),
        ("part", "ARCHIVE", "goes to the archive with the index that lists it"),
        ("named part", "ARCHIVE", "goes to the archive with the index that lists it"),
        ("signature", "ARCHIVE", "goes to the archive with its subject"),
    ],
    ids=["not-archived", "archived-already", "part-of-an-index", "tagged-part-of-an-index", "referrer"],
)
def test_a_change_that_cannot_be_is_refused(shared_server, ecr, repository, which, target, told):
    found = {name: image() for name in ("active", "archived", "part", "named part")}
    found["index"] = index(found["part"], found["named part"])
    found["signature"] = referrer(found["active"])
    for name, one in found.items():
        push(shared_server, repository, one, "named" if name == "named part" else None)
    archive(ecr, repository, found["archived"])
    before = statuses(ecr, repository)
    asked = {"imageId": {"imageDigest": found[which].digest}, "targetStorageClass": target}
    refused = refusal(ecr.update_image_storage_class, repositoryName=repository, **asked)

    assert (refused.code, refused.status) == (NOT_SUPPORTED, 400)
    assert told in refused.message and found[which].digest in refused.message
    assert statuses(ecr, repository) == before


@pytest.mark.parametrize(
    ("image_id", "code"),
    [
        ({"imageTag": "none"}, "ImageNotFoundException"),
        ({"imageDigest": ABSENT}, "ImageNotFoundException"),
        ({"imageTag": "v1", "imageDigest": ABSENT}, "ImageNotFoundException"),
        ({}, "InvalidParameterException"),
        ({"imageTag": "not a tag"}, "InvalidParameterException"),
    ],
    ids=["tag", "digest", "tag-of-another-digest", "nothing", "bad-tag"],
)
def test_an_image_that_is_not_there_is_refused(shared_server, ecr, repository, image_id, code):
    push(shared_server, repository, image(), "v1")
    asked = {"repositoryName": repository, "imageId": image_id, "targetStorageClass": "ARCHIVE"}

    assert refusal(ecr.update_image_storage_class, **asked).code == code


def test_a_repository_that_is_not_there_is_refused(ecr):
    asked = {"repositoryName": unique_name("missing"), "imageId": {"imageTag": "v1"}, "targetStorageClass": "ARCHIVE"}

    assert refusal(ecr.update_image_storage_class, **asked).code == "RepositoryNotFoundException"


# --- pushed again, deleted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["v2-tag", "v2-digest", "put-image", "put-image-new-tag"])
def test_a_push_of_the_same_manifest_brings_it_back(shared_server, ecr, repository, door):
    made = image()
    push(shared_server, repository, made, "v1")
    archive(ecr, repository, made)
    if door.startswith("v2"):
        answer = put_manifest(shared_server, repository, made, "v1" if door == "v2-tag" else None)
        assert answer.status == 201
    else:
        put_image(ecr, repository, made, "v1" if door == "put-image" else "v2")
    await_status(ecr, repository, "ACTIVE", made)

    assert "lastActivatedAt" in describe(ecr, repository, made)
    assert pull(shared_server, repository, "v1") == 200


def test_an_index_that_is_pushed_brings_back_what_it_lists(shared_server, ecr, repository):
    child, signed = image(), image()
    signature = referrer(signed)
    for one in (child, signed, signature):
        push(shared_server, repository, one)
    archive(ecr, repository, child, signed)
    parent = index(child, signed)
    push(shared_server, repository, parent, "all")
    await_status(ecr, repository, "ACTIVE", child, signed, signature, parent)

    assert [pull(shared_server, repository, one) for one in ("all", child.digest, signed.digest)] == [200] * 3


def test_a_tag_moves_away_from_an_archived_image(shared_server, ecr, repository):
    old, new = image(), image()
    push(shared_server, repository, old, "latest")
    archive(ecr, repository, old)
    push(shared_server, repository, new, "latest")

    assert statuses(ecr, repository) == {old.digest: "ARCHIVED", new.digest: "ACTIVE"}
    assert "imageTags" not in describe(ecr, repository, old)
    assert pull(shared_server, repository, "latest") == 200


@pytest.mark.parametrize("door", ["batch-by-tag", "batch-by-digest", "v2"])
def test_an_archived_image_is_deleted_before_ninety_days(shared_server, ecr, repository, door):
    made = image()
    push(shared_server, repository, made, "v1")
    archive(ecr, repository, made)
    if door == "v2":
        assert shared_server.request("DELETE", f"/v2/{repository}/manifests/{made.digest}").status == 202
    else:
        named = {"imageTag": "v1"} if door == "batch-by-tag" else {"imageDigest": made.digest}
        assert ecr.batch_delete_image(repositoryName=repository, imageIds=[named])["failures"] == []
    put_manifest(shared_server, repository, made, "v1")

    assert statuses(ecr, repository) == {made.digest: "ACTIVE"}
    assert "lastArchivedAt" not in describe(ecr, repository, made)


# --- layers -----------------------------------------------------------------------------------------------------------


def availability(ecr, repository: str, built: Built) -> list[tuple[str, int]]:
    digests = [digest_of(blob) for blob in built.blobs]
    answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=digests)
    return [(one["layerAvailability"], one["layerSize"]) for one in answer["layers"]]


def test_layers_of_archived_images_are_told_so_and_not_handed_out(shared_server, ecr, repository):
    made, other = image(), unique_name()
    push(shared_server, repository, made, "v1")
    shared_server.create(other)
    archive(ecr, repository, made)
    gone = [("ARCHIVED", len(blob)) for blob in made.blobs]
    until(lambda: availability(ecr, repository, made) == gone, what="the bytes in the archive")
    layer = digest_of(made.blobs[1])
    answers = [shared_server.request(method, f"/v2/{repository}/blobs/{layer}") for method in ("HEAD", "GET")]
    mounted = shared_server.request("POST", f"/v2/{other}/blobs/uploads/?mount={layer}&from={repository}")
    refused = refusal(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=layer)

    assert [answer.status for answer in answers] == [404, 404]
    assert answers[1].code == "BLOB_UNKNOWN" and "is archived" in answers[1].json["errors"][0]["message"]
    assert mounted.status == 202, "an upload instead"
    assert refused.code == "LayerInaccessibleException"


def test_an_image_is_activating_until_its_bytes_are_back(start_server):
    server = start_server()
    server.create("app")
    made, other = image(), image()
    push(server, "app", made, "v1")
    push(server, "app", other, "v2")
    with server.client() as ecr:
        archive(ecr, "app", made)
        until(lambda: availability(ecr, "app", made)[1][0] == "ARCHIVED", what="the bytes in the archive")
    server.stop()
    server.environment = {**server.environment, "LONGSHORE_JOBS__IN_SERVER": "false"}
    server.start()
    with server.client() as ecr:
        asked = change(ecr, "app", made.digest, "STANDARD")
        listed = {
            status: [one.get("imageTag") for one in found]
            for status in ("ACTIVE", "ARCHIVED", "ACTIVATING")
            for found in [ecr.list_images(repositoryName="app", filter={"imageStatus": status})["imageIds"]]
        }
        pulled = server.request("GET", "/v2/app/manifests/v1")
        refused = [
            refusal(
                ecr.update_image_storage_class,
                repositoryName="app",
                imageId={"imageTag": "v1"},
                targetStorageClass=target,
            )
            for target in ("ARCHIVE", "STANDARD")
        ]
    server.stop()
    server.environment = {**server.environment, "LONGSHORE_JOBS__IN_SERVER": "true"}
    server.start()
    with server.client() as ecr:
        await_status(ecr, "app", "ACTIVE", made)

    assert asked == "ACTIVATING"
    assert listed == {"ACTIVE": ["v2"], "ARCHIVED": [], "ACTIVATING": ["v1"]}
    assert pulled.status == 404 and "is being restored" in pulled.json["errors"][0]["message"]
    assert [one.code for one in refused] == [NOT_SUPPORTED] * 2
    assert server.request("GET", f"/v2/app/blobs/{digest_of(made.blobs[1])}").body == made.blobs[1]


def test_who_archives_an_image_is_on_record(shared_server, ecr, repository):
    made = image()
    push(shared_server, repository, made, "v1")
    archive(ecr, repository, made)
    with pytest.raises(ecr.exceptions.ImageStorageClassUpdateNotSupportedException):
        change(ecr, repository, made.digest, "ARCHIVE")
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}"
    where = elsewhere.environment(shared_server.data)
    told = longshore("audit", "--data", shared_server.data, "--resource", arn, "--output", "json", **where).json

    assert [one["eventName"] for one in told].count("UpdateImageStorageClass") == 1
    assert told[0]["requestParameters"] == {
        "repositoryName": repository,
        "imageId": {"imageDigest": made.digest},
        "targetStorageClass": "ARCHIVE",
    }
