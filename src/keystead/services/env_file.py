"""From a `.env` file into the store, out of the file, and back: with nothing lost wherever it is interrupted.

What leaves the file was read back from the store before; the file as it was stands beside it, encrypted and on the
disk, before it is replaced at once.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.config.dotenv import assignments, rewrite
from keystead.config.sources import read_env_file
from keystead.crypto.compact import from_text, to_text
from keystead.crypto.mac import sha256
from keystead.errors import ConfigurationError, FileUnavailable, IntegrityError, KeysteadError, UsageError
from keystead.node.settings import environment
from keystead.seal.private_file import write_private
from keystead.services.import_environment import Conflicts, ImportReport, import_environment
from keystead.services.kms import KMSService

STDIN: Final = "-"
_SUFFIX: Final = ".keystead"
_SCHEMA: Final = "keystead.env-copy/1"
_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TakenOut:
    """What left the file, what stayed because another line refers to it, and where the former file is, encrypted."""

    names: list[str]
    referred_to: list[str]
    copy: Path | None


@dataclass(frozen=True, slots=True)
class FormerFile:
    """An encrypted copy, opened. `changed`: the file is not as the rewriting left it, nor as it was before."""

    copy: Path
    file: Path
    data: bytes
    mode: int
    changed: bool


def read_values(file: Path, only: list[str] | None) -> tuple[dict[str, str], dict[str, str]]:
    """The values that a `.env` file gives (`${NAME}` filled in), and why some names give none.

    Raises:
        FileUnavailable: there is no such file. ConfigurationError: it is no `.env` file; the line is named.
        UsageError: it has not all names of `only`.
    """
    found = read_env_file("/dev/stdin" if str(file) == STDIN else file, environment())
    if found.problem:
        raise ConfigurationError(found.problem, hint="mend the file; nothing was imported")
    if not found.found:
        raise FileUnavailable(f"there is no file {file.absolute()}", hint="check the path")
    missing = [name for name in only or () if name not in found.values]
    if missing:
        raise UsageError(f"{file} has no {', '.join(missing)}", hint="check the names given to --only")
    values = {name: text for name, text in found.values.items() if only is None or name in only}
    unknown = {name: "refers to a ${...} that nothing sets" for name in values if name in found.unknown}
    return {name: text for name, text in values.items() if name not in unknown}, unknown


def import_values(
    kms: KMSService, values: dict[str, str], refused: dict[str, str], conflicts: Conflicts
) -> ImportReport:
    """Store the values as secrets of the same names; recorded."""
    report = import_environment(kms._import_target(), values, list(values), None, conflicts)
    report.failed.update(refused)
    figures = {"imported": len(report.imported), "present": len(report.present), "failed": len(report.failed)}
    kms._import_target().tell("secrets_imported", **figures)
    return report


def take_out(kms: KMSService, file: Path, values: dict[str, str], names: list[str]) -> TakenOut:
    """Remove from the file each of `names` whose value the store gives back; the encrypted copy is made before.

    Raises:
        FileUnavailable: something cannot be written. IntegrityError: the copy does not read back. In both cases the
        file is as it was.
    """
    file = file.resolve()
    data, mode = _read(file)
    text = data.decode()
    kept = [name for name in names if kms.get_secret(name) == values[name]]
    going = _free_to_go(text, set(kept))
    taken = [name for name in kept if name in going]
    referred_to = [name for name in kept if name not in going]
    if not taken:
        return TakenOut([], referred_to, None)
    rewritten = rewrite(text, set(taken)).encode()
    copy = _save_copy(kms, file, data, mode, rewritten)
    if _read(file)[0] != data:
        copy.unlink(missing_ok=True)
        raise FileUnavailable(f"{file} was changed meanwhile", hint="run the command again")
    _replace(file, rewritten, mode)
    return TakenOut(taken, referred_to, copy)


def _free_to_go(text: str, names: set[str]) -> set[str]:
    """The names without those that a line which stays needs for its `${NAME}`."""
    found = assignments(text)
    while True:
        staying = [item.value for item in found if item.name not in names and not item.literal]
        needed = {name for name in names for value in staying if f"${{{name}}}" in value or f"${{{name}:-" in value}
        if not needed:
            return names
        names = names - needed


def former_file(kms: KMSService, file: Path) -> FormerFile:
    """The newest encrypted copy of a file, opened.

    Raises:
        FileUnavailable: there is none. DecryptionError, EnvelopeError, DataKeyNotFound: it is not of this store or
        this file, or was damaged. IntegrityError: it holds something else.
    """
    file = file.resolve()
    copies = _copies(file)
    if not copies:
        raise FileUnavailable(f"there is no {_copy_path(file, 1)}", hint="only a file that --rewrite changed has one")
    data, mode, left = _open_copy(kms, file, copies[-1])
    try:
        now = _read(file)[0]
    except FileUnavailable:
        now = b""
    changed = now not in (b"", data) and sha256(now).hex() != left
    return FormerFile(copies[-1], file, data, mode, changed)


def put_back(former: FormerFile) -> None:
    """Put the former file in its place, and remove the encrypted copy.

    Raises:
        FileUnavailable: it cannot be written; nothing was changed.
    """
    _replace(former.file, former.data, former.mode)
    former.copy.unlink(missing_ok=True)


def _copy_path(file: Path, number: int) -> Path:
    return file.with_name(file.name + _SUFFIX + ("" if number == 1 else f".{number}"))


def _copies(file: Path) -> list[Path]:
    found: list[Path] = []
    while os.path.lexists(path := _copy_path(file, len(found) + 1)):
        found.append(path)
    return found


def _aad(file: Path) -> dict[str, str]:
    return {"keystead": "env import --rewrite", "file": file.name}


def _save_copy(kms: KMSService, file: Path, data: bytes, mode: int, rewritten: bytes) -> Path:
    """The file, encrypted and on the disk; the newest copy where an interrupted run left the same."""
    copies = _copies(file)
    left = sha256(rewritten).hex()
    if copies:
        with suppress(KeysteadError):
            if _open_copy(kms, file, copies[-1]) == (data, mode, left):
                return copies[-1]
    fields = {"schema": _SCHEMA, "text": data.decode(), "mode": mode, "left": left}
    sealed = to_text(kms.encrypt(json.dumps(fields).encode(), aad=_aad(file)))
    path = _copy_path(file, len(copies) + 1)
    partial = file.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        write_private(partial, sealed.encode() + b"\n")
        os.link(partial, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)
    if _open_copy(kms, file, path) != (data, mode, left):
        path.unlink(missing_ok=True)
        raise IntegrityError(f"{path} does not read back as it was written", hint="check the disk")
    return path


def _open_copy(kms: KMSService, file: Path, copy: Path) -> tuple[bytes, int, str]:
    sealed, _ = _read(copy)
    plaintext = kms.decrypt(from_text(sealed.decode("ascii", "replace").strip()), aad=_aad(file))
    try:
        fields = json.loads(plaintext)
        if fields["schema"] == _SCHEMA:
            return fields["text"].encode(), int(fields["mode"]) & 0o777, str(fields["left"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise IntegrityError(f"{copy} holds something else than a former .env file", hint="keystead decrypt shows what")


def _read(file: Path) -> tuple[bytes, int]:
    try:
        with file.open("rb") as source:
            data = source.read(_LIMIT)
            return data, stat.S_IMODE(os.fstat(source.fileno()).st_mode)
    except OSError as error:
        raise FileUnavailable(f"cannot read {file}", why=error.strerror or "", hint="check the path") from None


def _replace(file: Path, data: bytes, mode: int) -> None:
    """Put other bytes in a file's place at once, with its mode and, where that is allowed, its owner."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        write_private(partial, data)
        with suppress(OSError):
            owner = file.stat()
            os.chown(partial, owner.st_uid, owner.st_gid)
        partial.chmod(mode)
        partial.replace(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritable(file, error) from None


def _unwritable(path: Path, error: OSError) -> FileUnavailable:
    return FileUnavailable(f"cannot write {path}", why=error.strerror or "", hint="check permissions and free space")
