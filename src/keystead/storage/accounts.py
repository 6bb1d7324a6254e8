"""The rows of users, failed logins, roles and secret ids."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from keystead.access.accounts import FailureRecord, RoleRecord, SecretIdRecord, UserRecord
from keystead.storage.rows import typed

_USER: Final = ", ".join(UserRecord._fields)
_FAILURES: Final = ", ".join(FailureRecord._fields)
_ROLE: Final = ", ".join(RoleRecord._fields)
_SECRET_ID: Final = ", ".join(SecretIdRecord._fields)


class SqliteAccounts:
    """Users, failed logins, roles and secret ids on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def user(self, name: str) -> UserRecord | None:
        row = self._one(f"SELECT {_USER} FROM users WHERE name = ?", name)
        return None if row is None else _user(row)

    def users(self, after: str, limit: int) -> list[UserRecord]:
        rows = self._connection.execute(
            f"SELECT {_USER} FROM users WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [_user(row) for row in rows]

    def put_user(self, record: UserRecord) -> None:
        self._put("users", _USER, record)

    def second_factors_under(self, reference: bytes) -> list[str]:
        """The users whose second factor is encrypted under a data key."""
        # A compact ciphertext names its data key in the bytes 4 to 11.
        rows = self._connection.execute(
            "SELECT name FROM users WHERE substr(factor, 5, 8) = ? ORDER BY name", (reference,)
        )
        return [name for (name,) in rows]

    def delete_user(self, name: str) -> None:
        self._connection.execute("DELETE FROM users WHERE name = ?", (name,))

    def failures(self, name: str) -> FailureRecord | None:
        row = self._one(f"SELECT {_FAILURES} FROM login_failures WHERE name = ?", name)
        return None if row is None else FailureRecord(*typed(row, "tiiiib", f"failed logins of {str(row[0])[:64]}"))

    def put_failures(self, record: FailureRecord) -> None:
        self._put("login_failures", _FAILURES, record)

    def forget_failures(self, name: str) -> None:
        self._connection.execute("DELETE FROM login_failures WHERE name = ?", (name,))

    def forget_failures_before(self, before_ms: int) -> int:
        return self._connection.execute(
            "DELETE FROM login_failures WHERE first_ms < ?1 AND locked_until_ms < ?1", (before_ms,)
        ).rowcount

    def role(self, name: str) -> RoleRecord | None:
        row = self._one(f"SELECT {_ROLE} FROM roles WHERE name = ?", name)
        return None if row is None else _role(row)

    def role_by_id(self, role_id: str) -> RoleRecord | None:
        row = self._one(f"SELECT {_ROLE} FROM roles WHERE role_id = ?", role_id)
        return None if row is None else _role(row)

    def roles(self, after: str, limit: int) -> list[RoleRecord]:
        rows = self._connection.execute(
            f"SELECT {_ROLE} FROM roles WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [_role(row) for row in rows]

    def put_role(self, record: RoleRecord) -> None:
        self._put("roles", _ROLE, record)

    def delete_role(self, name: str) -> None:
        self._connection.execute("DELETE FROM roles WHERE name = ?", (name,))
        self._connection.execute("DELETE FROM secret_ids WHERE role = ?", (name,))

    def secret_id(self, hashed: bytes) -> SecretIdRecord | None:
        row = self._one(f"SELECT {_SECRET_ID} FROM secret_ids WHERE hash = ?", hashed)
        return None if row is None else _secret_id(row)

    def secret_id_by_accessor(self, accessor: str) -> SecretIdRecord | None:
        row = self._one(f"SELECT {_SECRET_ID} FROM secret_ids WHERE accessor = ?", accessor)
        return None if row is None else _secret_id(row)

    def secret_ids(self, role: str, after: str, limit: int) -> list[SecretIdRecord]:
        rows = self._connection.execute(
            f"SELECT {_SECRET_ID} FROM secret_ids WHERE role = ? AND accessor > ? ORDER BY accessor LIMIT ?",
            (role, after, limit),
        )
        return [_secret_id(row) for row in rows]

    def put_secret_id(self, record: SecretIdRecord) -> None:
        self._put("secret_ids", _SECRET_ID, record)

    def delete_secret_id(self, accessor: str) -> None:
        self._connection.execute("DELETE FROM secret_ids WHERE accessor = ?", (accessor,))

    def forget_secret_ids_before(self, before_ms: int) -> int:
        return self._connection.execute("DELETE FROM secret_ids WHERE expires_ms < ?", (before_ms,)).rowcount

    def _one(self, statement: str, value: str | bytes) -> Sequence[Any] | None:
        row: Sequence[Any] | None = self._connection.execute(statement, (value,)).fetchone()
        return row

    def _put(self, table: str, columns: str, record: Sequence[Any]) -> None:
        marks = ", ".join("?" * len(record))
        self._connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})", record)


def _user(row: Sequence[Any]) -> UserRecord:
    return UserRecord(*typed(row, "tbiiibtiiiiBIIIb", f"the record of user {str(row[0])[:64]}"))


def _role(row: Sequence[Any]) -> RoleRecord:
    return RoleRecord(*typed(row, "tttIItiiib", f"the record of role {str(row[0])[:64]}"))


def _secret_id(row: Sequence[Any]) -> SecretIdRecord:
    return SecretIdRecord(*typed(row, "bttttiIIib", f"the record of secret id {str(row[1])[:64]}"))
