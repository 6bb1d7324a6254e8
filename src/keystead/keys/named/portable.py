"""Taking a named key elsewhere and bringing it in: export, backup and restore of one key, wrapped import.

A backup of one key is the magic `ksk` and version 0x01; passes, lanes and KiB of Argon2id, 4 big-endian bytes each; 16
bytes of salt; then a compact ciphertext v2 (reference 8 zero bytes, purpose backup) of JSON, under the key that the
passphrase gives; its AAD is what stands before it.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from keystead.crypto.compact import OVERHEAD, REFERENCE_LENGTH, message_key_for, new_message_key
from keystead.crypto.importing import unwrap_import
from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters, derive_from_passphrase
from keystead.crypto.material import random_bytes, zero
from keystead.crypto.purpose import Purpose
from keystead.errors import AlreadyExists, BackupError, DecryptionError, KeyStateError, KeysteadError, UsageError
from keystead.gate import Reading, Session
from keystead.keys.named.form import NewKey
from keystead.keys.named.look import key_info
from keystead.keys.named.manage import NamedKeyManager, require_there
from keystead.keys.named.model import KeyHead, KeyInfo
from keystead.keys.named.names import check_key_name
from keystead.keys.named.ports import NamedKeyRows
from keystead.keys.named.restored import restored
from keystead.keys.named.ring import LoadedKey, NamedKeyRing
from keystead.keys.named.rules import Operation, require_operation
from keystead.keys.named.use import NamedKeyUse

_MAGIC: Final = b"ksk\x01"
_COSTS: Final = struct.Struct(">III")
_SALT_LENGTH: Final = 16
_FRONT: Final = len(_MAGIC) + _COSTS.size + _SALT_LENGTH
MAX_BACKUP: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExportedKey:
    """The material of one version: raw bytes of symmetric keys and seeds, PKCS#8 DER of RSA and EC keys."""

    name: str
    type: str
    version: int
    material: bytes = field(repr=False)


@dataclass(slots=True, eq=False, repr=False)
class KeyPorter:
    """What takes keys out of a store and brings them in, for one node. `strong` refuses a weak passphrase."""

    manager: NamedKeyManager
    ring: NamedKeyRing
    strong: Callable[[str], None]

    def export(self, session: Session, name: str, version: int | None) -> ExportedKey:
        """The material of a version, of a key that was made exportable.

        Raises:
            KeyNotFound; KeyStateError: the key was not made so, or its state does not permit it.
        """
        key = self._known(session, name, "key:export")
        with self._reading(session, "key:export", "key_exported", name, key) as detail:
            key = self.ring.find_again(name, key)
            self._require_portable(key)
            require_operation(key.head.name, key.kind, key.usage, key.state, Operation.EXPORT)
            chosen = key.processing(key.head.primary if version is None else version)
            material = self.ring.material(key, chosen)
            detail["version"] = chosen.row.version
            exported = ExportedKey(key.head.name, key.head.type, chosen.row.version, bytes(material))
            zero(material)
            return exported

    def backup(self, session: Session, name: str, passphrase: str) -> bytes:
        """One key with all its versions, encrypted under a passphrase; errors as for `export`."""
        self.strong(passphrase)
        key = self._known(session, name, "key:backup")
        with self._reading(session, "key:backup", "key_backed_up", name, key) as detail:
            key = self.ring.find_again(name, key)
            self._require_portable(key)
            require_operation(key.head.name, key.kind, key.usage, key.state, Operation.EXPORT)
            content = self._content(key)
            if not content["versions"]:
                raise KeyStateError(f"every version of key {key.head.name} was destroyed", hint="rotate it first")
            detail["versions"] = len(content["versions"])
            return _sealed(content, passphrase)

    def restore(self, session: Session, source: bytes, passphrase: str, name: str | None) -> KeyInfo:
        """Bring a backed-up key in, under its name or another; what it encrypted elsewhere opens here.

        Raises:
            BackupError: damaged, or another passphrase. AlreadyExists: the name is taken, or the key is here already.
        """
        manager = self.manager
        wanted = "*" if name is None else check_key_name(name)
        manager.gate.ahead(session, "key:restore", f"key/{wanted}", at_all=True)
        try:
            head, versions = restored(_opened(source, passphrase), name)
        except KeysteadError as error:
            target = name if isinstance(error, BackupError) and name is not None else "*"
            manager.gate.failed(session, f"key/{target}", "key_restored", error)
            raise
        try:
            with manager.gate.change(
                session, "key:restore", f"key/{head.name}", "key_restored", {"tags": head.facts()}
            ) as change:
                rows = manager.rows(change.transaction)
                _require_free(rows, head, [row.reference for row, _ in versions])
                head = manager.binder().sealed(head)
                for row, material in versions:
                    rows.add_version(head.key_id, manager.encrypted(head, row, material))
                rows.put(head)
                change.detail.update(head=head.digest, versions=len(versions))
        finally:
            for _, material in versions:
                zero(material)
        manager.changed()
        return key_info(head, ())

    def import_key(
        self, session: Session, use: NamedKeyUse, name: str, wrapped: tuple[bytes, str], new: NewKey
    ) -> KeyInfo:
        """A new key of material that was wrapped under a key for imports.

        Raises:
            DecryptionError: it was wrapped under another key, or damaged. UsageError: it is no material of that type.
        """
        blob, wrapping_key = wrapped
        material = use.unwrap_import(wrapping_key, blob, unwrap_import)
        return self.manager.create(session, name, new, material)

    def import_version(self, session: Session, use: NamedKeyUse, name: str, wrapped: tuple[bytes, str]) -> KeyInfo:
        """A new primary version of an imported key; errors as for `import_key`."""
        blob, wrapping_key = wrapped
        material = use.unwrap_import(wrapping_key, blob, unwrap_import)
        return self.manager.rotate(session, name, material)

    def _known(self, session: Session, name: str, action: str) -> LoadedKey:
        check_key_name(name)
        self.manager.gate.refreshed(session, f"key/{name}")
        try:
            return self.ring.find(name)
        except KeysteadError as error:
            self.manager.gate.admit(session, action, f"key/{name}")
            self.manager.gate.failed(session, f"key/{name}", "key_refused", error)
            raise

    def _reading(self, session: Session, action: str, event: str, name: str, key: LoadedKey) -> Reading:
        resource, facts = f"key/{key.head.name}", {"tags": key.head.facts()}
        return self.manager.gate.read(session, action, resource, event, facts, asked=name)

    @staticmethod
    def _require_portable(key: LoadedKey) -> None:
        require_there(key.head)
        if not key.head.exportable:
            raise KeyStateError(
                f"key {key.head.name} was not made exportable", hint="the backup of the whole store holds it"
            )

    def _content(self, key: LoadedKey) -> dict[str, Any]:
        versions = []
        for version in key.versions.values():
            if version.row.material is None:
                continue
            material = self.ring.material(key, version)
            versions.append(
                {
                    "version": version.row.version,
                    "reference": version.row.reference.hex(),
                    "salt": version.row.salt.hex(),
                    "created_ms": version.row.created_ms,
                    "public": None if version.row.public is None else version.row.public.hex(),
                    "material": b64encode(material).decode(),
                }
            )
            zero(material)
        head = {name: value for name, value in key.head._asdict().items() if name != "mac"}
        return {"keystead": "key-backup/1", "head": head, "versions": versions}


def _require_free(rows: NamedKeyRows, head: KeyHead, references: list[bytes]) -> None:
    if rows.head(head.name) is not None or rows.alias(head.name) is not None:
        raise AlreadyExists(f"there is a key or an alias {head.name}", hint="restore it under another name")
    if rows.by_id(head.key_id) is not None or any(rows.owner(each) is not None for each in references):
        raise AlreadyExists(
            "the key that was backed up is in this store, maybe under another name", hint="keystead key list"
        )


def _sealed(content: dict[str, Any], passphrase: str) -> bytes:
    salt, costs = random_bytes(_SALT_LENGTH), RFC_9106_LOW_MEMORY
    front = _MAGIC + _COSTS.pack(*costs) + salt
    derived = derive_from_passphrase(passphrase, salt=salt, parameters=costs)
    sealed = front + new_message_key(bytes(REFERENCE_LENGTH), derived, Purpose.BACKUP).seal(
        json.dumps(content).encode(), front
    )
    if len(sealed) > MAX_BACKUP:
        raise KeyStateError(
            "the key has more versions than a backup of one key holds", hint="the backup of the whole store holds it"
        )
    return sealed


def _opened(source: bytes, passphrase: str) -> dict[str, Any]:
    if type(source) is not bytes or not _FRONT + OVERHEAD <= len(source) <= MAX_BACKUP or source[:4] != _MAGIC:
        raise BackupError("this is no backup of a key", hint="give what keystead key backup wrote")
    if not isinstance(passphrase, str):
        raise UsageError("a passphrase is text")
    front, blob = source[:_FRONT], source[_FRONT:]
    costs = Argon2Parameters(*_COSTS.unpack_from(front, len(_MAGIC)))
    if costs.problem():
        raise BackupError("the backup asks for costs of Argon2id that are out of bounds")
    derived = derive_from_passphrase(passphrase, salt=front[-_SALT_LENGTH:], parameters=costs)
    content: object = None
    try:
        content = json.loads(message_key_for(blob[:60], derived, Purpose.BACKUP).open(blob, front))
    except DecryptionError:
        raise BackupError("the backup is damaged, or its passphrase is another") from None
    except (ValueError, RecursionError):
        pass  # raised below, outside: the error of the parser holds what was decrypted
    if not isinstance(content, dict) or content.get("keystead") != "key-backup/1":
        raise BackupError("the backup is of a form that this keystead does not know")
    return content
