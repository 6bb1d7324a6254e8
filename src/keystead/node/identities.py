"""The identities of an open store, put together: access tokens, logins, users, roles and auth methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.access.accounts import LockRules
from keystead.access.auth_methods import AuthMethods, KeptMethods
from keystead.access.directory import Directory
from keystead.access.logins import LoginMethod, Logins
from keystead.access.passwords import PasswordMethod, Passwords
from keystead.access.proof_login import ProofMethod, certificate_proof, jwt_proof
from keystead.access.register import TokenRegister, authentication_of
from keystead.access.role_login import RoleMethod
from keystead.access.second_factor import SecondFactors
from keystead.access.session import Session
from keystead.access.tokens import TokenLimits
from keystead.crypto.kdf import Argon2Parameters
from keystead.crypto.purpose import Purpose
from keystead.node.grants import end_grants_to
from keystead.node.sessions import see_tokens
from keystead.secrets.labels import DEFAULT_JUMP_LIMIT_MS
from keystead.storage.accounts import SqliteAccounts
from keystead.storage.auth_methods import SqliteAuthMethods
from keystead.storage.ended import KEPT_ENDED_MS
from keystead.storage.tokens import SqliteTokens

if TYPE_CHECKING:
    from keystead.node.node import Node


class Identities:
    """What a node's services share of identities."""

    def __init__(self, node: Node) -> None:
        self._node = node
        settings, binder = node.settings, node.root.identity_binder
        cost = Argon2Parameters(settings.password_iterations, settings.password_lanes, settings.password_memory_kib)
        locks = LockRules(settings.login_failures, settings.login_window_ms, settings.login_lock_ms)
        self.passwords = Passwords(binder, cost)
        self.register = TokenRegister(
            node.gate,
            binder,
            lambda: SqliteTokens(node.store.read()),
            SqliteTokens,
            node.write,
            node.clock,
            TokenLimits(settings.token_ttl_ms, settings.token_max_ttl_ms),
            lambda: see_tokens(node),
        )
        self._methods: dict[str, LoginMethod] = {}
        self.logins = Logins(node.gate, self.register, self._methods, node.clock)
        self.factors = SecondFactors(
            node.gate, binder, SqliteAccounts, node.clock, self.register, self._seal, self._open, locks
        )
        self.add_method(PasswordMethod(self.passwords, binder, self._read_accounts, SqliteAccounts, self.factors))
        self.add_method(RoleMethod(binder, SqliteAccounts))
        self.directory = Directory(
            node.gate,
            binder,
            self._read_accounts,
            SqliteAccounts,
            node.clock,
            self.register,
            self.passwords,
            end_grants_to,
        )
        stored = KeptMethods(binder, lambda: SqliteAuthMethods(node.store.read()), SqliteAuthMethods, node.clock)
        self.auth_methods = AuthMethods(node.gate, stored, self.register, end_grants_to)
        self.add_method(ProofMethod("jwt", "jwt", jwt_proof, stored))
        self.add_method(ProofMethod("certificate", "chain", certificate_proof, stored))
        node.gate.take_use = self.register.take_use

    def add_method(self, method: LoginMethod) -> None:
        """One more way to log in."""
        self._methods[method.name] = method

    def _seal(self, secret: bytes, aad: bytes) -> bytes:
        _, key = self._node.ring.storing_key(Purpose.SECOND_FACTOR)
        return key.seal(secret, aad)

    def _open(self, blob: bytes, aad: bytes) -> bytearray:
        return self._node.ring.open_material(blob, aad, Purpose.SECOND_FACTOR)

    def _read_accounts(self) -> SqliteAccounts:
        return SqliteAccounts(self._node.store.read())

    def open_session(self, session: Session, text: str, source: str, binding: str, *, lazy: bool = False) -> Session:
        """A session of whoever shows this access token to a service that acts by `session` so far; recorded.

        A `lazy` one is brought up to date only when it acts: `Node.catch_up`.

        Raises:
            AuthenticationFailed.
        """
        record = self.register.authenticate(session, text, source, binding)
        principal, authentication = authentication_of(record, source)
        return self._node.open_session(principal, authentication, lazy=lazy)

    def sweep(self, session: Session) -> None:
        """Remove a bounded batch of what ended more than a day ago, and counts of failures that are over.

        After a jump of the clock nothing is: what reads as over may be so only for a clock that was set wrong.
        """
        clock = self._node.clock
        if clock.ahead_ms() > DEFAULT_JUMP_LIMIT_MS:
            return
        with self._node.gate.change(session, "token:revoke", "token/*", "identities_swept") as change:
            before, rows = clock.now_ms() - KEPT_ENDED_MS, SqliteAccounts(change.transaction)
            change.detail["tokens"] = self.register.sweep(change.transaction, before)
            change.detail["failures"] = rows.forget_failures_before(before)
            change.detail["secret_ids"] = rows.forget_secret_ids_before(before)
