"""What the commands about webhooks have in common."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from longshore.cli.operator import entry_of, on_record
from longshore.cli.rooms import in_rooms, registry_of
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.names import RegistryRef
    from registry.records.listeners import Listener
    from registry.webhooks import Standing

T = TypeVar("T")


async def known(deps: "Deps", registry: "RegistryRef", name: str) -> "Standing":
    """Raises ClickException."""
    from registry import webhooks

    found = await webhooks.find(deps, registry, name)
    if found is None:
        raise click.ClickException(f"there is no webhook {name}; `longshore webhook list` shows all")
    return found


def audited(
    data: Path | None,
    file: Path | None,
    account: str | None,
    region: str | None,
    name: str,
    action: str,
    change: "Callable[[Deps, Listener], Awaitable[T]]",
    **parameters: object,
) -> T:
    """Change something about a webhook, on record as the operator's deed. Raises ClickException."""

    async def work(config: Config, deps: "Deps") -> T:
        ref = registry_of(config, account, region)
        found = await known(deps, ref, name)
        told = entry_of(ref, action, resource="", name=name, **parameters)
        return await change(on_record(config, deps, told), found.webhook)

    return in_rooms(data, file, work)
