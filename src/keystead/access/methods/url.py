"""Addresses that keystead itself may ask: https, one spelling, nothing that a reader could take for another host."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

MAX_URL: Final = 2_048
_URL: Final = re.compile(
    r"https://(?P<host>[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*)(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?",
    re.ASCII,
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MAX_PORT: Final = 65_535
# Networks whose IPv6 addresses stand for an IPv4 one: its 32 bits and how far right they end.
_EMBEDDING: Final = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("2002::/16"), 80),
)


class Endpoint(NamedTuple):
    """Where to ask: `host` as it goes into the certificate check, `port`, and `path` with its query."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as they stand in an address, without the port where it is 443."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def parse_url(url: str) -> Endpoint:
    """The parts of an https address in lower case, without user, fragment or a host that looks like a number.

    Raises:
        ValueError: it is none; the message is for a person.
    """
    match = _URL.fullmatch(url) if isinstance(url, str) and len(url) <= MAX_URL else None
    if match is None:
        raise ValueError("must be an https address, host in lower case, without user and fragment")
    host, port = match["host"], int(match["port"] or 443)
    if port > _MAX_PORT or not _is_host(host):
        raise ValueError("must name a host by its DNS name or its address in the usual form, and a port up to 65535")
    return Endpoint(host.strip("[]"), port, (match["path"] or "/") + (match["query"] or ""))


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return _is_address(host[1:-1], IPv6Address)
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return False
    # 2130706433, 0x7f.1 and 017700000001 are all 127.0.0.1 to some resolver.
    if re.match(r"[0-9]", labels[-1]):
        return _is_address(host, IPv4Address)
    return True


def _is_address(text: str, kind: type[IPv4Address] | type[IPv6Address]) -> bool:
    try:
        return str(kind(text)) == text
    except ValueError:
        return False


def may_connect(address: str, private_networks: tuple[str, ...]) -> bool:
    """Whether an address is one that the whole Internet routes to, or lies in one of `private_networks`.

    An IPv6 address that stands for an IPv4 one (mapped, compatible, NAT64, 6to4) counts as that one.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    meant = _embedded(ip) if isinstance(ip, IPv6Address) else ip
    if any(meant in network or ip in network for network in map(ip_network, private_networks)):
        return True
    return meant.is_global and not meant.is_multicast and not meant.is_reserved and not meant.is_unspecified


def _embedded(ip: IPv6Address) -> IPv4Address | IPv6Address:
    for network, shift in _EMBEDDING:
        if ip in network:
            return IPv4Address(int(ip) >> shift & 0xFFFF_FFFF)
    return ip
