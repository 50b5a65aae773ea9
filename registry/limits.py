"""Limits of numbers: how many there may be of something, and how often something may be asked.

Both are off unless the operator names figures, or takes all of Amazon ECR's by `limits.profile = "aws"`. Sizes are
limits of their own, which always hold. A rate is that of an account in a region, as at AWS: one that asks too often
waits, and nobody else does.

Source: ECR user guide, "Amazon ECR service quotas".
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, Literal

from registry.errors import TooManyRequests
from registry.options import Limits

Counted = Literal["repositories", "images", "image_tags", "layer_parts"]

_AWS_COUNTS: Final[Mapping[Counted, int]] = {
    "repositories": 100_000,
    "images": 100_000,
    "image_tags": 1_000,
    "layer_parts": 4_200,
}
# Requests a second by action.
_AWS_RATES: Final[Mapping[str, int]] = {
    "ecr:GetAuthorizationToken": 500,
    "ecr:BatchCheckLayerAvailability": 1_000,
    "ecr:BatchGetImage": 2_000,
    "ecr:GetDownloadUrlForLayer": 3_000,
    "ecr:InitiateLayerUpload": 100,
    "ecr:UploadLayerPart": 500,
    "ecr:CompleteLayerUpload": 100,
    "ecr:PutImage": 10,
}
_BUCKETS: Final = 8_192  # that are remembered; who has not asked for long has a full one anyway


def most(limits: Limits, what: Counted) -> int | None:
    """How many there may be; None: no limit."""
    given: int = getattr(limits, what)
    return given or (_AWS_COUNTS[what] if limits.profile == "aws" else None)


def rates(limits: Limits) -> Mapping[str, int]:
    """Requests a second that one account may send, by action; of those that are not named any number."""
    return _AWS_RATES if limits.profile == "aws" else {}


class Rates:
    """Counts the requests of one process. A second's worth may come at once."""

    def __init__(
        self, figures: Mapping[str, int] | None = None, *, share: float = 1, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`share`: of each figure, the part that this process may allow."""
        self._figures = {action: figure * share for action, figure in (figures or {}).items()}
        self._now = now
        self._buckets: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()  # what is left, and when

    def take(self, account: str, region: str, action: str) -> None:
        """Count one request. Raises TooManyRequests where there have been too many."""
        figure = self._figures.get(action)
        if figure is None:
            return
        key, now, full = (account, region, action), self._now(), max(figure, 1.0)
        left, at = self._buckets.pop(key, (full, now))
        left = min(full, left + (now - at) * figure)
        self._buckets[key] = (left - 1 if left >= 1 else left, now)
        while len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise TooManyRequests("Rate exceeded")
