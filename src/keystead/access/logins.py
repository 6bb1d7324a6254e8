"""Logging in: whoever proves who it is by one of the methods gets an access token.

A method is two steps: `prepare` does what is slow and needs no transaction (deriving from a password, verifying a
signature), and what comes of it is settled inside the transaction that makes the token or counts the failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from keystead.access.register import TokenRegister
from keystead.access.token_text import AccessToken, Kind, refused
from keystead.access.tokens import Holder, TokenRules, info
from keystead.clock import Clock
from keystead.errors import KeysteadError, LockedOut, UsageError
from keystead.gate import Entry, Gate, Session


class Grant(NamedTuple):
    """Who was proved, what the token is given, whether it is a person's, and what the record shows beside."""

    holder: Holder
    rules: TokenRules
    kind: Kind
    shown: Mapping[str, str | int] = MappingProxyType({})


class Refusal(NamedTuple):
    """Why not, as a class for the log; and, of a locked name, for how long it will be."""

    reason_class: str
    locked_ms: int = 0


def why_not(came: Refusal) -> KeysteadError:
    """What is raised for a refusal: that a name is locked, else the one answer."""
    if not came.locked_ms:
        return refused()
    return LockedOut(
        "too many failed logins under this name",
        retry_after_s=-(-came.locked_ms // 1000),
        hint="wait; nothing is looked at until then, and trying on does not make it longer",
    )


class Attempt(Protocol):
    """A login after the slow work. `target` is what the record names, such as `user/ada`."""

    target: str

    def settle(self, transaction: Any, now_ms: int) -> Grant | Refusal:
        """What comes of it, inside the transaction that is committed in either case."""


class LoginMethod(Protocol):
    """One way to prove who one is. `name` is what policies and the log call it."""

    name: str

    def prepare(self, credentials: dict[str, Any], source: str) -> Attempt:
        """Do what is slow. `source` is the address that the caller comes from, "" where there is none.

        Raises:
            UsageError: credentials are missing, or others were given; never for what they are worth.
        """


@dataclass(slots=True, eq=False, repr=False)
class Logins:
    """The login of one node; `methods` by name."""

    gate: Gate[Any]
    register: TokenRegister
    methods: Mapping[str, LoginMethod]
    clock: Clock

    def login(self, session: Session, method: str, source: str, credentials: dict[str, Any]) -> AccessToken:
        """The access token of whoever these credentials prove.

        Raises:
            UsageError: no such method, or other credentials than it takes.
            AuthenticationFailed: they prove nothing; recorded with the class of the reason.
            LockedOut: too many failures under this name, whether or not anybody has it.
        """
        if method == "token":
            return self._by_token(session, source, credentials)
        known = self.methods.get(method) if isinstance(method, str) else None
        if known is None:
            raise UsageError("no such login method", hint=f"there are {', '.join(sorted([*self.methods, 'token']))}")
        attempt = known.prepare(credentials, source)
        token: AccessToken | None = None
        # What raises inside is recorded as a failed login too.
        with self.gate.change(session, "login:attempt", attempt.target, "login_failed") as change:
            entry = change.entries[0]
            entry.detail["method"] = known.name
            if source:
                entry.detail["source"] = source
            came = attempt.settle(change.transaction, self.clock.now_ms())
            entry.target = attempt.target
            if isinstance(came, Grant):
                entry.event = "login_succeeded"
                entry.detail.update(came.shown)
                token = self.register.issue(change, came.holder, came.rules, came.kind)
            else:
                # The count of failures is committed, and the record of this one with it.
                entry.outcome, entry.detail["reason_class"] = "failed", came.reason_class
        if token is not None:
            return token
        raise why_not(came) if isinstance(came, Refusal) else refused()

    def _by_token(self, session: Session, source: str, credentials: dict[str, Any]) -> AccessToken:
        if set(credentials) != {"token"}:
            raise UsageError("a login by access token takes token")
        shown = credentials["token"]
        text = shown.reveal() if isinstance(shown, AccessToken) else shown
        record = self.register.authenticate(session, text, source, "")
        entry = Entry(session.id, str(session.principal), "login_succeeded", f"token/{record.accessor}")
        entry.detail = {"method": "token", "accessor": record.accessor, "holder": record.principal}
        if source:
            entry.detail["source"] = source
        self.gate.recorder.append(entry)
        return AccessToken(text, info(record, self.clock.now_ms()))
