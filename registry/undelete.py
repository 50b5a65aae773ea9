"""What was deleted comes back: images, with what they need and the tags that nobody took meanwhile; repositories.

    index                    what it lists comes back with it
    what refers to an image  comes back with it, where it went by the same deed
    tag                      names the image again, unless it names another by now: that one stays
    repository               only where it is asked for, with the settings that it had

An image comes back with all of that in one transaction (promises.md P6), or not at all: where something that it needs
is not kept any more, it is told what. Whatever is kept goes for good by `purge`, before its time.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from registry import archiving, failpoints, history, images, quotas, reactions, repositories
from registry.context import Deps
from registry.errors import LimitExceeded, RepositoryNotFound
from registry.events import ImageUndeleted, about
from registry.model import DeletedImage, Image, Repository
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records import blobs as blob_rows
from registry.records import history as history_rows
from registry.records import images as image_rows
from registry.records import lifecycle as lifecycle_rows
from registry.records import repositories as repository_rows
from registry.records import undo as rows
from registry.records.engine import Tx, Unit
from registry.records.history import Change
from registry.records.undo import DeletedRepository
from registry.undo_errors import CannotUndelete, NothingToUndelete

_PAGE: Final = 200  # deleted images that one read looks at
_BATCH: Final = 20  # images that come back in one transaction; more where what they need comes with them
_LONG_AGO: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What can come back of a repository. `deleted`: the repository itself, where it is gone."""

    images: Sequence[DeletedImage]
    deleted: DeletedRepository | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What became of one image. `taken`: tags that it had and that name another image by now."""

    digest: Digest
    status: Literal["undeleted", "there", "refused"]  # `there`: it had been pushed again
    tags: Sequence[Tag] = ()  # that it got back
    taken: Mapping[Tag, Digest] = dataclasses.field(default_factory=dict)
    expired: bool = False  # a lifecycle policy took it, which the repository still has
    why: str = ""  # it was refused


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What came back. `repository`: the repository did."""

    repository: bool
    images: Sequence[Returned]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """Deleted images that are gone for good; bytes that go with the next garbage collection, and those that something
    else needs."""

    images: Sequence[Digest]
    freed: Mapping[Digest, int]
    needed: Mapping[Digest, int]


# --- looking ----------------------------------------------------------------------------------------------------------


async def kept(deps: Deps, registry: RegistryRef, name: RepositoryName, *, limit: int | None = None) -> Kept:
    """What can come back, each image once, the last that was deleted first. Those that are there again are left out."""
    now = deps.clock.now()

    def look(tx: Tx, before: tuple[dt.datetime, int] | None) -> tuple[list[DeletedImage], set[Digest]]:
        found = rows.page(tx, registry, name, now=now, before=before, limit=_PAGE)
        here = repository_rows.find(tx, registry, name)
        present = set() if here is None else set(image_rows.sizes(tx, here.id, [one.digest for one in found]))
        return found, present

    images: dict[Digest, DeletedImage] = {}
    before = None
    while limit is None or len(images) < limit:
        page, present = await deps.db.read(functools.partial(look, before=before))
        for one in page:
            if one.digest not in present:
                images.setdefault(one.digest, one)
        if len(page) < _PAGE:
            break
        before = page[-1].deleted_at, page[-1].id
    deleted = await deps.db.read(lambda tx: _deleted_repository(tx, registry, name, now))
    return Kept(images=list(images.values())[:limit], deleted=deleted)


def _deleted_repository(
    tx: Tx, registry: RegistryRef, name: RepositoryName, now: dt.datetime
) -> DeletedRepository | None:
    if repository_rows.find(tx, registry, name) is not None:
        return None
    return rows.repository(tx, registry, name, now=now)


# --- bringing back ----------------------------------------------------------------------------------------------------


async def one(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    reference: Digest | Tag,
    *,
    repository_too: bool = False,
    dry_run: bool = False,
) -> Undone:
    """Bring back the image of a digest, or the one that last had a tag when it was deleted.

    Raises RepositoryNotFound, NothingToUndelete, CannotUndelete, LimitExceeded.
    """

    def unit(tx: Tx) -> Undone:
        now = deps.clock.now()
        found = rows.find(tx, registry, name, reference, now=now)
        if found is None:
            raise _nothing(tx, registry, name, reference)
        repository, made = _repository(tx, deps, registry, name, too=repository_too, now=now)
        work = _Work(tx, deps, repository, now=now)
        work.bring(found)
        return Undone(repository=made, images=work.returned)

    return await _done(deps, unit, dry_run=dry_run)


async def repository(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    *,
    everything: bool = False,
    repository_too: bool = False,
    dry_run: bool = False,
) -> Undone:
    """Bring back a repository that is gone, with the images that went with it; or `everything` that was deleted of a
    repository. Some images at a time: each comes back whole, or is told to be refused.

    Raises RepositoryNotFound, LimitExceeded.
    """
    chosen = await kept(deps, registry, name)
    if chosen.deleted is not None and not everything:
        wanted = [one for one in chosen.images if one.repository_id == chosen.deleted.id and one.cause == "repository"]
    else:
        wanted = list(chosen.images)
    made, returned, told = False, list[Returned](), set[Digest]()

    def unit(tx: Tx, batch: Sequence[DeletedImage]) -> Undone:
        now = deps.clock.now()
        repository, is_new = _repository(tx, deps, registry, name, too=repository_too, now=now)
        work = _Work(tx, deps, repository, now=now)
        for image in batch:
            work.try_to_bring(image)
        return Undone(repository=is_new, images=work.returned)

    for first in range(0, len(wanted) or 1, _BATCH):
        batch = functools.partial(unit, batch=wanted[first : first + _BATCH])
        undone = await _done(deps, batch, dry_run=dry_run)
        made = made or undone.repository
        # Of a dry run each step begins where the first did, so that what came with an image may come once more.
        returned += [one for one in undone.images if one.digest not in told]
        told |= {one.digest for one in undone.images}
    return Undone(repository=made, images=returned)


class _Work:
    """Bringing images back in one transaction."""

    def __init__(self, tx: Tx, deps: Deps, repository: Repository, *, now: dt.datetime) -> None:
        self._tx, self._deps, self._repository, self._now = tx, deps, repository, now
        self._has_policy = lifecycle_rows.policy_of(tx, repository.id) is not None
        self.returned: list[Returned] = []

    def try_to_bring(self, image: DeletedImage) -> None:
        """`bring`, with nothing done where it cannot be. One that came back with another meanwhile is left alone."""
        before = list(self.returned)
        try:
            with self._tx.begin_nested():
                if rows.by_id(self._tx, image.id, now=self._now) is not None:
                    self.bring(image)
        except (CannotUndelete, LimitExceeded) as error:
            why = error.why if isinstance(error, CannotUndelete) else error.message
            self.returned = [*before, Returned(digest=image.digest, status="refused", why=why)]

    def bring(self, image: DeletedImage) -> None:
        """Bring an image back, with what it lists and what went with it. Raises CannotUndelete, LimitExceeded."""
        family = self._family(image)
        for one in family:
            self._bring_one(one)
        for one in family:
            self._have_it_where_its_masters_are(one)

    def _family(self, image: DeletedImage) -> list[DeletedImage]:
        """What comes back together: whatever lists something stands behind it. Raises CannotUndelete."""
        tx, repository = self._tx, self._repository
        family, left = {image.digest: image}, [image]
        while left:
            one = left.pop()
            children = [pin.digest for pin in rows.pins(tx, one.id) if pin.kind == "child"]
            here = image_rows.sizes(tx, repository.id, children)
            for digest in children:
                if digest in here or digest in family:
                    continue
                child = rows.find(tx, repository.registry, repository.name, digest, now=self._now)
                if child is None:
                    self._miss(one, f"the image {digest} that it lists is not kept any more; push that one again first")
                else:
                    family[digest] = child
                    left.append(child)
            fresh = [other for other in rows.companions(tx, one, now=self._now) if other.digest not in family]
            family |= {other.digest: other for other in fresh}
            left += fresh
        return [*reversed(family.values())]

    def _bring_one(self, image: DeletedImage) -> None:
        tx, repository = self._tx, self._repository
        there = image_rows.find(tx, repository.id, image.digest)
        if there is None:
            images.check_count(tx, self._deps, repository)
            self._link_layers(image)
            rows.restore_image(tx, image.id, repository.id)
        found = there or image_rows.find(tx, repository.id, image.digest)
        assert found is not None
        if there is None:
            quotas.image_came(tx, self._deps, repository, found)
        tags, taken = self._give_tags(image, found)
        rows.forget(tx, repository.registry, repository.name, image.digest)
        failpoints.passing("undelete-rows")
        if there is None or tags:
            self._tell(found, tags)
        self.returned.append(
            Returned(
                digest=image.digest,
                status="undeleted" if there is None else "there",
                tags=tags,
                taken=taken,
                expired=image.cause == "expired" and self._has_policy,
            )
        )

    def _have_it_where_its_masters_are(self, image: DeletedImage) -> None:
        """What is active lists nothing that is archived and has its bytes at hand, and a signature is where its subject
        is: here too."""
        found = image_rows.find(self._tx, self._repository.id, image.digest)
        assert found is not None
        if found.status == "ACTIVE":
            archiving.admit(self._tx, self._repository, found, self._now)
        elif archiving.keeps_active(self._tx, found):
            by = self._deps.doer.principal
            archiving.restore(self._tx, self._repository, found, self._now, by=by)

    def _link_layers(self, image: DeletedImage) -> None:
        """Let the repository hand out what the image needs, for as long as it needs it."""
        tx, repository = self._tx, self._repository
        for pin in rows.pins(tx, image.id):
            if pin.blob_id is not None:
                blob = blob_rows.led_to(tx, repository.registry.region, pin.digest) or blob_rows.by_id(tx, pin.blob_id)
                assert blob is not None  # the hold's foreign key says so
                if blob_rows.link(tx, repository.id, blob, self._now):
                    quotas.blob_came(tx, self._deps, repository, blob)
            elif pin.kind == "blob" and blob_rows.linked(tx, repository.id, pin.digest) is None:
                self._miss(image, f"its layer {pin.digest} was not there when it was deleted")

    def _miss(self, image: DeletedImage, why: str) -> None:
        if not self._deps.settings.registry.accept_sparse:
            raise CannotUndelete(image.repository, image.digest, why)

    def _give_tags(self, image: DeletedImage, found: Image) -> tuple[tuple[Tag, ...], dict[Tag, Digest]]:
        """The tags that the image got back, and those that name another one, which keeps them."""
        tx, taken, given = self._tx, dict[Tag, Digest](), list[Tag]()
        for tag in image.tags:
            holder = image_rows.tagged(tx, self._repository.id, tag)
            if holder is None:
                image_rows.put_tag(tx, found, tag, self._now)
                given.append(tag)
            elif holder.digest != image.digest:
                taken[tag] = holder.digest
        images.check_tags(self._deps, image_rows.with_tags(tx, found))
        return tuple(given), taken

    def _tell(self, image: Image, tags: tuple[Tag, ...]) -> None:
        changes = [Change(event="undeleted", tag=tag, after=image.digest) for tag in tags or (None,)]
        history.note(self._tx, self._deps, self._repository, changes, now=self._now)
        if self._repository.listened:
            reactions.emit(self._tx, ImageUndeleted(**about(self._repository, image, tags, self._now)))


def _repository(
    tx: Tx, deps: Deps, registry: RegistryRef, name: RepositoryName, *, too: bool, now: dt.datetime
) -> tuple[Repository, bool]:
    """The repository, and whether it was made again. Raises RepositoryNotFound, LimitExceeded."""
    found = repository_rows.find(tx, registry, name)
    if found is not None:
        return found, False
    deleted = rows.repository(tx, registry, name, now=now)
    if deleted is None:
        raise RepositoryNotFound(name, registry.account, "It is not kept either; to have images in it, create it anew")
    if not too:
        by = f"{deleted.doer.principal} deleted it at {deleted.deleted_at:%Y-%m-%d %H:%M} UTC"
        raise RepositoryNotFound(name, registry.account, f"{by}; --repository-too brings it back")
    made = repositories.restored(tx, deps, deleted.id)
    if deleted.lifecycle_policy is not None:
        lifecycle_rows.put_policy(tx, made.id, deleted.lifecycle_policy, now)
    history.note(tx, deps, made, [Change(event="repository-undeleted")], now=now)
    return made, True


class _Rehearsed(Exception):
    """Carries what a unit came to out of its transaction, which is rolled back."""

    def __init__(self, outcome: Undone) -> None:
        super().__init__()
        self.outcome = outcome


async def _done(deps: Deps, unit: Unit[Undone], *, dry_run: bool) -> Undone:
    """What the unit does; of a dry run, what it would do, found out by doing it and taking it back."""
    if not dry_run:
        return await deps.db.write(unit)

    def rehearsed(tx: Tx) -> Undone:
        raise _Rehearsed(unit(tx))

    try:
        return await deps.db.write(rehearsed)
    except _Rehearsed as done:
        return done.outcome


# --- for good ---------------------------------------------------------------------------------------------------------


async def purge(deps: Deps, registry: RegistryRef, name: RepositoryName, digest: Digest) -> Purged:
    """Let go of a deleted image before its time, with what it lists. Its bytes go with the next garbage collection,
    without a grace period, where no other image, repository or deleted image needs them.

    Raises NothingToUndelete.
    """

    def unit(tx: Tx) -> Purged:
        now = deps.clock.now()
        gone, blob_ids = _purged(tx, deps, registry, name, digest, now)
        here = repository_rows.find(tx, registry, name)
        freed = rows.let_go(tx, None if here is None else here.id, blob_ids, at=_LONG_AGO)
        sizes = rows.sizes(tx, blob_ids)
        return Purged(
            images=gone,
            freed=dict(sizes[one] for one in freed),
            needed=dict(size for one, size in sizes.items() if one not in freed),
        )

    return await deps.db.write(unit)


def _purged(
    tx: Tx, deps: Deps, registry: RegistryRef, name: RepositoryName, digest: Digest, now: dt.datetime
) -> tuple[list[Digest], set[int]]:
    """Take a deleted image and what it lists from those that are kept: what went, and the blobs that it held."""
    found = rows.of_digest(tx, registry, name, digest)
    if not found:
        raise _nothing(tx, registry, name, digest)
    gone, blob_ids, left = list[Digest](), set[int](), [digest]
    while left:
        one = left.pop()
        kept = rows.of_digest(tx, registry, name, one)
        pins = [pin for image in kept for pin in rows.pins(tx, image.id)]
        if kept:
            rows.forget(tx, registry, name, one)
            gone.append(one)
        blob_ids |= {pin.blob_id for pin in pins if pin.blob_id is not None}
        left += [pin.digest for pin in pins if pin.kind == "child" and pin.digest not in gone]
    stand_in = Repository(id=0, registry=registry, name=name, created_at=now)  # it may be gone
    history.note(tx, deps, stand_in, [Change(event="purged", before=one) for one in gone], now=now)
    return gone, blob_ids


# --- why not ----------------------------------------------------------------------------------------------------------


def _nothing(tx: Tx, registry: RegistryRef, name: RepositoryName, reference: Digest | Tag) -> NothingToUndelete:
    """Why there is nothing that could come back, as far as it is known."""
    digest, tag = (reference, None) if isinstance(reference, Digest) else (None, reference)
    here = repository_rows.find(tx, registry, name)
    there = None
    if here is not None:
        there = image_rows.find(tx, here.id, digest) if digest else image_rows.tagged(tx, here.id, Tag(reference))
    if there is not None:
        return NothingToUndelete(name, reference, "it is there, and not deleted")
    end = history_rows.last_end(tx, registry, name, digest=digest, tag=tag)
    if end is None:
        return NothingToUndelete(name, reference, "nothing is known of it; `longshore history` tells what is")
    when = f"{end.at:%Y-%m-%d %H:%M} UTC"
    if end.change.event == "purged":
        return NothingToUndelete(name, reference, f"{end.doer.principal} purged it at {when}, so it is gone for good")
    return NothingToUndelete(name, reference, f"it was {end.change.event} at {when}, and its window is over")
