"""The archive as tests ask for it: by boto3."""

from typing import Any

from tests.builders import Built
from tests.waiting import until


def change(ecr: Any, repository: str, digest: str, target: str) -> str:
    """UpdateImageStorageClass; the status that it answers."""
    answer = ecr.update_image_storage_class(
        repositoryName=repository, imageId={"imageDigest": digest}, targetStorageClass=target
    )
    return str(answer["imageStatus"])


def archive(ecr: Any, repository: str, *built: Built) -> None:
    for one in built:
        assert change(ecr, repository, one.digest, "ARCHIVE") == "ARCHIVED"


def restore(ecr: Any, repository: str, *built: Built) -> None:
    """Have images come back, and wait until they are there."""
    for one in built:
        assert change(ecr, repository, one.digest, "STANDARD") in ("ACTIVATING", "ACTIVE")
    await_status(ecr, repository, "ACTIVE", *built)


def await_status(ecr: Any, repository: str, status: str, *built: Built) -> None:
    wanted = dict.fromkeys((one.digest for one in built), status)
    until(lambda: wanted.items() <= statuses(ecr, repository).items(), what=f"the status {status}")


def statuses(ecr: Any, repository: str) -> dict[str, str]:
    """The status of every image of a repository, by digest."""
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=repository, filter={"imageStatus": "ANY"})
    return {one["imageDigest"]: one["imageStatus"] for page in pages for one in page["imageDetails"]}
