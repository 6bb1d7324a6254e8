"""What each type of named key can do, in which state: the one table that every operation is checked against.

docs/keys.md is drawn from this module by `table()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from keystead.crypto.types import KeyType
from keystead.errors import KeyStateError, UsageError
from keystead.keys.lifecycle import PERMITTED_USES, KeyState, Use


class Operation(StrEnum):
    """What a named key is used for."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    REENCRYPT = "reencrypt"
    DATA_KEY = "data-key"
    SIGN = "sign"
    VERIFY = "verify"
    MAC = "mac"
    VERIFY_MAC = "verify-mac"
    DERIVE = "derive"
    AGREE = "agree"
    ENCAPSULATE = "encapsulate"
    DECAPSULATE = "decapsulate"
    UNWRAP_IMPORT = "unwrap-import"
    PUBLIC_KEY = "public-key"
    EXPORT = "export"


class Usage(StrEnum):
    """What one key is for; a key has one. RSA keys can be for several, and are made for one of them."""

    ENCRYPT = "encrypt"
    SIGN = "sign"
    MAC = "mac"
    AGREE = "agree"
    ENCAPSULATE = "encapsulate"
    IMPORT = "import"


_O = Operation
OPERATIONS: Final[Mapping[Usage, frozenset[Operation]]] = MappingProxyType(
    {
        Usage.ENCRYPT: frozenset(
            {_O.ENCRYPT, _O.DECRYPT, _O.REENCRYPT, _O.DATA_KEY, _O.DERIVE, _O.PUBLIC_KEY, _O.EXPORT}
        ),
        Usage.SIGN: frozenset({_O.SIGN, _O.VERIFY, _O.PUBLIC_KEY, _O.EXPORT}),
        Usage.MAC: frozenset({_O.MAC, _O.VERIFY_MAC, _O.DERIVE, _O.EXPORT}),
        Usage.AGREE: frozenset({_O.AGREE, _O.PUBLIC_KEY, _O.EXPORT}),
        Usage.ENCAPSULATE: frozenset({_O.ENCAPSULATE, _O.DECAPSULATE, _O.PUBLIC_KEY, _O.EXPORT}),
        Usage.IMPORT: frozenset({_O.UNWRAP_IMPORT, _O.PUBLIC_KEY}),
    }
)
SYMMETRIC: Final = frozenset({KeyType.AES_256_GCM, KeyType.AES_256_GCM_SIV, KeyType.CHACHA20_POLY1305})
HMAC: Final = frozenset({KeyType.HMAC_SHA_256, KeyType.HMAC_SHA_384, KeyType.HMAC_SHA_512})
RSA: Final = frozenset({KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096})
PAIRS: Final = frozenset(KeyType) - SYMMETRIC - HMAC
WRAPPING_TYPE: Final = KeyType.RSA_4096
"""What imports are wrapped under: nothing smaller."""
_ECDH: Final = frozenset({KeyType.ECDH_P256, KeyType.ECDH_P384, KeyType.ECDH_P521})
_KEM: Final = frozenset({KeyType.ML_KEM_768, KeyType.ML_KEM_1024})
USAGES: Final[Mapping[KeyType, tuple[Usage, ...]]] = MappingProxyType(
    {
        kind: (Usage.ENCRYPT,)
        if kind in SYMMETRIC
        else (Usage.MAC,)
        if kind in HMAC
        else (Usage.AGREE,)
        if kind in _ECDH
        else (Usage.ENCAPSULATE,)
        if kind in _KEM
        else (Usage.SIGN, Usage.ENCRYPT, *((Usage.IMPORT,) if kind is WRAPPING_TYPE else ()))
        if kind in RSA
        else (Usage.SIGN,)
        for kind in KeyType
    }
)
"""What a type can be made for; the first is what it is for unless told."""

USES: Final[Mapping[Operation, Use]] = MappingProxyType(
    {
        _O.ENCRYPT: Use.PROTECT,
        _O.DATA_KEY: Use.PROTECT,
        _O.SIGN: Use.PROTECT,
        _O.MAC: Use.PROTECT,
        _O.ENCAPSULATE: Use.PROTECT,
        _O.DECRYPT: Use.PROCESS,
        _O.REENCRYPT: Use.PROCESS,
        _O.VERIFY: Use.PROCESS,
        _O.VERIFY_MAC: Use.PROCESS,
        _O.DECAPSULATE: Use.PROCESS,
        # Both give what others' data is opened with: a deactivated key that refused them would lose it for good.
        _O.DERIVE: Use.PROCESS,
        _O.AGREE: Use.PROCESS,
        _O.UNWRAP_IMPORT: Use.PROCESS,
        _O.PUBLIC_KEY: Use.PROCESS,
        _O.EXPORT: Use.PROCESS,
    }
)
"""Whether an operation protects, which only the primary or a version not below `min_encrypt` does, or processes."""


EVENTS: Final[Mapping[Operation, str]] = MappingProxyType(
    {
        _O.ENCRYPT: "key_encrypted",
        _O.DECRYPT: "key_decrypted",
        _O.REENCRYPT: "key_reencrypted",
        _O.DATA_KEY: "key_data_key_made",
        _O.SIGN: "key_signed",
        _O.VERIFY: "key_verified",
        _O.MAC: "key_mac_made",
        _O.VERIFY_MAC: "key_mac_verified",
        _O.DERIVE: "key_derived",
        _O.AGREE: "key_agreed",
        _O.ENCAPSULATE: "key_encapsulated",
        _O.DECAPSULATE: "key_decapsulated",
        _O.UNWRAP_IMPORT: "key_import_unwrapped",
        _O.PUBLIC_KEY: "key_public_read",
        _O.EXPORT: "key_exported",
    }
)
"""How the audit log calls each operation."""


def operations(kind: KeyType, usage: Usage) -> frozenset[Operation]:
    """What a key of this type and usage can do, whatever its state."""
    found = OPERATIONS[usage]
    if kind in SYMMETRIC:
        return found - {_O.PUBLIC_KEY}
    if usage is Usage.ENCRYPT:
        return found - {_O.DATA_KEY, _O.DERIVE}
    return found


def check_usage(kind: KeyType, usage: str | None) -> Usage:
    """The usage of a new key of this type.

    Raises:
        UsageError: the type is not for that.
    """
    if usage is None:
        return USAGES[kind][0]
    if usage not in USAGES[kind]:
        raise UsageError(f"a key of type {kind} is not for {usage!s:.32}", hint=f"it is for {_either(USAGES[kind])}")
    return Usage(usage)


def require_operation(name: str, kind: KeyType, usage: Usage, state: KeyState, operation: Operation) -> None:
    """Nothing, where a key of this type, usage and state can do that.

    Raises:
        UsageError: its type or usage never can. KeyStateError: its state does not permit it now.
    """
    if operation not in operations(kind, usage):
        able = sorted(operations(kind, usage))
        raise UsageError(
            f"key {name} is of type {kind} for {usage}, and cannot {operation}", hint=f"it can {_either(able)}"
        )
    if USES[operation] not in PERMITTED_USES[state]:
        raise KeyStateError(f"key {name} is {state} and may not {operation}", hint=way_on(state))


def way_on(state: KeyState) -> str:
    """What next, with a key whose state does not permit what was asked."""
    match state:
        case KeyState.PRE_ACTIVE:
            return "import its material first"
        case KeyState.SUSPENDED:
            return "keystead key resume, after cancelling its destruction where one is scheduled"
        case KeyState.DEACTIVATED:
            return "protect with another key; this one only opens and verifies"
        case KeyState.COMPROMISED:
            return "make a new key; a compromised one is not used again"
        case _:
            return "what it protected cannot be read any more"


def _either(names: tuple[str, ...] | list[Operation]) -> str:
    return ", ".join(str(name) for name in names)


def table() -> str:
    """Types, what each is for, and what it can do then, as a Markdown table."""
    lines = ["| type | for | can |", "| --- | --- | --- |"]
    lines += [
        f"| {kind} | {usage} | {_either(sorted(operations(kind, usage)))} |"
        for kind in KeyType
        for usage in USAGES[kind]
    ]
    return "\n".join(lines) + "\n"
