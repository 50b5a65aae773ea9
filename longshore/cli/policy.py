"""`longshore policy`: why a request would be allowed or denied, and what is odd about a policy."""

import asyncio
import datetime as dt
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output

if TYPE_CHECKING:
    from policies.access import Decision
    from policies.documents import Policy
    from registry.auth.authorizer import Explained
    from registry.auth.principals import Principal
    from registry.records.engine import Opened

# Actions of ECR that are no operations. Source: AWS service authorization reference.
_PERMISSION_ONLY: Final = ("ecr:BatchImportUpstreamImage", "ecr:ReplicateImage", "ecr:GetImageCopyStatus")
_SERVICES: Final = ("ecr", "ecs", "iam", "sts")


@click.group()
def policy() -> None:
    """Explain decisions, and check policies."""


def _pairs(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"'{text}' is not of the form KEY=VALUE, such as aws:SourceIp=10.0.0.1")
        found[key] = (*found.get(key, ()), value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


@policy.command()
@click.option("--principal", required=True, help="ARN of a user, role, role session or root user; `*` for nobody.")
@click.option("--action", required=True, help="Such as ecr:PutImage.")
@click.option("--resource", default="*", show_default=True, help="ARN, or the name of a repository.")
@click.option("--context", multiple=True, metavar="KEY=VALUE", callback=_pairs, help="Condition key; repeatable.")
@with_data
@with_output("text", "json")
def explain(
    principal: str,
    action: str,
    resource: str,
    context: dict[str, str | tuple[str, ...]],
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Say whether a request would be allowed, by which statement, or what it would take.

    Exit code 0: allowed; 1: denied.
    """
    from longshore import wiring
    from registry.names import AccountId, Region, RegistryRef, repository_arn

    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    home = RegistryRef(AccountId(loaded.registry.account), Region(loaded.registry.region))
    if resource != "*" and not resource.startswith("arn:"):
        resource = repository_arn(home, resource)
    try:
        with wiring.opened_rows(loaded) as db:
            asks = db.read_here(functools.partial(_principal, arn=principal))
            explained = asyncio.run(_explained(db, asks, action, resource, home.region, context))
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        answers.show_json(_facts(principal, explained))
    else:
        click.echo(_told(principal, explained))
    if not explained.decision.allowed:
        raise click.exceptions.Exit(1)


@policy.command()
@click.argument("file", metavar="FILE", type=click.File(encoding="utf-8"))
@with_output("text", "json")
def lint(file: TextIO, output: str) -> None:
    """Check the policy in FILE (`-`: standard input): errors, and what is lawful but probably not meant.

    Exit code 0: no errors; 1: it would be refused.
    """
    from policies import lint as rules
    from policies.elements import PolicyInvalid

    try:
        parsed = _parsed(file.read())
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not text in UTF-8") from None
    except PolicyInvalid as error:
        if output == "json":
            answers.show_json({"valid": False, "error": {"path": error.path, "message": str(error)}, "remarks": []})
            raise click.exceptions.Exit(1) from None
        raise click.ClickException(f"{file.name}: {error}") from None
    remarks = rules.lint(parsed, _known_actions())
    if output == "json":
        listed = [{"path": one.path, "message": one.text} for one in remarks]
        answers.show_json({"valid": True, "error": None, "remarks": listed})
        return
    for one in remarks:
        click.echo(f"{one.path}: {one.text}")
    click.echo(
        f"{file.name} is a policy, with {len(remarks) or 'no'} remark{'' if len(remarks) == 1 else 's'}", err=True
    )


# --- explaining -------------------------------------------------------------------------------------------------------


def _principal(tx: Any, *, arn: str) -> "Principal":
    """Whom an ARN names. Raises ClickException for somebody who is not there."""
    from registry.auth import principals
    from registry.auth.sessions import Session
    from registry.names import AccountId, BadName
    from registry.records import accounts, identities

    if arn == "*":
        return principals.ANONYMOUS
    parts = arn.split(":", 5)
    kind, _, rest = parts[5].partition("/") if len(parts) == 6 else ("", "", "")
    try:
        account = AccountId.parse(parts[4] if len(parts) == 6 else "")
    except BadName:
        raise click.ClickException(f"{arn} is no ARN of a principal: arn:aws:iam::ACCOUNT:user/NAME is one") from None
    if kind == "root" and accounts.find(tx, account) is not None:
        return principals.root(account)
    name = rest.split("/")[0] if kind == "assumed-role" else rest.rpartition("/")[2]
    found = identities.find(tx, account, "user" if kind == "user" else "role", name)
    if found is None or (kind != "assumed-role" and found.arn != arn):
        raise click.ClickException(f"there is no {arn}: `aws iam list-users` and `list-roles` show who there is")
    if kind == "user":
        return principals.user(found, "")
    session_name = rest.partition("/")[2] if kind == "assumed-role" else "explained"
    session = Session(kind="role", account=account, entity=found.id, iat=0, exp=0, name=session_name)
    return principals.role_session(found, session)


async def _explained(
    db: "Opened",
    principal: "Principal",
    action: str,
    resource: str,
    region: str,
    context: dict[str, str | tuple[str, ...]],
) -> "Explained":
    from registry.auth.authorizer import Asked, Authorizer
    from registry.auth.stamped import Stamped

    asked = Asked(
        principal=principal, action=action, resource=resource, region=region, now=dt.datetime.now(dt.UTC), keys=context
    )
    return await Authorizer(Stamped(db)).explain(asked)


def _told(principal: str, explained: "Explained") -> str:
    request, decision = explained.request, explained.decision
    verdict = "allowed" if decision.allowed else "denied"
    lines = [f"{verdict}: {request.action} on {request.resource} by {principal}"]
    if decision.clause:
        lines.append(f"  {decision.clause}")
    for one in decision.deciding:
        sid = f" ({one.sid})" if one.sid else ""
        lines.append(f"  decided by statement {one.position + 1}{sid} of {one.source}: {one.effect}")
    if decision.kind == "implicitDeny":
        lines += [f"  would need: {_NEEDS[layer]}" for layer in decision.missing]
        lines += [
            f"  allows, but is not enough: statement {one.position + 1} of {one.source}"
            for one in decision.matched
            if one.effect == "Allow"
        ]
    if decision.absent_keys:
        lines.append(f"  condition keys that were asked for and are not known: {', '.join(decision.absent_keys)}")
        lines.append("  (give them by --context KEY=VALUE)")
    return "\n".join(lines)


_NEEDS: Final = {
    "scp": "an Allow in the service control policy of the account (`longshore admin scp put`)",
    "identity": "an Allow in a policy of the user, their groups, or the role (`aws iam put-user-policy` and its like)",
    "boundary": "an Allow in the permissions boundary",
    "session": "an Allow in the session's policies",
    "resource": "an Allow in the policy of the repository (`aws ecr set-repository-policy`) or registry",
}


def _facts(principal: str, explained: "Explained") -> dict[str, Any]:
    """An explanation for programs; the keys are promised."""
    decision: Decision = explained.decision
    return {
        "principal": principal,
        "action": explained.request.action,
        "resource": explained.request.resource,
        "decision": decision.kind,
        "reason": decision.clause or None,
        "statements": [
            {
                "source": one.source,
                "layer": one.layer,
                "statement": one.position + 1,
                "sid": one.sid or None,
                "effect": one.effect,
                "deciding": one in decision.deciding,
            }
            for one in decision.matched
        ],
        "needed": list(decision.missing),
        "unknownKeys": list(decision.absent_keys),
    }


# --- checking ---------------------------------------------------------------------------------------------------------


def _parsed(text: str) -> "Policy":
    """A resource policy, if any statement names principals; else an identity policy."""
    from policies import documents, jsontext

    try:
        found = jsontext.loads(text)
        statements = found["Statement"] if isinstance(found["Statement"], list) else [found["Statement"]]
        names_principals = any("Principal" in one or "NotPrincipal" in one for one in statements)
    except (jsontext.NotJson, KeyError, TypeError):
        names_principals = False
    return documents.parse_resource_policy(text) if names_principals else documents.parse_identity_policy(text)


def _known_actions() -> list[str]:
    from registry.aws import spec

    return [*_PERMISSION_ONLY, *(f"{name}:{one}" for name in _SERVICES for one in spec.load(name).operations)]
