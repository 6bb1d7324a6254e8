"""The use cases on users, roles and secret ids."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from keystead.access.accounts import (
    RoleInfo,
    RoleRecord,
    SecretIdInfo,
    SecretIdRecord,
    UserInfo,
    UserRecord,
    role_info,
    secret_id_info,
    user_info,
)
from keystead.access.binding import IdentityBinder, new_accessor
from keystead.access.listing import permitted
from keystead.access.passwords import Passwords
from keystead.access.ports import AccountRows
from keystead.access.register import TokenRegister
from keystead.access.second_factor import required
from keystead.access.token_text import Kind, NewSecretId, mint, parse
from keystead.access.tokens import MAX_USES, TokenRules, check_rules, rules_text
from keystead.access.words import as_text, check_accessor, check_identity
from keystead.clock import Clock
from keystead.crypto.material import random_bytes
from keystead.errors import AlreadyExists, AuthenticationFailed, IdentityNotFound, UsageError
from keystead.gate import Change, Gate, Session, missing

_ROLE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SecretIdLimits:
    """What the secret ids of a role are given, and from where it may log in. None: no limit."""

    ttl_ms: int | None = None
    uses: int | None = None
    networks: tuple[str, ...] = ()


@dataclass(slots=True, eq=False, repr=False)
class Directory:
    """The users and roles of one store."""

    gate: Gate[Any]
    binder: Callable[[], IdentityBinder]
    read_rows: Callable[[], AccountRows]
    rows: Callable[[Any], AccountRows]
    clock: Clock
    register: TokenRegister
    passwords: Passwords
    end_grants: Callable[[Change[Any], str], int]

    # Users

    def create_user(
        self, session: Session, name: str, password: str, rules: TokenRules, require_second_factor: bool | None
    ) -> UserInfo:
        """A new user. Raises UsageError, AlreadyExists."""
        check_identity(name, "user")
        check_rules(rules, self.register.limits)
        self.gate.ahead(session, "user:write", f"user/{name}")
        salt, cost, verifier = self.passwords.fresh(name, password)
        with self.gate.change(session, "user:write", f"user/{name}", "user_created") as change:
            rows, now = self.rows(change.transaction), self.clock.now_ms()
            if rows.user(name) is not None:
                raise AlreadyExists(f"there is a user {name}", hint="choose another name, or set its password")
            made = UserRecord(name, salt, *cost, verifier, rules_text(rules), now, now)
            made = made._replace(factor_required=required(made, require_second_factor))
            return self._save_user(change, rows, made)

    def change_user(
        self, session: Session, name: str, rules: TokenRules, require_second_factor: bool | None
    ) -> UserInfo:
        """Other rules for the tokens of a user's logins from now on. Raises UsageError, IdentityNotFound."""
        check_identity(name, "user")
        check_rules(rules, self.register.limits)
        with self.gate.change(session, "user:write", f"user/{name}", "user_changed") as change:
            rows = self.rows(change.transaction)
            change.detail["what"] = "rules"
            user = self._user(rows, name)
            needs = required(user, require_second_factor)
            return self._save_user(change, rows, user._replace(rules=rules_text(rules), factor_required=needs))

    def set_password(self, session: Session, name: str, password: str) -> UserInfo:
        """Another password, which also ends the user's access tokens and lock. Raises UsageError, IdentityNotFound."""
        check_identity(name, "user")
        self.gate.ahead(session, "user:write", f"user/{name}")
        salt, cost, verifier = self.passwords.fresh(name, password)
        with self.gate.change(session, "user:write", f"user/{name}", "user_changed") as change:
            rows = self.rows(change.transaction)
            made = self._user(rows, name)._replace(
                salt=salt, iterations=cost.iterations, lanes=cost.lanes, memory_kib=cost.memory_kib, verifier=verifier
            )
            rows.forget_failures(name)
            change.detail["what"] = "password"
            change.detail["tokens"] = self.register.end_of(change.transaction, f"user:{name}")
            saved = self._save_user(change, rows, made)
        self.register.changed()
        return saved

    def delete_user(self, session: Session, name: str) -> None:
        """Remove a user, its access tokens and its grants, in one transaction. Raises UsageError, IdentityNotFound."""
        check_identity(name, "user")
        with self.gate.change(session, "user:delete", f"user/{name}", "user_deleted") as change:
            rows = self.rows(change.transaction)
            if rows.user(name) is None:
                raise missing("user", name)
            rows.delete_user(name)
            self._end(change, f"user:{name}")
        self.register.changed()

    def _end(self, change: Change[Any], principal: str) -> None:
        """What was given to a principal is not there for the next one of its name."""
        tokens = self.register.end_of(change.transaction, principal)
        change.detail.update(tokens=tokens, grants=self.end_grants(change, principal))

    def read_user(self, session: Session, name: str) -> UserInfo:
        """What is known of a user. Raises UsageError, IdentityNotFound."""
        check_identity(name, "user")
        with self.gate.read(session, "user:read", f"user/{name}", "user_looked_up"):
            rows = self.read_rows()
            return self._user_info(rows, self._user(rows, name))

    def list_users(self, session: Session, *, limit: int, after: str | None) -> tuple[list[UserInfo], str | None]:
        """Up to `limit` users in the order of their names, and what to give as `after` for the rest."""
        _check_after(after, "user")
        with self.gate.read(session, "user:list", "user/*", "users_listed"):
            rows, may = self.read_rows(), self._may(session, "user")
            found, following = permitted(rows.users, lambda record: record.name, may, limit, after)
            return [self._user_info(rows, self._checked_user(record)) for record in found], following

    def _may(self, session: Session, kind: str) -> Callable[[str], bool]:
        return lambda name: self.gate.may(session, f"{kind}:list", f"{kind}/{name}")

    def _user(self, rows: AccountRows, name: str) -> UserRecord:
        record = rows.user(name)
        if record is None:
            raise missing("user", name)
        return self._checked_user(record)

    def _checked_user(self, record: UserRecord) -> UserRecord:
        return self.binder().check(record, f"user {record.name}")

    def _user_info(self, rows: AccountRows, record: UserRecord) -> UserInfo:
        return user_info(record, rows.failures(record.name), self.clock.now_ms())

    def _save_user(self, change: Change[Any], rows: AccountRows, record: UserRecord) -> UserInfo:
        sealed = self.binder().sealed(record, updated_ms=self.clock.now_ms())
        rows.put_user(sealed)
        change.detail["row"] = sealed.mac[:16].hex()
        return self._user_info(rows, sealed)

    # Roles

    def create_role(
        self, session: Session, name: str, rules: TokenRules, limits: SecretIdLimits, role_id: str | None
    ) -> RoleInfo:
        """A new role. Raises UsageError, AlreadyExists."""
        self._check_role(name, rules, limits, role_id)
        with self.gate.change(session, "role:write", f"role/{name}", "role_created") as change:
            rows, now = self.rows(change.transaction), self.clock.now_ms()
            if rows.role(name) is not None:
                raise AlreadyExists(f"there is a role {name}", hint="choose another name, or change it")
            made = RoleRecord(name, role_id or f"role_{random_bytes(16).hex()}", *_kept(rules, limits), now, now)
            return self._save_role(change, rows, made)

    def change_role(
        self, session: Session, name: str, rules: TokenRules, limits: SecretIdLimits, role_id: str | None
    ) -> RoleInfo:
        """Other rules and limits from now on; `role_id` None keeps the one there is. Raises UsageError, AlreadyExists,
        IdentityNotFound."""
        self._check_role(name, rules, limits, role_id)
        with self.gate.change(session, "role:write", f"role/{name}", "role_changed") as change:
            rows = self.rows(change.transaction)
            record = self._role(rows, name)
            made = RoleRecord(
                name,
                role_id or record.role_id,
                *_kept(rules, limits),
                record.created_ms,
                record.updated_ms,
                record.epoch,
            )
            return self._save_role(change, rows, made)

    def delete_role(self, session: Session, name: str) -> None:
        """Remove a role, its secret ids, access tokens and grants. Raises UsageError, IdentityNotFound."""
        check_identity(name, "role")
        with self.gate.change(session, "role:delete", f"role/{name}", "role_deleted") as change:
            rows = self.rows(change.transaction)
            if rows.role(name) is None:
                raise missing("role", name)
            rows.delete_role(name)
            self._end(change, f"role:{name}")
        self.register.changed()

    def read_role(self, session: Session, name: str) -> RoleInfo:
        """What is known of a role. Raises UsageError, IdentityNotFound."""
        check_identity(name, "role")
        with self.gate.read(session, "role:read", f"role/{name}", "role_looked_up"):
            return role_info(self._role(self.read_rows(), name))

    def list_roles(self, session: Session, *, limit: int, after: str | None) -> tuple[list[RoleInfo], str | None]:
        """Up to `limit` roles in the order of their names, and what to give as `after` for the rest."""
        _check_after(after, "role")
        with self.gate.read(session, "role:list", "role/*", "roles_listed"):
            rows, may, binder = self.read_rows(), self._may(session, "role"), self.binder()
            found, following = permitted(rows.roles, lambda record: record.name, may, limit, after)
            return [role_info(binder.check(record, f"role {record.name}")) for record in found], following

    def _check_role(self, name: str, rules: TokenRules, limits: SecretIdLimits, role_id: str | None) -> None:
        check_identity(name, "role")
        check_rules(rules, self.register.limits)
        _check_uses(limits)
        if role_id is not None and not (isinstance(role_id, str) and _ROLE_ID.fullmatch(role_id)):
            raise UsageError("a role id has 1 to 128 letters, digits, - and _")

    def _role(self, rows: AccountRows, name: str) -> RoleRecord:
        record = rows.role(name)
        if record is None:
            raise missing("role", name)
        return self.binder().check(record, f"role {name}")

    def _save_role(self, change: Change[Any], rows: AccountRows, record: RoleRecord) -> RoleInfo:
        other = rows.role_by_id(record.role_id)
        if other is not None and other.name != record.name:
            raise AlreadyExists("another role has this role id", hint="leave it out, and one is made")
        sealed = self.binder().sealed(record, updated_ms=self.clock.now_ms())
        rows.put_role(sealed)
        change.detail["row"] = sealed.mac[:16].hex()
        return role_info(sealed)

    # Secret ids

    def create_secret_id(self, session: Session, role: str, limits: SecretIdLimits, meta: str) -> NewSecretId:
        """A fresh secret id of a role; limits that are None are the role's. Raises UsageError, IdentityNotFound."""
        check_identity(role, "role")
        _check_uses(limits)
        with self.gate.change(session, "secret-id:create", f"role/{role}", "secret_id_created") as change:
            rows, now, (text, random) = self.rows(change.transaction), self.clock.now_ms(), mint(Kind.SECRET_ID)
            owner, binder = self._role(rows, role), self.binder()
            ttl_ms = _least(limits.ttl_ms, owner.secret_id_ttl_ms)
            made = SecretIdRecord(
                binder.hashed("secret-id", random),
                new_accessor(),
                role,
                meta,
                as_text(list(limits.networks)),
                now,
                None if ttl_ms is None else now + ttl_ms,
                _least(limits.uses, owner.secret_id_uses),
            )
            record = binder.sealed(made)
            rows.put_secret_id(record)
            change.detail.update(accessor=record.accessor, row=record.mac[:16].hex())
        return NewSecretId(text, secret_id_info(record))

    def accessor_of_secret_id(self, session: Session, text: str) -> str | None:
        """The accessor of a secret id; None where there is none. Raises AuthenticationFailed, which is recorded."""
        try:
            random = parse(text, Kind.SECRET_ID)
        except AuthenticationFailed:
            self.register.refuse(session, "role/*", "malformed", method="role")
        found = self.read_rows().secret_id(self.binder().hashed("secret-id", random))
        return None if found is None else found.accessor

    def read_secret_id(self, session: Session, role: str, accessor: str | None) -> SecretIdInfo:
        """What is known of a secret id of this role. Raises UsageError, IdentityNotFound."""
        check_identity(role, "role")
        with self.gate.read(session, "secret-id:read", f"role/{role}", "secret_id_looked_up"):
            return secret_id_info(self._secret_id(self.read_rows(), role, accessor))

    def list_secret_ids(
        self, session: Session, role: str, *, limit: int, after: str | None
    ) -> tuple[list[SecretIdInfo], str | None]:
        """Up to `limit` secret ids of a role in the order of their accessors, and `after` for the rest."""
        check_identity(role, "role")
        if after is not None:
            check_accessor(after)
        with self.gate.read(session, "secret-id:list", f"role/{role}", "secret_ids_listed"):
            rows = self.read_rows()
            self._role(rows, role)
            found = rows.secret_ids(role, after or "", limit + 1)
            shown = [secret_id_info(self._checked_secret_id(record)) for record in found[:limit]]
            return shown, shown[-1].accessor if len(found) > limit else None

    def destroy_secret_id(self, session: Session, role: str, accessor: str | None) -> None:
        """Remove a secret id of this role, and of no other. Raises UsageError, IdentityNotFound."""
        check_identity(role, "role")
        with self.gate.change(session, "secret-id:destroy", f"role/{role}", "secret_id_destroyed") as change:
            rows = self.rows(change.transaction)
            gone = self._secret_id(rows, role, accessor)
            rows.delete_secret_id(gone.accessor)
            change.detail["accessor"] = gone.accessor

    def _secret_id(self, rows: AccountRows, role: str, accessor: str | None) -> SecretIdRecord:
        record = None if accessor is None else rows.secret_id_by_accessor(check_accessor(accessor))
        if record is None or record.role != role:
            raise IdentityNotFound(f"role {role} has no such secret id", hint="it may be used up; list those it has")
        return self._checked_secret_id(record)

    def _checked_secret_id(self, record: SecretIdRecord) -> SecretIdRecord:
        return self.binder().check(record, f"secret id {record.accessor}")


def _kept(rules: TokenRules, limits: SecretIdLimits) -> tuple[str, int | None, int | None, str]:
    return rules_text(rules), limits.ttl_ms, limits.uses, as_text(list(limits.networks))


def _check_uses(limits: SecretIdLimits) -> None:
    if limits.uses is not None and (type(limits.uses) is not int or not 1 <= limits.uses <= MAX_USES):
        raise UsageError(f"the uses of a secret id are 1 to {MAX_USES}, or None for as many as wanted")


def _check_after(after: str | None, what: str) -> None:
    if after is not None:
        check_identity(after, what)


def _least(asked: int | None, bound: int | None) -> int | None:
    return bound if asked is None else asked if bound is None else min(asked, bound)
