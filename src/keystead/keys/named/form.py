"""What a named key is to be when it is made, and what of it may change: values and their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from keystead.crypto.types import KeyType
from keystead.errors import UsageError
from keystead.keys.named.model import KeyHead, tags_text
from keystead.keys.named.names import check_key_version
from keystead.keys.named.rules import Usage

MAX_DESCRIPTION: Final = 1024
LEAST_ROTATION_MS: Final = 3_600_000


class NewKey(NamedTuple):
    """What a named key is to be."""

    type: str
    usage: str | None = None
    deterministic: bool = False
    exportable: bool = False
    description: str = ""
    tags: Mapping[str, str] = {}
    rotation_ms: int | None = None


class Settings(NamedTuple):
    """What of a key is to change; None: as it is. `rotation_ms` 0: it is rotated by hand only."""

    description: str | None = None
    tags: Mapping[str, str] | None = None
    min_encrypt: int | None = None
    min_decrypt: int | None = None
    rotation_ms: int | None = None


def key_type(text: str) -> KeyType:
    """The type of a name. Raises UsageError."""
    try:
        return KeyType(text)
    except ValueError:
        pass
    raise UsageError("not a type of key", hint=f"use one of {', '.join(KeyType)}")


def check_new(kind: KeyType, usage: Usage, new: NewKey) -> None:
    """Nothing, where a key may be made so. Raises UsageError."""
    if not isinstance(new.deterministic, bool) or not isinstance(new.exportable, bool):
        raise UsageError("deterministic and exportable are True or False")
    if new.deterministic and kind is not KeyType.AES_256_GCM_SIV:
        raise UsageError(
            f"a key of type {kind} cannot encrypt deterministically", hint=f"use {KeyType.AES_256_GCM_SIV}"
        )
    if new.exportable and usage is Usage.IMPORT:
        raise UsageError("a key that unwraps imports is never exportable")
    _check_description(new.description)
    _check_tags(new.tags)
    if new.rotation_ms is not None:
        _check_rotation(new.rotation_ms, kind, usage)


def _check_description(text: str) -> None:
    if not isinstance(text, str) or len(text) > MAX_DESCRIPTION or not text.isprintable():
        raise UsageError(f"a description has at most {MAX_DESCRIPTION} printable characters")


def _check_tags(tags: Mapping[str, str]) -> None:
    if not isinstance(tags, Mapping) or len(tags) > 50:
        raise UsageError("tags are a mapping of at most 50 names to values")
    for key, value in tags.items():
        if not isinstance(key, str) or not 1 <= len(key) <= 128 or not isinstance(value, str) or len(value) > 256:
            raise UsageError("a tag is a name of 1 to 128 characters and a value of at most 256")
        if not (key.isprintable() and value.isprintable()):
            raise UsageError("a tag holds a character that cannot be printed")


def _check_rotation(rotation_ms: int, kind: KeyType, usage: Usage) -> None:
    if rotation_ms < LEAST_ROTATION_MS:
        raise UsageError("a key is rotated once an hour at most", hint="for example 90d")
    if usage is Usage.IMPORT:
        raise UsageError(f"a key of type {kind} for {usage} is not rotated by schedule")


def configured(head: KeyHead, settings: Settings) -> KeyHead:
    """The head with what was told changed. Raises UsageError."""
    if settings.description is not None:
        _check_description(settings.description)
        head = head._replace(description=settings.description)
    if settings.tags is not None:
        _check_tags(settings.tags)
        head = head._replace(tags=tags_text(settings.tags))
    if settings.rotation_ms is not None:
        if settings.rotation_ms:
            _check_rotation(settings.rotation_ms, KeyType(head.type), Usage(head.usage))
            if head.origin == "imported":
                raise UsageError(f"the material of key {head.name} was imported", hint="rotate it by importing")
        head = head._replace(rotation_ms=settings.rotation_ms or None)
    encrypt = head.min_encrypt if settings.min_encrypt is None else check_key_version(settings.min_encrypt)
    decrypt = head.min_decrypt if settings.min_decrypt is None else check_key_version(settings.min_decrypt)
    if not decrypt <= encrypt <= head.primary:
        raise UsageError(
            f"min_decrypt {decrypt} <= min_encrypt {encrypt} <= version {head.primary} does not hold",
            hint="raise min_encrypt with min_decrypt, and neither beyond the primary version",
        )
    return head._replace(min_encrypt=encrypt, min_decrypt=decrypt)
