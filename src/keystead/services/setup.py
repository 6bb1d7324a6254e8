"""Making a store with its key file and recovery kit, and opening one by its kit."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keystead.clock import SystemClock
from keystead.crypto.material import random_bytes
from keystead.errors import FileUnavailable, KeysteadError, MasterKeyMissing, StoreExists, StoreNotFound, UsageError
from keystead.node.backup import BackupReport
from keystead.node.backup_file import read_backup
from keystead.node.location import FOLDER, Location, in_folder, locate
from keystead.node.node import Node
from keystead.node.opening import Opening, create_node, is_missing, open_node, prepare_folder
from keystead.node.settings import environment
from keystead.node.shredding import ShredKeyFolder
from keystead.node.slots import SlotManager
from keystead.seal.credential import Credential
from keystead.seal.master_key import MasterKey, generate_master_key, parse_master_key
from keystead.seal.private_file import write_private
from keystead.seal.providers.passphrase import Passphrase, require_strength
from keystead.seal.providers.recovery import RecoveryKit, parse_recovery_kit
from keystead.seal.sources import KEY_FILE_NAME, find_credential
from keystead.services.kms import KMSService

_KIT_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class NewStore:
    """What `make_store` made. `key_source` names where the key is, `beside` that it lies in the store's folder.

    `kit` is the recovery kit's document, where no file took it: it is to be shown once.
    """

    database: Path
    key_source: str
    beside: bool
    kit: str | None
    kit_file: Path | None


def place(folder: Path | None, url: str | None) -> Location:
    """Where a new store goes: `folder`/.keystead, else what `url` or KEYSTEAD_URL names, else .keystead/ here."""
    variables = environment()
    if folder is None and (url or variables.get("KEYSTEAD_URL")):
        return locate(url, variables, Path.cwd())
    return in_folder((folder or Path.cwd()) / FOLDER, variables, explicit=True)


def find(folder: Path | None, url: str | None) -> Location:
    """Where a store is: in `folder`/.keystead, else where `url`, KEYSTEAD_URL or .keystead/ here or above says.

    Raises:
        StoreNotFound: nothing says.
    """
    if folder is not None:
        return in_folder(folder / FOLDER, environment(), explicit=True)
    return locate(url, environment(), Path.cwd())


def is_there(location: Location) -> bool:
    """Whether there is a store already."""
    return not is_missing(location, SystemClock())


def make_store(
    location: Location,
    *,
    credential: Credential | None = None,
    with_kit: bool = True,
    kit_file: Path | None = None,
    dev: bool = False,
) -> NewStore:
    """Make a store that opens by `credential`, else by the first one found in a source, else by a fresh master.key.

    With a kit, `kit_file` takes its document, or the answer holds it. `dev` allows the file in the store's folder.

    Raises:
        StoreExists: there is a store, or the kit's file; nothing was changed.
        UsageError: the kit's file lies in the store's folder, or the passphrase is too weak.
        MasterKeyMissing: no key was found, and the store has no folder of its own to put one into.
        FileUnavailable, StoreUnavailable, MasterKeyInvalid.
    """
    if is_there(location):
        raise StoreExists(f"there is a store at {location.database}", hint="keystead status tells about it")
    if kit_file is not None:
        require_kit_place(kit_file, location.folder, dev=dev)
    if isinstance(credential, Passphrase):
        require_strength(credential)
    source, found, beside = _credential(credential, location)
    store_id = random_bytes(16)
    kit = RecoveryKit.generate(store_id=store_id.hex()) if with_kit else None
    how = Opening(location.folder, found)
    node = create_node(location, found, how=how, clock=SystemClock(), recovery=kit, store_id=store_id)
    try:
        text = None if kit is None else _give_out(node, kit, kit_file)
    finally:
        node.close()
    return NewStore(location.database, source, beside, text, kit_file)


def require_kit_place(path: Path, store_folder: Path, *, dev: bool) -> None:
    """Return if a recovery kit may be written to this path.

    Raises:
        UsageError: it lies in the store's folder, or its own folder does not exist. StoreExists: something is there.
    """
    if path.parent.resolve().is_relative_to(store_folder.resolve()) and not dev:
        raise UsageError(
            f"the recovery kit must not lie in the store's folder {store_folder}",
            why="whoever copies the store would have what opens it",
            hint="choose another place; --dev allows it for a trial",
        )
    if not path.absolute().parent.is_dir() and path.absolute().parent != store_folder:
        raise UsageError(f"the folder {path.absolute().parent} does not exist", hint="make it first")
    require_absent(path)


def require_absent(path: Path) -> None:
    """Return if nothing is at this path. Raises StoreExists."""
    if os.path.lexists(path):
        raise StoreExists(f"{path.absolute()} is there already", hint="choose another name, or move it away")


def _credential(given: Credential | None, location: Location) -> tuple[str, Credential, bool]:
    if given is not None:
        return f"the {given.kind} that was given", given, False
    try:
        found = find_credential(environment=environment(), store_folder=location.folder, project=location.project)
    except MasterKeyMissing:
        if not location.is_folder_store:
            raise
        prepare_folder(location)
        path = location.folder / KEY_FILE_NAME
        return str(path), new_key_file(path), True
    return found.source, found.credential, found.beside(location.folder)


def _give_out(node: Node, kit: RecoveryKit, kit_file: Path | None) -> str | None:
    """The kit's document, or None once the file has it; a slot whose kit nobody has is taken away again."""
    manager = SlotManager(node)
    slot = next(slot for slot in manager.listing(node.system) if slot.kind == kit.kind)
    text = kit.document(slot_id=slot.id, created_ms=slot.created_ms)
    if kit_file is None:
        return text
    try:
        write_new(kit_file, text)
    except KeysteadError:
        manager.remove(node.system, slot.id)
        raise
    return None


def new_key_file(path: Path) -> MasterKey:
    """A fresh master key, written to a new private file.

    Raises:
        StoreExists: something is at the path. FileUnavailable: it cannot be written.
    """
    text = generate_master_key()
    write_new(path, text + "\n")
    return parse_master_key(text, source=str(path))


def write_new(path: Path, text: str) -> None:
    """Write what opens a store to a new file that nobody else can read, on the disk when this returns.

    Raises:
        StoreExists: something is at the path. FileUnavailable: it cannot be written; nothing stays behind.
    """
    try:
        write_private(path, text.encode())
    except FileExistsError:
        raise StoreExists(f"{path.absolute()} is there already", hint="choose another name, or move it away") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise FileUnavailable(f"cannot write {path.absolute()}", why=why, hint="choose another place") from None


def read_kit(path: Path) -> RecoveryKit:
    """The recovery kit in a file.

    Raises:
        FileUnavailable: it cannot be read. MasterKeyInvalid: it is no kit, or has a typing mistake.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse_recovery_kit(file.read(_KIT_LIMIT))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise FileUnavailable(f"cannot read {path.absolute()}", why=why, hint="check the path") from None


def recover(location: Location, kit: RecoveryKit, key_file: Path | None = None) -> tuple[Path, str]:
    """Open a store by its kit and give it a new master key in a new file; the file, and the new slot's id.

    Raises:
        StoreNotFound, WrongMasterKey; StoreExists where a key file is there already. Nothing was changed.
    """
    if not is_there(location):
        raise StoreNotFound(f"there is no store at {location.database}", hint="check the path")
    path = (key_file or location.folder / KEY_FILE_NAME).absolute()
    require_absent(path)
    node = open_node(Opening(location.database, kit))
    try:
        key = new_key_file(path)
        try:
            slot = SlotManager(node).add(node.system, key, "master key")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    finally:
        node.close()
    return path, slot.id


@dataclass(frozen=True, slots=True)
class RestoredStore:
    """What `restore_store` made: the store, where its key is, whether it is new, and what the backup held."""

    database: Path
    key_source: str
    is_new: bool
    report: BackupReport


def restore_store(
    file: Path, passphrase: str, location: Location, *, shred_keys: Path | None, prompt: Callable[[], str] | None
) -> RestoredStore:
    """Restore a backup into the store at `location`, which is made where there is none.

    Raises:
        BackupError: damaged, foreign, or another passphrase. StoreExists: the store has held something. Nothing was
        changed. FileUnavailable and the errors of `make_store` and of opening.
    """
    source, is_new = "the one that opened it before", not is_there(location)
    if is_new:
        # Opened once before, so that a wrong passphrase leaves no empty store behind.
        backup = read_backup(file, passphrase)
        backup.root.seal()
        if backup.shreddable and shred_keys is None:
            raise UsageError(f"{file.absolute()} is a shreddable backup", hint="give the folder of its shred keys")
        if backup.shreddable and shred_keys is not None:
            ShredKeyFolder(shred_keys).require_of(backup.content.row.store_id)
        location.folder.parent.mkdir(parents=True, exist_ok=True)
        source = make_store(location, with_kit=False).key_source
    with KMSService(location.database, prompt=prompt) as kms:
        report = kms.restore(file, passphrase=passphrase, shred_keys=shred_keys)
    return RestoredStore(location.database, source, is_new, report)
