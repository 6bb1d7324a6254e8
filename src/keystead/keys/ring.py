"""The data keys of an open store, in memory: found by id or reference, unwrapped when first used, forgotten on seal.

Message keys that were derived for reading are kept in a bounded LRU under purpose and whole constant header. An entry
gets there only after a tag was verified under it, so that made-up headers evict nothing; references that the store
does not know are remembered as unknown until its keys change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from keystead.crypto.compact import MessageKey, message_key_for, new_message_key
from keystead.crypto.envelope import EnvelopeKey
from keystead.crypto.material import KeyMaterial
from keystead.crypto.purpose import Purpose
from keystead.errors import DataKeyNotFound, DecryptionError, KeyStateError
from keystead.keys.lifecycle import ENDED, PERMITTED_USES, KeyState, Use, require_use
from keystead.keys.model import DataKeyRecord, unwrapped
from keystead.keys.ports import DataKeyRows, RootAccess

READ_KEYS: Final = 256
UNKNOWN_REFERENCES: Final = 4096
T = TypeVar("T")


class KeyRing:
    """Unwrapped data keys and what was derived of them, for one node; safe under threads."""

    def __init__(self, root: RootAccess, rows: Callable[[], DataKeyRows]) -> None:
        self._root = root
        self._rows = rows
        self._lock = threading.RLock()
        self._records: dict[str, DataKeyRecord] = {}
        self._by_reference: dict[bytes, DataKeyRecord] = {}
        self._materials: dict[str, KeyMaterial] = {}
        self._envelopes: dict[str, EnvelopeKey] = {}
        self._stored: dict[tuple[str, Purpose], MessageKey] = {}
        self._reading: OrderedDict[tuple[Purpose, bytes], MessageKey] = OrderedDict()
        self._unknown: set[bytes] = set()
        self.forgotten: list[Callable[[], None]] = []
        """Called when the keys were read again or forgotten: what others made of them ends too."""

    def reload(self) -> None:
        """Read the records again; keys that are gone, or may open nothing any more, are forgotten."""
        with self._lock:
            records = {record.key_id: record for record in self._rows().all()}
            for key_id, old in self._records.items():
                new = records.get(key_id)
                if new is None or Use.PROCESS not in PERMITTED_USES[new.state]:
                    self._forget_key(old)
            self._records = records
            self._by_reference = {record.reference: record for record in records.values()}
            self._unknown.clear()
        self._tell()

    def _tell(self) -> None:
        for forget in self.forgotten:
            forget()

    def after_fork(self) -> None:
        """Start with a free lock in a forked child."""
        self._lock = threading.RLock()
        self._tell()

    def forget(self) -> None:
        """Overwrite every key in memory and drop all that was derived."""
        with self._lock:
            for record in self._records.values():
                self._forget_key(record)
            self._records, self._by_reference = {}, {}
            self._unknown.clear()
        self._tell()

    def _forget_key(self, record: DataKeyRecord) -> None:
        material = self._materials.pop(record.key_id, None)
        if material is not None:
            material.forget()
        self._envelopes.pop(record.key_id, None)
        for purpose in Purpose:
            self._stored.pop((record.key_id, purpose), None)
        for entry in [entry for entry in self._reading if entry[1][4:12] == record.reference]:
            del self._reading[entry]

    def records(self) -> list[DataKeyRecord]:
        """Every data key of the store as last read, oldest first."""
        return list(self._records.values())

    def stored(self) -> list[DataKeyRecord]:
        """Every data key as the store has it now, oldest first: with the count that no change announces."""
        return list(self._rows().all())

    def active(self) -> DataKeyRecord:
        """The data key that encrypts: the newest active one.

        Raises:
            KeyStateError: there is none.
        """
        newest = None
        for record in self._records.values():
            if record.state is KeyState.ACTIVE:
                newest = record
        if newest is None:
            raise KeyStateError("the store has no active data key", hint="keystead keys rotate")
        return newest

    def by_id(self, key_id: str) -> DataKeyRecord:
        """The data key of an id; DataKeyNotFound where there is none."""
        record = self._records.get(key_id)
        if record is None:
            raise DataKeyNotFound(f"no data key {key_id[:64]!r} in this store", hint="keystead keys list")
        return record

    def by_reference(self, reference: bytes) -> DataKeyRecord:
        """The data key of a reference; DataKeyNotFound where there is none."""
        record = self._by_reference.get(reference)
        if record is None:
            raise DataKeyNotFound(
                "no data key of this store made that ciphertext", hint="open the store that it was made with"
            )
        return record

    def is_ended(self, reference: bytes) -> bool:
        """Whether a data key opens nothing any more, for good, so that what it encrypted was destroyed with it.

        A suspended or compromised one opens nothing either, and its ciphertexts stay.
        """
        return self.by_reference(reference).state in ENDED

    def material(self, record: DataKeyRecord, use: Use) -> KeyMaterial:
        """The unwrapped key, if the state permits the use.

        Raises:
            KeyStateError, IntegrityError, Sealed.
        """
        require_use(record.state, use, record.key_id)
        with self._lock:
            material = self._materials.get(record.key_id)
            if material is None:
                material = unwrapped(record, self._root.wrapping_key(), self._root.store_id)
                self._materials[record.key_id] = material
            return material

    def derive(self, record: DataKeyRecord, use: Use, how: Callable[[bytearray], T]) -> T:
        """What `how` makes of the unwrapped key, which nobody forgets meanwhile; errors as for `material`."""
        with self._lock:
            return how(self.material(record, use).view())

    def sealing_key(self, purpose: Purpose) -> tuple[DataKeyRecord, MessageKey]:
        """The active data key and a message key under a salt of this call's own."""
        with self._lock:
            record = self.active()
            material = self.material(record, Use.PROTECT)
            return record, new_message_key(record.reference, material.view(), purpose)

    def storing_key(self, purpose: Purpose) -> tuple[DataKeyRecord, MessageKey]:
        """The active data key and the message key under the salt that the store keeps with it."""
        record = self.active()
        kept = self._stored.get((record.key_id, purpose))
        if kept is None:
            with self._lock:
                material = self.material(record, Use.PROTECT)
                kept = new_message_key(record.reference, material.view(), purpose, record.salt)
                self._stored[(record.key_id, purpose)] = kept
        return record, kept

    def envelope_key(self, record: DataKeyRecord, use: Use) -> EnvelopeKey:
        """The key of envelopes v1 under a data key."""
        require_use(record.state, use, record.key_id)
        kept = self._envelopes.get(record.key_id)
        if kept is None:
            with self._lock:
                material = self.material(record, use)
                kept = EnvelopeKey(record.key_id, material.view())
                self._envelopes[record.key_id] = kept
        return kept

    def opening_key(self, prefix: bytes, purpose: Purpose) -> MessageKey:
        """The message key of a constant header, to try; `keep` remembers it once a tag was verified.

        Raises:
            DataKeyNotFound: the reference is of no key of this store.
            DecryptionError: the header does not commit to its key.
            KeyStateError: the key may not decrypt.
        """
        kept = self._reading.get((purpose, prefix))
        if kept is not None:
            return kept
        reference = prefix[4:12]
        if reference in self._unknown:
            raise DecryptionError
        with self._lock:
            try:
                record = self.by_reference(reference)
            except DataKeyNotFound:
                if len(self._unknown) < UNKNOWN_REFERENCES:
                    self._unknown.add(reference)
                raise DecryptionError from None
            stored = self._stored.get((record.key_id, purpose))
            if stored is not None and stored.prefix == prefix:
                return stored
            return message_key_for(prefix, self.material(record, Use.PROCESS).view(), purpose)

    def keep(self, purpose: Purpose, key: MessageKey) -> None:
        """Remember a message key under which a tag was verified; the least recently kept one makes room."""
        with self._lock:
            record = self._by_reference.get(key.prefix[4:12])
            if record is None or Use.PROCESS not in PERMITTED_USES[record.state]:
                return
            self._reading[(purpose, key.prefix)] = key
            self._reading.move_to_end((purpose, key.prefix))
            if len(self._reading) > READ_KEYS:
                self._reading.popitem(last=False)

    def open_stored(self, blob: bytes, aad: bytes, purpose: Purpose) -> bytes:
        """Decrypt what the store itself keeps.

        Raises:
            DecryptionError, KeyStateError, Sealed.
        """
        key = self.opening_key(blob[:60], purpose)
        plaintext = key.open(blob, aad)
        if (purpose, key.prefix) not in self._reading:
            self.keep(purpose, key)
        return plaintext

    def open_material(self, blob: bytes, aad: bytes, purpose: Purpose) -> bytearray:
        """The same into a buffer, which its owner zeroes once a key object holds what it needs."""
        key = self.opening_key(blob[:60], purpose)
        material = key.open_into(blob, aad)
        if (purpose, key.prefix) not in self._reading:
            self.keep(purpose, key)
        return material
