"""Logging in, acting by an access token, and saying who acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Who acts, and how that was proved. `accessor` and `source` are "" for none; `expires_ms` None: never.

    `mfa_ms` is when a second factor was last shown, None: never.
    """

    principal: str
    method: str
    policies: tuple[str, ...]
    accessor: str
    source: str
    expires_ms: int | None
    session: str
    mfa_ms: int | None


class LoginOperations(SessionFace):
    """`login` and `whoami` of `KMSService`."""

    def login(self, method: str, *, source: str | None = None, **credentials: Any) -> AccessToken:
        """An access token for whoever these credentials prove; `as_token` acts by it.

        `password` takes `name` and `password`, and `code` where the user has a second factor; `role` takes `role_id`
        and `secret_id`; `token` takes `token` and gives that back. `jwt` takes the `name` of an auth method and the
        issuer's token as `jwt`; `certificate` takes such a `name` and, as `chain`, what TLS showed: a list of DER, the
        client's own first, or PEM. `source` is the address that the caller comes from, None where that is this process.

        Raises:
            UsageError: no such method, or other credentials than it takes.
            AuthenticationFailed: they prove nothing; it does not say why.
            LockedOut: too many failures under this name; told whether or not anybody has it.
        """
        return self._log_in(method, source, credentials)

    def _log_in(self, method: str, source: str | None, credentials: dict[str, Any]) -> AccessToken:
        """The same for credentials whose names a stranger chose, which may be those of our own parameters."""
        from keystead.access.words import source_text  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        where = source_text(source) or self._session.authentication.source
        return self._node.identities.logins.login(self._session, method, where, credentials)

    def verify_second_factor(self, code: str) -> int:
        """Show a second factor again for the access token that this session acts by, which is of a user who logged in.

        What comes back is the moment (ms since the epoch) that the condition `mfa_age` of policies counts from now on,
        in every session that acts by this token. Codes count once: one that logged in does not serve here too.

        Raises:
            UsageError: no six digits. AuthenticationFailed: another code; it counts as a failed login.
            LockedOut: too many failures under this name. Denied: the session is of no user who logged in.
        """
        return self._node.identities.factors.verify(self._session, code)

    def whoami(self) -> WhoAmI:
        """Who acts by this service's session."""
        session, node = self._session, self._node
        proved = session.authentication
        target = f"token/{proved.accessor}" if proved.accessor else f"session/{session.id}"
        with node.gate.read(session, "token:read", target, "token_looked_up"):
            return WhoAmI(
                str(session.principal),
                proved.method,
                proved.policies,
                proved.accessor,
                proved.source,
                session.expires_ms,
                session.id,
                proved.mfa_ms,
            )
