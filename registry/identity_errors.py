"""What can be wrong at the doors of identities: IAM and STS. `errors.py` has the tree that these stand in.

Texts follow what AWS answers, since tools search for them.
"""

from registry.errors import Conflict, Denied, Invalid, NotFound


class NoSuchEntity(NotFound):
    """No user, group, role, key, policy, instance profile or provider of the account is called so."""


class EntityAlreadyExists(Conflict):
    """The name of a user, group, role, policy, instance profile or provider is taken, be it in another case."""


class DeleteConflict(Conflict):
    """Something still hangs on what is to be deleted."""


class InvalidInput(Invalid):
    """A value that IAM understands and cannot accept."""


class MalformedPolicyDocument(Invalid):
    """A policy is not one that AWS would accept."""


class PackedPolicyTooLarge(Invalid):
    """Session policies and tags do not fit into a session token. `percent` of what fits."""

    def __init__(self, percent: int) -> None:
        super().__init__(f"Packed size of session tags and session policies consumes {percent}% of allotted space.")


class InvalidIdentityToken(Denied):
    """A web identity token is malformed, or not signed by the issuer that it names."""


class ExpiredToken(Denied):
    """A web identity token's time is over."""


class IDPRejectedClaim(Denied):
    """A web identity token is good, but not for this."""


class IDPCommunicationError(Denied):
    """The issuer of a web identity token could not be asked for its keys."""
