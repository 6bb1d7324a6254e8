"""Auth methods: whose tokens and certificates let somebody in. Part of `kms.identities`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keystead.secrets.read import check_limit
from keystead.services.paging import Page
from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.access.auth_methods import AuthMethodInfo, AuthMethods


class AuthMethodOperations:
    """The auth methods of `kms.identities`."""

    _face: SessionFace

    @property
    def _auth_methods(self) -> AuthMethods:
        return self._face._node.identities.auth_methods

    def write_auth_method(
        self, name: str, kind: str, config: Mapping[str, Any] | str, *, expected_version: int | None = None
    ) -> AuthMethodInfo:
        """Write an auth method, in the place of the one of its name; access tokens that it gave stay until they end.

        `name` is 1 to 64 of `a-z 0-9 - _ .`, not `password`, `role` or `token`; who logs in by it acts as
        `KIND:NAME/...`. `kind` is `jwt` or `certificate`, and stays. `config` is a mapping or JSON text of the fields
        in docs/auth-methods.md. `expected_version` is the version that is there, 0 for none; None: whatever it is.

        Raises:
            UsageError: a name or kind that is none. ConfigurationError: `problems` names each wrong field.
            VersionConflict: another version is there.
        """
        return self._auth_methods.write(self._face._session, name, kind, config, expected_version)

    def read_auth_method(self, name: str) -> AuthMethodInfo:
        """An auth method with its configuration.

        Raises:
            UsageError, IdentityNotFound; IntegrityError where it is not what keystead wrote.
        """
        return self._auth_methods.read(self._face._session, name)

    def list_auth_methods(self, *, limit: int = 100, after: str | None = None) -> Page[AuthMethodInfo]:
        """A page of the auth methods that may be listed, in the order of their names.

        Raises:
            UsageError: a limit outside 1 to 1,000. IntegrityError: one is not what keystead wrote.
        """
        check_limit(limit)
        return Page(*self._auth_methods.page(self._face._session, limit, after))

    def delete_auth_method(self, name: str) -> int:
        """Remove an auth method, and end the access tokens that came by it with all that descend from them; how many.

        Raises:
            UsageError, IdentityNotFound.
        """
        return self._auth_methods.delete(self._face._session, name)
