"""`kms.grants`: what single principals may do with a named key, beside what policies say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from keystead.clock import parse_duration
from keystead.secrets.read import check_limit
from keystead.services.paging import Page
from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.access.grants import GrantInfo
    from keystead.keys.named.grants import GrantManager


class GrantOperations:
    """`kms.grants`: grants on named keys. `key` is the key's name, or an alias."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    def _manager(self) -> GrantManager:
        from keystead.node.grants import grant_manager  # noqa: PLC0415 - a rare call; opening does not pay for it

        return grant_manager(self._face._node)

    def create(
        self,
        key: str,
        grantee: str,
        operations: Iterable[str],
        *,
        retiring: str | None = None,
        name: str | None = None,
        context_equals: Mapping[str, str] | None = None,
        context_subset: Mapping[str, str] | None = None,
        ttl: timedelta | str | None = None,
    ) -> GrantInfo:
        """Let a principal, such as `user:ada`, do these operations with a key.

        They are those of the key's type without `export`, and `read`, `create-grant` and `retire-grant`. `retiring` is
        a principal that may end the grant. With a `name`, a grant with the same in everything is given back and not
        made again. The constraints hold for operations of a symmetric key: the encryption context must be, or have in
        it, these pairs. With a `ttl`, the grant ends by itself.

        Raises:
            KeyNotFound, Denied; KeyStateError: the key is neither active nor deactivated; UsageError: an operation that
            its type cannot do, a constraint that nothing is held to, or too many grants on the key.
        """
        from keystead.keys.named.grants import NewGrant  # noqa: PLC0415 - as above

        ttl_ms = None if ttl is None else parse_duration(ttl, what="ttl")
        new = NewGrant(grantee, operations, retiring, name, context_equals, context_subset, ttl_ms)
        return self._manager().create(self._face._session, key, new)

    def get(self, key: str, grant_id: str) -> GrantInfo:
        """A grant of a key; its grantee and its retiring principal need no policy for that.

        Raises:
            KeyNotFound, GrantNotFound, UsageError; IntegrityError where it is not what keystead wrote.
        """
        return self._manager().get(self._face._session, key, grant_id)

    def list(
        self,
        key: str | None = None,
        *,
        grantee: str | None = None,
        retiring: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[GrantInfo]:
        """A page of the grants of a key, to a grantee, or that a principal may retire, in the order of their ids.

        Whoever asks for its own, as grantee or retiring principal, needs no policy for that.

        Raises:
            KeyNotFound, Denied; UsageError: neither key nor principal, or a limit outside 1 to 1,000. IntegrityError:
            one was edited.
        """
        from keystead.keys.named.grants import Which  # noqa: PLC0415 - as above

        check_limit(limit)
        return Page(*self._manager().page(self._face._session, Which(key, grantee, retiring), limit, after))

    def revoke(self, key: str, grant_id: str) -> None:
        """End a grant, as who manages the key. Raises KeyNotFound, GrantNotFound, Denied, UsageError."""
        self._manager().revoke(self._face._session, key, grant_id)

    def retire(self, key: str, grant_id: str) -> None:
        """End a grant, as its retiring principal, or as its grantee where `retire-grant` is among its operations.

        Raises:
            KeyNotFound, GrantNotFound, Denied, UsageError.
        """
        self._manager().retire(self._face._session, key, grant_id)
