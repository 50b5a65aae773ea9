"""The policy simulator: what would be decided, and by which statement, without doing anything.

The evaluation is the one that decides real requests. As at AWS, a resource's own policy has a say only where it is
given (`ResourcePolicy`), and keys of a request only where they are given (`ContextEntries`).

Source: AWS IAM API reference, SimulatePrincipalPolicy and SimulateCustomPolicy.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from policies import access, callers
from policies.access import Decision, Matched, Policies, Request, Source
from policies.callers import Caller
from registry import identities
from registry.auth.authorizer import tag_values
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.entities import Identity, Kind
from registry.iam import listing
from registry.iam.resources import on_everything
from registry.identity_errors import InvalidInput, NoSuchEntity

_ARGUMENTS: Final = ("ActionNames", "ResourceArns", "PolicySourceArn", "PolicyInputList", "ContextEntries")
_CALLER: Final = "arn:aws:iam::{account}:user/simulated"


@operation("iam", "SimulateCustomPolicy", on=on_everything)
async def simulate_custom_policy(ctx: Context, req: Params) -> Result:
    policies = Policies(
        identity=_given(req, "PolicyInputList"),
        boundary=_given(req, "PermissionsBoundaryPolicyInputList") or None,
        resource=_given_resource(req),
    )
    return _answer(ctx, req, "SimulateCustomPolicy", _caller(ctx, req, None), policies, {})


@operation("iam", "SimulatePrincipalPolicy", on=lambda _ctx, req: req["PolicySourceArn"])
async def simulate_principal_policy(ctx: Context, req: Params) -> Result:
    found = await _source(ctx, req["PolicySourceArn"])
    rights = ctx.deps.authorizer.rights
    held = await rights.held(found.id)
    policies = Policies(
        identity=(*held.identity, *_given(req, "PolicyInputList")),
        boundary=_given(req, "PermissionsBoundaryPolicyInputList") or held.boundary,
        resource=_given_resource(req),
        scps=await rights.service_control(found.account),
    )
    tags = {f"aws:PrincipalTag/{name}": value for name, value in tag_values(found.resource_tags).items()}
    return _answer(ctx, req, "SimulatePrincipalPolicy", _caller(ctx, req, found), policies, tags)


# --- what is asked ----------------------------------------------------------------------------------------------------


async def _source(ctx: Context, arn: str) -> Identity:
    """The user, group or role whose policies are simulated. Raises InvalidInput, NoSuchEntity."""
    parts = arn.split(":", 5)
    kind, _, rest = parts[5].partition("/") if len(parts) == 6 else ("", "", "")
    kinds: Mapping[str, Kind] = {"user": "user", "group": "group", "role": "role"}
    if kind not in kinds or parts[4] != ctx.registry.account:
        raise InvalidInput(f"Invalid Entity Arn: {arn[:256]} does not clearly define entity type and name.")
    found = await identities.find(ctx.deps, ctx.registry.account, kinds[kind], rest.rpartition("/")[2])
    if found is None or found.arn != arn:
        raise NoSuchEntity(f"Entity {arn[:256]} cannot be found.")
    return found


def _caller(ctx: Context, req: Params, source: Identity | None) -> Caller:
    """Who asks in the simulation: `CallerArn`, else the user or role whose policies they are."""
    arn = req.get("CallerArn") or (source.arn if source is not None and source.kind != "group" else "")
    account = ctx.registry.account
    if source is not None and source.kind == "role" and arn == source.arn:
        session = f"arn:aws:sts::{account}:assumed-role/{source.name}/simulated"
        return Caller(kind="role-session", account=account, arn=session, behind=arn, user_id=f"{source.id}:simulated")
    arn = arn or _CALLER.format(account=account)
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[4] or not parts[5].startswith("user/"):
        raise InvalidInput(f"CallerArn must be the ARN of a user: {arn[:256]}")
    return Caller(kind="user", account=parts[4], arn=arn, user_id=source.id if source is not None else "")


def _given(req: Params, name: str) -> tuple[Source, ...]:
    sources = tuple(
        Source.read("identity", f"{name}.{number}", text) for number, text in enumerate(req.get(name, ()), 1)
    )
    return _readable(sources)


def _given_resource(req: Params) -> tuple[Source, ...]:
    return _readable(
        (Source.read("resource", "ResourcePolicy", req["ResourcePolicy"]),) if "ResourcePolicy" in req else ()
    )


def _readable(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    for source in sources:
        if source.policy is None:
            raise InvalidInput(f"Invalid Input: {source.name} is not a policy.")
    return sources


def _context(req: Params) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, str | tuple[str, ...]] = {}
    for entry in req.get("ContextEntries", ()):
        values = tuple(entry.get("ContextKeyValues", ()))
        is_list = entry.get("ContextKeyType", "").endswith("List")
        found[entry.get("ContextKeyName", "")] = values if is_list or len(values) != 1 else values[0]
    return found


# --- what is answered -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    number: int
    request: Request


def _answer(
    ctx: Context,
    req: Params,
    name: str,
    caller: Caller,
    policies: Policies,
    tags: Mapping[str, str | tuple[str, ...]],
) -> Result:
    page = listing.asked(ctx, req, name, *_ARGUMENTS)
    known = {**callers.context(caller), **tags, **_context(req)}
    questions = listing.part(page, list(_questions(req, caller, known)), _mark)
    return listing.answer(ctx, page, "EvaluationResults", questions, _mark, _shaped(policies))


def _questions(req: Params, caller: Caller, known: Mapping[str, str | tuple[str, ...]]) -> Iterator[_Question]:
    resources: Sequence[str] = req.get("ResourceArns", ("*",))
    for number, (action, resource) in enumerate(itertools.product(req["ActionNames"], resources)):
        parts = resource.split(":", 5)
        owner = req.get("ResourceOwner", "").split(":", 5)
        account = owner[4] if len(owner) == 6 else parts[4] if len(parts) == 6 else ""
        request = Request(
            caller=caller,
            action=action,
            resource=resource,
            resource_account=account or caller.account,
            context=known,
        )
        yield _Question(number=number, request=request)


def _mark(question: _Question) -> str:
    return f"{question.number:08}"


def _shaped(policies: Policies) -> Callable[[_Question], Result]:
    def shape(question: _Question) -> Result:
        request = question.request
        decision = access.evaluate(request, policies)
        found: dict[str, Any] = {
            "EvalActionName": request.action,
            "EvalResourceName": request.resource,
            "EvalDecision": decision.kind,
            "MatchedStatements": [_statement(one) for one in decision.matched],
            "MissingContextValues": list(decision.absent_keys),
        }
        if policies.scps:
            found["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": _passes(decision, "scp")}
        if policies.boundary is not None:
            found["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": _passes(decision, "boundary")}
        return found

    return shape


def _passes(decision: Decision, layer: str) -> bool:
    """Whether a layer stands in the way of nothing."""
    denied = any(one.layer == layer and one.effect == "Deny" for one in decision.matched)
    return not denied and layer not in decision.missing


def _statement(one: Matched) -> Result:
    kind = "resource" if one.layer == "resource" else _kind_of(one.source)
    return {"SourcePolicyId": one.source, "SourcePolicyType": kind}


def _kind_of(name: str) -> str:
    if name.startswith("arn:aws:iam::aws:"):
        return "aws-managed"
    if name.startswith("arn:"):
        return "user-managed"
    kind = name.partition("/")[0]
    return kind if kind in ("user", "group", "role") else "none"
