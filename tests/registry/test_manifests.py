"""Manifests: what is read from each kind, and what is refused because two clients could read it differently."""

import base64
import hashlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import manifests
from registry.errors import Invalid, ManifestInvalid, TooLarge
from registry.manifests import DOCKER_IMAGE, DOCKER_LIST, MAX_MANIFEST, OCI_ARTIFACT, OCI_IMAGE, OCI_INDEX, parse
from registry.names import Digest

EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
CUSTOM = "application/vnd.example.thing.v3+json"

Json = dict[str, Any]


def descriptor(name: str = "x", media_type: str = LAYER, **more: object) -> Json:
    content = name.encode()
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content), **more}


def image(**changes: object) -> Json:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor("config", CONFIG),
        "layers": [descriptor("one"), descriptor("two!")],
    }
    return {key: value for key, value in {**document, **changes}.items() if value is not ...}


def index(**changes: object) -> Json:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor("amd64", OCI_IMAGE), descriptor("arm64", OCI_IMAGE)],
    }
    return {key: value for key, value in {**document, **changes}.items() if value is not ...}


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def read(document: object, content_type: str | None = None) -> manifests.Manifest:
    return parse(encoded(document), content_type)


# --- what is read -----------------------------------------------------------------------------------------------------


def test_an_image_says_its_blobs_and_size() -> None:
    found = read(image(annotations={"a": "b"}), OCI_IMAGE)

    assert found.kind == "image"
    assert found.media_type == OCI_IMAGE
    assert found.config is not None
    assert found.blobs == (Digest.of(b"config"), Digest.of(b"one"), Digest.of(b"two!"))
    assert found.size == 6 + 3 + 4
    assert found.config_media_type == found.artifact_type == CONFIG
    assert found.annotations == {"a": "b"}
    assert (found.children, found.child_digests) == ((), ())
    assert found.subject is None


def test_an_index_says_its_children_and_their_platforms() -> None:
    platform = {"os": "windows", "architecture": "amd64", "variant": "v8", "os.version": "10.0", "os.features": ["w"]}
    found = read(index(manifests=[descriptor("a", OCI_IMAGE, platform=platform), descriptor("b", OCI_INDEX)]))

    assert found.kind == "index"
    assert found.child_digests == (Digest.of(b"a"), Digest.of(b"b"))
    assert found.children[0].platform == manifests.Platform(
        os="windows", architecture="amd64", variant="v8", os_version="10.0"
    )
    assert found.children[1].platform is None
    assert (found.blobs, found.size, found.artifact_type) == ((), 0, None)


def test_a_subject_and_an_artifact_type_are_read() -> None:
    found = read(image(subject=descriptor("s", OCI_IMAGE), artifactType="application/spdx+json"))

    assert found.subject is not None
    assert found.subject.digest == Digest.of(b"s")
    assert found.artifact_type == "application/spdx+json"
    assert found.config_media_type == CONFIG


def test_an_index_may_have_a_subject_and_an_artifact_type() -> None:
    found = read(index(subject=descriptor("s", OCI_IMAGE), artifactType="application/x"))

    assert found.subject is not None
    assert found.artifact_type == "application/x"


def test_an_oci_artifact_manifest_has_blobs() -> None:
    found = read({"mediaType": OCI_ARTIFACT, "artifactType": "application/x", "blobs": [descriptor("one")]})

    assert (found.kind, found.artifact_type, found.config) == ("image", "application/x", None)
    assert found.blobs == (Digest.of(b"one"),)


def test_what_is_listed_twice_is_referenced_once() -> None:
    layers = [descriptor("one"), descriptor("one")]
    twice = [descriptor("a", OCI_IMAGE), descriptor("a", OCI_IMAGE)]

    assert read(image(layers=layers)).blobs == (Digest.of(b"config"), Digest.of(b"one"))
    assert read(image(layers=layers)).size == 6 + 3 + 3
    assert read(index(manifests=twice)).child_digests == (Digest.of(b"a"),)


FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


@pytest.mark.parametrize(
    ("media_type", "urls", "needed"),
    [
        (NONDISTRIBUTABLE, ["https://example.com/x"], False),
        (FOREIGN, ["https://example.com/x"], False),
        (NONDISTRIBUTABLE, [], True),
        (NONDISTRIBUTABLE, None, True),
        (LAYER, ["https://example.com/x"], True),
    ],
)
def test_only_a_foreign_layer_with_urls_need_not_exist(media_type: str, urls: object, needed: bool) -> None:
    found = read(image(layers=[descriptor("far", media_type, urls=urls)]))

    assert needed is (Digest.of(b"far") in found.blobs)
    assert found.size == 6 + 3


def test_cache_blobs_in_an_index_are_blobs() -> None:
    config = descriptor("cache", "application/vnd.buildkit.cacheconfig.v0")
    found = read(index(manifests=[descriptor("one"), config, descriptor("a", OCI_IMAGE)]))

    assert found.kind == "index"
    assert found.blobs == (Digest.of(b"one"), Digest.of(b"cache"))
    assert found.child_digests == (Digest.of(b"a"),)


@pytest.mark.parametrize(
    ("document", "content_type", "kind", "media_type"),
    [
        (image(), OCI_IMAGE, "image", OCI_IMAGE),
        (image(), None, "image", OCI_IMAGE),
        (image(), "", "image", OCI_IMAGE),
        (image(), f"{OCI_IMAGE}; charset=utf-8", "image", OCI_IMAGE),
        (image(mediaType=...), OCI_IMAGE, "image", OCI_IMAGE),
        (image(mediaType=""), OCI_IMAGE, "image", OCI_IMAGE),
        (image(mediaType=...), None, "image", OCI_IMAGE),
        (image(mediaType=...), DOCKER_IMAGE, "image", DOCKER_IMAGE),
        (image(mediaType=DOCKER_IMAGE), DOCKER_IMAGE, "image", DOCKER_IMAGE),
        (image(mediaType=DOCKER_IMAGE), None, "image", DOCKER_IMAGE),
        (index(), OCI_INDEX, "index", OCI_INDEX),
        (index(mediaType=...), None, "index", OCI_INDEX),
        (index(mediaType=DOCKER_LIST), DOCKER_LIST, "index", DOCKER_LIST),
        ({"artifactType": "a/b"}, OCI_ARTIFACT, "image", OCI_ARTIFACT),
        (image(mediaType=CUSTOM), CUSTOM, "image", CUSTOM),
        (image(mediaType=CUSTOM, schemaVersion=7), None, "image", CUSTOM),
        (index(mediaType=CUSTOM), CUSTOM, "index", CUSTOM),
        ({"blobs": [descriptor()]}, CUSTOM, "image", CUSTOM),
        ({}, CUSTOM, "image", CUSTOM),
        ({"custom": [1, None, 1.5, {"manifests": 1}]}, CUSTOM, "image", CUSTOM),
        # What Go programs write for nothing.
        (image(layers=None), None, "image", OCI_IMAGE),
        (index(manifests=None), None, "index", OCI_INDEX),
        (image(annotations=None, subject=None, artifactType=None), None, "image", OCI_IMAGE),
        (image(layers=...), None, "image", OCI_IMAGE),
        (image(layers=[]), None, "image", OCI_IMAGE),
        (index(manifests=[]), None, "index", OCI_INDEX),
        (image(config=descriptor("{}", EMPTY)), None, "image", OCI_IMAGE),
        (image(layers=[descriptor("", LAYER)]), None, "image", OCI_IMAGE),
        (image(**{"org.example.custom": "x", "config": descriptor("c", CONFIG, custom=1)}), None, "image", OCI_IMAGE),
        (index(manifests=[descriptor("a", OCI_IMAGE, platform={})]), None, "index", OCI_INDEX),
        (image(annotations={"Layers": "x", "layers": "y"}), None, "image", OCI_IMAGE),
    ],
)
def test_every_lawful_form_is_accepted(document: Json, content_type: str | None, kind: str, media_type: str) -> None:
    found = read(document, content_type)

    assert (kind, media_type) == (found.kind, found.media_type)


def test_sha512_digests_are_references() -> None:
    digest = f"sha512:{hashlib.sha512(b'x').hexdigest()}"
    found = read(image(layers=[{**descriptor(), "digest": digest}]))

    assert digest in found.blobs


def test_an_empty_artifact_type_is_none() -> None:
    assert read(image(artifactType="")).artifact_type == CONFIG
    assert read(index(artifactType="")).artifact_type is None


def test_data_in_a_descriptor_is_verified() -> None:
    carried = base64.b64encode(b"config").decode()

    assert read(image(config=descriptor("config", CONFIG, data=carried))).config is not None


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "content_type", "where", "why"),
    [
        # One document, two readings.
        (image(manifests=[]), None, "$", "cannot have both 'layers' and 'manifests'"),
        (index(config=descriptor()), None, "$", "cannot have both"),
        (index(layers=None), None, "$", "cannot have both"),
        (image(blobs=[]), None, "$", "cannot have both"),
        (image(fsLayers=[]), None, "$", "cannot have both"),
        ({"manifests": [], "blobs": []}, CUSTOM, "$", "cannot have both"),
        (image(), DOCKER_IMAGE, "$.mediaType", "must be equal"),
        (image(), OCI_INDEX, "$.mediaType", "must be equal"),
        (image(), "application/json", "$.mediaType", "must be equal"),
        (image(mediaType=OCI_INDEX), OCI_INDEX, "$.config", "has no 'config'"),
        (index(mediaType=OCI_IMAGE), OCI_IMAGE, "$.manifests", "has no 'manifests'"),
        (image(mediaType=OCI_ARTIFACT), None, "$.config", "has no 'config'"),
        (image(mediaType=...), OCI_INDEX, "$.config", "has no 'config'"),
        (image(Layers=[]), None, "$", "differs only by case from 'layers'"),
        (image(layers=..., LAYERS=[]), None, "$", "differs only by case"),
        ({**image(), "layer\u017f": []}, None, "$", "differs only by case"),
        (image(MediaType=OCI_INDEX), None, "$", "differs only by case"),
        (image(config=descriptor("c", CONFIG, Digest="x")), None, "$.config", "differs only by case"),
        (index(manifests=[descriptor("c", CONFIG, SIZE=1)]), None, "$.manifests[0]", "differs only by case"),
        # No type, or none that is known to be safe.
        (image(mediaType=..., schemaVersion=1), None, "$.mediaType", "neither"),
        ({"schemaVersion": 2}, None, "$.mediaType", "neither"),
        ({"schemaVersion": 2, "blobs": []}, None, "$.mediaType", "neither"),
        (image(mediaType=5), None, "$.mediaType", "expected a string"),
        (image(mediaType="no-slash"), None, "$.mediaType", "not a media type"),
        (image(mediaType="a/b\n"), None, "$.mediaType", "not a media type"),
        (image(mediaType=...), "a/b, c/d", "Content-Type", "not a media type"),
        (image(mediaType=...), "é/b", "Content-Type", "not a media type"),
        (image(mediaType=...), OCI_IMAGE.upper(), "Content-Type", f"write this media type as {OCI_IMAGE}"),
        (image(mediaType=OCI_INDEX.title()), None, "$.mediaType", "write this media type as"),
        ({"schemaVersion": 1, "fsLayers": []}, SCHEMA1, "$", "schema 1 is not supported"),
        ({"schemaVersion": 1, "fsLayers": []}, CUSTOM, "$", "schema 1 is not supported"),
        ({"schemaVersion": 1}, SCHEMA1, "$", "schema 1 is not supported"),
        # Required fields.
        (image(schemaVersion=1), None, "$.schemaVersion", "must be 2"),
        (image(schemaVersion=...), None, "$.schemaVersion", "must be 2"),
        (image(schemaVersion=2.0), None, "$.schemaVersion", "must be 2"),
        (image(schemaVersion="2"), None, "$.schemaVersion", "must be 2"),
        (index(schemaVersion=True), None, "$.schemaVersion", "must be 2"),
        (image(config=...), None, "$.config", "missing"),
        (image(config=None), None, "$.config", "expected a descriptor"),
        (index(manifests=...), None, "$.manifests", "missing"),
        # Fields of the wrong kind.
        (image(config=[]), None, "$.config", "Expected `object"),
        (image(layers={}), None, "$.layers", "Expected `array"),
        (image(layers=[None]), None, "$.layers[0]", "Expected `object`"),
        (image(layers=[{}]), None, "$.layers[0]", "missing required field `mediaType`"),
        (image(layers=[descriptor("x", "")]), None, "$.layers[0].mediaType", "length >= 1"),
        (image(layers=[descriptor("x", "a" * 256)]), None, "$.layers[0].mediaType", "length <= 255"),
        (image(layers=[{**descriptor(), "size": -1}]), None, "$.layers[0].size", ">= 0"),
        (image(layers=[{**descriptor(), "size": 1.0}]), None, "$.layers[0].size", "Expected `int`"),
        (image(layers=[{**descriptor(), "size": "1"}]), None, "$.layers[0].size", "Expected `int`"),
        (image(layers=[{**descriptor(), "size": True}]), None, "$.layers[0].size", "Expected `int`"),
        (image(layers=[{**descriptor(), "size": 2**63}]), None, "$", "does not fit in 64 bits"),
        (image(layers=[{**descriptor(), "size": 2**62 - 3}] * 2), None, "$", "do not fit in 64 bits"),
        (image(annotations={"a": 1}), None, "$.annotations[...]", "Expected `str`"),
        (image(annotations=[]), None, "$.annotations", "Expected `object"),
        (image(subject=[]), None, "$.subject", "Expected `object"),
        (image(artifactType=1), None, "$.artifactType", "Expected `str"),
        (image(artifactType="a\0b"), None, "$.artifactType", "holds the character NUL"),
        (image(config=descriptor("a", mediaType="a\0b")), None, "$.config.mediaType", "holds the character NUL"),
        (image(layers=[descriptor("x", urls="https://x")]), None, "$.layers[0].urls", "Expected `array"),
        (index(manifests=[descriptor("x", platform="linux")]), None, "$.manifests[0].platform", "Expected `object"),
        ({"config": "x"}, CUSTOM, "$.config", "Expected `object"),
        # Digests and data.
        (image(config={**descriptor(), "digest": "sha256:" + "A" * 64}), None, "$.config.digest", "lower-case"),
        (image(config={**descriptor(), "digest": "sha256:../../etc"}), None, "$.config.digest", "hexadecimal"),
        (image(layers=[{**descriptor(), "digest": "md5:" + "a" * 32}]), None, "$.layers[0].digest", "unsupported"),
        (image(subject={**descriptor(), "digest": ""}), None, "$.subject.digest", "a digest is"),
        (index(manifests=[descriptor(), {**descriptor(), "digest": "x"}]), None, "$.manifests[1].digest", "a digest"),
        (image(config=descriptor("a", data="Yg==")), None, "$.config.data", "size and digest"),
        (image(config={**descriptor("a", data="YQ=="), "size": 2}), None, "$.config.data", "size and digest"),
        (image(config=descriptor("a", data="YQ")), None, "$.config.data", "not base64"),
        (image(config=descriptor("a", data="Y Q==")), None, "$.config.data", "not base64"),
        (image(config=descriptor("a", data="é")), None, "$.config.data", "not base64"),
        (image(config=descriptor("a", data=1)), None, "$.config.data", "Expected `str"),
        # No object at all.
        ([], CUSTOM, "$", "JSON object"),
        ("x", CUSTOM, "$", "JSON object"),
        (None, OCI_IMAGE, "$", "JSON object"),
    ],
)
def test_a_doubtful_manifest_is_refused(document: object, content_type: str | None, where: str, why: str) -> None:
    with pytest.raises(ManifestInvalid) as trouble:
        read(document, content_type)

    assert where == trouble.value.where
    assert why in trouble.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\x1f\x8b\x08",
        b'{"layers":[],"layers":[]}',
        b'{"schemaVersion":2,"schemaVersion":2}',
        b'{"config":{"size":1,"size":2}}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a":1' + b"0" * 5000 + b"}",
        b'{"a":1}{"b":1}',
    ],
)
def test_hostile_json_is_no_manifest(body: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse(body, CUSTOM)


def test_the_limit_is_four_mebibytes_to_the_byte() -> None:
    start, end = b'{"padding":"', b'"}'
    largest = start + b"x" * (MAX_MANIFEST - len(start) - len(end)) + end

    assert MAX_MANIFEST == 4 * 1024 * 1024 == len(largest)
    assert parse(largest, CUSTOM).kind == "image"
    with pytest.raises(TooLarge):
        parse(largest + b" ", CUSTOM)


# --- large and arbitrary ----------------------------------------------------------------------------------------------


def many(count: int, media_type: str) -> list[Json]:
    return [{"mediaType": media_type, "digest": f"sha256:{number:064x}", "size": number} for number in range(count)]


def test_the_largest_legal_image_costs_a_bounded_multiple_of_its_bytes() -> None:
    layers = [{**item, "annotations": {"org.example": "x" * 16}} for item in many(18_500, LAYER)]
    body = encoded(image(layers=layers))
    assert 0.9 * MAX_MANIFEST < len(body) < MAX_MANIFEST

    tracemalloc.start()
    found = parse(body, OCI_IMAGE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(found.blobs) == 18_501
    assert peak < 10 * MAX_MANIFEST


def test_each_descriptor_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    once = manifests._descriptor

    def counting(*args: Any) -> manifests.Descriptor:
        nonlocal calls
        calls += 1
        return once(*args)

    monkeypatch.setattr(manifests, "_descriptor", counting)

    assert len(read(image(layers=many(20_000, "a/b"))).layers) == 20_000
    assert calls == 20_001


def test_an_index_has_at_most_ten_thousand_children() -> None:
    assert len(read(index(manifests=many(10_000, OCI_IMAGE))).children) == 10_000
    with pytest.raises(ManifestInvalid, match="length <= 10000"):
        read(index(manifests=many(10_001, OCI_IMAGE)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["config", "layers", "blobs", "manifests", "subject", "annotations", "artifactType", "data"])
TYPES = st.sampled_from([None, OCI_IMAGE, OCI_INDEX, DOCKER_LIST, CUSTOM, "x"])


@given(st.dictionaries(FIELDS | st.text(max_size=5), JSON | st.just([descriptor()]) | st.just(descriptor())), TYPES)
def test_any_document_is_read_or_refused_and_never_else(document: Json, content_type: str | None) -> None:
    try:
        found = read({"schemaVersion": 2, **document}, content_type)
    except Invalid:
        return

    assert found.size >= 0
    assert not (found.config and found.children)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused_and_never_else(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse(body, OCI_IMAGE)
