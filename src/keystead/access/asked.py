"""What the conditions of policies are held against."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from keystead.errors import IntegrityError
from keystead.gate import Facts

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


class Source:
    """Where a session comes from; its address is read from the text once."""

    __slots__ = ("_address", "_looked", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._address: IPv4Address | IPv6Address | None = None
        self._looked = False

    def address(self) -> IPv4Address | IPv6Address | None:
        """The address; an IPv4 address that came through IPv6 is what it is. None: there is none."""
        if not self._looked:
            self._address, self._looked = _address(self._text), True
        return self._address


class Asked:
    """The moment (ms since the epoch), how a session was proved, and the facts of a call.

    None stands for what is not known: no second factor was ever shown, the call brings no tags or no context. Tags are
    read where a statement asks for them; those of a record that was edited are not known.
    """

    __slots__ = ("_facts", "_tags", "context", "method", "mfa_ms", "now_ms", "source")

    def __init__(self, authentication: Any, facts: Facts, now_ms: int, source: Source | None = None) -> None:
        self.now_ms = now_ms
        self.method: str = authentication.method
        self.source = Source(authentication.source) if source is None else source
        self.mfa_ms: int | None = authentication.mfa_ms
        self._facts = facts
        self._tags: Mapping[str, str] | None = None
        self.context: Mapping[str, str] | None = None if facts is None else facts.get("context")

    @property
    def tags(self) -> Mapping[str, str] | None:
        """The tags of the resource."""
        facts, self._facts = self._facts, None
        if facts is not None:
            # Whoever is allowed all the same meets the error behind the gate, where it is recorded.
            with suppress(IntegrityError):
                self._tags = facts.get("tags")
        return self._tags


def _address(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import IPv6Address, ip_address  # noqa: PLC0415 - only who has such a condition pays for the import

    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
