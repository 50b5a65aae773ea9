"""What fits into an allowance, by tables."""

from typing import Any

import pytest

from registry import allowance
from registry.allowance import Allowance
from registry.model import Holding, Quota
from registry.options import Quotas


def held(needed: int = 0, unneeded: int = 0, images: int = 0) -> Holding:
    return Holding(images=images, needed_bytes=needed, unneeded_bytes=unneeded)


def allowed(most: int | None = 100, images: int | None = None, percent: int = 100) -> Allowance:
    return Allowance(bytes=most, images=images, unneeded_percent=percent)


# what may be held, what is held with the change, the change, what is to come, and (what is too much, used, asked)
CHANGES: dict[str, tuple[Allowance, Holding, Holding, int, Any]] = {
    "fits": (allowed(), held(100), held(40), 0, None),
    "one byte too many": (allowed(), held(101), held(40), 0, ("bytes", 61, 40)),
    "any number": (allowed(None), held(10**15), held(40), 0, None),
    "a layer that fits": (allowed(), held(50, 50), held(0, 50), 50, None),
    "a layer that an image could never have": (allowed(), held(50, 51), held(0, 51), 51, ("bytes", 50, 51)),
    "a layer that the account needs already": (allowed(), held(90, 51), held(0, 51), 0, None),
    "layers of no image": (allowed(), held(50, 151), held(0, 40), 40, ("unneeded", 161, 40)),
    "layers of no image, where they count in full": (
        allowed(percent=0),
        held(60, 41),
        held(0, 40),
        40,
        ("unneeded", 61, 40),
    ),
    "what shrinks, however full": (allowed(), held(500, 10), held(0, -10), 0, None),
    "what becomes needed, within": (allowed(), held(90, 300), held(40, -40), 0, None),
    "an image too many": (allowed(images=3), held(10, images=4), held(5, images=1), 0, ("images", 3, 1)),
    "the last image": (allowed(images=3), held(10, images=3), held(5, images=1), 0, None),
    "no image, where there are too many": (allowed(images=3), held(10, 5, images=9), held(0, 5), 5, None),
}


@pytest.mark.parametrize(("most", "after", "change", "coming", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_is_too_much(most: Allowance, after: Holding, change: Holding, coming: int, expected: Any) -> None:
    found = allowance.excess(most, after, change, coming=coming)

    assert (None if found is None else (found.what, found.used, found.asked)) == expected


ROOMS: dict[str, tuple[Allowance, Holding, int | None]] = {
    "empty": (allowed(), held(), 100),
    "half full": (allowed(), held(40), 60),
    "full": (allowed(), held(100), 0),
    "over": (allowed(), held(150), 0),
    "much that is not needed": (allowed(), held(40, 130), 30),
    "none to spare": (allowed(percent=0), held(40, 50), 10),
    "any number": (allowed(None), held(10**15), None),
}


@pytest.mark.parametrize(("most", "holding", "expected"), ROOMS.values(), ids=ROOMS)
def test_how_large_a_layer_may_come(most: Allowance, holding: Holding, expected: int | None) -> None:
    assert allowance.room(most, holding) == expected


@pytest.mark.parametrize(("most", "holding"), [row[:2] for row in ROOMS.values()], ids=ROOMS)
def test_a_layer_as_large_as_the_room_fits_and_a_larger_one_does_not(most: Allowance, holding: Holding) -> None:
    room = allowance.room(most, holding)
    if room is None:
        return

    def trouble(size: int) -> object:
        after = held(holding.needed_bytes, holding.unneeded_bytes + size)
        return allowance.excess(most, after, held(0, size), coming=size)

    assert room == 0 or trouble(room) is None
    assert trouble(room + 1) is not None


@pytest.mark.parametrize(
    ("own", "expected"), [(None, 70), (50, 50), (0, None)], ids=["none of its own", "its own", "unlimited"]
)
def test_a_quota_of_ones_own_goes_before_the_settings(own: int | None, expected: int | None) -> None:
    settings = Quotas(account_bytes=70, repository_bytes=70, account_images=7, repository_images=7)
    quota = Quota(bytes_allowed=own, images_allowed=None, set_at=None, holding=Holding())

    for found in (allowance.of_account(settings, quota), allowance.of_repository(settings, quota)):
        assert (found.bytes, found.images) == (expected, 7)
    assert allowance.of_account(settings, None).bytes == 70
    assert allowance.of_repository(Quotas(), None) == Allowance(bytes=None, images=None, unneeded_percent=100)
