"""From an error to what a person reads and what a script tests."""

from __future__ import annotations

import json
from typing import Final

from keystead import errors

# The first class that fits decides; more special ones stand before their bases.
EXIT_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.UsageError, 2),
    (errors.StoreNotFound, 3),
    (errors.NotFound, 3),
    (errors.SecretDeleted, 3),
    (errors.Denied, 4),
    (errors.SessionEnded, 4),
    (errors.Sealed, 5),
    (errors.MasterKeyMissing, 5),
    (errors.MasterKeyInvalid, 5),
    (errors.WrongMasterKey, 5),
    (errors.Conflict, 6),
    (errors.DataError, 7),
    (errors.SecretExpired, 9),
    (errors.StoreBusy, 75),
    (errors.OutcomeUnknown, 75),
    (errors.StoreUnavailable, 8),
    (errors.AuditUnavailable, 8),
)


def exit_code(error: Exception) -> int:
    """0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 locked, 6 conflict, 7 integrity, 8 unreachable, 9 expired, 75
    try later."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def rendered(error: errors.KeysteadError, *, as_json: bool) -> str:
    """What happened, why, what next, and the code; never a value."""
    if as_json:
        fields = {
            "schema": "keystead.error/1",
            "error": error.message,
            "why": error.why,
            "next": error.hint,
            "code": error.code,
        }
        return json.dumps(fields, indent=2)
    lines = [f"error: {error.message}"]
    lines += [f"  {name:<5} {text}" for name, text in (("why", error.why), ("next", error.hint)) if text]
    lines.append(f"  code  {error.code}")
    return "\n".join(lines)
