"""What commands have in common that call rooms on a data directory, beside a server or without one."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from longshore import config as configuration
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.names import RegistryRef

T = TypeVar("T")

_ACCOUNT: Final = click.option("--account", help="Account of the registry.  [default: the default registry's]")
_REGION: Final = click.option("--region", help="Region of the registry.  [default: the default registry's]")


def with_registry(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--account` and `--region`: arguments of these names, both of `str | None`."""
    return _ACCOUNT(_REGION(command))


def registry_of(config: Config, account: str | None, region: str | None) -> "RegistryRef":
    """The registry that is meant. Raises BadParameter."""
    from registry.names import AccountId, BadName, Region, RegistryRef

    try:
        return RegistryRef(
            AccountId.parse(account or config.registry.account), Region.parse(region or config.registry.region)
        )
    except BadName as error:
        raise click.BadParameter(error.why) from None


def in_rooms(data: Path | None, file: Path | None, work: "Callable[[Config, Deps], Awaitable[T]]") -> T:
    """Do `work` with what rooms are given. Raises ClickException, LongshoreError."""
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import wiring

    async def run() -> T:
        async with wiring.rooms(loaded) as deps:
            return await work(loaded, deps)

    try:
        wiring.arm_failpoint(os.environ)
        return asyncio.run(run())
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None
