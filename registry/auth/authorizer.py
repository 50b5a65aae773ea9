"""May this principal do this action on this resource: one place that every route and operation asks.

Until identities other than an account's root exist, the rule is AWS's for root users: everything in their own account,
nothing elsewhere, and nothing for who has not said who they are.
"""

from collections.abc import Mapping

from registry.auth.principals import Principal
from registry.errors import AccessDenied, NotAuthenticated


class Authorizer:
    def check(self, principal: Principal, action: str, resource: str, keys: Mapping[str, object]) -> None:
        """Return if allowed. Raises AccessDenied, or NotAuthenticated where logging in could help."""
        if principal.is_anonymous:
            raise NotAuthenticated
        if resource != "*" and _account_of(resource) != principal.account:
            raise AccessDenied(principal.arn, action, resource, f"no resource-based policy allows the {action} action")


def _account_of(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""
