"""The example's own database: users, hashed passwords, and mnemonics that only keystead can open."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TABLE = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    salt BLOB NOT NULL,
    password_hash BLOB NOT NULL,
    mnemonic TEXT
)
"""
_NOBODY = b"\0" * 16


class NameTaken(Exception):
    """A user of this name is there already."""


class Users:
    """The users in one SQLite file, which is made (0600) where it is missing. May be used from many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600)
        with self._database() as database:
            database.execute(_TABLE)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=5)
        try:
            with database:
                yield database
        finally:
            database.close()

    def register(self, name: str, password: str) -> str:
        """Add a user; the new user's id.

        Raises:
            NameTaken: nothing was changed.
        """
        user, salt = f"user_{secrets.token_hex(8)}", secrets.token_bytes(16)
        row = (user, name, salt, _hash(password, salt))
        try:
            with self._database() as database:
                database.execute("INSERT INTO users (id, name, salt, password_hash) VALUES (?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise NameTaken(name) from None
        return user

    def check_password(self, name: str, password: str) -> str | None:
        """The id of the user of this name and password, or None. An unknown name costs the same time."""
        with self._database() as database:
            row = database.execute("SELECT id, salt, password_hash FROM users WHERE name = ?", (name,)).fetchone()
        user, salt, expected = row or (None, _NOBODY, b"")
        return user if hmac.compare_digest(_hash(password, salt), expected) else None

    def put_mnemonic(self, user: str, envelope: str) -> bool:
        """Keep a user's mnemonic, as an envelope in JSON; whether there is such a user."""
        with self._database() as database:
            changed = database.execute("UPDATE users SET mnemonic = ? WHERE id = ?", (envelope, user))
            return changed.rowcount == 1

    def mnemonic(self, user: str) -> str | None:
        """The envelope that is kept for a user, if there is one."""
        with self._database() as database:
            row = database.execute("SELECT mnemonic FROM users WHERE id = ?", (user,)).fetchone()
        return row[0] if row else None

    def count(self) -> int:
        """How many users there are."""
        with self._database() as database:
            return int(database.execute("SELECT count(*) FROM users").fetchone()[0])


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=5, dklen=32)
