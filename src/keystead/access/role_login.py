"""Login by role id and secret id: for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from keystead.access.accounts import RoleRecord, SecretIdRecord, why_secret_id_ended
from keystead.access.binding import IdentityBinder
from keystead.access.logins import Grant, Refusal
from keystead.access.ports import AccountRows
from keystead.access.token_text import Kind, parse
from keystead.access.tokens import Holder, rules_of, texts
from keystead.access.words import as_text, is_within
from keystead.errors import AuthenticationFailed, UsageError


class RoleAttempt:
    """A role id and a secret id, decided in the transaction that takes the use of the secret id."""

    def __init__(self, method: RoleMethod, role_id: object, secret_id: object, source: str) -> None:
        self._method = method
        # No role has another; half a surrogate pair could not even be asked for.
        self._role_id = role_id if isinstance(role_id, str) and role_id.isascii() else ""
        self._secret_id = secret_id
        self._source = source
        self.target = "role/*"

    def settle(self, transaction: Any, now_ms: int) -> Grant | Refusal:
        """What comes of it. Both are looked for in any case."""
        rows, binder = self._method.rows(transaction), self._method.binder()
        role = rows.role_by_id(self._role_id)
        secret = self._secret(rows, binder)
        if role is None:
            return Refusal("unknown-role")
        self.target = f"role/{role.name}"
        binder.check(role, f"role {role.name}")
        if secret is None or secret.role != role.name:
            return Refusal("unknown-secret-id" if secret is None else "secret-id-of-another-role")
        binder.check(secret, f"secret id {secret.accessor}")
        why = why_secret_id_ended(secret, now_ms) or self._misplaced(role, secret)
        if why is not None:
            return Refusal(why)
        self._take_use(rows, binder, secret)
        meta = as_text({**json.loads(secret.meta), "role_name": role.name})
        return Grant(Holder(f"role:{role.name}", self._method.name, meta), rules_of(role.rules), Kind.SERVICE)

    def _secret(self, rows: AccountRows, binder: IdentityBinder) -> SecretIdRecord | None:
        try:
            random = parse(self._secret_id, Kind.SECRET_ID)
        except AuthenticationFailed:
            random = b""
        return rows.secret_id(binder.hashed("secret-id", random))

    def _misplaced(self, role: RoleRecord, secret: SecretIdRecord) -> str | None:
        inside = is_within(self._source, texts(role.networks)) and is_within(self._source, texts(secret.networks))
        return None if inside else "wrong-source"

    @staticmethod
    def _take_use(rows: AccountRows, binder: IdentityBinder, secret: SecretIdRecord) -> None:
        if secret.uses_left is not None:
            # The last use leaves no row behind that somebody could add a use to.
            if secret.uses_left == 1:
                rows.delete_secret_id(secret.accessor)
            else:
                rows.put_secret_id(binder.sealed(secret, uses_left=secret.uses_left - 1))


class RoleMethod:
    """Login by role id and secret id. Every failure has one answer."""

    name = "role"

    def __init__(self, binder: Callable[[], IdentityBinder], rows: Callable[[Any], AccountRows]) -> None:
        self.binder = binder
        self.rows = rows

    def prepare(self, credentials: dict[str, Any], source: str) -> RoleAttempt:
        """Nothing here is slow.

        Raises:
            UsageError: other credentials than `role_id` and `secret_id`.
        """
        if set(credentials) != {"role_id", "secret_id"}:
            raise UsageError("a login by role takes role_id and secret_id")
        return RoleAttempt(self, credentials["role_id"], credentials["secret_id"], source)
