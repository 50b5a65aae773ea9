"""Domain values as AWS's structures, shared by the operations."""

from typing import Any

from registry.aws.door import Params, registry_of
from registry.aws.errors import invalid_parameter
from registry.context import Context
from registry.model import Image, Repository
from registry.names import BadName, RegistryRef, RepositoryName, repository_arn

Structure = dict[str, Any]


def name_of(req: Params) -> RepositoryName:
    """The request's `repositoryName`. Raises InvalidParameter."""
    return parse_name(req["repositoryName"])


def parse_name(text: str) -> RepositoryName:
    try:
        return RepositoryName.parse(text)
    except BadName as error:
        raise invalid_parameter("repositoryName", error.why) from None


def on_repository(ctx: Context, req: Params) -> str:
    """What most operations are authorized on: the repository that they name."""
    return repository_arn(registry_of(ctx, req), req["repositoryName"])


def on_registry(_ctx: Context, _req: Params) -> str:
    """Operations of a whole registry have no resource type: a statement must say `*`."""
    return "*"


def repository(ctx: Context, found: Repository) -> Structure:
    shape: Structure = {
        "repositoryArn": repository_arn(found.registry, found.name),
        "registryId": found.registry.account,
        "repositoryName": found.name,
        "repositoryUri": ctx.deps.hosts.repository_uri(found.registry, found.name),
        "createdAt": found.created_at,
        "imageTagMutability": found.mutability,
        "imageScanningConfiguration": {"scanOnPush": found.scan_on_push},
        "encryptionConfiguration": encryption(found),
    }
    if found.mutability_filters:
        shape["imageTagMutabilityExclusionFilters"] = exclusions(found)
    return shape


def encryption(found: Repository) -> Structure:
    if found.kms_key is None:
        return {"encryptionType": found.encryption}
    return {"encryptionType": found.encryption, "kmsKey": found.kms_key}


def exclusions(found: Repository) -> list[Structure]:
    return [{"filterType": "WILDCARD", "filter": one} for one in found.mutability_filters]


def image_id(digest: str | None, tag: str | None = None) -> Structure:
    return {key: value for key, value in (("imageDigest", digest), ("imageTag", tag)) if value is not None}


def image_detail(registry: RegistryRef, name: str, image: Image) -> Structure:
    shape: Structure = {
        "registryId": registry.account,
        "repositoryName": name,
        "imageDigest": image.digest,
        "imageSizeInBytes": image.image_size,
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
        "imageStatus": image.status,
    }
    if image.tags:
        shape["imageTags"] = list(image.tags)
    if image.pulled_at is not None:
        shape["lastRecordedPullTime"] = image.pulled_at
    if image.archived_at is not None:
        shape["lastArchivedAt"] = image.archived_at
    if image.activated_at is not None:
        shape["lastActivatedAt"] = image.activated_at
    if image.artifact_type is not None:
        shape["artifactMediaType"] = image.artifact_type
    if image.subject is not None:
        shape["subjectManifestDigest"] = image.subject
    return shape


def referrer(image: Image) -> Structure:
    shape: Structure = {
        "digest": image.digest,
        "mediaType": image.media_type,
        "size": image.body_size,
        "artifactStatus": image.status,
    }
    if image.artifact_type is not None:
        shape["artifactType"] = image.artifact_type
    if image.annotations:
        shape["annotations"] = dict(image.annotations)
    return shape
