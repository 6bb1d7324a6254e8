"""What is unsafe about a store and its place, and how to mend it. Looks only; `mend` is told what it may change."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from keystead.clock import format_duration
from keystead.node.settings import Settings, settings_file
from keystead.storage.backups import SqliteBackups
from keystead.storage.secrets import SqliteSecrets
from keystead.storage.store_row import SqliteSlots

if TYPE_CHECKING:
    from keystead.node.node import Node

_DAY_MS: Final = 86_400_000
BACKUP_AGE_MS: Final = 7 * _DAY_MS
LEAST_FREE_BYTES: Final = 256 << 20
_KIT_MARK: Final = b"=== recovery key ==="
_SECRET_WORDS: Final = re.compile(r"(?i)(password|passphrase|secret|token|master_key)")
_LOOKED_AT_BYTES: Final = 65_536


class Severity(StrEnum):
    """How much a finding weighs: an error is not fit for production, a warning soon, a hint never by itself."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


class Finding(NamedTuple):
    """One thing that was found: what it is, how to mend it, and, where that is a file's mode, which file."""

    severity: Severity
    what: str
    mend: str
    path: Path | None = None


def examine(node: Node, variables: Mapping[str, str]) -> list[Finding]:
    """Everything that is found about an open store, errors first."""
    found = [
        *_ways_in(node),
        *_beside_the_data(node, variables),
        *_modes(node),
        *_plain_values(node),
        *_upkeep(node),
    ]
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def mend(findings: list[Finding]) -> list[Finding]:
    """Take from others what they could read or write; what was mended so."""
    mended = []
    for finding in findings:
        if finding.path is not None:
            finding.path.chmod(0o700 if finding.path.is_dir() else 0o600)
            mended.append(finding)
    return mended


def _ways_in(node: Node) -> Iterator[Finding]:
    slots = SqliteSlots(node.store.read()).all()
    if len(slots) < 2:
        yield Finding(
            Severity.ERROR,
            "only one key slot opens the store: with its key everything is lost",
            "keystead slots add --recovery-file FILE, on another medium",
        )


def _beside_the_data(node: Node, variables: Mapping[str, str]) -> Iterator[Finding]:
    folder = node.location.folder
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and not path.is_symlink() and path.stat().st_size < _LOOKED_AT_BYTES:
            if path.name == "master.key":
                yield Finding(
                    Severity.ERROR,
                    f"the master key lies beside the data, in {path}: whoever copies the folder has both",
                    "move it to another place and name that in KMS_MASTER_KEY_FILE",
                )
            elif _KIT_MARK in path.read_bytes():
                yield Finding(
                    Severity.ERROR,
                    f"a recovery kit lies beside the data, in {path}",
                    "move it off this machine",
                )
    if variables.get("KMS_MASTER_KEY"):
        yield Finding(
            Severity.HINT,
            "the master key stands in the environment, which every process of this user can read",
            "name a private file in KMS_MASTER_KEY_FILE",
        )


def _modes(node: Node) -> Iterator[Finding]:
    database = node.location.database
    places = [database, *(database.with_name(database.name + end) for end in ("-wal", "-shm", ".lock"))]
    if node.location.is_folder_store:
        places.append(node.location.folder)
    places += [node.location.audit, *node.location.audit.glob("*"), *node.location.audit.glob("*/*")]
    for path in places:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            yield Finding(
                Severity.ERROR, f"others can get at {path} (mode {mode:04o})", "keystead doctor --fix, or chmod", path
            )


def _plain_values(node: Node) -> Iterator[Finding]:
    project = node.location.project
    env = project / ".env"
    if env.is_file():
        names = {line.partition("=")[0].removeprefix("export ").strip() for line in _lines(env)}
        held = sorted(name for name in names if name and SqliteSecrets(node.store.read()).head(name) is not None)
        if held:
            yield Finding(
                Severity.WARNING,
                f"{env} still has the values of {len(held)} secrets in the clear, such as {held[0]}",
                f"keystead env import --rewrite {env}",
            )
    settings = settings_file(node.location)
    known = {name.removesuffix("_ms") for name in Settings.__dataclass_fields__}
    if settings is not None and any(
        _SECRET_WORDS.search(name) and name not in known
        for name in (line.partition("=")[0].strip() for line in _lines(settings) if "=" in line)
    ):
        yield Finding(
            Severity.ERROR,
            f"{settings} seems to hold a password or token, and is a file that people commit",
            "store it as a secret, and take it out",
        )


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return file.read(_LOOKED_AT_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _upkeep(node: Node) -> Iterator[Finding]:
    now = node.clock.now_ms()
    newest = SqliteBackups(node.store.read()).newest_ms()
    if newest is None or now - newest > BACKUP_AGE_MS:
        age = "there is no backup that the store knows of"
        if newest is not None:
            age = f"the newest backup is {format_duration((now - newest) // _DAY_MS * _DAY_MS)} old"
        yield Finding(Severity.WARNING, age, "keystead backup FILE, and keep it elsewhere")
    overdue = [one.key_id for one in node.ring.records() if node.data_keys.describe(one).rotation_due]
    if overdue:
        yield Finding(Severity.WARNING, f"data key {overdue[0]} should have rotated", "keystead keys rotate")
    free = shutil.disk_usage(node.location.database.parent).free
    if free < LEAST_FREE_BYTES:
        yield Finding(Severity.ERROR, f"only {free >> 20} MiB are free where the store is", "free some space")
    if node.clock.ahead_ms() > 60_000:
        yield Finding(Severity.WARNING, "the clock of this machine jumped ahead", "set it right, and restart")
