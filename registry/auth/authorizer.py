"""May this principal do this action on this resource: one place that every route and operation asks.

Until policies are evaluated, the rule is AWS's for root users: everything in their own account, and nothing elsewhere.
Users, roles and federated users may do what needs no permission, and nothing else.
"""

from collections.abc import Mapping

from registry.auth.principals import Principal
from registry.errors import AccessDenied, NotAuthenticated


class Authorizer:
    def check(self, principal: Principal, action: str, resource: str, keys: Mapping[str, object]) -> None:
        """Return if allowed. Raises AccessDenied, or NotAuthenticated where logging in could help."""
        if principal.is_anonymous:
            raise NotAuthenticated
        if principal.kind != "root":
            raise AccessDenied(principal.arn, action, resource)
        if resource != "*" and _account_of(resource) != principal.account:
            raise AccessDenied(principal.arn, action, resource, f"no resource-based policy allows the {action} action")


def _account_of(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""
