"""Domain values as IAM's structures, shared by the operations.

Lists show less than the Get operations do: no tags and no boundary, as at IAM.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from registry.aws.door import Params
from registry.aws.errors import invalid_parameter
from registry.entities import AccessKey, Identity, ManagedPolicy
from registry.identities import Described

Structure = dict[str, Any]

_PART = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-")


def path_of(req: Params, name: str = "Path") -> str:
    """The request's path. Raises InvalidParameter: the model lets more through than an ARN should hold."""
    path = str(req.get(name, "/"))
    parts = path.split("/")
    if parts[0] or parts[-1] or not all(part and _PART.issuperset(part) for part in parts[1:-1]):
        raise invalid_parameter(
            name, r"must satisfy regular expression '(\u002F)|(\u002F[\u0021-\u007E]+\u002F)'", path
        )
    return path


def document(text: str) -> str:
    """A policy's text as IAM answers it: encoded as in a URL."""
    return quote(text, safe="")


def tags(found: Mapping[str, str]) -> list[Structure]:
    return [{"Key": key, "Value": value} for key, value in sorted(found.items())]


def user(found: Identity) -> Structure:
    return {
        "Path": found.path,
        "UserName": found.name,
        "UserId": found.id,
        "Arn": found.arn,
        "CreateDate": found.created_at,
    }


def group(found: Identity) -> Structure:
    return {
        "Path": found.path,
        "GroupName": found.name,
        "GroupId": found.id,
        "Arn": found.arn,
        "CreateDate": found.created_at,
    }


def role(found: Identity) -> Structure:
    assert found.trust is not None
    return {
        "Path": found.path,
        "RoleName": found.name,
        "RoleId": found.id,
        "Arn": found.arn,
        "CreateDate": found.created_at,
        "AssumeRolePolicyDocument": document(found.trust.document),
        "Description": found.description,
        "MaxSessionDuration": found.max_session_seconds,
    }


def details(found: Described) -> Structure:
    """What the Get operations show beside what lists do."""
    identity, boundary = found
    shape: Structure = {}
    if identity.resource_tags:
        shape["Tags"] = tags(identity.resource_tags)
    if boundary is not None:
        shape["PermissionsBoundary"] = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}
    return shape


def managed_policy(policy: ManagedPolicy, attachments: int, boundaries: int) -> Structure:
    """`attachments`, `boundaries`: how many identities have it as the one and the other."""
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": attachments,
        "PermissionsBoundaryUsageCount": boundaries,
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }


def access_key(found: AccessKey, user_name: str | None) -> Structure:
    return {
        "UserName": user_name,
        "AccessKeyId": found.id,
        "Status": "Active" if found.active else "Inactive",
        "CreateDate": found.created_at,
    }
