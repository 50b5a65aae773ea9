"""Host names: which registry a `Host` header means, and how a registry is named in URIs.

    <account>.dkr.ecr.<region>.<domain>[:port]     that account's registry in that region
    anything else                                  the default registry

A name that a client sends is used in an answer only when it is one of ours: otherwise a forged Host could send clients,
and the credentials that they hold ready, elsewhere (promises.md T54).
"""

import re
from urllib.parse import urlsplit

from registry.names import AccountId, BadName, Region, RegistryRef

_REGISTRY_HOST = re.compile(r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]{1,40})\.(.+)")
_HOST_HEADER = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_FALLBACK_DOMAIN = "localhost"


class Hosts:
    """The names of this installation. `listen_url` is where it listens, used where no public URL is set."""

    def __init__(self, default: RegistryRef, *, domain: str, public_url: str, listen_url: str) -> None:
        self.default = default
        self.domain = domain
        self._domains = {_FALLBACK_DOMAIN, domain} - {""}
        self.url = (public_url or listen_url).rstrip("/")
        parts = urlsplit(self.url)
        self._scheme, self._netloc = parts.scheme, parts.netloc
        self._names = {(parts.hostname or "").lower(), (urlsplit(listen_url).hostname or "").lower(), "localhost"}

    def registry_of(self, host: str) -> RegistryRef:
        """The registry that a Host header names."""
        found = _REGISTRY_HOST.fullmatch(_bare(host))
        if found and found[3] in self._domains:
            try:
                return RegistryRef(AccountId.parse(found[1]), Region.parse(found[2]))
            except BadName:
                return self.default
        return self.default

    def _is_registry_host(self, bare: str) -> bool:
        found = _REGISTRY_HOST.fullmatch(bare)
        return found is not None and found[3] in self._domains

    def registry_host(self, registry: RegistryRef) -> str:
        """The host, with port, at which clients find a registry."""
        if registry == self.default and not self.domain:
            return self._netloc
        port = urlsplit(self.url).port
        host = f"{registry.account}.dkr.ecr.{registry.region}.{self.domain or _FALLBACK_DOMAIN}"
        return f"{host}:{port}" if port else host

    def registry_url(self, registry: RegistryRef) -> str:
        return f"{self._scheme}://{self.registry_host(registry)}"

    def repository_uri(self, registry: RegistryRef, name: str) -> str:
        """The name that a client pulls by: no scheme."""
        return f"{self.registry_host(registry)}/{name}"

    def url_for(self, host: str, local_address: str) -> str:
        """Base URL for links in an answer to a request with this Host: as it was asked, if the name is ours.

        `local_address` is the address that the connection came in at: a client may name the server by it.
        """
        bare = _bare(host)
        known = bare in self._names or bare == local_address or self._is_registry_host(bare)
        if not known or not _HOST_HEADER.fullmatch(host):
            return self.url
        return f"{self._scheme}://{host.lower()}"


def _bare(host: str) -> str:
    """The host without its port, in lower case; an IPv6 address without its brackets."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
