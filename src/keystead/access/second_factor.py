"""The second factor of users: one-time codes, each good once, beside the password and for a session that goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from keystead.access.accounts import (
    FailureRecord,
    LockRules,
    UserInfo,
    UserRecord,
    failed_once_more,
    locked_for,
    user_info,
)
from keystead.access.binding import IdentityBinder
from keystead.access.logins import Refusal, why_not
from keystead.access.ports import AccountRows
from keystead.access.register import TokenRegister
from keystead.access.token_text import NewSecondFactor
from keystead.access.words import check_identity
from keystead.clock import Clock
from keystead.crypto.material import zero
from keystead.crypto.one_time_code import matching_step, new_secret, otpauth_uri, text_of
from keystead.errors import AlreadyExists, DecryptionError, Denied, IdentityNotFound, KeyStateError, UsageError
from keystead.gate import Change, Gate, Session

_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)


def check_code(code: object) -> str:
    """The six digits, without the spaces that apps show among them. Raises UsageError, which does not hold them."""
    text = code.replace(" ", "") if isinstance(code, str) else ""
    if not _CODE.fullmatch(text):
        raise UsageError("a code of a second factor is six digits")
    return text


class Looked(NamedTuple):
    """What a code is worth: `why` not, as a class for the log ("": good), and the step that it uses up, if any."""

    why: str
    step: int | None = None


@dataclass(slots=True, eq=False, repr=False)
class SecondFactors:
    """The second factors of one store. `seal` and `open` encrypt under its data keys, with an AAD."""

    gate: Gate[Any]
    binder: Callable[[], IdentityBinder]
    rows: Callable[[Any], AccountRows]
    clock: Clock
    register: TokenRegister
    seal: Callable[[bytes, bytes], bytes]
    open: Callable[[bytes, bytes], bytearray]
    lock_rules: LockRules

    def enroll(self, session: Session, name: str, require: bool | None) -> NewSecondFactor:
        """A fresh secret in the place of one that was not confirmed; `require` None leaves that as it is.

        Raises:
            UsageError, IdentityNotFound. AlreadyExists: the user has a second factor.
        """
        check_identity(name, "user")
        with self.gate.change(session, "second-factor:enroll", f"user/{name}", "second_factor_enrolled") as change:
            rows, now, secret = self.rows(change.transaction), self.clock.now_ms(), new_secret()
            user = self._user(rows, name)
            if user.factor_confirmed_ms is not None:
                raise AlreadyExists(f"user {name} has a second factor", hint="remove it first")
            made = user._replace(
                factor_required=required(user, require),
                factor=self.seal(secret, self.binder().factor_aad(name, now)),
                factor_made_ms=now,
                factor_step=None,
            )
            self._save(change, rows, made)
        return NewSecondFactor(text_of(secret), otpauth_uri(secret, name), name)

    def confirm(self, session: Session, name: str, code: str) -> UserInfo:
        """Make the enrolled second factor one, by a first code of it, which is used up.

        Raises:
            UsageError: nothing to confirm, or no code. IdentityNotFound.
            AuthenticationFailed: another code; it counts as a failed login. LockedOut.
        """
        check_identity(name, "user")
        code = check_code(code)
        with self.gate.change(session, "second-factor:confirm", f"user/{name}", "second_factor_confirmed") as change:
            rows, now = self.rows(change.transaction), self.clock.now_ms()
            user = self._user(rows, name)
            if user.factor is None or user.factor_confirmed_ms is not None:
                raise UsageError(f"user {name} has no second factor to confirm", hint="enroll one first")
            came = self._tried(rows, name, lambda: self._code(user, code, now))
            if isinstance(came, Looked):
                user = self._save(change, rows, user._replace(factor_confirmed_ms=now, factor_step=came.step))
            else:
                _failed(change, came)
        if isinstance(came, Refusal):
            raise why_not(came)
        return user_info(user, None, now)

    def remove(self, session: Session, name: str) -> UserInfo:
        """Remove a user's second factor; that one is required, stays. Raises UsageError, IdentityNotFound."""
        check_identity(name, "user")
        with self.gate.change(session, "second-factor:remove", f"user/{name}", "second_factor_removed") as change:
            rows = self.rows(change.transaction)
            user = self._user(rows, name)
            if user.factor is None:
                raise IdentityNotFound(f"user {name} has no second factor", hint="keystead user list")
            made = user._replace(factor=None, factor_made_ms=None, factor_confirmed_ms=None, factor_step=None)
            user = self._save(change, rows, made)
            return user_info(user, rows.failures(name), self.clock.now_ms())

    def verify(self, session: Session, code: str) -> int:
        """Show a second factor for the access token that a session of a user acts by; the moment (ms) that counts.

        Raises:
            UsageError: no code. AuthenticationFailed: another code; it counts as a failed login. LockedOut.
            Denied: the session is of no user who logged in.
        """
        code = check_code(code)
        kind, _, name = str(session.principal).partition(":")
        if kind != "user" or not session.authentication.accessor:
            raise Denied("only a user who logged in shows a second factor", hint="keystead login USER --code")
        with self.gate.change(session, "login:attempt", f"user/{name}", "second_factor_verified") as change:
            rows, now = self.rows(change.transaction), self.clock.now_ms()
            came = self._tried(rows, name, lambda: self.look(rows.user(name), code, now))
            if isinstance(came, Looked):
                user = self.binder().sealed(self._user(rows, name), factor_step=came.step)
                rows.put_user(user)
                change.detail["row"] = user.mac[:16].hex()
                self.register.note_second_factor(change, session, now)
            else:
                _failed(change, came)
            if session.authentication.source:
                change.detail["source"] = session.authentication.source
        if isinstance(came, Refusal):
            raise why_not(came)
        self.register.changed()
        return now

    def look(self, user: UserRecord | None, code: str | None, now_ms: int) -> Looked:
        """What a code, or none, is worth for a user at a login. Raises IntegrityError."""
        if user is None:
            return Looked("unknown-user")
        self.binder().check(user, f"user {user.name}")
        if user.factor_confirmed_ms is None:
            return Looked("no-second-factor" if user.factor_required or code is not None else "")
        return Looked("no-code") if code is None else self._code(user, code, now_ms)

    def _code(self, user: UserRecord, code: str, now_ms: int) -> Looked:
        try:
            secret = self.open(user.factor or b"", self.binder().factor_aad(user.name, user.factor_made_ms or 0))
        except (DecryptionError, KeyStateError):
            return Looked("second-factor-lost")  # its data key was destroyed; only another one helps
        try:
            step = matching_step(secret, code, now_ms)
        finally:
            zero(secret)
        if step is None:
            return Looked("wrong-code")
        # Not the text is remembered but its step, so that no spelling of it is good again (CVE-2025-6014).
        used = user.factor_step is not None and step <= user.factor_step
        return Looked("used-code") if used else Looked("", step)

    def _tried(self, rows: AccountRows, name: str, look: Callable[[], Looked]) -> Looked | Refusal:
        """What is looked at unless the name is locked; a failure is counted with those of logins (CVE-2025-6015)."""
        found, now = rows.failures(name), self.clock.now_ms()
        failures = None if found is None else self.binder().check(found, f"the failed logins of {name}")
        if failures is not None and locked_for(failures, now):
            return Refusal("locked", locked_for(failures, now))
        looked = look()
        if not looked.why:
            return looked
        self.count(rows, name, failures, now)
        return Refusal(looked.why)

    def count(self, rows: AccountRows, name: str, failures: FailureRecord | None, now_ms: int) -> None:
        """Count one more failure under a name."""
        rows.put_failures(self.binder().sealed(failed_once_more(name, failures, now_ms, self.lock_rules)))

    def _user(self, rows: AccountRows, name: str) -> UserRecord:
        record = rows.user(name)
        if record is None:
            raise IdentityNotFound(f"there is no user {name}", hint="keystead user list")
        return self.binder().check(record, f"user {name}")

    def _save(self, change: Change[Any], rows: AccountRows, record: UserRecord) -> UserRecord:
        sealed: UserRecord = self.binder().sealed(record, updated_ms=self.clock.now_ms())
        rows.put_user(sealed)
        change.detail["row"] = sealed.mac[:16].hex()
        return sealed


def required(user: UserRecord, wanted: bool | None) -> int:
    """Whether a user needs a second factor, as its row has it; None leaves that as it is. Raises UsageError."""
    if wanted is None:
        return user.factor_required
    if type(wanted) is not bool:
        raise UsageError("whether a second factor is required must be True or False")
    return int(wanted)


def _failed(change: Change[Any], came: Refusal) -> None:
    entry = change.entries[0]
    entry.outcome, entry.detail["reason_class"] = "failed", came.reason_class
