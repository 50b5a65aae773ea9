"""What can go wrong, in the registry's own words.

    LongshoreError
      NotFound      RepositoryNotFound ImageNotFound LayersNotFound ReferencedImagesNotFound UploadNotFound
                    ImageInaccessible BlobArchived
                    RepositoryPolicyNotFound RegistryPolicyNotFound NoSuchEntity
                    LifecyclePolicyNotFound LifecyclePolicyPreviewNotFound ExclusionNotFound
      Conflict      RepositoryAlreadyExists RepositoryNotEmpty ImageAlreadyExists ImageTagAlreadyExists
                    LayerAlreadyExists ImageReferencedByManifestList BlobInUse UploadConflict
                    EntityAlreadyExists DeleteConflict LifecyclePolicyPreviewInProgress ExclusionAlreadyExists
                    ImageStorageClassUpdateNotSupported
      Invalid       InvalidParameter InvalidTagParameter TooManyTags InvalidLayer InvalidLayerPart EmptyUpload
                    LayerPartTooSmall ImageDigestDoesNotMatch LayerInaccessible ManifestInvalid TooLarge
                    RangeInvalid SizeInvalid InvalidInput MalformedPolicyDocument PackedPolicyTooLarge
      Denied        NotAuthenticated AccessDenied InvalidIdentityToken ExpiredToken IDPRejectedClaim
                    IDPCommunicationError
      Limited       LimitExceeded TooManyRequests
      Unavailable   StorageUnavailable StorageFull DatabaseUnavailable DatabaseDamaged CorruptBlob

Rooms raise the most specific one with facts; each door has one table from these classes to its own wire form, looked
up by nearest ancestor. `str(error)` is a sentence that any client may see: never a path, a statement or a traceback.
A class named `X` is AWS's `XException` unless `registry/aws/errors.py` says otherwise. Texts follow what Amazon ECR
answers, since tools search for them.
"""


class LongshoreError(Exception):
    """Root of every error that a client may be told about."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# --- what was named does not exist ------------------------------------------------------------------------------------


class NotFound(LongshoreError):
    """Something that the request named is not there, or not visible to who asks."""


class RepositoryNotFound(NotFound):
    """The repository does not exist in the registry that was asked."""

    def __init__(self, name: str, account: str, hint: str = "") -> None:
        """`hint`: a further sentence, what to do about it."""
        sentence = f"The repository with name '{name}' does not exist in the registry with id '{account}'"
        super().__init__(f"{sentence}. {hint}" if hint else sentence)
        self.name, self.account = name, account


class ImageNotFound(NotFound):
    """No image of the repository has this tag or digest."""

    def __init__(self, name: str, account: str, *, digest: str | None = None, tag: str | None = None) -> None:
        wanted = f"{{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}}"
        super().__init__(
            f"The image with imageId {wanted} does not exist within the repository with name '{name}' "
            f"in the registry with id '{account}'"
        )


class ImageInaccessible(ImageNotFound):
    """The image is in the archive, or on its way back from there, and cannot be pulled."""

    def __init__(
        self, name: str, account: str, *, digest: str | None = None, tag: str | None = None, restoring: bool = False
    ) -> None:
        super().__init__(name, account, digest=digest, tag=tag)
        wanted = digest or tag
        self.message = (
            f"The image '{wanted}' of the repository with name '{name}' is being restored from the archive; "
            "it can be pulled when its status is ACTIVE"
            if restoring
            else f"The image '{wanted}' of the repository with name '{name}' is archived; restore it with "
            "UpdateImageStorageClass (targetStorageClass STANDARD), or push it again"
        )
        self.args = (self.message,)


def _listed(digests: list[str]) -> str:
    """The first hundred; a manifest may name twenty thousand, and an answer is no copy of it."""
    more = [f"and {len(digests) - 100} more"] if len(digests) > 100 else []
    return ", ".join([*digests[:100], *more])


class LayersNotFound(NotFound):
    """A manifest references blobs, or a caller asked for a blob, that the repository does not hold."""

    def __init__(self, name: str, account: str, digests: list[str]) -> None:
        super().__init__(
            f"Layers with digests '[{_listed(digests)}]' required for pushing image into repository with name "
            f"'{name}' in the registry with id '{account}' do not exist"
        )
        self.digests = digests


class BlobNotFound(LayersNotFound):
    """A blob that was asked for by digest is not in the repository."""


class BlobArchived(BlobNotFound):
    """A blob that was asked for by digest is needed by archived images alone. It has `size` bytes."""

    def __init__(self, name: str, account: str, digest: str, size: int) -> None:
        super().__init__(name, account, [digest])
        self.message = (
            f"The layer with digest '{digest}' of the repository with name '{name}' is archived; restore an image that "
            "uses it, or push it again"
        )
        self.args, self.size = (self.message,), size


class ReferencedImagesNotFound(NotFound):
    """An index references manifests that the repository does not hold."""

    def __init__(self, name: str, account: str, digests: list[str]) -> None:
        super().__init__(
            f"Images with digests '[{_listed(digests)}]' required for pushing image into repository with name "
            f"'{name}' in the registry with id '{account}' do not exist"
        )
        self.digests = digests


class UploadNotFound(NotFound):
    """The upload never existed, was finished, cancelled or swept, or belongs to another repository."""

    def __init__(self, upload: str, name: str, account: str) -> None:
        super().__init__(
            f"Upload with id '{upload[:64]}' does not exist in repository with name '{name}' "
            f"in the registry with id '{account}'"
        )


class RepositoryPolicyNotFound(NotFound):
    """The repository has no policy."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(
            f"Repository policy does not exist for the repository with name '{name}' "
            f"in the registry with id '{account}'"
        )


class RegistryPolicyNotFound(NotFound):
    """The registry has no policy."""

    def __init__(self, account: str) -> None:
        super().__init__(f"Registry policy does not exist in the registry with id '{account}'")


class LifecyclePolicyNotFound(NotFound):
    """The repository has no lifecycle policy."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(
            f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
        )


class LifecyclePolicyPreviewNotFound(NotFound):
    """Nobody has asked what a lifecycle policy would do to the repository."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(
            f"Lifecycle policy preview does not exist for the repository with name '{name}' "
            f"in the registry with id '{account}'"
        )


class ExclusionNotFound(NotFound):
    """The principal's pulls are recorded like anybody's."""

    def __init__(self, principal: str) -> None:
        super().__init__(f"Pull time update exclusion does not exist for principal '{principal}'")


# --- what was asked clashes with what is there ------------------------------------------------------------------------


class Conflict(LongshoreError):
    """The request clashes with the state of things."""


class RepositoryAlreadyExists(Conflict):
    """The name is taken in this registry."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"The repository with name '{name}' already exists in the registry with id '{account}'")


class RepositoryNotEmpty(Conflict):
    """The repository holds images and `force` was not given."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(
            f"The repository with name '{name}' in registry with id '{account}' cannot be deleted because it still "
            "contains images"
        )


class ImageAlreadyExists(Conflict):
    """The same manifest already has the same tag (or is there, when no tag was given)."""

    def __init__(self, name: str, account: str, *, digest: str, tag: str | None) -> None:
        super().__init__(
            f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository with name "
            f"'{name}' in registry with id '{account}'"
        )


class ImageTagAlreadyExists(Conflict):
    """The tag is immutable and names another image."""

    def __init__(self, name: str, account: str, tag: str) -> None:
        super().__init__(
            f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the "
            "tag is immutable."
        )


class LayerAlreadyExists(Conflict):
    """CompleteLayerUpload of a layer that the repository holds already."""

    def __init__(self, name: str, account: str, digest: str) -> None:
        super().__init__(
            f"Layer with digest '{digest}' already exists in the repository with name '{name}' "
            f"in registry with id '{account}'"
        )


class ImageReferencedByManifestList(Conflict):
    """The image cannot be deleted while an index of the repository lists it."""

    def __init__(self, digest: str, parents: list[str]) -> None:
        super().__init__(
            f"Requested image referenced by manifest list: [{', '.join(parents)}]. Delete the manifest list first."
        )
        self.digest, self.parents = digest, parents


class ImageStorageClassUpdateNotSupported(Conflict):
    """The image cannot go to the archive, or come back, as it is now. `why`: a clause that names the image."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The requested image storage class update is not supported: {why}")


class BlobInUse(Conflict):
    """A blob cannot be deleted while a manifest of the repository references it."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"Blob {digest} is referenced by a manifest of this repository; delete the manifest first")


class UploadConflict(Conflict):
    """Another request is writing to the upload. `size` bytes are safely in."""

    def __init__(self, size: int) -> None:
        super().__init__("Another request is writing to this upload")
        self.size = size


class LifecyclePolicyPreviewInProgress(Conflict):
    """A preview of the repository is being made."""

    def __init__(self) -> None:
        super().__init__("The previous lifecycle policy preview request has not completed. Wait and try again.")


class ExclusionAlreadyExists(Conflict):
    """The principal's pulls are not recorded as it is."""

    def __init__(self, principal: str) -> None:
        super().__init__(f"Pull time update exclusion already exists for principal '{principal}'")


# --- what was sent is not acceptable ----------------------------------------------------------------------------------


class Invalid(LongshoreError):
    """The request itself is wrong; sending it again unchanged will not help."""


class InvalidParameter(Invalid):
    """One parameter is unacceptable. `field` is its name at the door it came in by."""

    def __init__(self, message: str, *, field: str = "", where: str = "", why: str = "", value: object = None) -> None:
        """`where`, `why` and `value`: place and constraint, for the services that have other words around them."""
        super().__init__(message)
        self.field, self.where, self.why, self.value = field, where, why, value


class InvalidTagParameter(Invalid):
    """A resource tag's key or value is unacceptable."""


class TooManyTags(Invalid):
    """More than fifty resource tags."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"The list of tags on the repository '{arn}' is over the limit of 50 tags")


class InvalidLayer(Invalid):
    """The uploaded bytes do not have the digest that the client named."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(
            f"Layer digest does not match: the uploaded bytes have digest '{found}', the request names '{wanted}'"
        )


class InvalidLayerPart(Invalid):
    """A part does not begin where the upload ends."""

    def __init__(self, upload: str, name: str, account: str, last_valid_byte: int) -> None:
        super().__init__(
            f"Layer part is invalid: the part must begin at byte {last_valid_byte + 1}, the byte after the last one "
            "received"
        )
        self.upload, self.name, self.account, self.last_valid_byte = upload, name, account, last_valid_byte


class EmptyUpload(Invalid):
    """An upload was completed before any part of it was sent."""

    def __init__(self) -> None:
        super().__init__("The specified layer upload does not contain any layer parts")


class LayerPartTooSmall(Invalid):
    """A part other than the last is below five MiB."""

    def __init__(self) -> None:
        super().__init__("Layer parts must be at least 5 MiB in size, except the last")


class ImageDigestDoesNotMatch(Invalid):
    """The manifest does not have the digest that the client named."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(f"The manifest has digest '{found}', the request names '{wanted}'")


class LayerInaccessible(Invalid):
    """The layer is in the repository, but no image references it."""

    def __init__(self, name: str, account: str, digest: str) -> None:
        super().__init__(
            f"Layer with digest '{digest}' is not associated with any image in the repository with name '{name}' "
            f"in registry with id '{account}'"
        )


class ManifestInvalid(Invalid):
    """The manifest cannot be accepted. `where` is the JSON path of the trouble, `$` for the document."""

    def __init__(self, why: str, *, where: str = "$") -> None:
        super().__init__(f"manifest invalid at {where}: {why}")
        self.where = where


class TooLarge(Invalid):
    """A body is over the limit of its kind, in bytes."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} may have at most {limit} bytes")
        self.limit = limit


class RangeInvalid(Invalid):
    """A chunk does not begin where the upload ends. `size` bytes are safely in."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the chunk does not begin at byte {size}, where the upload ends")
        self.size = size


class SizeInvalid(Invalid):
    """The body does not have the length that its headers promise."""


# --- who asks may not -------------------------------------------------------------------------------------------------


class Denied(LongshoreError):
    """Who asks may not do this."""


class NotAuthenticated(Denied):
    """No credential, or one that is not good. `code` is AWS's name for the trouble."""

    # Not "authentication required": docker takes that for the code's own text, and shows its user nothing.
    def __init__(
        self, message: str = "log in to this registry first", *, code: str = "UnrecognizedClientException"
    ) -> None:
        super().__init__(message)
        self.code = code


class AccessDenied(Denied):
    """A known principal lacks the right."""

    def __init__(self, principal: str, action: str, resource: str, clause: str = "", *, sentence: str = "") -> None:
        """`clause`: why, as AWS puts it: `because ...` or `with an explicit deny in ...`.

        `sentence`: what AWS says in the place of all this where no policy could allow it.
        """
        clause = clause or f"because no identity-based policy allows the {action} action"
        super().__init__(
            sentence or f"User: {principal} is not authorized to perform: {action} on resource: {resource} {clause}"
        )
        self.principal, self.action, self.resource = principal, action, resource


# --- not now ----------------------------------------------------------------------------------------------------------


class Limited(LongshoreError):
    """A limit holds the request off."""


class LimitExceeded(Limited):
    """A count has reached its limit."""


class QuotaExceeded(LimitExceeded):
    """A repository or an account would hold more than it may. Trying again is no use before something is deleted."""

    def __init__(
        self, holder: str, what: str, *, allowed: int, used: int, asked: int, needed: int = 0, at_least: bool = False
    ) -> None:
        """`holder`: a sentence's subject. `what`: images; bytes; or unneeded, which is all bytes, `needed` of them by
        images. `at_least`: nobody knows yet how much is asked for."""
        more = f"{'at least ' if at_least else ''}{asked:,} more {'does' if asked == 1 else 'do'} not fit"
        if what == "unneeded":
            super().__init__(
                f"{holder} may hold {allowed:,} bytes at a time, images' or not; images hold {needed:,}, and "
                f"{used - needed:,} of unfinished pushes and deleted images wait for garbage collection. Before it, "
                f"{more}. Wait, or ask the operator for a larger quota"
            )
        else:
            super().__init__(
                f"{holder} may hold {allowed:,} {what} and holds {used:,}: {more}. Delete images, or ask the operator "
                "for a larger quota"
            )
        self.what, self.allowed, self.used, self.asked = what, allowed, used, asked


class TooManyRequests(Limited):
    """A rate has reached its limit."""


class Unavailable(LongshoreError):
    """The server cannot do it now; nothing was acknowledged, and trying again is right."""


class StorageUnavailable(Unavailable):
    """The blob store does not answer, or answers with an error of its own."""

    def __init__(self) -> None:
        super().__init__("the blob store is not available at the moment; try again")


class StorageFull(Unavailable):
    """There is no room for the bytes or the rows of this request."""

    def __init__(self) -> None:
        super().__init__("there is no space left to store this; free some and try again")


class DatabaseUnavailable(Unavailable):
    """The database does not answer in time."""

    def __init__(self) -> None:
        super().__init__("the database is not available at the moment; try again")


class DatabaseDamaged(DatabaseUnavailable):
    """The database's file is not what the database wrote. `why`, for the operator, is what the driver said."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class CorruptBlob(Unavailable):
    """Stored bytes do not have their digest; they are quarantined. Pushing the blob again heals it."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the stored bytes of {digest} are damaged and will not be served; push the blob again")
