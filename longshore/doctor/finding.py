"""What one look came to."""

import dataclasses
from typing import Literal

State = Literal["ok", "warning", "trouble"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`look`: what was looked at. `found`: in words. `to_do`: likewise, and empty where nothing is to be done."""

    look: str
    state: State
    found: str
    to_do: str = ""
