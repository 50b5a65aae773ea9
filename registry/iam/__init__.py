"""The AWS door for IAM: one small function per operation, grouped by noun.

Importing this package puts the operations on the AWS door's table. An operation that exists for users, groups and
roles alike is written once and entered for each (`kinds`). All of it is about the caller's own account: there is no
parameter by which another one could be named.

users groups roles        the identities
access_keys               keys
managed_policies          policies with versions
attachments               what hangs on identities: attached and inline policies, boundaries
instance_profiles         roles for machines
oidc_providers            issuers of web identities
tags                      of everything that has some
account                   summary, aliases, everything in detail
simulator                 what would be decided, and why

resources   what an operation is authorized on
shapes      domain value -> AWS structure
listing     Marker and MaxItems
kinds       one function for several operations
"""

from registry.iam import (
    access_keys,
    account,
    attachments,
    groups,
    instance_profiles,
    managed_policies,
    oidc_providers,
    roles,
    simulator,
    tags,
    users,
)

__all__ = (
    "access_keys",
    "account",
    "attachments",
    "groups",
    "instance_profiles",
    "managed_policies",
    "oidc_providers",
    "roles",
    "simulator",
    "tags",
    "users",
)
