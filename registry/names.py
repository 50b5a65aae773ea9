"""The words that everything is keyed by: accounts, regions, repositories, digests, tags, ARNs.

Each is a `str` with a `parse` that either returns a valid value or raises `BadName`; nothing below the doors handles
an unparsed name. All patterns are matched against the whole string (`fullmatch`), after a length check, so that a
hostile name costs linear time (a `$` would accept a trailing newline).

Sources: OCI distribution specification, "Pulling manifests" (names, tags); OCI image specification, "Digests";
botocore's ECR model (lengths); docs.aws.amazon.com "Amazon Resource Names".
"""

import hashlib
import re
from typing import NamedTuple, Self

_NAME_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_NAME_PART}(?:/{_NAME_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,8}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}")

# Algorithms that a digest may name, with the length of their hex form. Both are registered by the OCI image
# specification; anything else is refused rather than stored unverified.
ALGORITHMS = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")

REPOSITORY_NAME_MIN, REPOSITORY_NAME_MAX = 2, 256


class BadName(ValueError):
    """A string is not a valid name of its kind. `kind` is the kind; `why` a sentence fit to be shown to a client."""

    def __init__(self, kind: str, value: str, why: str) -> None:
        super().__init__(why)
        self.kind, self.value, self.why = kind, value[:300], why


class AccountId(str):
    """Twelve decimal digits."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) != 12 or not text.isascii() or not _ACCOUNT.fullmatch(text):
            raise BadName("account", text, "an account id is twelve digits")
        return cls(text)


class Region(str):
    """A region in AWS's form (`us-east-1`); it need not be one that AWS has."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) > 40 or not _REGION.fullmatch(text):
            raise BadName("region", text, "a region looks like us-east-1")
        return cls(text)

    @property
    def arn_partition(self) -> str:
        """The ARN partition that a region of this name belongs to."""
        if self.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.startswith("us-gov-") else "aws"


class RegistryRef(NamedTuple):
    """One account's registry in one region: the first part of every key."""

    account: AccountId
    region: Region


class RepositoryName(str):
    """A repository's name: the OCI grammar, 2 to 256 characters."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not REPOSITORY_NAME_MIN <= len(text) <= REPOSITORY_NAME_MAX or not _REPOSITORY.fullmatch(text):
            raise BadName(
                "repository",
                text,
                f"a repository name has {REPOSITORY_NAME_MIN} to {REPOSITORY_NAME_MAX} characters: lower-case letters, "
                "digits, and single separators . _ __ - / between them",
            )
        return cls(text)


class Tag(str):
    """A tag: up to 128 letters, digits, `.`, `_`, `-`, not beginning with `.` or `-`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) > 128 or not _TAG.fullmatch(text):
            raise BadName(
                "tag", text, "a tag has 1 to 128 characters of [a-zA-Z0-9._-] and begins with a letter, digit or _"
            )
        return cls(text)


class Digest(str):
    """`sha256:<64 hex>` or `sha512:<128 hex>`, lower case."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) > 135 or not _DIGEST.fullmatch(text):
            algorithm = text.partition(":")[0][:32]
            if ":" in text and algorithm not in ALGORITHMS and algorithm.isalnum():
                raise BadName("digest", text, "unsupported digest algorithm: use sha256 or sha512")
            raise BadName("digest", text, "a digest is sha256: or sha512: and its lower-case hexadecimal value")
        return cls(text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """The digest of `data`; `algorithm` is a key of ALGORITHMS."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]


def is_digest(reference: str) -> bool:
    """Whether a manifest reference is meant as a digest: a tag can never hold a colon."""
    return ":" in reference


def repository_arn(ref: RegistryRef, name: str) -> str:
    return f"arn:{ref.region.arn_partition}:ecr:{ref.region}:{ref.account}:repository/{name}"


class RepositoryArn(NamedTuple):
    """A repository's ARN, taken apart."""

    registry: RegistryRef
    name: RepositoryName

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadName for anything but the ARN of an ECR repository with its own region's partition."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or parts[2] != "ecr" or not parts[5].startswith("repository/"):
            raise BadName("arn", text, "not the ARN of a repository")
        region = Region.parse(parts[3])
        if parts[1] != region.arn_partition:
            raise BadName("arn", text, f"region {region} belongs to partition {region.arn_partition}")
        return cls(
            RegistryRef(AccountId.parse(parts[4]), region), RepositoryName.parse(parts[5].removeprefix("repository/"))
        )
