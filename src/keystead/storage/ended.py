"""Whether there is anything of identities to remove; a module of its own, since every opening asks."""

from __future__ import annotations

import sqlite3
from typing import Final

KEPT_ENDED_MS: Final = 86_400_000
"""How long what has ended can still be looked up."""
_ANY: Final = (
    "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE expires_ms < ?1)"
    " OR EXISTS (SELECT 1 FROM access_tokens WHERE revoked_ms < ?1)"
    " OR EXISTS (SELECT 1 FROM secret_ids WHERE expires_ms < ?1)"
    " OR EXISTS (SELECT 1 FROM key_grants WHERE expires_ms < ?1)"
    " OR EXISTS (SELECT 1 FROM login_failures WHERE first_ms < ?1 AND locked_until_ms < ?1)"
)


def anything_ended(connection: sqlite3.Connection, before_ms: int) -> bool:
    """Whether an access token, a secret id, a grant or a count of failed logins was over before a time."""
    return bool(connection.execute(_ANY, (before_ms,)).fetchone()[0])
