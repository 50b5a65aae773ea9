"""Whether what comes still fits into what a repository or an account may hold. Pure.

What images need is bound by the quota itself. What no image needs yet, or any more, is bound apart: bytes of pushes
under way, of pushes that came to nothing, of deleted images that wait for garbage collection. So neither a push that
failed nor an image that was deleted eats into the quota, and neither lets anybody fill the disk.
"""

import dataclasses
from typing import Literal

from registry.model import Holding, Quota
from registry.options import Quotas


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be held. None: any number."""

    bytes: int | None
    images: int | None
    unneeded_percent: int  # of `bytes`: what may lie there beyond them, of what no image needs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """What does not fit. `what`: images; bytes that images need; or bytes that none needs, beside `needed`."""

    what: Literal["images", "bytes", "unneeded"]
    allowed: int
    used: int
    asked: int
    needed: int = 0


def of_account(settings: Quotas, quota: Quota | None) -> Allowance:
    return _allowance(settings, quota, settings.account_bytes, settings.account_images)


def of_repository(settings: Quotas, quota: Quota | None) -> Allowance:
    return _allowance(settings, quota, settings.repository_bytes, settings.repository_images)


def excess(allowance: Allowance, after: Holding, change: Holding, *, coming: int = 0) -> Excess | None:
    """What of a change is too much, when `after` is what is held with it. Only what grows can be.

    `coming`: bytes that an image will need which are unneeded still, and are no use if it cannot have them.
    """
    most = allowance.images
    if most is not None and change.images > 0 and after.images > most:
        return Excess(what="images", allowed=most, used=after.images - change.images, asked=change.images)
    if allowance.bytes is None:
        return None
    grows = change.needed_bytes + coming
    if grows > 0 and after.needed_bytes + coming > allowance.bytes:
        used = after.needed_bytes - change.needed_bytes
        return Excess(what="bytes", allowed=allowance.bytes, used=used, asked=grows)
    return _beyond(allowance, allowance.bytes, after, change)


def room(allowance: Allowance, held: Holding) -> int | None:
    """The bytes of the largest layer that may still come; None: any number."""
    if allowance.bytes is None:
        return None
    spare = _most_in_all(allowance, allowance.bytes) - held.needed_bytes - held.unneeded_bytes
    return max(0, min(allowance.bytes - held.needed_bytes, spare))


def _beyond(allowance: Allowance, most: int, after: Holding, change: Holding) -> Excess | None:
    added, held = change.needed_bytes + change.unneeded_bytes, after.needed_bytes + after.unneeded_bytes
    limit = _most_in_all(allowance, most)
    if added <= 0 or held <= limit:
        return None
    needed = after.needed_bytes - change.needed_bytes
    return Excess(what="unneeded", allowed=limit, used=held - added, asked=added, needed=needed)


def _most_in_all(allowance: Allowance, most: int) -> int:
    return most + most * allowance.unneeded_percent // 100


def _allowance(settings: Quotas, quota: Quota | None, default_bytes: int, default_images: int) -> Allowance:
    own_bytes = None if quota is None else quota.bytes_allowed
    own_images = None if quota is None else quota.images_allowed
    return Allowance(
        bytes=(default_bytes if own_bytes is None else own_bytes) or None,
        images=(default_images if own_images is None else own_images) or None,
        unneeded_percent=settings.unneeded_percent,
    )
