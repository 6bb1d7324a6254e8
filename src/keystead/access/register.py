"""The use cases on access tokens: create, look up, renew, revoke, list; showing one; taking one of its uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from keystead.access.binding import IdentityBinder, new_accessor
from keystead.access.listing import permitted
from keystead.access.ports import TokenRows
from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.access.token_text import AccessToken, Kind, mint, parse, refused
from keystead.access.tokens import (
    LET_GO,
    Holder,
    TokenInfo,
    TokenLimits,
    TokenRecord,
    TokenRules,
    check_rules,
    info,
    issued,
    may_create_child,
    renewed,
    texts,
    used,
    why_ended,
    why_refused,
)
from keystead.access.words import check_accessor, check_identity, check_principal, is_subnet
from keystead.clock import Clock
from keystead.errors import AuthenticationFailed, Denied
from keystead.gate import Change, Entry, Gate, missing
from keystead.gate import Session as AnySession

BATCH: Final = 1_000
_SHOWN: Final = (Kind.SERVICE, Kind.PERSON)


@dataclass(slots=True, eq=False, repr=False)
class TokenRegister:
    """The access tokens of one store. `write` opens a transaction of its own; `changed` is called when some ended."""

    gate: Gate[Any]
    binder: Callable[[], IdentityBinder]
    read_rows: Callable[[], TokenRows]
    rows: Callable[[Any], TokenRows]
    write: Callable[[], AbstractContextManager[Any]]
    clock: Clock
    limits: TokenLimits
    changed: Callable[[], None]

    def create(
        self, session: AnySession, rules: TokenRules, *, policies: Any, meta: str, name: str | None, orphan: bool
    ) -> AccessToken:
        """A new token, the child of the one that the session acts by; of the local owner, one without a parent.

        `policies` None: those of the parent. Only the owner gives a `name` (`token:NAME`), or makes an `orphan`.

        Raises:
            UsageError: rules that contradict each other. Denied: more than the creator's token may give.
        """
        check_rules(rules, self.limits)
        if name is not None:
            check_identity(name, "access token")
        with self.gate.change(session, "token:create", "token/*", "token_created") as change:
            now, accessor = self.clock.now_ms(), new_accessor()
            parent = self._parent(self.rows(change.transaction), session, name, orphan)
            if parent is None:
                holder = Holder(f"token:{name or accessor}", "token", meta)
                granted = rules._replace(policies=policies or ())
            else:
                granted = rules._replace(policies=texts(parent.policies) if policies is None else policies)
                granted = _narrowed(granted, parent, now)
                holder = Holder(parent.principal, "token", meta, parent.binding, parent.mfa_ms)
            return self.issue(change, holder, granted, Kind.SERVICE, accessor=accessor, parent=parent)

    def issue(
        self,
        change: Change[Any],
        holder: Holder,
        rules: TokenRules,
        kind: Kind,
        *,
        accessor: str | None = None,
        parent: TokenRecord | None = None,
    ) -> AccessToken:
        """A new token inside an open change, whose record it becomes part of."""
        now, (text, random), binder = self.clock.now_ms(), mint(kind), self.binder()
        made = issued(
            binder.hashed("access-token", random),
            accessor or new_accessor(),
            holder,
            rules,
            now,
            limits=self.limits,
            parent=parent,
        )
        record = binder.sealed(made)
        self.rows(change.transaction).insert(record)
        entry = change.entries[0]
        if entry.event == "token_created":
            entry.target = f"token/{record.accessor}"
        entry.detail.update(accessor=record.accessor, holder=record.principal, policies=",".join(rules.policies))
        entry.detail.update(expires_ms=record.expires_ms, token=record.mac[:16].hex())
        return AccessToken(text, info(record, now))

    def _parent(self, rows: TokenRows, session: AnySession, name: str | None, orphan: bool) -> TokenRecord | None:
        if is_owner(session):
            return None
        if name is not None or orphan:
            raise Denied("only the local owner names an access token, or makes one without a parent")
        accessor = session.authentication.accessor
        record = self._found(rows, accessor) if accessor else None
        if record is None:
            raise Denied("this session acts by no access token that another could be made with")
        return record

    def accessor_of(self, session: AnySession, token: str | AccessToken | None) -> str | None:
        """The accessor of a token, or of the session's own for None; None where there is no such token.

        Raises:
            AuthenticationFailed: the text is no access token; recorded.
        """
        if token is None:
            return str(session.authentication.accessor) or None
        try:
            random = parse(token.reveal() if isinstance(token, AccessToken) else token, *_SHOWN)
        except AuthenticationFailed:
            self.refuse(session, "token/*", "malformed")
        found = self.read_rows().by_hash(self.binder().hashed("access-token", random))
        return None if found is None else self.binder().check(found, f"access token {found.accessor}").accessor

    def look_up(self, session: AnySession, accessor: str | None) -> TokenInfo:
        """What is known of a token. Raises IdentityNotFound."""
        with self.gate.read(session, "token:read", _target(accessor), "token_looked_up"):
            return info(self._present(self.read_rows(), accessor), self.clock.now_ms())

    def renew(self, session: AnySession, accessor: str | None, increment_ms: int | None) -> TokenInfo:
        """Move a token's end, to `increment_ms` from now or what it was made for.

        Raises:
            IdentityNotFound. UsageError: it is not renewable. Denied: it has ended, or is bound to what the session
                has not shown.
        """
        with self.gate.change(session, "token:renew", _target(accessor), "token_renewed") as change:
            rows, now = self.rows(change.transaction), self.clock.now_ms()
            record = self._present(rows, accessor)
            self._check_binding(rows, session, record)
            parent = self._found(rows, record.parent) if record.parent else None
            record = self.binder().sealed(renewed(record, now, increment_ms, parent))
            rows.put([record])
            change.detail.update(expires_ms=record.expires_ms, token=record.mac[:16].hex())
        self.changed()
        return info(record, now)

    def is_renewable(self, session: AnySession) -> bool:
        """Whether a renewal may move the end of the access token that a session acts by.

        Not of one with a number of uses: who asked for so many wants them for something else.
        """
        proved = session.authentication
        record = self._found(self.read_rows(), proved.accessor) if proved.accessor and not proved.limited else None
        if record is None or not record.renewable:
            return False
        return record.max_ms is None or record.expires_ms < record.max_ms

    def _check_binding(self, rows: TokenRows, session: AnySession, record: TokenRecord) -> None:
        """Who renews has shown what the token is bound to, and acts by it or another of the same (CVE-2026-39388)."""
        own = session.authentication.accessor
        if record.binding and record.accessor != own:
            acting = self._found(rows, own) if own else None
            if acting is None or acting.binding != record.binding:
                raise Denied(
                    f"access token {record.accessor} is bound to a certificate",
                    why="who renews it acts by it, and has shown that certificate again",
                    hint="as_token(token, binding=...) and renew there, or log in again",
                )

    def revoke(self, session: AnySession, accessor: str | None, *, keep_children: bool = False) -> int:
        """End a token and all that descend from it, in one transaction; how many ended.

        With `keep_children`, which only the owner may, its children go on without a parent.

        Raises:
            IdentityNotFound, Denied.
        """
        with self.gate.change(session, "token:revoke", _target(accessor), "token_revoked") as change:
            rows = self.rows(change.transaction)
            record = self._present(rows, accessor)
            if keep_children:
                if not is_owner(session):
                    raise Denied("only the local owner lets children go on without their parent")
                orphans = [row for row in rows.children(record.accessor) if self.binder().is_authentic(row)]
                rows.put([self.binder().sealed(row, parent=LET_GO) for row in orphans])
            ended = self.end_all(change.transaction, [record.accessor])
            change.detail["tokens"] = ended
        self.changed()
        return ended

    def revoke_principal(self, session: AnySession, principal: str) -> int:
        """End all tokens of a principal, such as `user:ada`, with all that descend from them; how many ended.

        Raises:
            UsageError. Denied: also where the session may not end one of them; nothing is ended then.
        """
        check_principal(principal)
        with self.gate.change(session, "token:revoke", "token/*", "token_revoked") as change:
            for accessor in self.rows(change.transaction).of_principal(principal):
                if not self.gate.may(session, "token:revoke", _target(accessor)):
                    raise Denied(f"{session.principal} may not end all access tokens of {principal}")
            ended = self.end_of(change.transaction, principal)
            change.detail.update(holder=principal, tokens=ended)
        self.changed()
        return ended

    def end_of(self, transaction: Any, principal: str) -> int:
        """End all tokens of a principal inside an open change; how many."""
        return self.end_all(transaction, self.rows(transaction).of_principal(principal))

    def end_under(self, transaction: Any, prefix: str) -> int:
        """The same of all principals whose text begins with `prefix`, such as `jwt:github/`."""
        return self.end_all(transaction, self.rows(transaction).of_principals_under(prefix))

    def end_all(self, transaction: Any, accessors: Sequence[str]) -> int:
        """End these tokens and all that descend from them; how many were live until now.

        A row that was edited is left as it is: it proves nothing, and would if it had a new MAC.
        """
        rows, binder, now = self.rows(transaction), self.binder(), self.clock.now_ms()
        live = [row for row in rows.tree(accessors) if row.revoked_ms is None and binder.is_authentic(row)]
        rows.put(binder.sealed(row, revoked_ms=now) for row in live)
        return len(live)

    def listing(
        self, session: AnySession, *, limit: int, after: str | None, principal: str | None
    ) -> tuple[list[TokenInfo], str | None]:
        """Up to `limit` tokens in the order of their accessors, and what to give as `after` for the rest."""
        if after is not None:
            check_accessor(after)
        if principal is not None:
            check_principal(principal)
        with self.gate.read(session, "token:list", "token/*", "tokens_listed"):
            rows, now = self.read_rows(), self.clock.now_ms()
            found, following = permitted(
                lambda start, count: rows.page(start, count, principal),
                lambda record: record.accessor,
                lambda accessor: self.gate.may(session, "token:list", _target(accessor)),
                limit,
                after,
            )
            return [info(self._checked(row), now) for row in found], following

    # Showing a token

    def authenticate(self, session: AnySession, text: str, source: str, binding: str) -> TokenRecord:
        """The record of a token that somebody shows who acts by `session` so far.

        Raises:
            AuthenticationFailed: recorded with the class of the reason. IntegrityError: its row was edited.
        """
        self.gate.admit(session, "login:attempt", "token/*")
        try:
            hashed = self.binder().hashed("access-token", parse(text, *_SHOWN))
        except AuthenticationFailed:
            self.refuse(session, "token/*", "malformed", source)
        record = self.read_rows().by_hash(hashed)
        if record is None:
            self.refuse(session, "token/*", "unknown-token", source)
        if not self.binder().is_authentic(record):
            self.refuse(session, f"token/{record.accessor[:64]}", "edited-row", source)
        why = why_refused(record, self.clock.now_ms(), source, binding)
        if why is not None:
            self.refuse(session, f"token/{record.accessor}", why, source)
        return record

    def refuse(
        self, session: AnySession, target: str, why: str, source: str = "", *, method: str = "token"
    ) -> NoReturn:
        """Record what was shown and proves nothing, and raise the one answer. `source`: "" for the session's own."""
        entry = Entry(session.id, str(session.principal), "login_failed", target, "failed")
        entry.detail = {"method": method, "reason_class": why}
        source = source or session.authentication.source
        if source:
            entry.detail["source"] = source
        self.gate.recorder.append(entry)
        raise refused()

    # What sessions that act by a token need

    def take_use(self, session: AnySession) -> str | None:
        """Take one use of the session's token, on the disk when this returns; why not, as a class, if none is left."""
        accessor = session.authentication.accessor
        with self.write() as transaction:
            rows = self.rows(transaction)
            found = rows.by_accessors([accessor])
            if not found or not self.binder().is_authentic(found[0]):
                return "token-gone"
            why = why_ended(found[0], self.clock.now_ms())
            if why is None:
                rows.put([self.binder().sealed(used(found[0]))])
            return why

    def note_second_factor(self, change: Change[Any], session: AnySession, now_ms: int) -> None:
        """Inside an open change: the second factor of who acts by the session's token was shown now.

        Raises:
            IdentityNotFound. Denied: it has ended, which this process has not heard of yet.
        """
        rows = self.rows(change.transaction)
        record = self._present(rows, session.authentication.accessor)
        why = why_ended(record, now_ms)
        # A token with a number of uses has had one taken for this, which may have been its last.
        if why not in (None, "token-used-up"):
            raise Denied(f"access token {record.accessor} has ended", why=why, hint="log in, or create a new one")
        record = self.binder().sealed(record, mfa_ms=now_ms)
        rows.put([record])
        change.detail.update(accessor=record.accessor, token=record.mac[:16].hex())

    def see(self, sessions: Sequence[Session]) -> list[Session]:
        """Bring sessions up to date with the tokens that they act by; those whose token is none any more."""
        by_accessor = {session.authentication.accessor: session for session in sessions}
        known = {row.accessor: row for row in self.read_rows().by_accessors(sorted(by_accessor))}
        now, binder, gone = self.clock.now_ms(), self.binder(), []
        for session in sessions:
            row = known.get(session.authentication.accessor)
            if row is None or why_ended(row, now) is not None or not binder.is_authentic(row):
                gone.append(session)
            elif (row.expires_ms, row.mfa_ms) != (session.expires_ms, session.authentication.mfa_ms):
                session.proved_again(row.expires_ms, row.mfa_ms)
        return gone

    def sweep(self, transaction: Any, before_ms: int) -> int:
        """Remove a bounded batch of what ended before a time; how many."""
        rows = self.rows(transaction)
        ended = rows.ended_before(before_ms, BATCH)
        rows.delete(ended)
        return len(ended)

    def _found(self, rows: TokenRows, accessor: str) -> TokenRecord | None:
        found = rows.by_accessors([accessor])
        return self._checked(found[0]) if found else None

    def _present(self, rows: TokenRows, accessor: str | None) -> TokenRecord:
        record = None if accessor is None else self._found(rows, accessor)
        if record is None:
            raise missing("token", accessor or "")
        return record

    def _checked(self, record: TokenRecord) -> TokenRecord:
        return self.binder().check(record, f"access token {record.accessor}")


def is_owner(session: AnySession) -> bool:
    """Whether a session is of who opened the store by its master key, or of the node itself."""
    return session.principal.kind in ("local", "system") and not session.authentication.accessor


def authentication_of(record: TokenRecord, source: str) -> tuple[Principal, Authentication]:
    """Who acts by a token, and what policies may ask about it."""
    kind, _, name = record.principal.partition(":")
    return Principal(kind, name), Authentication(
        record.method,
        texts(record.policies),
        source,
        record.mfa_ms,
        record.accessor,
        record.expires_ms,
        record.uses_left is not None,
        record.parent is not None,
    )


def _target(accessor: str | None) -> str:
    # Also what no token is is one thing that is asked for, so that a refusal does not tell it from a token.
    return f"token/{accessor or 'unknown'}"


def _narrowed(rules: TokenRules, parent: TokenRecord, now_ms: int) -> TokenRules:
    """The rules of a child, which may be used from where its parent may be, and nowhere else."""
    may_create_child(parent, now_ms, rules.policies)
    bounds = texts(parent.networks)
    if bounds and not all(is_subnet(network, bounds) for network in rules.networks):
        raise Denied(f"access token {parent.accessor} may not create one for other networks than its own")
    return rules._replace(networks=rules.networks or bounds)
