"""The AWS door for ECR: one small function per operation, grouped by noun.

Importing this package puts the operations on the AWS door's table. A function translates: AWS's words in, a room's
call, `shapes` out. What is not here answers that it is not supported.
"""

from registry.ecr import images, layers, lifecycle, login, pull_times, repositories, settings

__all__ = ("images", "layers", "lifecycle", "login", "pull_times", "repositories", "settings")
