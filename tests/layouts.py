"""OCI image layouts on disk, which clients push from and pull into.

Source: OCI image specification 1.1, "Image Layout".
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.builders import OCI_INDEX, OCI_LAYER, Built, descriptor, digest_of, image, index, unique_bytes
from tests.engines import tar

_NAME: Final = "org.opencontainers.image.ref.name"


def root_image(architecture: str = "amd64", *, layers: int = 2) -> Built:
    """An image that clients can unpack: its layers are archives, compressed, and its configuration lists them."""
    archives = [tar({f"file-{number}": unique_bytes(30_000)}) for number in range(layers)]
    compressed = [gzip.compress(archive, compresslevel=1, mtime=0) for archive in archives]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"made-for": "a test"}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(archive) for archive in archives]},
    }
    base = image(layers=compressed, config=json.dumps(config).encode())
    described = [descriptor(layer, f"{OCI_LAYER}+gzip") for layer in compressed]
    return base._replace(body=json.dumps({**base.document, "layers": described}).encode())


def platforms(*images: tuple[str, Built]) -> Built:
    """An index of (architecture, image)."""
    children = [
        built.descriptor(platform={"architecture": architecture, "os": "linux"}) for architecture, built in images
    ]
    return Built(json.dumps({**index().document, "manifests": children}).encode(), OCI_INDEX)


def write(directory: Path, tag: str, root: Built, *others: Built) -> Path:
    """A layout that names `root` with the tag, and holds the others too."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for built in (root, *others):
        for data in (built.body, *built.blobs):
            (blobs / digest_of(data).partition(":")[2]).write_bytes(data)
    top = {"schemaVersion": 2, "manifests": [root.descriptor(annotations={_NAME: tag})]}
    (directory / "index.json").write_text(json.dumps(top))
    return directory


def digests(directory: Path) -> set[str]:
    """What is in a layout, of each file the digest that its content has."""
    files: Iterable[Path] = (directory / "blobs" / "sha256").iterdir()
    found = {file.name: digest_of(file.read_bytes()) for file in files}
    assert all(digest == f"sha256:{name}" for name, digest in found.items())
    return set(found.values())


def all_digests(*builts: Built) -> set[str]:
    """What a layout of these holds."""
    return {digest_of(data) for built in builts for data in (built.body, *built.blobs)}


def tags(directory: Path) -> dict[str, str]:
    """Tag -> digest of a layout's index."""
    top = json.loads((directory / "index.json").read_text())
    return {one.get("annotations", {}).get(_NAME, ""): one["digest"] for one in top["manifests"]}
