"""Lists (end-8a/b, 12a/b, and the catalog): tags, referrers, repositories.

Each page is one range of an index behind the last name of the page before, so it costs what the page holds and not
what the repository holds.
"""

import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from aiohttp import web

from registry import images, repositories
from registry.manifests import MAX_MANIFEST, OCI_INDEX
from registry.model import Image, Repository
from registry.names import Digest
from registry.v2.calls import Call
from registry.v2.errors import API_VERSION, OciError

PAGE: Final = 1000  # names; also the most that `n` gets
_REFERRERS: Final = 100
_NUMBER = re.compile(r"[0-9]{1,40}")


async def tags(call: Call) -> web.StreamResponse:
    limit = _limit(call, PAGE)
    found = await images.tag_page(
        call.deps, call.context.registry, call.name, after=call.query("last") or "", limit=limit + 1
    )
    page = found[:limit]
    link = {"n": str(limit), "last": page[-1]} if len(found) > limit > 0 else None
    return _page(call, {"name": call.name, "tags": page}, link)


async def catalog(call: Call) -> web.StreamResponse:
    """The repositories that the caller may describe; a caller who may describe none is told so."""
    limit, after = _limit(call, PAGE), call.query("last") or ""

    async def page(after: str, most: int) -> list[Repository]:
        return await repositories.page(call.deps, call.context.registry, after=after, limit=most)

    found = await call.context.visible(
        "ecr:DescribeRepositories", page, all_of_them=call.arn, after=after, limit=limit + 1
    )
    names = [repository.name for repository in found[:limit]]
    link = {"n": str(limit), "last": names[-1]} if len(found) > limit > 0 else None
    return _page(call, {"repositories": names}, link)


async def referrers(call: Call) -> web.StreamResponse:
    subject = Digest.parse(call.reference)
    wanted = call.query("artifactType")
    limit = min(_limit(call, _REFERRERS), _REFERRERS)
    found = await images.referrers(
        call.deps,
        call.context.registry,
        call.name,
        subject,
        after=call.query("last") or "",
        limit=limit + 1,
        artifact_types=[wanted] if wanted else [],
    )
    descriptors, full = _descriptors(found[:limit])
    link = None
    if descriptors and (full or len(found) > limit):
        link = {
            **({"artifactType": wanted} if wanted else {}),
            "n": str(limit),
            "last": found[len(descriptors) - 1].digest,
        }
    answer = _page(call, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}, link)
    answer.headers["Content-Type"] = OCI_INDEX
    if wanted:
        answer.headers["OCI-Filters-Applied"] = "artifactType"
    return answer


def _descriptors(found: list[Image]) -> tuple[list[dict[str, object]], bool]:
    """Descriptors of as many images as fit in one manifest, and whether some did not fit."""
    descriptors: list[dict[str, object]] = []
    size = 0
    for image in found:
        descriptor: dict[str, object] = {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": image.body_size,
        }
        if image.artifact_type:
            descriptor["artifactType"] = image.artifact_type
        if image.annotations:
            descriptor["annotations"] = dict(image.annotations)
        size += len(json.dumps(descriptor))
        if descriptors and size > MAX_MANIFEST - 4096:
            return descriptors, True
        descriptors.append(descriptor)
    return descriptors, False


def _limit(call: Call, most: int) -> int:
    text = call.query("n")
    if text is None:
        return most
    if not _NUMBER.fullmatch(text):
        raise OciError("UNSUPPORTED", 400, "n must be a whole number, 0 or more")
    return min(int(text), most)


def _page(call: Call, body: Mapping[str, object], link: Mapping[str, str] | None) -> web.Response:
    answer = web.Response(body=json.dumps(body).encode(), content_type="application/json")
    answer.headers[API_VERSION[0]] = API_VERSION[1]
    if link is not None:
        path = quote(call.request.rel_url.path)
        answer.headers["Link"] = f'<{path}?{urlencode(link)}>; rel="next"'
    return answer
