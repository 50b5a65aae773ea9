"""`root-key.json` in the data directory: the root user's access key, and where the server that wrote it is reached.

`longshore serve` writes it, mode 0600, at each start; `longshore env` and the commands that call a server on the same
machine read it.
"""

import dataclasses
import json
from pathlib import Path
from typing import Final, Self

ROOT_KEY: Final = "root-key.json"


class NoKey(Exception):
    """There is no such file, or it cannot be used. One line that says what to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """What the file says."""

    account: str
    access_key_id: str
    secret: str = dataclasses.field(repr=False)
    endpoint: str
    region: str

    @classmethod
    def read(cls, data: Path) -> Self:
        """The file in a data directory. Raises NoKey."""
        path = data / ROOT_KEY
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                account=str(found["accountId"]),
                access_key_id=str(found["accessKeyId"]),
                secret=str(found["secretAccessKey"]),
                endpoint=str(found["endpoint"]),
                region=str(found["region"]),
            )
        except FileNotFoundError:
            raise NoKey(
                f"there is no root key in {data}: start `longshore serve`, or name its data directory by --data; a "
                "server that got its key from the environment keeps none there"
            ) from None
        except OSError as error:
            raise NoKey(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise NoKey(f"{path} is damaged, or of another version: start `longshore serve` again") from None
