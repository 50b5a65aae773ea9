"""Lists in pages: `Marker` and `MaxItems` in, `IsTruncated` and `Marker` out."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from registry.aws import paging
from registry.aws.door import Params, Result
from registry.context import Context
from registry.names import Region, RegistryRef

T = TypeVar("T")

_DEFAULT: Final = 100
_GLOBAL: Final = Region("us-east-1")  # IAM has no regions: a mark holds wherever it is sent


class Page(NamedTuple):
    """Which part of a list was asked for: the first `limit` behind `after`."""

    listing: paging.Listing
    after: str
    limit: int


def asked(ctx: Context, req: Params, operation: str, *arguments: str) -> Page:
    """`arguments`: the parameters that decide what is in the list. Raises InvalidParameter."""
    listing = paging.Listing(
        operation=f"iam:{operation}",
        registry=RegistryRef(ctx.registry.account, _GLOBAL),
        arguments={name: req.get(name) for name in arguments},
    )
    after = paging.position(ctx.deps.sealer, listing, req.get("Marker"), field="Marker") or ""
    return Page(listing, after, req.get("MaxItems", _DEFAULT))


def answer(
    ctx: Context, page: Page, name: str, found: Sequence[T], key: Callable[[T], str], shape: Callable[[T], Any]
) -> Result:
    """The answer with `found` under `name`: at most one more than fits, in order of `key`."""
    fits, more = found[: page.limit], len(found) > page.limit
    result: Result = {name: [shape(one) for one in fits], "IsTruncated": more}
    if more:
        result["Marker"] = paging.mark(ctx.deps.sealer, page.listing, key(fits[-1]))
    return result


def part(page: Page, found: Sequence[T], key: Callable[[T], str]) -> list[T]:
    """The page's part, and one more, of a list that is there as a whole, in order of `key`."""
    return [one for one in found if key(one) > page.after][: page.limit + 1]
