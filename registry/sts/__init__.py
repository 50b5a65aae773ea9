"""The STS door: who am I, and temporary credentials. Importing this package enters its operations in the AWS door's
table.

identity       GetCallerIdentity, GetAccessKeyInfo
roles          AssumeRole
web_identity   AssumeRoleWithWebIdentity, the one operation that comes unsigned
users          GetSessionToken, GetFederationToken
shapes         domain value -> AWS structure, shared by the operations
"""

from registry.sts import identity, roles, users, web_identity

__all__ = ("identity", "roles", "users", "web_identity")
