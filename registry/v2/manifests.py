"""Manifests (end-3, 7a, 7b, 9)."""

from typing import Final

from aiohttp import web

from registry import images
from registry.manifests import MAX_MANIFEST
from registry.names import Digest, Tag, is_digest
from registry.records import hot
from registry.v2 import bodies, evidence
from registry.v2.calls import PUSHED, Call, empty, is_known
from registry.v2.errors import API_VERSION, OciError

_MOST_TAGS: Final = 100  # that one push may name
_TAGS_A_LINE: Final = 10  # of OCI-Tag: clients refuse too many header lines, and too long ones


async def get(call: Call) -> web.StreamResponse:
    """GET and HEAD: the bytes as they were pushed, whatever Accept says: one digest has one form."""
    reference = _reference(call)
    pulled = await images.get(call.deps, call.context.registry, call.name, reference)
    told = None
    if call.request.method == "GET":  # a HEAD asks; it pulls nothing
        told = call.deps.pulls.of(pulled.image_id, call.context.principal.entity_arn)
        told()
    evidence.give(call, hot.manifest(pulled.repository_id, reference), pulled.image_id, again=told)
    headers = {
        API_VERSION[0]: API_VERSION[1],
        "Docker-Content-Digest": pulled.digest,
        "ETag": f'"{pulled.digest}"',
        "Content-Type": pulled.media_type,
        **PUSHED,
    }
    if is_known(call.request, pulled.digest):
        return web.Response(status=304, headers=headers)
    return web.Response(body=pulled.body, headers=headers)


async def put(call: Call) -> web.StreamResponse:
    """PUT by tag, or by digest with any number of `tag` parameters."""
    reference = _reference(call)
    named = [Tag.parse(text) for text in call.request.query.getall("tag", [])]
    if len(named) > _MOST_TAGS:
        raise OciError("UNSUPPORTED", 414, f"a push may name at most {_MOST_TAGS} tags")
    if isinstance(reference, Tag):
        if named:
            raise OciError("MANIFEST_INVALID", 400, "tag parameters go with a push by digest")
        tags, digest = [reference], None
    else:
        tags, digest = list(dict.fromkeys(named)), reference
    await call.repository_for_push()
    seconds = call.deps.settings.limits.manifest_seconds
    async with bodies.whole(call.request, "a manifest", limit=MAX_MANIFEST, seconds=seconds) as body:
        if not body:
            raise OciError("MANIFEST_INVALID", 400, "the manifest is empty")
        kind = call.request.headers.get("Content-Type")
        pushed = await images.put(call.deps, call.context.registry, call.name, body, kind, tags=tags, digest=digest)
    found = pushed.image.digest
    answer = empty(201, Location=f"/v2/{call.name}/manifests/{found}", Docker_Content_Digest=found)
    if pushed.image.subject is not None:
        answer.headers["OCI-Subject"] = pushed.image.subject
    for first in range(0, len(named and tags), _TAGS_A_LINE):
        answer.headers.add("OCI-Tag", ", ".join(tags[first : first + _TAGS_A_LINE]))
    return answer


async def delete(call: Call) -> web.StreamResponse:
    """DELETE a tag, and only the tag; or an image with all its tags."""
    reference = _reference(call)
    if isinstance(reference, Digest):
        await images.delete(call.deps, call.context.registry, call.name, reference)
    else:
        await images.delete_tag(call.deps, call.context.registry, call.name, reference, last_takes_image=False)
    return empty(202)


def _reference(call: Call) -> Digest | Tag:
    return Digest.parse(call.reference) if is_digest(call.reference) else Tag.parse(call.reference)
