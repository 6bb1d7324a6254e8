"""What the audit room needs from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: how many records it has, and the link of the last one in hex ("" where it has none)."""

    chain: str
    count: int
    hash: str


class OutboxRow(NamedTuple):
    """The record of a committed change that waits for its link: its number, the chain of its writer, its content."""

    number: int
    chain: str
    content: bytes


class ChainRegistry(Protocol):
    """Which chains there are, and how far each is known to reach. Each call is its own transaction."""

    def register(self, chain: str, created_ms: int) -> None:
        """Note that a chain exists; registering it again changes nothing."""

    def heads(self) -> Mapping[str, tuple[Head, bytes]]:
        """Each registered chain's last saved head and its MAC (b"" where none was saved)."""

    def save_head(self, head: Head, mac: bytes, moved: Sequence[int] = ()) -> None:
        """Replace a chain's head unless a longer one is saved, and delete the outbox rows `moved`."""


class Outbox(Protocol):
    """The records that were committed with their changes. Each call is its own transaction."""

    def pending(self) -> Sequence[OutboxRow]:
        """Every row that is there, by number."""

    def delete(self, numbers: Sequence[int]) -> None:
        """Remove rows whose records the disk has in a journal."""

    def last_number(self) -> int:
        """The highest number ever given, 0 where none was."""


class TokenState(NamedTuple):
    """The row of an access token: of whom it is, the accessor of the one it was made with ("": none), if it is live."""

    principal: str
    parent: str
    live: bool


class DataKeyState(NamedTuple):
    """The row of a data key: if it is active, and how many messages are reserved."""

    active: bool
    reserved: int


class StoreState(NamedTuple):
    """A store at one moment: the number of its newest change, the digest of each head or row that is compared by its
    target, its access tokens and the roles of its secret ids by their accessors, its data keys by their ids, and the
    generation of its root key."""

    newest: int
    heads: Mapping[str, str]
    tokens: Mapping[str, TokenState]
    secret_ids: Mapping[str, str]
    data_keys: Mapping[str, DataKeyState]
    generation: int


class StoreContent(Protocol):
    """What the store holds, to be compared with its log."""

    def state(self) -> StoreState:
        """The store as it is now."""

    def is_alive(self, target: str, version: int) -> bool:
        """Whether a data key has its material, a key slot is there or (`version` not 0) a version has its value."""
