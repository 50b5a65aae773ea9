"""What is set for a whole registry, one account in one region: account settings, and its policy."""

from collections.abc import Mapping
from typing import Final

from policies import documents
from policies.elements import PolicyInvalid
from registry import bindings
from registry.context import Deps
from registry.entities import Trust
from registry.errors import InvalidParameter, RegistryPolicyNotFound
from registry.names import RegistryRef
from registry.records import settings as rows
from registry.records.engine import Tx

SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    # name -> allowed values, the default first
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE", "CLAIR"),
    "REGISTRY_POLICY_SCOPE": ("V2", "V1"),
    "BLOB_MOUNTING": ("ENABLED", "DISABLED"),
}
# What a registry policy of scope V1 may speak of. Source: ECR user guide, "Private registry permissions".
V1_ACTIONS: Final = frozenset({"ecr:replicateimage", "ecr:batchimportupstreamimage", "ecr:createrepository"})


async def setting(deps: Deps, registry: RegistryRef, name: str) -> str:
    """The value of an account setting, its default where none was put. Raises InvalidParameter."""
    _allowed(name)
    return await deps.db.point(lambda tx: setting_in(tx, registry, name))


def setting_in(tx: Tx, registry: RegistryRef, name: str) -> str:
    """`setting` inside another room's transaction, of a name that there is."""
    return rows.settings_of(tx, registry).get(name, SETTINGS[name][0])


async def put_setting(deps: Deps, registry: RegistryRef, name: str, value: str) -> None:
    """Raises InvalidParameter for an unknown name or value."""
    allowed = _allowed(name)
    if value not in allowed:
        raise InvalidParameter(
            f"Invalid parameter at 'value' failed to satisfy constraint: "
            f"'Member must satisfy enum value set: [{', '.join(allowed)}]'",
            field="value",
        )
    await deps.db.write(lambda tx: rows.put_setting(tx, registry, name, value))


# --- registry policy --------------------------------------------------------------------------------------------------


async def put_policy(deps: Deps, registry: RegistryRef, text: str) -> None:
    """Keep a registry policy, as it was put, bound to those whom it names.

    Raises InvalidParameter for one that is not a policy of its scope, or names somebody who is not there.
    """
    try:
        parsed = documents.parse_resource_policy(text)
    except PolicyInvalid as error:
        raise _not_a_policy(error) from None

    def unit(tx: Tx) -> None:
        if setting_in(tx, registry, "REGISTRY_POLICY_SCOPE") == "V1":
            _check_scope(parsed)
        try:
            bound = bindings.bind(tx, parsed)
        except PolicyInvalid as error:
            raise _not_a_policy(error) from None
        rows.put_policy(tx, registry, Trust(document=text, bindings=bound))

    await deps.db.write(unit)


async def get_policy(deps: Deps, registry: RegistryRef) -> str:
    """Raises RegistryPolicyNotFound."""
    found = await deps.db.point(lambda tx: rows.policy_of(tx, registry))
    if found is None:
        raise RegistryPolicyNotFound(registry.account)
    return found.document


async def delete_policy(deps: Deps, registry: RegistryRef) -> str:
    """The text of the policy that is gone now. Raises RegistryPolicyNotFound."""

    def unit(tx: Tx) -> str:
        found = rows.policy_of(tx, registry)
        if found is None:
            raise RegistryPolicyNotFound(registry.account)
        rows.delete_policy(tx, registry)
        return found.document

    return await deps.db.write(unit)


# --- inside -----------------------------------------------------------------------------------------------------------


def _check_scope(policy: documents.Policy) -> None:
    for statement in policy.statements:
        beyond = [action for action in statement.actions if action.lower() not in V1_ACTIONS]
        if beyond or statement.not_actions:
            what = beyond[0] if beyond else "NotAction"
            raise _refused(
                f"Invalid registry policy provided': a registry policy of scope V1 may allow ReplicateImage, "
                f"BatchImportUpstreamImage and CreateRepository only, not {what}; set REGISTRY_POLICY_SCOPE to V2"
            )


def _not_a_policy(error: PolicyInvalid) -> InvalidParameter:
    return _refused(f"Invalid registry policy provided': {error}")


def _refused(why: str) -> InvalidParameter:
    return InvalidParameter(
        f"Invalid parameter at 'PolicyText' failed to satisfy constraint: '{why}", field="policyText"
    )


def _allowed(name: str) -> tuple[str, ...]:
    try:
        return SETTINGS[name]
    except KeyError:
        raise InvalidParameter(
            f"Invalid parameter at 'name' failed to satisfy constraint: "
            f"'Member must satisfy enum value set: [{', '.join(SETTINGS)}]'",
            field="name",
        ) from None
