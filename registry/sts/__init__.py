"""The STS door: who am I. Importing this package enters its operations in the AWS door's table.

identity   GetCallerIdentity
"""

from registry.sts import identity as identity
