"""The value cache of a node: bounded in entries and bytes, stamped with the store's generation."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from keystead.clock import parse_duration
from keystead.errors import UsageError
from keystead.secrets.read import Found

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 16 * 1024 * 1024
ENTRY_OVERHEAD: Final = 200
Key = tuple[str, int | None, str | None]


class Entry(NamedTuple):
    """What is kept: the value, the generation of its snapshot, and when it was read (monotonic seconds)."""

    found: Found
    generation: int
    read_at: float


class Known(NamedTuple):
    """Until when (monotonic seconds) nothing need be asked, and the cache's token before it was looked into."""

    until: float
    token: int


@dataclass(slots=True)
class CacheFigures:
    """What the cache did since the node was opened."""

    misses: int = 0
    evicted: int = 0
    stale_served: int = 0


class ValueCache:
    """Values by name, version and label; safe under threads. The right to read is checked before it is asked."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._by_name: dict[str, set[Key]] = {}
        # Each for as long as somebody reads under it: versions count up, and with them the keys.
        self._loading: WeakValueDictionary[Key, AbstractContextManager[object]] = WeakValueDictionary()
        self._bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.figures = CacheFigures()
        self.token = 0

    def get(self, key: Key) -> Entry | None:
        """What is kept under a key; whether it may still be served is for the caller to say."""
        return self._entries.get(key)

    def put(self, key: Key, entry: Entry, token: int) -> None:
        """Keep an entry; the oldest make room. Nothing is kept if anything was dropped since `token` was read."""
        with self._lock:
            if token != self.token:
                return
            self._remove(key)
            self._entries[key] = entry
            self._by_name.setdefault(key[0], set()).add(key)
            self._bytes += _size(key, entry)
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))
                self.figures.evicted += 1

    def if_unchanged(self, token: int, do: Callable[[], None]) -> None:
        """Do something, unless anything was dropped since `token` was read; nothing is dropped meanwhile."""
        with self._lock:
            if token == self.token:
                do()

    def _remove(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= _size(key, entry)
        keys = self._by_name[key[0]]
        keys.discard(key)
        if not keys:
            del self._by_name[key[0]]

    def drop(self, names: list[str]) -> None:
        """Forget everything under these names."""
        with self._lock:
            for name in names:
                for key in list(self._by_name.get(name, ())):
                    self._remove(key)
            # Last: whoever looks without the lock, and saw the new token before, must find nothing that is dropped.
            self.token += 1

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._by_name.clear()
            self._bytes = 0
            self.token += 1

    def loading(self, key: Key) -> AbstractContextManager[object]:
        """The lock under which one of several that miss the same key reads it for all.

        Its holder may come again: an application's callback on the reading may read the same secret.
        """
        with self._lock:
            lock = self._loading.get(key)
            if lock is None:
                lock = self._loading[key] = threading.RLock()
            return lock

    def after_fork(self) -> None:
        """Start with free locks in a forked child."""
        self._lock = threading.Lock()
        self._loading = WeakValueDictionary()

    def size(self) -> tuple[int, int]:
        """Entries and bytes."""
        return len(self._entries), self._bytes


def _size(key: Key, entry: Entry) -> int:
    value = entry.found.value.reveal()
    # Python keeps text beyond ASCII in up to four bytes a character.
    width = 1 if isinstance(value, bytes) or value.isascii() else 4
    return ENTRY_OVERHEAD + len(key[0]) + len(value) * width


def cache_seconds(cache_ttl: float | timedelta | str) -> float:
    """How long values are kept, in seconds: a number of them, a timedelta or text such as `5m`. Raises UsageError."""
    if isinstance(cache_ttl, timedelta | str):
        return parse_duration(cache_ttl, what="cache_ttl", allow_zero=True) / 1000
    if type(cache_ttl) not in (int, float) or not 0 <= cache_ttl <= 86_400 * 365:
        raise UsageError("cache_ttl is out of bounds", hint="give seconds, a timedelta, or text such as 5m")
    return float(cache_ttl)
