"""One authenticated stretch of acting."""

from __future__ import annotations

import re
from typing import NamedTuple

from keystead.access.principal import Principal
from keystead.crypto.material import random_bytes
from keystead.errors import SessionEnded, UsageError

_ID = re.compile(r"ses_[0-9a-f]{32}")


class Authentication(NamedTuple):
    """How a session's principal proved who it is: what policies may ask about.

    `method` is `local` for who opened the store by its master key, else the auth method; `policies` names what is
    attached; `source` is the address the caller came from, "" where there is none; `mfa_ms` is when a second factor was
    last shown; `accessor` names the access token, "" without one; `expires_ms` is when all of it ends; `limited`: the
    access token has a number of uses, and each entry to the gate takes one. `delegated`: it was made by another access
    token, and carries policies and no grants.
    """

    method: str = "local"
    policies: tuple[str, ...] = ()
    source: str = ""
    mfa_ms: int | None = None
    accessor: str = ""
    expires_ms: int | None = None
    limited: bool = False
    delegated: bool = False


class Session:
    """An id that every audit record carries, who acts, since when (ms since the epoch), and how that was proved.

    `ended` is set once, when the session was revoked or its service closed; nothing unsets it.
    """

    __slots__ = ("_authentication", "_id", "_principal", "_started_ms", "ended")

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name
        principal: Principal,
        started_ms: int,
        authentication: Authentication = Authentication(),  # noqa: B008 - immutable
    ) -> None:
        self._id = check_session_id(id)
        self._principal = principal
        self._started_ms = started_ms
        self._authentication = authentication
        self.ended = False

    @classmethod
    def start(
        cls,
        principal: Principal,
        now_ms: int,
        authentication: Authentication = Authentication(),  # noqa: B008 - immutable
    ) -> Session:
        """A session with a fresh random id, started now."""
        return cls(f"ses_{random_bytes(16).hex()}", principal, now_ms, authentication)

    @property
    def id(self) -> str:
        """`ses_` and 32 hex digits."""
        return self._id

    @property
    def principal(self) -> Principal:
        """Who acts."""
        return self._principal

    @property
    def started_ms(self) -> int:
        """When it started, in ms since the epoch."""
        return self._started_ms

    @property
    def authentication(self) -> Authentication:
        """How the principal proved who it is."""
        return self._authentication

    @property
    def expires_ms(self) -> int | None:
        """When the session ends by itself, in ms since the epoch; None: it does not."""
        return self._authentication.expires_ms

    def proved_again(self, expires_ms: int, mfa_ms: int | None) -> None:
        """The access token that the session was opened with was renewed, or a second factor was shown for it."""
        self._authentication = self._authentication._replace(expires_ms=expires_ms, mfa_ms=mfa_ms)

    def end(self) -> None:
        """From now on the session can do nothing; ending it again changes nothing."""
        self.ended = True

    def require_live(self) -> None:
        """Nothing, while the session lasts.

        Raises:
            SessionEnded: it was revoked, or its service was closed.
        """
        if self.ended:
            raise SessionEnded(
                f"session {self._id} of {self._principal} has ended",
                why="it was revoked, or its service was closed",
                hint="open the service again",
            )

    def __repr__(self) -> str:
        return f"<session {self._id} of {self._principal}{', ended' if self.ended else ''}>"


def check_session_id(text: str) -> str:
    """The id itself, if it has the form of one.

    Raises:
        UsageError: it has not.
    """
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise UsageError("not the id of a session", hint="ids are ses_ and 32 hex digits")
    return text
