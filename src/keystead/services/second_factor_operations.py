"""Second factors of users. Part of `kms.identities`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.access.accounts import UserInfo
    from keystead.access.second_factor import SecondFactors
    from keystead.access.token_text import NewSecondFactor


class SecondFactorOperations:
    """The second factors of `kms.identities`: one-time codes by time (RFC 6238)."""

    _face: SessionFace

    @property
    def _factors(self) -> SecondFactors:
        return self._face._node.identities.factors

    def enroll_second_factor(self, name: str, *, require: bool | None = None) -> NewSecondFactor:
        """A fresh secret for the authenticator app of a user, shown this once. It counts once it was confirmed.

        One that was not confirmed is replaced. `require` says whether the user may log in without; None: as it was.

        Raises:
            UsageError, IdentityNotFound. AlreadyExists: the user has a second factor; remove it first.
        """
        return self._factors.enroll(self._face._session, name, require)

    def confirm_second_factor(self, name: str, code: str) -> UserInfo:
        """Make what was enrolled the user's second factor, by a first code of it. Each login needs one from now on.

        Raises:
            UsageError: there is nothing to confirm, or it is no code. IdentityNotFound.
            AuthenticationFailed: another code; it counts as a failed login. LockedOut: the name is locked.
        """
        return self._factors.confirm(self._face._session, name, code)

    def remove_second_factor(self, name: str) -> UserInfo:
        """Remove a user's second factor. Who must have one logs in again when another is enrolled and confirmed.

        Raises:
            UsageError. IdentityNotFound: there is no such user, or it has none.
        """
        return self._factors.remove(self._face._session, name)
