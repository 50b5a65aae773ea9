"""Issuers of OpenID Connect tokens that an account trusts: whoever brings one's token may assume a role that says so.

Nothing is fetched when one is registered: its keys are asked for when a token comes (`remote.issuers`). The issuer is
known by TLS, as every server is; thumbprints of its certificate are kept for those who compare them, as at AWS for
issuers whose certificate a public authority signed.

Source: AWS IAM API reference, "CreateOpenIDConnectProvider".
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from registry import tagging
from registry.context import Deps
from registry.entities import OidcProvider
from registry.errors import LimitExceeded
from registry.identity_errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from registry.names import AccountId
from registry.records import oidc_providers as rows
from registry.records import stamps
from registry.records.engine import Tx

MAX_CLIENT_IDS: Final = 100
MAX_THUMBPRINTS: Final = 5
_SCHEME: Final = "https://"
_URL: Final = re.compile(r"https://[A-Za-z0-9_.~:%/-]{1,247}")
_THUMBPRINT: Final = re.compile(r"[0-9A-Fa-f]{40}")


def require(tx: Tx, account: AccountId, arn: str) -> OidcProvider:
    """Raises NoSuchEntity."""
    found = rows.find(tx, account, arn.partition(":oidc-provider/")[2])
    if found is None or found.arn != arn:
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    return found


async def get(deps: Deps, account: AccountId, arn: str) -> OidcProvider:
    """Raises NoSuchEntity."""
    return await deps.db.point(lambda tx: require(tx, account, arn))


async def of(deps: Deps, account: AccountId) -> list[OidcProvider]:
    """By URL."""
    return await deps.db.read(lambda tx: rows.of(tx, account))


async def issuing(deps: Deps, account: AccountId, issuer: str) -> OidcProvider | None:
    """The account's provider whose tokens name `issuer`."""
    if not issuer.startswith(_SCHEME):
        return None
    return await deps.db.point(lambda tx: rows.find(tx, account, issuer.removeprefix(_SCHEME)))


async def create(
    deps: Deps,
    account: AccountId,
    url: str,
    *,
    client_ids: Sequence[str],
    thumbprints: Sequence[str],
    resource_tags: Mapping[str, str],
) -> OidcProvider:
    """Raises EntityAlreadyExists, InvalidInput, LimitExceeded."""
    new = OidcProvider(
        account=account,
        url=_checked_url(url),
        client_ids=_few_client_ids(client_ids),
        thumbprints=_checked_thumbprints(thumbprints),
        created_at=deps.clock.now(),
        resource_tags=resource_tags,
    )

    def unit(tx: Tx) -> OidcProvider:
        if not rows.insert(tx, new):
            raise EntityAlreadyExists(f"Provider with url {url} already exists.")
        return new

    return await deps.db.write(stamps.changing(unit))


async def delete(deps: Deps, account: AccountId, arn: str) -> None:
    """Raises NoSuchEntity."""
    await deps.db.write(stamps.changing(lambda tx: rows.delete(tx, require(tx, account, arn))))


async def set_thumbprints(deps: Deps, account: AccountId, arn: str, thumbprints: Sequence[str]) -> None:
    """Raises NoSuchEntity, InvalidInput."""
    checked = _checked_thumbprints(thumbprints)
    await _change(deps, account, arn, lambda found: dataclasses.replace(found, thumbprints=checked))


async def add_client_id(deps: Deps, account: AccountId, arn: str, client_id: str) -> None:
    """Fine where it is there. Raises NoSuchEntity, LimitExceeded."""

    def added(found: OidcProvider) -> OidcProvider:
        return dataclasses.replace(found, client_ids=_few_client_ids([*found.client_ids, client_id]))

    await _change(deps, account, arn, added)


async def remove_client_id(deps: Deps, account: AccountId, arn: str, client_id: str) -> None:
    """Fine where it is not there. Raises NoSuchEntity."""

    def removed(found: OidcProvider) -> OidcProvider:
        return dataclasses.replace(found, client_ids=tuple(one for one in found.client_ids if one != client_id))

    await _change(deps, account, arn, removed)


async def add_tags(deps: Deps, account: AccountId, arn: str, added: Mapping[str, str]) -> None:
    """Raises NoSuchEntity, LimitExceeded."""

    def tagged(found: OidcProvider) -> OidcProvider:
        together = tagging.merged(found.resource_tags, added, quota="TagsPerOpenIdConnectProvider")
        return dataclasses.replace(found, resource_tags=together)

    await _change(deps, account, arn, tagged)


async def remove_tags(deps: Deps, account: AccountId, arn: str, keys: Sequence[str]) -> None:
    """Raises NoSuchEntity."""

    def untagged(found: OidcProvider) -> OidcProvider:
        return dataclasses.replace(found, resource_tags=tagging.without(found.resource_tags, keys))

    await _change(deps, account, arn, untagged)


async def _change(deps: Deps, account: AccountId, arn: str, how: Callable[[OidcProvider], OidcProvider]) -> None:
    await deps.db.write(stamps.changing(lambda tx: rows.update(tx, how(require(tx, account, arn)))))


def _checked_url(url: str) -> str:
    """What stands behind https://. An issuer's URL has neither query nor user; its tokens repeat it to the letter."""
    try:
        parts = urlsplit(url)
        good = bool(_URL.fullmatch(url) and parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise InvalidInput("Invalid Open ID Connect Provider URL")
    return url.removeprefix(_SCHEME)


def _few_client_ids(client_ids: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(client_ids))
    if len(found) > MAX_CLIENT_IDS:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENT_IDS}")
    return found


def _checked_thumbprints(thumbprints: Sequence[str]) -> tuple[str, ...]:
    if len(thumbprints) > MAX_THUMBPRINTS:
        raise InvalidInput("Thumbprint list must contain fewer than 5 entries.")
    for one in thumbprints:
        if not _THUMBPRINT.fullmatch(one):
            raise InvalidInput("A thumbprint is a SHA-1 hash: 40 hexadecimal digits.")
    return tuple(one.lower() for one in thumbprints)
