"""Clients that change a server's data and enter every change in a ledger, until the server is gone."""

import contextlib
import http.client
import random
import threading
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import botocore.exceptions

from tests.builders import Built, digest_of, image
from tests.faults.ledger import Ledger, Register, Value
from tests.servers import Answer, RunningServer


class Gone(Exception):
    """There was no answer."""


class Door(Protocol):
    """A way in. Each call makes one change and returns the status of the answer. Raises Gone."""

    def push_blob(self, repository: str, data: bytes, way: random.Random) -> int: ...
    def put_manifest(self, repository: str, built: Built, tag: str) -> int: ...
    def delete_image(self, repository: str, digest: str) -> int: ...
    def delete_tag(self, repository: str, tag: str) -> int: ...


class OciDoor:
    """`/v2/`, on one connection."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def push_blob(self, repository: str, data: bytes, way: random.Random) -> int:
        """By POST, by POST and PUT, or by POST, PATCHes and PUT."""
        digest, start = digest_of(data), f"/v2/{repository}/blobs/uploads/"
        kind = way.choice(("post", "put", "patch"))
        if kind == "post":
            return self._call("POST", f"{start}?digest={digest}", data).status
        answer = self._call("POST", start)
        if answer.status != 202:
            return answer.status
        at = 0
        if kind == "patch":
            for end in sorted({way.randrange(len(data) + 1), way.randrange(len(data) + 1)}):
                answer = self._call("PATCH", _path(answer), data[at:end])
                if answer.status != 202:
                    return answer.status
                at = end
        return self._call("PUT", f"{_path(answer)}?digest={digest}", data[at:]).status

    def put_manifest(self, repository: str, built: Built, tag: str) -> int:
        path = f"/v2/{repository}/manifests/{tag}"
        return self._call("PUT", path, built.body, {"Content-Type": built.media_type}).status

    def delete_image(self, repository: str, digest: str) -> int:
        return self._call("DELETE", f"/v2/{repository}/manifests/{digest}").status

    def delete_tag(self, repository: str, tag: str) -> int:
        return self._call("DELETE", f"/v2/{repository}/manifests/{tag}").status

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._server.netloc, timeout=30)
        try:
            self._connection.request(method, path, body, {"Authorization": self._server.basic, **(headers or {})})
            found = self._connection.getresponse()
            return Answer(found.status, found.headers, found.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Gone from error


class AwsDoor:
    """The ECR API, by boto3."""

    def __init__(self, client: Any) -> None:
        self._ecr = client

    def push_blob(self, repository: str, data: bytes, way: random.Random) -> int:
        begun, upload = self._call(self._ecr.initiate_layer_upload, repositoryName=repository)
        if begun != 200:
            return begun
        at = {"repositoryName": repository, "uploadId": upload["uploadId"]}
        span = {"partFirstByte": 0, "partLastByte": len(data) - 1}
        sent, _ = self._call(self._ecr.upload_layer_part, **at, **span, layerPartBlob=data)
        if sent != 200:
            return sent
        status, told = self._call(self._ecr.complete_layer_upload, **at, layerDigests=[digest_of(data)])
        # Layers of one byte are few, so somebody may have brought this one; then it is as good as pushed.
        return 200 if told.get("Error", {}).get("Code") == "LayerAlreadyExistsException" else status

    def put_manifest(self, repository: str, built: Built, tag: str) -> int:
        more = {"imageManifest": built.body.decode(), "imageManifestMediaType": built.media_type, "imageTag": tag}
        status, told = self._call(self._ecr.put_image, repositoryName=repository, **more)
        return 200 if told.get("Error", {}).get("Code") == "ImageAlreadyExistsException" else status

    def delete_image(self, repository: str, digest: str) -> int:
        return self._delete(repository, {"imageDigest": digest})

    def delete_tag(self, repository: str, tag: str) -> int:
        return self._delete(repository, {"imageTag": tag})

    def _delete(self, repository: str, image_id: dict[str, str]) -> int:
        status, told = self._call(self._ecr.batch_delete_image, repositoryName=repository, imageIds=[image_id])
        return 404 if status == 200 and told["failures"] else status

    def _call(self, operation: Any, **arguments: Any) -> tuple[int, dict[str, Any]]:
        try:
            told: dict[str, Any] = operation(**arguments)
        except botocore.exceptions.ClientError as error:
            told = dict(error.response)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.HTTPClientError) as error:
            raise Gone from error
        return told["ResponseMetadata"]["HTTPStatusCode"], told


class Writer:
    """Pushes, moves its tag and deletes, one change after the other. What it names is its own; layers may be shared."""

    _SIZES: Final = (1, 200, 5_000, 60_000, 200_000)

    def __init__(self, number: int, ledger: Ledger, door: Door, repository: str, seed: int) -> None:
        self._ledger, self._door, self._repository = ledger, door, repository
        self._random = random.Random(f"{seed}/{number}")
        self._number, self._serial = number, 0
        self._images: list[Built] = []
        self._tags: set[Register] = set()
        self._blobs: list[bytes] = []

    def run(self, stop: threading.Event) -> None:
        """Until the server is gone, or `stop`."""
        with contextlib.suppress(Gone):
            while not stop.is_set():
                self._step()

    def _step(self) -> None:
        alive = [built for built in self._images[-50:] if self._ledger.value(self._manifest(built)) is not None]
        choice = self._random.random()
        if not alive or choice < 0.25:
            self._push()
        elif choice < 0.8:
            self._tag(self._random.choice(alive), f"moving-{self._number}")
        elif choice < 0.9:
            self._delete_image(self._random.choice(alive))
        else:
            self._delete_tag()

    def _push(self) -> None:
        layers = [self._random.randbytes(self._random.choice(self._SIZES)) for _ in range(self._random.randint(1, 2))]
        config = self._random.randbytes(60)
        for blob in (config, *layers):
            if not self._made(self._blob(blob), blob):
                return
        old = self._blobs[-20:]
        shared = [self._random.choice(old)] if old and self._random.random() < 0.3 else []
        self._blobs += layers
        built = image(config=config, layers=[*layers, *shared])
        self._images.append(built)
        self._serial += 1
        self._tag(built, f"w{self._number}-{self._serial}")

    def _made(self, register: Register, blob: bytes) -> bool:
        with self._ledger.change({register: register.reference}) as change:
            change.status = self._door.push_blob(self._repository, blob, self._random)
        return change.status < 300

    def _tag(self, built: Built, tag: str) -> None:
        named = Register(self._repository, "manifests", tag)
        self._tags.add(named)
        with self._ledger.change({named: built.digest, self._manifest(built): built.digest}) as change:
            change.status = self._door.put_manifest(self._repository, built, tag)

    def _delete_image(self, built: Built) -> None:
        gone: list[Register] = [self._manifest(built), *self._ledger.holding(built.digest, self._tags)]
        with self._ledger.change(dict.fromkeys(gone)) as change:
            change.status = self._door.delete_image(self._repository, built.digest)

    def _delete_tag(self) -> None:
        tags = sorted(tag for tag in self._tags if self._ledger.value(tag) is not None)
        if not tags:
            return
        tag = self._random.choice(tags)
        digest = self._ledger.value(tag)
        assert digest is not None
        after: dict[Register, Value] = {tag: None}
        if isinstance(self._door, AwsDoor) and self._ledger.holding(digest, self._tags) == [tag]:
            after[Register(self._repository, "manifests", digest)] = None  # ECR's rule: with its last tag
        with self._ledger.change(after) as change:
            change.status = self._door.delete_tag(self._repository, tag.reference)

    def _manifest(self, built: Built) -> Register:
        return Register(self._repository, "manifests", built.digest)

    def _blob(self, data: bytes) -> Register:
        return Register(self._repository, "blobs", digest_of(data))


def _path(answer: Answer) -> str:
    return urlsplit(answer.headers.get("Location", "/")).path
