"""Pull time update exclusions: whose pulls do not count as use of an image."""

from typing import Final

from registry import pull_times
from registry.aws import paging
from registry.aws.door import Params, Result, operation
from registry.aws.paging import Listing
from registry.context import Context
from registry.ecr.shapes import on_registry

_PAGE: Final = 100


@operation("ecr", "RegisterPullTimeUpdateExclusion", on=on_registry)
async def register_pull_time_update_exclusion(ctx: Context, req: Params) -> Result:
    created_at = await pull_times.exclude(ctx.deps, ctx.registry, req["principalArn"])
    return {"principalArn": req["principalArn"], "createdAt": created_at}


@operation("ecr", "DeregisterPullTimeUpdateExclusion", on=on_registry)
async def deregister_pull_time_update_exclusion(ctx: Context, req: Params) -> Result:
    await pull_times.include(ctx.deps, ctx.registry, req["principalArn"])
    return {"principalArn": req["principalArn"]}


@operation("ecr", "ListPullTimeUpdateExclusions", on=on_registry)
async def list_pull_time_update_exclusions(ctx: Context, req: Params) -> Result:
    listing = Listing(operation="ecr:ListPullTimeUpdateExclusions", registry=ctx.registry)
    limit = req.get("maxResults", _PAGE)
    after = paging.position(ctx.deps.sealer, listing, req.get("nextToken")) or ""
    found = await pull_times.excluded(ctx.deps, ctx.registry, after=after, limit=limit + 1)
    result: Result = {"pullTimeUpdateExclusions": found[:limit]}
    if len(found) > limit:
        result["nextToken"] = paging.mark(ctx.deps.sealer, listing, found[limit - 1])
    return result
