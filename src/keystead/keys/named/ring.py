"""The named keys of an open store, in memory: loaded when first used, bounded, dropped when any key changed."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from keystead.clock import Clock
from keystead.crypto.asymmetric import load_private, load_public
from keystead.crypto.compact import MessageKey, message_key_for, new_deterministic_key, new_message_key
from keystead.crypto.hmac_keys import HmacKey
from keystead.crypto.keypair import PrivateKey, PublicKey
from keystead.crypto.mac import same
from keystead.crypto.material import zero
from keystead.crypto.purpose import Purpose
from keystead.crypto.types import KeyType
from keystead.errors import DecryptionError, IntegrityError, KeyNotFound, KeyStateError
from keystead.gate import missing
from keystead.keys.lifecycle import KeyState
from keystead.keys.limits import SALT_MESSAGE_LIMIT
from keystead.keys.named.model import KeyBinder, KeyHead, KeyVersionRow
from keystead.keys.named.names import check_key_version
from keystead.keys.named.ports import AliasRow, NamedKeyRows
from keystead.keys.named.rules import Usage
from keystead.keys.ring import KeyRing

LOADED_KEYS: Final = 1024
READ_KEYS: Final = 64
SALT_SECONDS: Final = 3600.0


@dataclass(slots=True, eq=False, repr=False)
class LoadedVersion:
    """What was made of one version's material, each when it was first needed."""

    row: KeyVersionRow
    private: PrivateKey | None = None
    public: PublicKey | None = None
    hmac: HmacKey | None = None
    sealing: MessageKey | None = None
    sealed: int = 0
    sealing_from: float = 0.0
    sealing_pid: int = 0
    reading: OrderedDict[bytes, MessageKey] = field(default_factory=OrderedDict)


@dataclass(slots=True, eq=False, repr=False)
class LoadedKey:
    """A named key as the store had it: its head, which was checked, and its versions by number."""

    head: KeyHead
    versions: dict[int, LoadedVersion]

    @property
    def kind(self) -> KeyType:
        """Its type."""
        return KeyType(self.head.type)

    @property
    def usage(self) -> Usage:
        """What it is for."""
        return Usage(self.head.usage)

    @property
    def state(self) -> KeyState:
        """Its state."""
        return KeyState(self.head.state_now)

    def protecting(self, number: int | None) -> LoadedVersion:
        """The version that protects: the primary one, or one that was asked for.

        Raises:
            KeyNotFound: there is no such version. KeyStateError: it is below the minimum, or destroyed.
        """
        return self._version(self.head.primary if number is None else number, self.head.min_encrypt, "min_encrypt")

    def processing(self, number: int) -> LoadedVersion:
        """A version that opens or verifies; errors as for `protecting`."""
        return self._version(number, self.head.min_decrypt, "min_decrypt")

    def candidates(self, number: int | None) -> list[LoadedVersion]:
        """The version that was named, or every one that may process, newest first."""
        if number is not None:
            return [self.processing(number)]
        return [
            version
            for at, version in sorted(self.versions.items(), reverse=True)
            if at >= self.head.min_decrypt and version.row.material is not None
        ]

    def _version(self, number: int, least: int, what: str) -> LoadedVersion:
        check_key_version(number)
        found = self.versions.get(number)
        if found is None:
            raise KeyNotFound(f"key {self.head.name} has no version {number}", hint="keystead key show lists them")
        if number < least:
            raise KeyStateError(
                f"version {number} of key {self.head.name} is below its {what} of {least}",
                hint=f"use version {least} or newer, or lower {what}",
            )
        if found.row.material is None:
            raise _gone(self.head, found.row)
        return found


class NamedKeyRing:
    """Named keys in memory for one node; safe under threads."""

    def __init__(
        self,
        ring: KeyRing,
        rows: Callable[[], NamedKeyRows],
        binder: Callable[[], KeyBinder],
        clock: Clock,
    ) -> None:
        self._ring = ring
        self._rows = rows
        self._binder = binder
        self._clock = clock
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._by_name: OrderedDict[str, LoadedKey] = OrderedDict()
        ring.forgotten.append(self.forget)

    def forget(self) -> None:
        """Drop every key; the next use loads it anew."""
        if self._pid != os.getpid():
            # A thread that is not in this forked child may have held it.
            self._lock, self._pid = threading.RLock(), os.getpid()
        with self._lock:
            self._by_name.clear()

    def find(self, name: str) -> LoadedKey:
        """The key of a name or an alias.

        Raises:
            KeyNotFound: there is none. IntegrityError: its record was edited.
        """
        kept = self._by_name.get(name)
        if kept is not None:
            return kept
        with self._lock:
            rows = self._rows()
            loaded = self._load(rows, checked(rows, self._binder(), name))
            self._by_name[name] = loaded
            if len(self._by_name) > LOADED_KEYS:
                self._by_name.popitem(last=False)
            return loaded

    def find_again(self, name: str, authorized: LoadedKey) -> LoadedKey:
        """The key of a name behind the gate, which was asked about the one that the name stood for.

        Raises:
            KeyNotFound: an alias stands for another key by now; else as `find`.
        """
        found = self.find(name)
        require_same(name, found.head, authorized.head.name)
        return found

    def has_moved(self, name: str, authorized: LoadedKey) -> bool:
        """Whether an alias stands for another key than the one that the gate was asked about, which is asked again."""
        try:
            return self.find(name).head.name != authorized.head.name
        except (KeyNotFound, IntegrityError):
            return False  # which `find_again` raises

    def _load(self, rows: NamedKeyRows, head: KeyHead) -> LoadedKey:
        return LoadedKey(head, {row.version: LoadedVersion(row) for row in rows.versions(head.key_id)})

    def of_reference(self, reference: bytes) -> tuple[str, int]:
        """The name and version of the key that a ciphertext's reference is of.

        Raises:
            DecryptionError: it is of none, which looks as a bad ciphertext does.
        """
        rows = self._rows()
        owner = rows.owner(reference)
        head = None if owner is None else rows.by_id(owner[0])
        if owner is None or head is None:
            raise DecryptionError
        return self._binder().check(head).name, owner[1]

    def material(self, key: LoadedKey, version: LoadedVersion) -> bytearray:
        """The material of a version, for whoever makes a key object of it and then zeroes it.

        Raises:
            KeyStateError: it was destroyed. IntegrityError: it was edited, swapped or damaged.
        """
        row = version.row
        if row.material is None:
            raise _gone(key.head, row)
        if row.destroyed_ms is not None:
            raise _lost(key.head, row.version)
        try:
            return self._ring.open_material(row.material, self._binder().version_aad(key.head, row), Purpose.NAMED_KEY)
        except DecryptionError:
            raise _lost(key.head, row.version) from None

    def check(self, name: str) -> None:
        """Return if the head of a key and all of its versions are what keystead wrote, or there is no such key.

        Raises:
            IntegrityError: naming the first that is not.
        """
        rows = self._rows()
        head = rows.head(name)
        if head is None:
            return
        key = self._load(rows, self._binder().check(head))
        for number in range(1, head.latest + 1):
            version = key.versions.get(number)
            if version is None:
                raise _lost(head, number)
            if version.row.material is not None or version.row.destroyed_ms is None:
                self._check_material(key, version)

    def _check_material(self, key: LoadedKey, version: LoadedVersion) -> None:
        try:
            zero(self.material(key, version))
        except KeyStateError:
            if self._ring.is_ended(version.row.key_reference):
                raise _lost(key.head, version.row.version) from None

    def check_alias(self, alias: str) -> None:
        """Return if an alias is what keystead wrote, or there is none. Raises IntegrityError."""
        row = self._rows().alias(alias)
        if row is not None:
            require_authentic(self._binder(), row)

    def private(self, key: LoadedKey, version: LoadedVersion) -> PrivateKey:
        """The private key of a version."""
        if version.private is None:
            material = self.material(key, version)
            version.private = load_private(key.kind, material)
            zero(material)
        return version.private

    def public(self, key: LoadedKey, version: LoadedVersion) -> PublicKey:
        """The public key of a version, once its record was seen to be authentic."""
        if version.public is None:
            zero(self.material(key, version))
            if version.row.public is None:
                raise IntegrityError(f"version {version.row.version} of key {key.head.name} has no public key")
            version.public = load_public(key.kind, version.row.public)
        return version.public

    def hmac(self, key: LoadedKey, version: LoadedVersion) -> HmacKey:
        """The HMAC key of a version."""
        if version.hmac is None:
            material = self.material(key, version)
            version.hmac = HmacKey(key.kind, material)
            zero(material)
        return version.hmac

    def sealing(self, key: LoadedKey, version: LoadedVersion, used: int) -> MessageKey:
        """The message key to encrypt with, under a salt that is renewed by messages, age and forks.

        `used` is how many messages the caller has made with the last one. A deterministic key has one salt for ever.
        """
        with self._lock:
            version.sealed += used
            now, pid = self._clock.monotonic(), os.getpid()
            fresh = (
                pid == version.sealing_pid
                and now - version.sealing_from < SALT_SECONDS
                and version.sealed < SALT_MESSAGE_LIMIT
            )
            if version.sealing is None or not (fresh or key.head.deterministic):
                material = self.material(key, version)
                reference, salt = version.row.reference, version.row.salt
                if key.head.deterministic:
                    version.sealing = new_deterministic_key(reference, material, Purpose.CALLER, salt)
                else:
                    version.sealing = new_message_key(reference, material, Purpose.CALLER, key_type=key.kind)
                zero(material)
                version.sealed, version.sealing_from, version.sealing_pid = 0, now, pid
            return version.sealing

    def opening(self, key: LoadedKey, version: LoadedVersion, prefix: bytes) -> MessageKey:
        """The message key of a constant header; `keep` remembers it once a tag was verified.

        Raises:
            DecryptionError: the header does not commit to this version.
        """
        kept = version.reading.get(prefix)
        if kept is not None:
            return kept
        if version.sealing is not None and version.sealing.prefix == prefix:
            return version.sealing
        material = self.material(key, version)
        try:
            return message_key_for(prefix, material, Purpose.CALLER, key_type=key.kind)
        finally:
            zero(material)

    def keep(self, version: LoadedVersion, key: MessageKey) -> None:
        """Remember a message key under which a tag was verified."""
        with self._lock:
            version.reading[key.prefix] = key
            if len(version.reading) > READ_KEYS:
                version.reading.popitem(last=False)


def require_same(name: str, head: KeyHead, authorized: str) -> None:
    """Nothing, where the key that is used is the one that the gate was asked about. Raises KeyNotFound."""
    if head.name != authorized:
        raise KeyNotFound(f"alias {name} stands for another key since a moment ago", hint="try again")


def _gone(head: KeyHead, row: KeyVersionRow) -> KeyStateError | IntegrityError:
    """What is told where there is no material: that it was destroyed, or that somebody took it away."""
    if row.destroyed_ms is None:
        return _lost(head, row.version)
    return KeyStateError(
        f"version {row.version} of key {head.name} was destroyed",
        hint="what it protected cannot be read any more; a new version protects: keystead key rotate",
    )


def _lost(head: KeyHead, number: int) -> IntegrityError:
    return IntegrityError(
        f"version {number} of key {head.name} is not what keystead wrote",
        hint="`keystead audit verify` says what was recorded; restore a backup elsewhere and compare",
    )


def checked(rows: NamedKeyRows, binder: KeyBinder, name: str) -> KeyHead:
    """The head of a key by its name or alias, if it is one that keystead wrote.

    Raises:
        KeyNotFound, IntegrityError.
    """
    head = rows.head(name)
    if head is None:
        alias = rows.alias(name)
        if alias is not None:
            require_authentic(binder, alias)
            head = rows.by_id(alias.key_id)
    if head is None:
        raise missing("key", name)
    return binder.check(head)


def require_authentic(binder: KeyBinder, row: AliasRow) -> None:
    """Nothing, where an alias is what keystead wrote. Raises IntegrityError."""
    if not same(binder.alias_mac(row.alias, row.key_id), row.mac):
        raise IntegrityError(
            f"the record of alias {row.alias} is not what keystead wrote",
            hint="use the key by its own name; `keystead audit verify` says what was recorded",
        )
