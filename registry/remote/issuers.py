"""Keys of OpenID Connect issuers, fetched when a token needs them and kept for minutes.

    https://<issuer>/.well-known/openid-configuration -> jwks_uri -> the keys

Who brings a token has not proved anything yet, so what a stranger can have this server fetch is bounded: only of
issuers that an account registered, once at a time for each, at most every thirty seconds however many key ids are made
up, and never beyond the guard (`egress`).

Sources: OpenID Connect Discovery 1.0, sections 3 and 4; RFC 7517.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from policies import jsontext
from registry.remote.egress import Egress, EgressFailed

_KEPT_SECONDS: Final = 600
_PAUSE_SECONDS: Final = 30
_ANSWER_SECONDS: Final = 10
_DOCUMENT_BYTES: Final = 256 * 1024
_MOST_KEYS: Final = 100
_MOST_ISSUERS: Final = 1000

Jwk = Mapping[str, Any]


class IssuerFailed(Exception):
    """The issuer's keys cannot be had. The message may be shown to clients."""


@dataclasses.dataclass(slots=True)
class _Known:
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    keys: Sequence[Jwk] = ()
    trouble: str = ""  # why the last attempt failed
    tried_at: float | None = None
    fetched_at: float | None = None


class Issuers:
    """One for each process. It owns the client that everything outgoing uses."""

    def __init__(self, egress: Egress, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.egress = egress
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def key(self, issuer: str, key_id: str) -> Jwk | None:
        """The issuer's key of that id; None where it has none. `issuer` is an https URL. Raises IssuerFailed."""
        known = self._known.get(issuer)
        if known is None:
            if len(self._known) >= _MOST_ISSUERS:
                self._known.clear()
            known = self._known[issuer] = _Known()
        async with known.lock:
            now = self._clock()
            fresh = known.fetched_at is not None and now - known.fetched_at < _KEPT_SECONDS
            found = _find(known.keys, key_id) if fresh else None
            if found is None and (known.tried_at is None or now - known.tried_at >= _PAUSE_SECONDS):
                known.tried_at = now
                try:
                    known.keys, known.trouble = await self._fetch(issuer), ""
                    known.fetched_at = now
                except (EgressFailed, jsontext.NotJson, IssuerFailed) as error:
                    known.trouble = str(error)
                    raise IssuerFailed(known.trouble) from None
                found = _find(known.keys, key_id)
            elif found is None and not fresh:
                raise IssuerFailed(known.trouble or "the issuer's keys are not known")
            return found

    async def close(self) -> None:
        await self.egress.close()

    async def _fetch(self, issuer: str) -> Sequence[Jwk]:
        configuration = await self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        # An issuer that speaks for another one could sign for it.
        if configuration.get("issuer") != issuer:
            raise IssuerFailed("the issuer's configuration names another issuer")
        where = configuration.get("jwks_uri")
        if not isinstance(where, str):
            raise IssuerFailed("the issuer's configuration names no jwks_uri")
        keys = (await self._document(where)).get("keys")
        if not isinstance(keys, list) or len(keys) > _MOST_KEYS or not all(isinstance(key, dict) for key in keys):
            raise IssuerFailed(f"the issuer's key set is no list of at most {_MOST_KEYS} keys")
        return keys

    async def _document(self, url: str) -> Mapping[str, Any]:
        answer = await self.egress.get(
            url, limit=_DOCUMENT_BYTES, seconds=_ANSWER_SECONDS, headers={"Accept": "application/json"}, tls=True
        )
        if answer.status != 200:
            raise IssuerFailed(f"the issuer answered {answer.status}")
        found = jsontext.loads(answer.body)
        if not isinstance(found, dict):
            raise IssuerFailed("the issuer's answer is no JSON object")
        return found


def _find(keys: Sequence[Jwk], key_id: str) -> Jwk | None:
    """The one key of that id. Two of one id would make it a matter of luck which one counts: then none does."""
    found = [key for key in keys if key.get("kid") == key_id]
    return found[0] if len(found) == 1 else None
