"""Comparing the access tokens of the store with its log: one that ended stays so, with all that descend from it.

A token's row changes with its uses, so the log does not hold how it must be. It tells when a token was made, and when
one of them, or all of somebody's, were ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keystead.audit.ports import TokenState
from keystead.audit.record import Event, Record
from keystead.audit.report import Problem


class TokenCheck:
    """What the log says of the tokens that the store has."""

    def __init__(self, tokens: Mapping[str, TokenState]) -> None:
        self._tokens = tokens
        self._made: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    def add(self, number: int, record: Record) -> None:
        """Take in the record of a change by its number."""
        accessor = record.detail.get("accessor")
        if record.event in (Event.TOKEN_CREATED, Event.LOGIN_SUCCEEDED) and accessor in self._tokens:
            self._made[str(accessor)] = number
        for whose in _ended_by(record):
            self._ended[whose] = max(number, self._ended.get(whose, 0))

    def problems(self, restored: int) -> Iterator[Problem]:
        """The live tokens that were ended; one without a record came with the backup that change `restored` brought."""
        for accessor, token in self._tokens.items():
            made = self._made.get(accessor, restored)
            last = max(self._ended.get(whose, 0) for whose in self._named(accessor, token))
            if token.live and last > made:
                yield Problem("", f"token/{accessor} was ended by change {last}, and is live in the store again")

    def _named(self, accessor: str, token: TokenState) -> Iterator[str]:
        """By what names an end may have been recorded that is one of this token too."""
        yield token.principal
        _, _, rest = token.principal.partition(":")
        yield f"auth-method/{rest.partition('/')[0]}" if "/" in rest else token.principal
        seen: set[str] = set()
        while accessor not in seen:
            seen.add(accessor)
            yield f"token/{accessor}"
            parent = self._tokens.get(accessor)
            accessor = accessor if parent is None or not parent.parent else parent.parent


def _ended_by(record: Record) -> Iterator[str]:
    """Whose tokens the change of a record ended: a token's, a principal's, or those that came by an auth method."""
    kind, _, name = record.target.partition("/")
    other_password = record.event == Event.USER_CHANGED and record.detail.get("what") == "password"
    if record.event == Event.TOKEN_REVOKED:
        yield str(record.detail.get("holder", record.target))
    elif other_password or record.event in (Event.USER_DELETED, Event.ROLE_DELETED):
        yield f"{kind}:{name}"
    elif record.event == Event.AUTH_METHOD_DELETED:
        yield record.target
