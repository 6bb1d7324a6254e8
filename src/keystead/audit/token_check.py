"""Comparing the access tokens of the store with its log: one that ended stays so, with all that descend from it.

A token's row changes with its uses, so the log does not hold how it must be. It tells when a token was made, and when
one of them, or all of somebody's, were ended. So it is with the secret ids of a role, which are removed with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from keystead.audit.ports import TokenState
from keystead.audit.record import Event, Record
from keystead.audit.report import Problem

_MAKING: Final = (Event.TOKEN_CREATED, Event.LOGIN_SUCCEEDED, Event.SECRET_ID_CREATED)


class TokenCheck:
    """What the log says of the tokens that the store has, and of its secret ids, each with its role."""

    def __init__(self, tokens: Mapping[str, TokenState], secret_ids: Mapping[str, str]) -> None:
        self._tokens = tokens
        self._secret_ids = secret_ids
        self._made: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    def add(self, number: int, record: Record) -> None:
        """Take in the record of a change by its number."""
        accessor = record.detail.get("accessor")
        if record.event in _MAKING and (accessor in self._tokens or accessor in self._secret_ids):
            self._made[str(accessor)] = number
        for whose in _ended_by(record):
            self._ended[whose] = max(number, self._ended.get(whose, 0))

    def problems(self, restored: int) -> Iterator[Problem]:
        """The live tokens and the secret ids that were ended; what has no record came with the backup that change
        `restored` brought."""
        for accessor, token in self._tokens.items():
            made = self._made.get(accessor, restored)
            last = max(self._ended.get(whose, 0) for whose in self._named(accessor, token))
            if token.live and last > made:
                yield Problem("", f"token/{accessor} was ended by change {last}, and is live in the store again")
        for accessor, role in self._secret_ids.items():
            last = self._ended.get(f"role/{role}", 0)
            if last > self._made.get(accessor, restored):
                yield Problem(
                    "", f"secret-id/{accessor} went with its role by change {last}, and is in the store again"
                )

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
    """Whose tokens the change of a record ended: a token's, a principal's, or those that came by an auth method; and
    the role that was deleted."""
    kind, _, name = record.target.partition("/")
    other_password = record.event == Event.USER_CHANGED and record.detail.get("what") == "password"
    if record.event == Event.TOKEN_REVOKED:
        yield str(record.detail.get("holder", record.target))
    elif other_password or record.event in (Event.USER_DELETED, Event.ROLE_DELETED):
        yield f"{kind}:{name}"
    elif record.event == Event.AUTH_METHOD_DELETED:
        yield record.target
    if record.event == Event.ROLE_DELETED:
        yield record.target
