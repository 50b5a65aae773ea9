"""Parameters of API operations, generated from the shapes of AWS's models: mostly lawful, now and then not."""

import base64
import string
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from registry.aws.spec import Service, Shape
from tests.fuzz.pool import REPOSITORIES, Pool
from tests.fuzz.texts import anything

POLICY: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}',
    '{"Version":"2012-10-17","Statement":[]}',
    '{"Version":"2012-10-17","Statement":{"Effect":"Deny"}}',
)
_DEEPEST: Final = 6  # shapes may hold themselves


def known_values(pool: Pool) -> dict[str, Callable[[], list[Any]]]:
    """Values that make sense, by the name of the member that they are for."""
    return {
        "repositoryName": lambda: list(REPOSITORIES),
        "repositoryNames": lambda: [[name] for name in REPOSITORIES],
        "registryId": lambda: ["000000000000"],
        "registryIds": lambda: [["000000000000"]],
        "resourceArn": lambda: [f"arn:aws:ecr:us-east-1:000000000000:repository/{name}" for name in REPOSITORIES],
        "imageDigest": lambda: [built.digest for built in pool.built],
        "imageTag": lambda: ["v1", "latest", "t0", "new"],
        "imageId": lambda: [{"imageTag": "v1"}, {"imageDigest": pool.built[-1].digest}],
        "imageIds": lambda: [[{"imageTag": "v1"}], [{"imageDigest": pool.built[-1].digest}]],
        "imageManifest": lambda: [built.body.decode() for built in pool.built],
        "imageManifestMediaType": lambda: [built.media_type for built in pool.built],
        "subjectId": lambda: [{"imageDigest": pool.built[-1].digest}],
        "layerDigest": lambda: pool.digests,
        "layerDigests": lambda: [[digest] for digest in pool.digests],
        "layerPartBlob": lambda: [base64.b64encode(blob).decode() for blob in pool.blobs],
        "partFirstByte": lambda: [0],
        "partLastByte": lambda: [len(blob) - 1 for blob in pool.blobs],
        "uploadId": lambda: pool.api_uploads,
        "policyText": lambda: list(POLICY),
        "maxResults": lambda: [1, 2, 100, 1000],
        "nextToken": lambda: [None],
        "upstreamRegistryUrl": lambda: ["localhost:1", "127.0.0.1:1"],
    }


def call(service: Service, operation: str, pool: Pool) -> st.SearchStrategy[Any]:
    """The parameters of one call."""
    shape = service.operations[operation].input
    if shape is None:
        return st.just({})
    lawful, any_kind = (
        _Shapes(service, pool, is_lawful=is_lawful).structure(service.shapes[shape], _DEEPEST)
        for is_lawful in (True, False)
    )
    return st.integers(0, 9).flatmap(lambda chance: lawful if chance < 6 else any_kind)


class _Shapes:
    def __init__(self, service: Service, pool: Pool, *, is_lawful: bool) -> None:
        self._shapes, self._known, self._is_lawful = service.shapes, known_values(pool), is_lawful

    def structure(self, shape: Shape, depth: int) -> st.SearchStrategy[dict[str, Any]]:
        @st.composite
        def build(draw: st.DrawFn) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for member, name in shape.members.items():
                required = 20 if self._is_lawful else 17
                if draw(st.integers(0, 19)) < (required if member in shape.required else 4) and depth:
                    found[member] = draw(self._member(member, name, depth))
            if not self._is_lawful and draw(st.integers(0, 9)) == 0:
                found[draw(anything)] = draw(_odd)
            return found

        return build()

    def _member(self, member: str, name: str, depth: int) -> st.SearchStrategy[Any]:
        lawful = self._value(name, depth - 1)
        if member in self._known:
            lawful = st.deferred(lambda: st.sampled_from(self._known[member]()))
        if self._is_lawful:
            return lawful
        return st.integers(0, 9).flatmap(lambda chance: lawful if chance < 7 else self._value_or_odd(name, depth))

    def _value_or_odd(self, name: str, depth: int) -> st.SearchStrategy[Any]:
        return st.one_of(self._value(name, depth - 1), _odd)

    def _value(self, name: str, depth: int) -> st.SearchStrategy[Any]:
        shape = self._shapes[name]
        if depth <= 0:
            return _odd
        match shape.kind:
            case "structure":
                return self.structure(shape, depth)
            case "list":
                return st.lists(self._value(shape.item, depth - 1), max_size=3)
            case "map":
                return st.dictionaries(anything, self._value(shape.value, depth - 1), max_size=3)
            case "string":
                return _text(shape)
            case "blob":
                return st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode())
            case "boolean":
                return st.booleans()
            case "timestamp":
                return st.one_of(st.integers(0, 2**33), st.floats())
            case _:
                return _number(shape)


def _text(shape: Shape) -> st.SearchStrategy[str]:
    if shape.enum:
        return st.sampled_from([*shape.enum, "", shape.enum[0].lower()])
    plain = st.text(string.ascii_lowercase + string.digits + "-/", min_size=min(int(shape.min or 0), 50), max_size=60)
    return st.one_of(plain, anything)


def _number(shape: Shape) -> st.SearchStrategy[int]:
    least, most = int(shape.min or 0), int(shape.max or 2**31 - 1)
    return st.one_of(st.integers(least, most), st.sampled_from([least - 1, most + 1, -1, 2**31, 2**63, 2**64]))


_odd: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), anything, st.just([]), st.just({}), st.just([None]),
    st.just({"a": {"b": [{}]}}),
)  # fmt: skip
