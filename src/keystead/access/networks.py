"""Networks as texts, each with one meaning."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
_MAPPED_BITS: Final = 96


def network_of(text: str) -> Network:
    """The network that a text is; one of IPv4 that is written in IPv6 is of IPv4, as the addresses are that it is held
    against.

    Raises:
        ValueError: it is none, or has bits set behind its prefix.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
    return network
