"""Names, networks and other texts of identities, each with one spelling: checked once, where they come in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from keystead.access.networks import network_of
from keystead.access.policy_names import is_policy_name
from keystead.access.principal import make_principal
from keystead.errors import UsageError

MAX_POLICIES: Final = 64
MAX_META: Final = 32
MAX_NETWORKS: Final = 64
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
_META_KEY: Final = re.compile(r"[A-Za-z0-9_.:/+@-]{1,128}", re.ASCII)
_ACCESSOR: Final = re.compile(r"acc_[0-9a-f]{32}")
_MAX_META_VALUE: Final = 256


def is_name(name: object) -> bool:
    """Whether a text is the name of a user or role: 1 to 64 of `a-z 0-9 . _ @ -`, a letter or digit first."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_identity(name: str, what: str) -> str:
    """The name itself, if it is one. No spelling is turned into another: two spellings cannot be two accounts.

    Raises:
        UsageError: it is none; `what` is user, role or access token.
    """
    if not is_name(name):
        article = "an" if what.startswith("access") else "a"
        raise UsageError(
            f"not the name of {article} {what}", hint="use 1 to 64 of a-z 0-9 . _ @ -, a letter or digit first"
        )
    return name


def check_accessor(accessor: str) -> str:
    """The accessor itself, if it has the form of one. Raises UsageError."""
    if not isinstance(accessor, str) or not _ACCESSOR.fullmatch(accessor):
        raise UsageError("not an accessor", hint="accessors are acc_ and 32 hex digits")
    return accessor


def check_principal(text: str) -> str:
    """The text itself, if it can be a principal, such as `user:ada`. Raises UsageError."""
    kind, separator, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not separator:
        raise UsageError("not a principal", hint="give its kind and name, such as user:ada")
    make_principal(kind, name)
    return text


def policy_names(policies: Iterable[str]) -> tuple[str, ...]:
    """Names of policies, sorted, each once. Nothing is folded or trimmed: ` Root` is no spelling of anything.

    Raises:
        UsageError: something that is no name, or more than 64.
    """
    if isinstance(policies, str) or not isinstance(policies, Iterable):
        raise UsageError("policies are given as a list of names")
    found = sorted({name if isinstance(name, str) else "" for name in policies})
    if len(found) > MAX_POLICIES or not all(is_policy_name(name) for name in found):
        raise UsageError("not names of policies", hint=f"give at most {MAX_POLICIES}, each 1 to 128 of a-z 0-9 - _ .")
    return tuple(found)


def network_texts(networks: Iterable[str]) -> tuple[str, ...]:
    """Networks such as `10.1.0.0/16`, or single addresses, in their canonical spelling.

    Raises:
        UsageError: something that is none, has bits set behind its prefix, or more than 64.
    """
    if isinstance(networks, str) or not isinstance(networks, Iterable):
        raise UsageError("networks are given as a list")
    given = list(networks)
    try:
        found = {str(network_of(text)) for text in given if isinstance(text, str)}
    except ValueError:
        found = set()
    if len(given) > MAX_NETWORKS or (given and not found) or not all(isinstance(text, str) for text in given):
        raise UsageError("not networks", hint=f"give at most {MAX_NETWORKS}, such as 10.1.0.0/16 or 2001:db8::/32")
    return tuple(sorted(found))


def source_text(source: str | None) -> str:
    """The address that a caller comes from, in its canonical spelling; "" for None.

    It is whom this process talks to, never a header that the caller wrote.

    Raises:
        UsageError: it is no single IP address.
    """
    if source is None:
        return ""
    try:
        address = ip_address(source) if isinstance(source, str) else None
    except ValueError:
        address = None
    if address is None:
        raise UsageError("source is not an IP address", hint="give the peer's address, such as 192.0.2.7")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def is_within(source: str, networks: Sequence[str]) -> bool:
    """Whether an address lies in one of the networks; without networks any does, and so does no address."""
    if not networks:
        return True
    if not source:
        return False
    address = ip_address(source)
    return any(address in ip_network(network) for network in networks)


def is_subnet(network: str, networks: Sequence[str]) -> bool:
    """Whether a network lies wholly in one of others."""
    inner = ip_network(network)
    for text in networks:
        outer = ip_network(text)
        if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network) and inner.subnet_of(outer):
            return True
        if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer):
            return True
    return False


def meta_text(meta: Mapping[str, str] | None) -> str:
    """What is noted with a token or secret id, as the store keeps it.

    Raises:
        UsageError: no mapping of short printable text, or more than 32 entries.
    """
    pairs = {} if meta is None else meta
    fits = (
        isinstance(pairs, Mapping)
        and len(pairs) <= MAX_META
        and all(isinstance(key, str) and _META_KEY.fullmatch(key) for key in pairs)
        and all(isinstance(v, str) and len(v) <= _MAX_META_VALUE and v.isprintable() for v in pairs.values())
    )
    if not fits:
        raise UsageError(
            "meta must be a mapping of text to text",
            hint=f"at most {MAX_META}; keys of A-Z a-z 0-9 _ . : / + @ -, values of up to 256 printable characters",
        )
    return as_text(dict(sorted(pairs.items())))


def as_text(value: Any) -> str:
    """A list or mapping as the store keeps it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)
