"""Manifests as values: bytes and a Content-Type go in, what they mean comes out, or `ManifestInvalid`.

Pure. The bytes themselves are never changed: a digest is over them, so unknown fields live on in what was sent. One
digest has one reading (two clients that read one document differently are CVE-2021-41190): the type in the document
and the Content-Type agree; a document is an image or an index and never both; no key appears twice, nor in two
spellings that a case-folding parser takes for one.

    image   Docker schema 2, OCI image, OCI artifact manifest: config and layers (or `blobs`)
    index   Docker manifest list, OCI index: children, which are manifests
    other   any other media type is judged by its fields; with none of these it is an image without references

Sources: OCI image specification, "manifest.md", "image-index.md", "descriptor.md"; OCI distribution specification,
"Pushing Manifests"; Docker "Image Manifest V 2, Schema 2"; RFC 6838 (media types).
"""

import base64
import binascii
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from policies import jsontext
from registry.errors import ManifestInvalid, TooLarge
from registry.model import ManifestKind
from registry.names import BadName, Digest

MAX_MANIFEST: Final = 4_194_304  # bytes; the ECR model's limit of imageManifest, and what OCI asks to be accepted
MAX_CHILDREN: Final = 10_000  # of one index

OCI_IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT: Final = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

# Which fields make a document what it is. A document with fields of two families has two readings.
_Family = Literal["image", "artifact", "index", "schema1"]
_FAMILIES: Final[Mapping[str, _Family]] = {
    "config": "image",
    "layers": "image",
    "blobs": "artifact",
    "manifests": "index",
    "fsLayers": "schema1",
}
_KNOWN: Final[Mapping[str, _Family]] = {
    OCI_IMAGE: "image",
    DOCKER_IMAGE: "image",
    OCI_ARTIFACT: "artifact",
    OCI_INDEX: "index",
    DOCKER_LIST: "index",
    "application/vnd.docker.distribution.manifest.v1+json": "schema1",
    "application/vnd.docker.distribution.manifest.v1+prettyjws": "schema1",
}
_FIELDS: Final = frozenset({"schemaVersion", "mediaType", "artifactType", "subject", "annotations", *_FAMILIES})
_DESCRIPTOR_FIELDS: Final = frozenset(
    {"mediaType", "digest", "size", "urls", "data", "annotations", "artifactType", "platform"}
)

# Layers that their owner forbids to redistribute: with `urls` they are fetched from there, and not from a registry.
_FOREIGN: Final = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)
# BuildKit's older cache format lists blobs, not manifests, in an index.
_BLOBS_IN_INDEX: Final = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
    "application/vnd.buildkit.cacheconfig.",
)

_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(f"{_WORD}/{_WORD}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an index's child runs on; empty where the descriptor does not say."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A reference to content by digest, type and size."""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()  # kept as facts; nothing here or elsewhere fetches them
    platform: Platform | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_foreign(self) -> bool:
        """Whether the content need not be in the repository, nor ever is fetched by us."""
        return bool(self.urls) and self.media_type.startswith(_FOREIGN)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says. `layers` are blobs of any kind (in an index: BuildKit's cache blobs); `children` are
    manifests."""

    kind: ManifestKind
    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None  # its own, else the config's media type; None for an index that names none
    config_media_type: str | None = None
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """The blobs that the repository must hold, each once, in the order of the document."""
        return tuple(dict.fromkeys(item.digest for item in self._content() if not item.is_foreign))

    @property
    def child_digests(self) -> tuple[Digest, ...]:
        """The manifests that an index lists, each once, in the order of the document."""
        return tuple(dict.fromkeys(child.digest for child in self.children))

    @property
    def size(self) -> int:
        """Bytes of config and layers as the document states them; a layer that is listed twice counts twice."""
        return sum(item.size for item in self._content())

    def _content(self) -> Iterator[Descriptor]:
        if self.config is not None:
            yield self.config
        yield from self.layers


def parse(body: bytes, content_type: str | None) -> Manifest:
    """What the manifest `body` says, sent with `content_type` (its parameters are ignored; None or empty: none sent).

    Raises ManifestInvalid, or TooLarge above MAX_MANIFEST.
    """
    if len(body) > MAX_MANIFEST:
        raise TooLarge("a manifest", MAX_MANIFEST)
    document = _load(body)
    _refuse_respelled(document, _FIELDS, "$")
    family = _family(document)
    media_type = _media_type(document, content_type, family)
    known = _KNOWN.get(media_type)
    if "schema1" in (family, known):
        raise ManifestInvalid("Docker image manifest version 2, schema 1 is not supported; push schema 2 or OCI")
    if known is not None:
        _check_known(document, media_type, known, family)
    return _read(document, media_type, known or family)


def _load(body: bytes) -> dict[str, Any]:
    try:
        document = jsontext.loads(body)
    except jsontext.NotJson as trouble:
        raise ManifestInvalid(str(trouble)) from None
    if not isinstance(document, dict):
        raise ManifestInvalid("a manifest is a JSON object")
    return document


# --- one reading ------------------------------------------------------------------------------------------------------


def _refuse_respelled(found: Mapping[str, Any], fields: frozenset[str], where: str) -> None:
    """Refuse `Layers` beside or instead of `layers`: parsers that ignore case would read it."""
    if found.keys() <= fields:
        return
    folded = {field.casefold(): field for field in fields}
    for key in found.keys() - fields:
        meant = folded.get(key.casefold())
        if meant is not None:
            raise ManifestInvalid(f"the key {jsontext.shown(key)} differs only by case from {meant!r}", where=where)


def _family(document: Mapping[str, Any]) -> _Family | None:
    """The one family whose fields the document has; None: it has no such field. A null counts as having it."""
    present = {_FAMILIES[field]: field for field in _FAMILIES if field in document}
    if len(present) > 1:
        fields = " and ".join(repr(field) for field in present.values())
        raise ManifestInvalid(f"a manifest cannot have both {fields}")
    return next(iter(present), None)


def _media_type(document: Mapping[str, Any], content_type: str | None, family: _Family | None) -> str:
    """The type to store. Document and header must agree; without both, only a plain OCI structure is taken."""
    stated = document.get("mediaType") or None
    if stated is not None and not isinstance(stated, str):
        raise ManifestInvalid("expected a string", where="$.mediaType")
    sent = (content_type or "").partition(";")[0].strip() or None
    for value, where in ((stated, "$.mediaType"), (sent, "Content-Type")):
        if value is not None:
            _check_media_type(value, where)
    if stated is not None and sent is not None and stated != sent:
        raise ManifestInvalid(
            f"the document says {stated!r} and the Content-Type {sent!r}; they must be equal", where="$.mediaType"
        )
    found = stated or sent
    if found is not None:
        return found
    if document.get("schemaVersion") == 2 and family in ("image", "index"):
        return OCI_IMAGE if family == "image" else OCI_INDEX
    raise ManifestInvalid("neither a mediaType nor a Content-Type says what this manifest is", where="$.mediaType")


def _check_media_type(value: str, where: str) -> None:
    if not _MEDIA_TYPE.fullmatch(value):
        raise ManifestInvalid("not a media type", where=where)
    if value not in _KNOWN and value.lower() in _KNOWN:
        raise ManifestInvalid(f"write this media type as {value.lower()}", where=where)


def _check_known(document: Mapping[str, Any], media_type: str, known: _Family, family: _Family | None) -> None:
    """A known type has its version and its own fields, and no others'."""
    version = document.get("schemaVersion")
    if known != "artifact" and (type(version) is not int or version != 2):
        raise ManifestInvalid("schemaVersion must be 2", where="$.schemaVersion")
    if family is not None and family != known:
        field = next(name for name, owner in _FAMILIES.items() if owner == family and name in document)
        raise ManifestInvalid(f"{media_type} has no {field!r}", where=f"$.{field}")
    needed = {"image": "config", "index": "manifests"}.get(known)
    if needed is not None and needed not in document:
        raise ManifestInvalid("missing", where=f"$.{needed}")
    if known == "image" and document["config"] is None:
        raise ManifestInvalid("expected a descriptor, got null", where="$.config")


# --- the fields -------------------------------------------------------------------------------------------------------

_Size = Annotated[int, Meta(ge=0, le=jsontext.MAX_INT)]
_Name = Annotated[str, Meta(min_length=1, max_length=255)]


class _WirePlatform(msgspec.Struct):
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = msgspec.field(name="os.version", default=None)


class _WireDescriptor(msgspec.Struct, rename="camel"):
    media_type: _Name
    digest: str
    size: _Size
    urls: list[str] | None = None
    data: str | None = None
    annotations: dict[str, str] | None = None
    artifact_type: str | None = None
    platform: _WirePlatform | None = None


class _WireManifest(msgspec.Struct, rename="camel"):
    """Every field that is understood. A null is an absent field: programs in Go write null for an empty list."""

    config: _WireDescriptor | None = None
    layers: list[_WireDescriptor] | None = None
    blobs: list[_WireDescriptor] | None = None
    manifests: Annotated[list[_WireDescriptor], Meta(max_length=MAX_CHILDREN)] | None = None
    subject: _WireDescriptor | None = None
    artifact_type: Annotated[str, Meta(max_length=255)] | None = None
    annotations: dict[str, str] | None = None


def _read(document: dict[str, Any], media_type: str, family: _Family | None) -> Manifest:
    wire = _convert(document)
    for where, descriptor in _descriptors(document):
        _refuse_respelled(descriptor, _DESCRIPTOR_FIELDS, where)
    document.clear()  # of the largest manifest it is twice as large as what is made of it
    config = None if wire.config is None else _descriptor(wire.config, "$.config")
    listed = _list(wire.manifests, "$.manifests")
    layers = (*_list(wire.layers, "$.layers"), *_list(wire.blobs, "$.blobs"))
    config_type = None if config is None else config.media_type
    manifest = Manifest(
        kind="index" if family == "index" else "image",
        media_type=media_type,
        config=config,
        layers=(*layers, *(item for item in listed if item.media_type.startswith(_BLOBS_IN_INDEX))),
        children=tuple(item for item in listed if not item.media_type.startswith(_BLOBS_IN_INDEX)),
        subject=None if wire.subject is None else _descriptor(wire.subject, "$.subject"),
        artifact_type=wire.artifact_type or config_type,
        config_media_type=config_type,
        annotations=wire.annotations or {},
    )
    for text, where in ((config_type, "$.config.mediaType"), (wire.artifact_type, "$.artifactType")):
        if "\0" in (text or ""):
            raise ManifestInvalid("holds the character NUL", where=where)  # which no column of PostgreSQL can
    if manifest.size > jsontext.MAX_INT:
        raise ManifestInvalid("the sizes of config and layers do not fit in 64 bits")
    return manifest


def _convert(document: dict[str, Any]) -> _WireManifest:
    try:
        return msgspec.convert(document, _WireManifest)
    except msgspec.ValidationError as trouble:
        why, _, where = str(trouble).partition(" - at `")
        raise ManifestInvalid(why, where=where.rstrip("`") or "$") from None


def _descriptors(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every descriptor of a converted document with its JSON path."""
    for field in ("config", "subject"):
        if document.get(field) is not None:
            yield f"$.{field}", document[field]
    for field in ("layers", "blobs", "manifests"):
        for index, item in enumerate(document.get(field) or ()):
            yield f"$.{field}[{index}]", item


def _list(wires: Iterable[_WireDescriptor] | None, where: str) -> tuple[Descriptor, ...]:
    return tuple(_descriptor(wire, f"{where}[{index}]") for index, wire in enumerate(wires or ()))


def _descriptor(wire: _WireDescriptor, where: str) -> Descriptor:
    try:
        digest = Digest.parse(wire.digest)
    except BadName as trouble:
        raise ManifestInvalid(trouble.why, where=f"{where}.digest") from None
    if wire.data is not None:
        _check_data(wire.data, digest, wire.size, f"{where}.data")
    return Descriptor(
        media_type=wire.media_type,
        digest=digest,
        size=wire.size,
        urls=tuple(wire.urls or ()),
        platform=None if wire.platform is None else _platform(wire.platform),
        artifact_type=wire.artifact_type or None,
        annotations=wire.annotations or {},
    )


def _platform(wire: _WirePlatform) -> Platform:
    return Platform(
        os=wire.os or "",
        architecture=wire.architecture or "",
        variant=wire.variant or "",
        os_version=wire.os_version or "",
    )


def _check_data(data: str, digest: Digest, size: int, where: str) -> None:
    """Content carried in the descriptor is the content that its digest names: a client may use it unasked."""
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ManifestInvalid("not base64", where=where) from None
    if len(content) != size or Digest.of(content, digest.algorithm) != digest:
        raise ManifestInvalid("does not have the size and digest of its descriptor", where=where)
