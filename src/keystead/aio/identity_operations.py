"""Access tokens, users and roles of the async `KMSService`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keystead.access.accounts import RoleInfo, SecretIdInfo, UserInfo
    from keystead.access.auth_methods import AuthMethodInfo
    from keystead.access.token_text import AccessToken, NewSecondFactor, NewSecretId
    from keystead.access.tokens import TokenInfo
    from keystead.services import identity_operations as services
    from keystead.services.identity_operations import Length
    from keystead.services.paging import Page


class TokenOperations:
    """`kms.tokens`: each method is that of the sync service, with its parameters, results and errors."""

    def __init__(self, sync: services.TokenOperations) -> None:
        self._sync = sync

    async def create(
        self,
        policies: Iterable[str] | None = None,
        *,
        ttl: Length = None,
        max_ttl: Length = None,
        uses: int | None = None,
        period: Length = None,
        renewable: bool = True,
        networks: Iterable[str] = (),
        meta: Mapping[str, str] | None = None,
        name: str | None = None,
        orphan: bool = False,
    ) -> AccessToken:
        """A new access token, the child of the one that this session acts by."""
        return await to_thread(
            self._sync.create,
            policies,
            ttl=ttl,
            max_ttl=max_ttl,
            uses=uses,
            period=period,
            renewable=renewable,
            networks=networks,
            meta=meta,
            name=name,
            orphan=orphan,
        )

    async def lookup(self, token: str | AccessToken | None = None) -> TokenInfo:
        """What is known of an access token; None: the one that this session acts by."""
        return await to_thread(self._sync.lookup, token)

    async def lookup_accessor(self, accessor: str) -> TokenInfo:
        """What is known of the access token that an accessor names."""
        return await to_thread(self._sync.lookup_accessor, accessor)

    async def renew(self, token: str | AccessToken | None = None, *, increment: Length = None) -> TokenInfo:
        """Move the end of an access token to `increment` from now; None: as long as it was made for."""
        return await to_thread(self._sync.renew, token, increment=increment)

    async def renew_accessor(self, accessor: str, *, increment: Length = None) -> TokenInfo:
        """The same of the access token that an accessor names."""
        return await to_thread(self._sync.renew_accessor, accessor, increment=increment)

    async def revoke(self, token: str | AccessToken | None = None, *, keep_children: bool = False) -> int:
        """End an access token and all that descend from it; how many."""
        return await to_thread(self._sync.revoke, token, keep_children=keep_children)

    async def revoke_accessor(self, accessor: str, *, keep_children: bool = False) -> int:
        """The same of the access token that an accessor names."""
        return await to_thread(self._sync.revoke_accessor, accessor, keep_children=keep_children)

    async def revoke_principal(self, principal: str) -> int:
        """The same of all access tokens of a principal, such as `user:ada`."""
        return await to_thread(self._sync.revoke_principal, principal)

    async def list(
        self, *, principal: str | None = None, limit: int = 100, after: str | None = None
    ) -> Page[TokenInfo]:
        """A page of the access tokens, of one principal or all, in the order of their accessors."""
        return await to_thread(self._sync.list, principal=principal, limit=limit, after=after)


class IdentityOperations:
    """`kms.identities`: each method is that of the sync service, with its parameters, results and errors.

    What derives from a password does so in a thread, a few at a time.
    """

    def __init__(self, sync: services.IdentityOperations) -> None:
        self._sync = sync

    async def create_user(
        self,
        name: str,
        password: str,
        *,
        policies: Iterable[str] = (),
        ttl: Length = None,
        max_ttl: Length = None,
        uses: int | None = None,
        period: Length = None,
        networks: Iterable[str] = (),
        require_second_factor: bool = False,
    ) -> UserInfo:
        """A new user, whose logins give access tokens with these policies and lengths."""
        return await to_thread(
            self._sync.create_user,
            name,
            password,
            policies=policies,
            ttl=ttl,
            max_ttl=max_ttl,
            uses=uses,
            period=period,
            networks=networks,
            require_second_factor=require_second_factor,
        )

    async def change_user(
        self,
        name: str,
        *,
        policies: Iterable[str] = (),
        ttl: Length = None,
        max_ttl: Length = None,
        uses: int | None = None,
        period: Length = None,
        networks: Iterable[str] = (),
        require_second_factor: bool | None = None,
    ) -> UserInfo:
        """Give the logins of a user these rules, all of them, in the place of the former."""
        return await to_thread(
            self._sync.change_user,
            name,
            policies=policies,
            ttl=ttl,
            max_ttl=max_ttl,
            uses=uses,
            period=period,
            networks=networks,
            require_second_factor=require_second_factor,
        )

    async def set_password(self, name: str, password: str) -> UserInfo:
        """Another password for a user; it ends the user's access tokens and lock."""
        return await to_thread(self._sync.set_password, name, password)

    async def read_user(self, name: str) -> UserInfo:
        """What is known of a user."""
        return await to_thread(self._sync.read_user, name)

    async def list_users(self, *, limit: int = 100, after: str | None = None) -> Page[UserInfo]:
        """A page of the users, in the order of their names."""
        return await to_thread(self._sync.list_users, limit=limit, after=after)

    async def delete_user(self, name: str) -> None:
        """Remove a user, and end its access tokens with all that descend from them."""
        return await to_thread(self._sync.delete_user, name)

    async def create_role(
        self,
        name: str,
        *,
        policies: Iterable[str] = (),
        ttl: Length = None,
        max_ttl: Length = None,
        uses: int | None = None,
        period: Length = None,
        networks: Iterable[str] = (),
        secret_id_ttl: Length = None,
        secret_id_uses: int | None = None,
        login_networks: Iterable[str] = (),
        role_id: str | None = None,
    ) -> RoleInfo:
        """A new role."""
        return await to_thread(
            self._sync.create_role,
            name,
            policies=policies,
            ttl=ttl,
            max_ttl=max_ttl,
            uses=uses,
            period=period,
            networks=networks,
            secret_id_ttl=secret_id_ttl,
            secret_id_uses=secret_id_uses,
            login_networks=login_networks,
            role_id=role_id,
        )

    async def change_role(
        self,
        name: str,
        *,
        policies: Iterable[str] = (),
        ttl: Length = None,
        max_ttl: Length = None,
        uses: int | None = None,
        period: Length = None,
        networks: Iterable[str] = (),
        secret_id_ttl: Length = None,
        secret_id_uses: int | None = None,
        login_networks: Iterable[str] = (),
        role_id: str | None = None,
    ) -> RoleInfo:
        """Give a role these rules and bounds, all of them, in the place of the former; `role_id` None keeps that."""
        return await to_thread(
            self._sync.change_role,
            name,
            policies=policies,
            ttl=ttl,
            max_ttl=max_ttl,
            uses=uses,
            period=period,
            networks=networks,
            secret_id_ttl=secret_id_ttl,
            secret_id_uses=secret_id_uses,
            login_networks=login_networks,
            role_id=role_id,
        )

    async def read_role(self, name: str) -> RoleInfo:
        """What is known of a role, its role id among it."""
        return await to_thread(self._sync.read_role, name)

    async def list_roles(self, *, limit: int = 100, after: str | None = None) -> Page[RoleInfo]:
        """A page of the roles, in the order of their names."""
        return await to_thread(self._sync.list_roles, limit=limit, after=after)

    async def delete_role(self, name: str) -> None:
        """Remove a role with its secret ids, and end its access tokens."""
        return await to_thread(self._sync.delete_role, name)

    async def create_secret_id(
        self,
        role: str,
        *,
        ttl: Length = None,
        uses: int | None = None,
        networks: Iterable[str] = (),
        meta: Mapping[str, str] | None = None,
    ) -> NewSecretId:
        """A fresh secret id of a role, shown this once; `ttl` and `uses` are bounded by the role's."""
        return await to_thread(self._sync.create_secret_id, role, ttl=ttl, uses=uses, networks=networks, meta=meta)

    async def lookup_secret_id(self, role: str, secret_id: str) -> SecretIdInfo:
        """What is known of a secret id of this role."""
        return await to_thread(self._sync.lookup_secret_id, role, secret_id)

    async def lookup_secret_id_accessor(self, role: str, accessor: str) -> SecretIdInfo:
        """What is known of the secret id of this role that an accessor names."""
        return await to_thread(self._sync.lookup_secret_id_accessor, role, accessor)

    async def list_secret_ids(self, role: str, *, limit: int = 100, after: str | None = None) -> Page[SecretIdInfo]:
        """A page of the secret ids of a role, in the order of their accessors."""
        return await to_thread(self._sync.list_secret_ids, role, limit=limit, after=after)

    async def destroy_secret_id(self, role: str, accessor: str) -> None:
        """Remove the secret id of this role that an accessor names."""
        return await to_thread(self._sync.destroy_secret_id, role, accessor)

    async def enroll_second_factor(self, name: str, *, require: bool | None = None) -> NewSecondFactor:
        """A fresh secret for the authenticator app of a user, shown this once. It counts once it was confirmed."""
        return await to_thread(self._sync.enroll_second_factor, name, require=require)

    async def confirm_second_factor(self, name: str, code: str) -> UserInfo:
        """Make what was enrolled the user's second factor, by a first code of it."""
        return await to_thread(self._sync.confirm_second_factor, name, code)

    async def remove_second_factor(self, name: str) -> UserInfo:
        """Remove a user's second factor."""
        return await to_thread(self._sync.remove_second_factor, name)

    async def write_auth_method(
        self, name: str, kind: str, config: Mapping[str, Any] | str, *, expected_version: int | None = None
    ) -> AuthMethodInfo:
        """Write an auth method, in the place of the one of its name."""
        return await to_thread(self._sync.write_auth_method, name, kind, config, expected_version=expected_version)

    async def read_auth_method(self, name: str) -> AuthMethodInfo:
        """An auth method with its configuration."""
        return await to_thread(self._sync.read_auth_method, name)

    async def list_auth_methods(self, *, limit: int = 100, after: str | None = None) -> Page[AuthMethodInfo]:
        """A page of the auth methods that may be listed, in the order of their names."""
        return await to_thread(self._sync.list_auth_methods, limit=limit, after=after)

    async def delete_auth_method(self, name: str) -> int:
        """Remove an auth method, and end the access tokens that came by it; how many."""
        return await to_thread(self._sync.delete_auth_method, name)
