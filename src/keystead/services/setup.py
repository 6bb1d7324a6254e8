"""Making a store with its key file and recovery kit, and opening one by its kit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from keystead.clock import SystemClock
from keystead.crypto.material import random_bytes
from keystead.errors import FileUnavailable, MasterKeyMissing, StoreExists, UsageError
from keystead.node.location import FOLDER, in_folder
from keystead.node.node import Node
from keystead.node.opening import Opening, create_node, is_missing, open_node, prepare_folder
from keystead.node.settings import environment
from keystead.node.slots import SlotManager
from keystead.seal.credential import Credential
from keystead.seal.master_key import generate_master_key, parse_master_key
from keystead.seal.private_file import write_private
from keystead.seal.providers.recovery import RecoveryKit, parse_recovery_kit
from keystead.seal.sources import KEY_FILE_NAME, find_credential


@dataclass(frozen=True, slots=True)
class NewStore:
    """What `make_store` made. `key_source` names where the key is; `kit` is the recovery kit's document, shown once."""

    database: Path
    key_source: str
    key_beside_store: bool
    kit: str | None
    kit_file: Path | None


def existing_store(folder: Path) -> Path | None:
    """The database of the store in `folder`/.keystead; None where there is none."""
    location = in_folder(folder / FOLDER, environment(), explicit=True)
    return None if is_missing(location, SystemClock()) else location.database


def make_store(
    folder: Path,
    *,
    credential: Credential | None = None,
    with_kit: bool = True,
    kit_file: Path | None = None,
    dev: bool = False,
) -> NewStore:
    """Make a store in `folder`/.keystead, with `credential`, one found in a source, or a fresh master.key file.

    Raises:
        StoreExists: there is one already; nothing was changed.
        UsageError: the kit's file lies in the store's folder, which only `dev` allows.
        FileUnavailable, StoreUnavailable, MasterKeyInvalid.
    """
    location = in_folder(folder / FOLDER, environment(), explicit=True)
    clock = SystemClock()
    if not is_missing(location, clock):
        raise StoreExists(f"there is a store at {location.database}", hint="keystead status looks at it")
    if kit_file is not None:
        _check_kit_file(kit_file, location.folder, dev)
    prepare_folder(location)
    key_path = location.folder / KEY_FILE_NAME
    source, found = _credential(credential, location.folder, key_path)
    store_id = random_bytes(16)
    kit = RecoveryKit.generate(store_id=store_id.hex()) if with_kit else None
    how = Opening(location.folder, found)
    node = create_node(location, found, how=how, clock=clock, recovery=kit, store_id=store_id)
    try:
        text = _document(node, kit) if kit is not None else None
    finally:
        node.close()
    if text is not None and kit_file is not None:
        _write(kit_file, text)
        text = None
    beside = source == str(key_path)
    return NewStore(location.database, source, beside, text, kit_file)


def _check_kit_file(path: Path, folder: Path, dev: bool) -> None:
    if path.absolute().is_relative_to(folder) and not dev:
        raise UsageError(
            f"the recovery kit must not lie in the store's folder {folder}",
            hint="whoever copies the one would have the other; choose another place (or --dev for a trial)",
        )
    if os.path.lexists(path):
        raise StoreExists(f"{path.absolute()} is there already", hint="choose another name for the recovery kit")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"the folder {path.absolute().parent} does not exist", hint="make it first")


def _credential(given: Credential | None, folder: Path, key_path: Path) -> tuple[str, Credential]:
    if given is not None:
        return "the credential that was given", given
    try:
        found = find_credential(environment=environment(), store_folder=folder)
    except MasterKeyMissing:
        text = generate_master_key()
        _write(key_path, text + "\n")
        return str(key_path), parse_master_key(text, source=str(key_path))
    return found.source, found.credential


def _document(node: Node, kit: RecoveryKit) -> str:
    slots = SlotManager(node).listing(node.system)
    slot = next(slot for slot in slots if slot.kind == kit.kind)
    return kit.document(slot_id=slot.id, created_ms=slot.created_ms)


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text.encode())
    except FileExistsError:
        raise StoreExists(f"{path.absolute()} is there already", hint="choose another name, or move it away") from None
    except OSError as error:
        raise FileUnavailable(f"cannot write {path.absolute()}", why=error.strerror or "") from None


def read_kit(path: Path) -> RecoveryKit:
    """The recovery kit in a file.

    Raises:
        FileUnavailable: it cannot be read. MasterKeyInvalid: it is no kit, or has a typing mistake.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse_recovery_kit(file.read(65_536))
    except OSError as error:
        raise FileUnavailable(f"cannot read {path.absolute()}", why=error.strerror or "") from None


def recover(folder: Path, kit: RecoveryKit, key_file: Path | None = None) -> tuple[str, str]:
    """Open the store in `folder`/.keystead by its kit and give it a new master key; the key's file and the slot's id.

    Raises:
        StoreNotFound, WrongMasterKey; StoreExists where a key file is there already. Nothing was changed.
    """
    location = in_folder(folder / FOLDER, environment(), explicit=False)
    path = key_file or location.folder / KEY_FILE_NAME
    if os.path.lexists(path):
        raise StoreExists(
            f"{path.absolute()} is there already", hint="move it away if it is not this store's key, or give --key-file"
        )
    node = open_node(Opening(location.folder, kit))
    try:
        text = generate_master_key()
        _write(path, text + "\n")
        slot = SlotManager(node).add(node.system, parse_master_key(text, source=str(path)), "master key")
    finally:
        node.close()
    return str(path.absolute()), slot.id
