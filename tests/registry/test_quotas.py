"""Quotas at both doors of a running server, set by the command beside it."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.builders import Built, digest_of, image, index, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.commands import Ran, longshore
from tests.conftest import Start
from tests.servers import ACCOUNT, Answer, RunningServer

KB = 1000


def run(server: RunningServer, *arguments: str) -> Ran:
    """A command beside the server, with its settings."""
    done = longshore(*arguments, "--data", server.data, **server.environment)
    assert done.code == 0, done.err
    return done


def usage(server: RunningServer, repository: str) -> Any:
    [found] = run(server, "usage", "--repository", repository, "--output", "json").json["usage"]
    return found


def layer(size: int) -> bytes:
    return unique_bytes(size)


def of_size(size: int, *layers: bytes) -> Built:
    """An image with one more layer of this size."""
    return image(layers=[*layers, layer(size)])


@pytest.fixture
def limited(shared_server: RunningServer, repository: str) -> str:
    """A repository that may hold ten thousand bytes and three images."""
    run(shared_server, "quota", "set", repository, "--bytes", "10kB", "--images", "3")
    return repository


# --- the OCI door -----------------------------------------------------------------------------------------------------


def begun(server: RunningServer, repository: str) -> str:
    answer = server.request("POST", f"/v2/{repository}/blobs/uploads/")
    assert answer.status == 202
    return str(answer.headers["Location"])


def by_one_post(server: RunningServer, repository: str, data: bytes) -> Answer:
    return server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(data)}", data)


def by_post_and_put(server: RunningServer, repository: str, data: bytes) -> Answer:
    return server.request("PUT", f"{begun(server, repository)}?digest={digest_of(data)}", data)


def by_patch(server: RunningServer, repository: str, data: bytes) -> Answer:
    return server.request("PATCH", begun(server, repository), data)


def by_chunked_patch(server: RunningServer, repository: str, data: bytes) -> Answer:
    """Nobody knows how much is to come."""
    return server.request("PATCH", begun(server, repository), iter([data[:5000], data[5000:]]))


def by_patch_and_put(server: RunningServer, repository: str, data: bytes) -> Answer:
    place = str(server.request("PATCH", begun(server, repository), data[:6000]).headers["Location"])
    return server.request("PUT", f"{place}?digest={digest_of(data)}", data[6000:])


WAYS = [by_one_post, by_post_and_put, by_patch, by_chunked_patch, by_patch_and_put]


@pytest.mark.parametrize("send", WAYS, ids=lambda way: way.__name__)
def test_a_layer_that_does_not_fit_is_refused_for_good_and_leaves_nothing(
    shared_server: RunningServer, limited: str, send: Callable[[RunningServer, str, bytes], Answer]
) -> None:
    push(shared_server, limited, of_size(2 * KB))
    before = usage(shared_server, limited)
    data = layer(9 * KB)
    refused = send(shared_server, limited, data)
    after = usage(shared_server, limited)

    assert (refused.status, refused.code) == (403, "DENIED")  # at 429 clients try again, for minutes
    assert "Retry-After" not in refused.headers
    used = f"{before['neededBytes']:,}"
    assert f"may hold 10,000 bytes and holds {used}: " in refused.json["errors"][0]["message"]
    assert "Delete images, or ask the operator" in refused.json["errors"][0]["message"]
    assert after == before
    assert shared_server.request("HEAD", f"/v2/{limited}/blobs/{digest_of(data)}").status == 404
    push_blob(shared_server, limited, layer(5 * KB))  # what fits still comes in


def test_a_full_repository_says_so_before_the_first_byte(shared_server: RunningServer, limited: str) -> None:
    push(shared_server, limited, of_size(2 * KB))
    run(shared_server, "quota", "set", limited, "--bytes", "1kB")
    refused = shared_server.request("POST", f"/v2/{limited}/blobs/uploads/")

    assert (refused.status, refused.code) == (403, "DENIED")
    assert "at least 1 more does not fit" in refused.json["errors"][0]["message"]


def test_what_is_there_may_be_pushed_again_however_full_it_is(shared_server: RunningServer, limited: str) -> None:
    built = of_size(2 * KB)
    push(shared_server, limited, built)
    run(shared_server, "quota", "set", limited, "--bytes", "1kB", "--images", "1")
    push(shared_server, limited, built, "again")

    assert shared_server.request("GET", f"/v2/{limited}/manifests/again").status == 200


def test_a_mount_counts_and_may_be_refused(shared_server: RunningServer, limited: str) -> None:
    source = unique_name()
    shared_server.create(source)
    small, large = push_blob(shared_server, source, layer(KB)), push_blob(shared_server, source, layer(11 * KB))
    path = f"/v2/{limited}/blobs/uploads/?from={source}&mount="
    mounted = shared_server.request("POST", path + small)
    refused = shared_server.request("POST", path + large)

    assert mounted.status == 201
    assert (refused.status, refused.code) == (403, "DENIED")
    assert usage(shared_server, limited)["unneededBytes"] == KB


def test_images_are_counted_and_the_first_too_many_is_refused(shared_server: RunningServer, limited: str) -> None:
    for _ in range(3):
        push(shared_server, limited, image())
    one_more = image()
    for blob in one_more.blobs:
        push_blob(shared_server, limited, blob)
    refused = put_manifest(shared_server, limited, one_more, "latest")

    assert (refused.status, refused.code) == (403, "DENIED")
    assert "may hold 3 images and holds 3: 1 more does not fit" in refused.json["errors"][0]["message"]
    assert usage(shared_server, limited)["images"] == 3
    assert shared_server.request("GET", f"/v2/{limited}/manifests/latest").status == 404


def test_a_manifest_whose_layers_came_in_beside_another_push_is_refused(
    shared_server: RunningServer, limited: str
) -> None:
    """Both pushes had room while they sent their layers; the image that would be too much is not made."""
    one, other = of_size(6 * KB), of_size(6 * KB)
    for blob in (*one.blobs, *other.blobs):
        push_blob(shared_server, limited, blob)
    first = put_manifest(shared_server, limited, one, "one")
    second = put_manifest(shared_server, limited, other, "other")

    assert (first.status, second.status, second.code) == (201, 403, "DENIED")


def test_of_pushes_at_the_same_time_exactly_as_many_get_in_as_fit(shared_server: RunningServer, limited: str) -> None:
    pushed = [of_size(6 * KB) for _ in range(2)]
    for built in pushed:
        for blob in built.blobs:
            push_blob(shared_server, limited, blob)
    answers: list[int] = []
    start = threading.Barrier(len(pushed))

    def put(built: Built) -> None:
        start.wait()
        answers.append(put_manifest(shared_server, limited, built).status)

    threads = [threading.Thread(target=put, args=[built]) for built in pushed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [201, 403]
    assert usage(shared_server, limited)["images"] == 1


def test_what_pushes_that_came_to_nothing_left_does_not_eat_the_quota_nor_fill_the_disk(
    shared_server: RunningServer, limited: str
) -> None:
    left = [by_one_post(shared_server, limited, layer(9 * KB)).status for _ in range(2)]
    refused = by_one_post(shared_server, limited, layer(9 * KB))
    fits = of_size(KB)
    push(shared_server, limited, fits)

    assert left == [201, 201]
    assert (refused.status, refused.code) == (403, "DENIED")
    message = refused.json["errors"][0]["message"]
    assert "may hold 20,000 bytes at a time" in message
    assert "18,000 of unfinished pushes and deleted images wait for garbage collection" in message


def test_a_deleted_image_makes_room_at_once(shared_server: RunningServer, limited: str) -> None:
    first = of_size(8 * KB)
    push(shared_server, limited, first)
    full = by_one_post(shared_server, limited, layer(8 * KB)).status
    shared_server.request("DELETE", f"/v2/{limited}/manifests/{first.digest}")
    push(shared_server, limited, of_size(8 * KB))

    assert full == 403
    assert usage(shared_server, limited)["unneededBytes"] > 8 * KB  # until garbage collection


def test_layers_that_images_share_count_once(shared_server: RunningServer, limited: str) -> None:
    base = layer(7 * KB)
    for _ in range(3):
        push(shared_server, limited, of_size(100, base))

    found = usage(shared_server, limited)
    assert 7 * KB < found["neededBytes"] < 10 * KB
    assert found["describedBytes"] > 21 * KB


def test_sums_are_those_of_the_aws_api(shared_server: RunningServer, ecr: Any, limited: str) -> None:
    """DescribeImages says how large each image is; its manifests, which layers there are, and so what they have."""
    base = layer(KB)
    children = [image(layers=[base, layer(300)]) for _ in range(2)]
    for built in children:
        push(shared_server, limited, built)
    push(shared_server, limited, index(*children), "latest")
    [pages] = [ecr.get_paginator("describe_images").paginate(repositoryName=limited)]
    described = [one for page in pages for one in page["imageDetails"]]
    ids = [{"imageDigest": one["imageDigest"]} for one in described]
    manifests = [one["imageManifest"] for one in ecr.batch_get_image(repositoryName=limited, imageIds=ids)["images"]]
    documents = [json.loads(text) for text in manifests]
    layers = {
        one["digest"]: one["size"] for each in documents for one in (each.get("config"), *each.get("layers", [])) if one
    }
    found = usage(shared_server, limited)

    assert found["images"] == len(described) == 3
    assert found["describedBytes"] == sum(one["imageSizeInBytes"] for one in described)
    assert found["blobBytes"] == sum(layers.values())
    assert found["manifestBytes"] == sum(len(text.encode()) for text in manifests)
    assert found["storedBytes"] == found["neededBytes"] == found["blobBytes"] + found["manifestBytes"]


# --- the AWS door -----------------------------------------------------------------------------------------------------


@pytest.fixture
def upload(ecr: Any, limited: str) -> str:
    return str(ecr.initiate_layer_upload(repositoryName=limited)["uploadId"])


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The message of the LimitExceededException that it raises."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "LimitExceededException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(caught.value.response["Error"]["Message"])


def test_a_part_that_is_too_much_is_refused(ecr: Any, limited: str, upload: str) -> None:
    data = layer(11 * KB)
    message = refusal(
        ecr.upload_layer_part,
        repositoryName=limited,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=len(data) - 1,
        layerPartBlob=data,
    )

    assert message == (
        f"The repository with name '{limited}' in the registry with id '{ACCOUNT}' may hold 10,000 bytes and holds 0: "
        "11,000 more do not fit. Delete images, or ask the operator for a larger quota"
    )


def test_a_layer_for_which_the_room_went_meanwhile_is_refused(
    shared_server: RunningServer, ecr: Any, limited: str, upload: str
) -> None:
    data = layer(8 * KB)
    ecr.upload_layer_part(
        repositoryName=limited, uploadId=upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data
    )
    push(shared_server, limited, of_size(6 * KB))
    message = refusal(
        ecr.complete_layer_upload, repositoryName=limited, uploadId=upload, layerDigests=[digest_of(data)]
    )

    assert "8,000 more do not fit" in message
    with pytest.raises(ecr.exceptions.UploadNotFoundException):  # its bytes are gone
        ecr.complete_layer_upload(repositoryName=limited, uploadId=upload, layerDigests=[digest_of(data)])


def test_an_image_too_many_is_refused(shared_server: RunningServer, ecr: Any, limited: str) -> None:
    run(shared_server, "quota", "set", limited, "--images", "1")
    push(shared_server, limited, image())
    built = image()
    for blob in built.blobs:
        push_blob(shared_server, limited, blob)
    message = refusal(ecr.put_image, repositoryName=limited, imageManifest=built.body.decode(), imageTag="v1")

    assert "may hold 1 images and holds 1: 1 more does not fit" in message


# --- accounts, defaults, and what is left after a collection ----------------------------------------------------------


@pytest.fixture
def small(start_server: Start) -> Iterator[RunningServer]:
    """A server whose accounts may hold twenty thousand bytes each, and whose repositories ten thousand."""
    yield start_server(
        LONGSHORE_QUOTAS__ACCOUNT_BYTES="20000",
        LONGSHORE_QUOTAS__REPOSITORY_BYTES="10000",
        LONGSHORE_GC__GRACE_SECONDS="0",
    )


def test_settings_bound_all_and_a_quota_of_ones_own_goes_before_them(small: RunningServer) -> None:
    for name in ("one", "two", "three"):
        small.create(name)
    too_much = by_one_post(small, "one", layer(11 * KB))
    run(small, "quota", "set", "one", "--bytes", "unlimited")
    push(small, "one", of_size(11 * KB))
    push(small, "two", of_size(6 * KB))
    for_the_account = by_one_post(small, "three", layer(6 * KB))

    assert "repository with name 'one'" in too_much.json["errors"][0]["message"]
    assert f"The account with id '{ACCOUNT}' may hold 20,000 bytes" in for_the_account.json["errors"][0]["message"]


def test_an_account_has_what_its_repositories_share_once(small: RunningServer) -> None:
    base = layer(9 * KB)
    for name in ("one", "two", "three"):
        small.create(name)
        push(small, name, image(layers=[base]))

    [found] = run(small, "usage", ACCOUNT, "--output", "json").json["usage"]
    assert 9 * KB < found["neededBytes"] < 12 * KB
    assert found["describedBytes"] > 27 * KB


def test_after_delete_and_collection_there_is_room_on_the_disk_too(small: RunningServer) -> None:
    small.create("app")
    kept, gone = of_size(KB), of_size(8 * KB)
    push(small, "app", kept)
    push(small, "app", gone)
    small.request("DELETE", f"/v2/app/manifests/{gone.digest}")
    before = usage(small, "app")
    run(small, "gc")
    after = usage(small, "app")
    push(small, "app", of_size(8 * KB))

    assert before["unneededBytes"] > 8 * KB
    assert after["unneededBytes"] == 0
    assert after["storedBytes"] == after["neededBytes"] == sum(map(len, (*kept.blobs, kept.body)))
    assert "all is sound" in run(small, "check").out
