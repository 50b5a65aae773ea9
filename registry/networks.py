"""Addresses and the networks that an operator names: whether one lies in another. Pure."""

import functools
import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def lies_in(address: str | None, networks: tuple[str, ...]) -> bool:
    """Whether an address lies in one of these networks. What is no address lies nowhere."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # as a socket for both kinds shows an IPv4 client
    return any(parsed in network for network in _parsed(networks))


@functools.lru_cache(maxsize=16)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(network, strict=False) for network in networks)
