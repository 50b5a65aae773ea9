"""Webhooks: whether the server may connect to them, and how they take events."""

import asyncio
from collections.abc import Iterator
from typing import Final

from longshore.config import Config
from longshore.doctor.finding import Finding
from registry.records import listeners
from registry.records.engine import Opened
from registry.records.listeners import Listener
from registry.remote.egress import Egress, EgressRefused

_SECONDS: Final = 10  # for the lookup of one name


def webhooks(config: Config, db: Opened) -> Iterator[Finding]:
    """One finding for each webhook that is in trouble; one for all where none is."""
    hooks = [one for one in db.read_here(listeners.every) if one.kind == "webhook"]
    in_trouble = [finding for one in hooks if (finding := _finding(one, _refusal(config, one.url))) is not None]
    yield from in_trouble
    if hooks and not in_trouble:
        yield Finding(look="webhooks", state="ok", found=f"{len(hooks)} may be connected to, and take events")


def _finding(one: Listener, refusal: str | None) -> Finding | None:
    name = f"{one.name} of {one.account} in {one.region}"
    if refusal is not None:
        to_do = "add the receiver to egress.allow, or remove the webhook (`longshore webhook remove`)"
        return Finding(look="webhooks", state="warning", found=f"{name}: {refusal}", to_do=to_do)
    if one.paused is not None:
        to_do = f"`longshore webhook resume {one.name}` once it takes events again, or remove it"
        return Finding(look="webhooks", state="warning", found=f"{name} is paused: {one.paused}", to_do=to_do)
    if one.rest_until is not None:
        to_do = f"see `longshore webhook show {one.name}`, and try `longshore webhook test {one.name}`"
        return Finding(look="webhooks", state="warning", found=f"{name} fails: {one.last_error}", to_do=to_do)
    return None


def _refusal(config: Config, url: str) -> str | None:
    """Why the guard lets nobody connect there."""

    async def judge() -> None:
        egress = Egress(config.egress.allow)
        async with asyncio.timeout(_SECONDS):
            await egress.judge(url)

    try:
        asyncio.run(judge())
    except EgressRefused as error:
        return str(error)
    except TimeoutError:
        pass  # a name that nobody answers for is told by its failures
    return None
