"""What can go wrong where something is deleted, or brought back. `errors.py` has the tree that these stand in."""

from registry.errors import Conflict, NotFound


class NothingToUndelete(NotFound):
    """No image that was deleted is the one that shall come back, or go for good. `why`, after a colon."""

    def __init__(self, name: str, reference: str, why: str) -> None:
        between = "@" if ":" in reference else ":"
        super().__init__(f"No deleted image is kept as {name}{between}{reference}: {why}")


class RepositoryProtected(Conflict):
    """Somebody asked for the deletion of a repository that is protected, or of something in it."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(
            f"The repository with name '{name}' in registry with id '{account}' is protected from deletion, and so is "
            f"all that is in it. `longshore repo protect {name} off` ends that"
        )


class CannotUndelete(Conflict):
    """A deleted image cannot come back as it was. `why` says what is missing, and what to do."""

    def __init__(self, name: str, digest: str, why: str) -> None:
        super().__init__(f"The deleted image {name}@{digest} cannot be brought back: {why}")
        self.digest, self.why = digest, why
