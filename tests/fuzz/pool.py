"""What a fuzzed server has, so that requests can be about something: names, digests, uploads, manifests."""

import dataclasses
import itertools
import os
from typing import Final

from tests.builders import Built, digest_of, image, index, push
from tests.servers import RunningServer

REPOSITORIES: Final = ("fuzz-a", "fuzz/b")


@dataclasses.dataclass
class Pool:
    """`refill` puts back what requests have deleted."""

    server: RunningServer
    blobs: list[bytes] = dataclasses.field(default_factory=list)
    built: list[Built] = dataclasses.field(default_factory=list)
    uploads: list[str] = dataclasses.field(default_factory=list)  # paths
    api_uploads: list[str] = dataclasses.field(default_factory=list)  # ids
    _numbers: "itertools.count[int]" = dataclasses.field(default_factory=itertools.count)

    def refill(self) -> None:
        number = next(self._numbers)
        with self.server.client() as ecr:
            for name in REPOSITORIES:
                try:
                    ecr.create_repository(repositoryName=name)
                except ecr.exceptions.RepositoryAlreadyExistsException:
                    # Requests may have made its tags immutable, and have given it a policy.
                    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="MUTABLE")
                one, two = image(layers=[os.urandom(100)]), image(layers=[os.urandom(2000)])
                several = index(one, two)
                for built, tag in ((one, "v1"), (two, "latest"), (several, f"t{number % 20}")):
                    push(self.server, name, built, tag)
                self.built += [one, two, several]
                self.blobs += [*one.blobs, *two.blobs]
                begun = self.server.request("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
                self.uploads.append(str(begun))
                self.api_uploads.append(ecr.initiate_layer_upload(repositoryName=name)["uploadId"])
        del self.built[:-12], self.blobs[:-24], self.uploads[:-6], self.api_uploads[:-6]

    @property
    def digests(self) -> list[str]:
        return [built.digest for built in self.built] + [digest_of(blob) for blob in self.blobs]
