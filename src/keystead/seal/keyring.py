"""The unwrapped keys that a process holds: bounded, and overwritten when the store is sealed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from keystead.crypto.material import KeyMaterial
from keystead.errors import Sealed

DEFAULT_LIMIT = 1_024


class Keyring:
    """The root key and the data keys in use, at most `limit` of the latter, the least recently used going first.

    It may be used from any thread. What is handed out is a copy of the caller's own, since a key here can be
    overwritten at any moment and a half overwritten key must never encrypt; `holding_root` and `holding` overwrite
    the copy at the end of their block.
    """

    def __init__(self, *, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise ValueError("a keyring holds at least one data key")
        self._limit = limit
        self._root: KeyMaterial | None = None
        self._data_keys: OrderedDict[str, KeyMaterial] = OrderedDict()
        self._dropped: set[str] = set()
        self._lock = RLock()

    @property
    def sealed(self) -> bool:
        """Whether the root key is not here."""
        with self._lock:
            return self._root is None

    def __len__(self) -> int:
        with self._lock:
            return len(self._data_keys)

    def __contains__(self, data_key_id: object) -> bool:
        with self._lock:
            return data_key_id in self._data_keys

    def put_root(self, root: KeyMaterial) -> None:
        """Take `root` over (the keyring forgets it from now on) in place of the one before, which is overwritten."""
        with self._lock:
            before, self._root = self._root, root
            if before is not None and before is not root:
                before.forget()

    def root(self) -> KeyMaterial:
        """A copy of the root key, the caller's to forget.

        Raises:
            Sealed: the root key is not here.
        """
        with self._lock:
            return KeyMaterial(self._require_root().view())

    def data_key(self, data_key_id: str) -> KeyMaterial | None:
        """A copy of a data key, the caller's to forget; None where it is not held and must be unwrapped first.

        Raises:
            Sealed: the root key is not here.
        """
        with self._lock:
            self._require_root()
            held = self._data_keys.get(data_key_id)
            if held is None:
                return None
            self._data_keys.move_to_end(data_key_id)
            return KeyMaterial(held.view())

    @contextmanager
    def holding_root(self) -> Iterator[KeyMaterial]:
        """The root key for one block.

        Raises:
            Sealed: the root key is not here.
        """
        material = self.root()
        try:
            yield material
        finally:
            material.forget()

    @contextmanager
    def holding(self, data_key_id: str) -> Iterator[KeyMaterial | None]:
        """A data key for one block, or None where it is not held.

        Raises:
            Sealed: the root key is not here.
        """
        material = self.data_key(data_key_id)
        try:
            yield material
        finally:
            if material is not None:
                material.forget()

    def add(self, data_key_id: str, material: KeyMaterial) -> bool:
        """Take a data key over (the keyring forgets it from now on), and say whether it is held.

        A dropped one is refused and overwritten, so that a thread that unwrapped it just before cannot bring it back.

        Raises:
            Sealed: the root key is not here; `material` was overwritten.
        """
        with self._lock:
            if self._root is None or data_key_id in self._dropped:
                material.forget()
                self._require_root()
                return False
            before = self._data_keys.pop(data_key_id, None)
            if before is not None and before is not material:
                before.forget()
            self._data_keys[data_key_id] = material
            while len(self._data_keys) > self._limit:
                self._data_keys.popitem(last=False)[1].forget()
            return True

    def drop(self, data_key_id: str) -> None:
        """Overwrite a destroyed data key and never take it in again; ids are not used twice."""
        with self._lock:
            self._dropped.add(data_key_id)
            held = self._data_keys.pop(data_key_id, None)
            if held is not None:
                held.forget()

    def forget(self) -> None:
        """Seal: overwrite the root key and every data key. `put_root` unseals."""
        with self._lock:
            root, self._root = self._root, None
            if root is not None:
                root.forget()
            while self._data_keys:
                self._data_keys.popitem()[1].forget()

    def _require_root(self) -> KeyMaterial:
        if self._root is None:
            raise Sealed("the store is sealed: its root key is not in memory", hint="open it with its master key")
        return self._root

    def __repr__(self) -> str:
        return f"<keyring: {'sealed' if self.sealed else 'open'}, {len(self)} data keys>"
