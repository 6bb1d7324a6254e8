"""What a backup of one key tells, looked at part by part before any of it goes into a store.

Whoever knows the passphrase can have written it, so that it is believed no more than an import is.
"""

from __future__ import annotations

import json
import uuid
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from keystead.crypto.asymmetric import load_private, normal_material
from keystead.crypto.compact import REFERENCE_LENGTH, SALT_LENGTH
from keystead.crypto.types import KeyType
from keystead.errors import BackupError, UsageError
from keystead.keys.lifecycle import KeyState
from keystead.keys.named.form import NewKey, check_new, key_type
from keystead.keys.named.model import KeyHead, KeyVersionRow, tags_text
from keystead.keys.named.names import check_key_name
from keystead.keys.named.rules import SYMMETRIC, Usage, check_usage

_STATES: Final = frozenset({KeyState.ACTIVE.value, KeyState.DEACTIVATED.value})
"""Those in which a key is backed up."""
_ORIGINS: Final = frozenset({"generated", "imported"})
_LAST: Final = 1 << 53
_NUMBERS: Final = ("latest", "primary", "min_encrypt", "min_decrypt", "rotated_ms", "created_ms", "updated_ms", "epoch")
Version = tuple[KeyVersionRow, bytearray]


def restored(content: Mapping[str, Any], name: str | None) -> tuple[KeyHead, list[Version]]:
    """The head, under its name or another, and the versions with their material, which its owner zeroes.

    Raises:
        BackupError: it is not what `backup` writes of a key. UsageError: `name` is none.
    """
    if name is not None:
        check_key_name(name)
    try:
        head = _head(KeyHead(**content["head"], mac=b""))
        versions = [_version(head, item) for item in content["versions"]]
        _together(head, [row for row, _ in versions])
        return (head if name is None else head._replace(name=name)), versions
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        pass  # UsageError is a ValueError; what was refused may be material, and is not repeated
    raise BackupError("the backup holds no key of a kind that this keystead knows")


def _head(head: KeyHead) -> KeyHead:
    kind = key_type(head.type)
    usage = check_usage(kind, head.usage)
    tags = json.loads(head.tags)
    check_new(
        kind, usage, NewKey(kind, usage, head.deterministic, head.exportable, head.description, tags, head.rotation_ms)
    )
    for field in _NUMBERS:
        _require(_is_number(getattr(head, field)))
    check_key_name(head.name)
    _require(str(uuid.UUID(head.key_id)) == head.key_id)
    _require(head.state in _STATES and head.origin in _ORIGINS and head.destroy_ms is None)
    _require(head.exportable is True and isinstance(head.deterministic, bool))
    _require(head.rotation_ms is None or (_is_number(head.rotation_ms) and head.origin == "generated"))
    _require(1 <= head.min_decrypt <= head.min_encrypt <= head.primary <= head.latest < 1 << 31)
    return head._replace(tags=tags_text(tags))


def _version(head: KeyHead, item: Mapping[str, Any]) -> Version:
    kind = KeyType(head.type)
    reference, salt = bytes.fromhex(item["reference"]), bytes.fromhex(item["salt"])
    _require(len(reference) == REFERENCE_LENGTH and len(salt) == SALT_LENGTH)
    _require(_is_number(item["version"]) and 1 <= item["version"] <= head.latest and _is_number(item["created_ms"]))
    material = normal_material(kind, b64decode(item["material"], validate=True))
    public = None
    if kind not in SYMMETRIC and Usage(head.usage) is not Usage.MAC:
        public = load_private(kind, material).public().der
    _require(item["public"] == (None if public is None else public.hex()))
    return KeyVersionRow(item["version"], reference, salt, b"", item["created_ms"], public, None, None), material


def _together(head: KeyHead, rows: list[KeyVersionRow]) -> None:
    numbers = {row.version for row in rows}
    _require(bool(rows) and len(numbers) == len(rows) == len({row.reference for row in rows}))
    _require(head.created_ms <= head.updated_ms)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LAST


def _require(held: bool) -> None:
    if not held:
        raise UsageError("a part of the backup is out of bounds")
