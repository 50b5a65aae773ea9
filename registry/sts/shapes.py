"""Requests of STS as wishes for a session, and sessions as STS's structures."""

from typing import Any

from registry.aws.door import Params
from registry.errors import InvalidParameter
from registry.sessions import Issued, Wish

Structure = dict[str, Any]


def wish(req: Params, *, name: str) -> Wish:
    """What the request wants; `name` is the parameter that holds the session's name. Raises InvalidParameter."""
    tags = req.get("Tags", [])
    found = {one["Key"]: one["Value"] for one in tags}
    if len(found) != len(tags):
        raise InvalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return Wish(
        name=req.get(name, ""),
        seconds=req.get("DurationSeconds"),
        policy=req.get("Policy"),
        policy_arns=tuple(one["arn"] for one in req.get("PolicyArns", []) if "arn" in one),
        tags=found,
        transitive=tuple(req.get("TransitiveTagKeys", [])),
        source_identity=req.get("SourceIdentity", ""),
    )


def credentials(issued: Issued) -> Structure:
    found = issued.credentials
    return {
        "AccessKeyId": found.access_key_id,
        "SecretAccessKey": found.secret,
        "SessionToken": found.token,
        "Expiration": found.expires_at,
    }


def role_session(issued: Issued, *, role_name: str) -> Structure:
    """What both ways to assume a role answer."""
    session = issued.session
    return {
        "Credentials": credentials(issued),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{session.entity}:{session.name}",
            "Arn": f"arn:aws:sts::{session.account}:assumed-role/{role_name}/{session.name}",
        },
        "PackedPolicySize": issued.packed_percent,
        "SourceIdentity": session.source_identity or None,
    }
