"""Access tokens, users and roles: `kms.tokens` and `kms.identities`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from keystead.clock import parse_duration
from keystead.secrets.read import check_limit
from keystead.services.auth_method_operations import AuthMethodOperations
from keystead.services.paging import Page
from keystead.services.second_factor_operations import SecondFactorOperations
from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.access.accounts import RoleInfo, SecretIdInfo, UserInfo
    from keystead.access.directory import Directory, SecretIdLimits
    from keystead.access.register import TokenRegister
    from keystead.access.token_text import AccessToken, NewSecretId
    from keystead.access.tokens import TokenInfo, TokenRules

# What most stores have none of is imported when it is asked for; opening one does not pay for it.
Length = timedelta | str | None


class TokenOperations:
    """`kms.tokens`: what callers show to prove who they are. An accessor names a token, and proves nothing."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    @property
    def _register(self) -> TokenRegister:
        return self._face._node.identities.register

    def create(
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
        """A new access token, the child of the one that this session acts by: it ends when that does, and has no policy
        that it has not. The local owner's tokens have no parent.

        `policies` None: the parent's; the owner's token has none then. `ttl` None: the setting `token_ttl`. `period`
        makes it live for that long after each renewal, for ever unless there is a `max_ttl`. `uses`: each operation
        takes one. `networks`: where it may be used from. `name` (`token:NAME` acts) and `orphan` are the owner's.

        Raises:
            UsageError: lengths, names or numbers out of bounds, or that contradict each other.
            Denied: more than the session's own token may give.
        """
        from keystead.access.words import meta_text, policy_names  # noqa: PLC0415 - as above

        rules = _rules((), networks, ttl=ttl, max_ttl=max_ttl, uses=uses, period=period, renewable=renewable)
        wanted = None if policies is None else policy_names(policies)
        return self._register.create(
            self._face._session, rules, policies=wanted, meta=meta_text(meta), name=name, orphan=orphan
        )

    def lookup(self, token: str | AccessToken | None = None) -> TokenInfo:
        """What is known of an access token; None: the one that this session acts by.

        Raises:
            IdentityNotFound: there is none. AuthenticationFailed: the text is no access token.
        """
        register, session = self._register, self._face._session
        return register.look_up(session, register.accessor_of(session, token))

    def lookup_accessor(self, accessor: str) -> TokenInfo:
        """What is known of the access token that an accessor names. Raises IdentityNotFound, UsageError."""
        return self._register.look_up(self._face._session, _accessor(accessor))

    def renew(self, token: str | AccessToken | None = None, *, increment: Length = None) -> TokenInfo:
        """Move the end of an access token to `increment` from now; None: as long as it was made for.

        Never beyond its maximum and its parent's end, and never nearer than it was.

        Raises:
            IdentityNotFound, AuthenticationFailed. UsageError: it is not renewable. Denied: it has ended, or is bound
                to a certificate that this session has not shown.
        """
        register, session = self._register, self._face._session
        return register.renew(session, register.accessor_of(session, token), _length(increment, "increment"))

    def renew_accessor(self, accessor: str, *, increment: Length = None) -> TokenInfo:
        """The same of the access token that an accessor names. Raises IdentityNotFound, UsageError, Denied."""
        return self._register.renew(self._face._session, _accessor(accessor), _length(increment, "increment"))

    def revoke(self, token: str | AccessToken | None = None, *, keep_children: bool = False) -> int:
        """End an access token and all that descend from it, and every session opened with one of them; how many tokens.

        Other processes see it within one second. `keep_children` is the owner's: they go on without a parent.

        Raises:
            IdentityNotFound, AuthenticationFailed, Denied.
        """
        register, session = self._register, self._face._session
        return register.revoke(session, register.accessor_of(session, token), keep_children=keep_children)

    def revoke_accessor(self, accessor: str, *, keep_children: bool = False) -> int:
        """The same of the access token that an accessor names. Raises IdentityNotFound, UsageError, Denied."""
        return self._register.revoke(self._face._session, _accessor(accessor), keep_children=keep_children)

    def revoke_principal(self, principal: str) -> int:
        """The same of all access tokens of a principal, such as `user:ada`."""
        return self._register.revoke_principal(self._face._session, principal)

    def list(self, *, principal: str | None = None, limit: int = 100, after: str | None = None) -> Page[TokenInfo]:
        """A page of the access tokens, of one principal or all, in the order of their accessors; what ended stays for a
        day.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no accessor.
        """
        check_limit(limit)
        return Page(*self._register.listing(self._face._session, limit=limit, after=after, principal=principal))


class IdentityOperations(AuthMethodOperations, SecondFactorOperations):
    """`kms.identities`: users, who log in by password; roles, which machines log in to by role id and secret id; auth
    methods, by which those log in whom somebody else vouches for."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    @property
    def _directory(self) -> Directory:
        return self._face._node.identities.directory

    # Users

    def create_user(
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
        """A new user, whose logins give access tokens with these policies and lengths.

        `name` is 1 to 64 of `a-z 0-9 . _ @ -`; no other spelling of it is accepted anywhere. Where a second
        factor is required, nobody logs in until one was enrolled and confirmed.

        Raises:
            UsageError: name, password or lengths out of bounds. AlreadyExists: there is one of this name.
        """
        rules = _rules(policies, networks, ttl=ttl, max_ttl=max_ttl, uses=uses, period=period)
        return self._directory.create_user(self._face._session, name, password, rules, require_second_factor)

    def change_user(
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
        """Give the logins of a user these rules, all of them, in the place of the former. Tokens there are keep theirs.
        `require_second_factor` None: as it was.

        Raises:
            UsageError, IdentityNotFound.
        """
        rules = _rules(policies, networks, ttl=ttl, max_ttl=max_ttl, uses=uses, period=period)
        return self._directory.change_user(self._face._session, name, rules, require_second_factor)

    def set_password(self, name: str, password: str) -> UserInfo:
        """Another password for a user; it ends the user's access tokens and lock.

        Raises:
            UsageError, IdentityNotFound.
        """
        return self._directory.set_password(self._face._session, name, password)

    def read_user(self, name: str) -> UserInfo:
        """What is known of a user. Raises UsageError, IdentityNotFound."""
        return self._directory.read_user(self._face._session, name)

    def list_users(self, *, limit: int = 100, after: str | None = None) -> Page[UserInfo]:
        """A page of the users, in the order of their names.

        Raises:
            UsageError: a limit outside 1 to 1,000.
        """
        check_limit(limit)
        return Page(*self._directory.list_users(self._face._session, limit=limit, after=after))

    def delete_user(self, name: str) -> None:
        """Remove a user, and end its access tokens with all that descend from them.

        Raises:
            UsageError, IdentityNotFound.
        """
        self._directory.delete_user(self._face._session, name)

    # Roles

    def create_role(
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
        """A new role. `networks` is where its access tokens may be used from, `login_networks` where it logs in from.

        `secret_id_ttl` and `secret_id_uses` bound its secret ids; None: no bound. `role_id` None: one is made.

        Raises:
            UsageError: something out of bounds. AlreadyExists: a role has this name, or this role id.
        """
        rules = _rules(policies, networks, ttl=ttl, max_ttl=max_ttl, uses=uses, period=period)
        limits = _limits(secret_id_ttl, secret_id_uses, login_networks)
        return self._directory.create_role(self._face._session, name, rules, limits, role_id)

    def change_role(
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
        """Give a role these rules and bounds, all of them, in the place of the former; `role_id` None keeps that.

        Raises:
            UsageError, IdentityNotFound, AlreadyExists.
        """
        rules = _rules(policies, networks, ttl=ttl, max_ttl=max_ttl, uses=uses, period=period)
        limits = _limits(secret_id_ttl, secret_id_uses, login_networks)
        return self._directory.change_role(self._face._session, name, rules, limits, role_id)

    def read_role(self, name: str) -> RoleInfo:
        """What is known of a role, its role id among it. Raises UsageError, IdentityNotFound."""
        return self._directory.read_role(self._face._session, name)

    def list_roles(self, *, limit: int = 100, after: str | None = None) -> Page[RoleInfo]:
        """A page of the roles, in the order of their names.

        Raises:
            UsageError: a limit outside 1 to 1,000.
        """
        check_limit(limit)
        return Page(*self._directory.list_roles(self._face._session, limit=limit, after=after))

    def delete_role(self, name: str) -> None:
        """Remove a role with its secret ids, and end its access tokens. Raises UsageError, IdentityNotFound."""
        self._directory.delete_role(self._face._session, name)

    # Secret ids

    def create_secret_id(
        self,
        role: str,
        *,
        ttl: Length = None,
        uses: int | None = None,
        networks: Iterable[str] = (),
        meta: Mapping[str, str] | None = None,
    ) -> NewSecretId:
        """A fresh secret id of a role, shown this once; `ttl` and `uses` are bounded by the role's.

        `networks` is where one may log in from with it; `meta` goes into its access tokens.

        Raises:
            UsageError, IdentityNotFound.
        """
        from keystead.access.words import meta_text  # noqa: PLC0415 - as above

        limits = _limits(ttl, uses, networks)
        return self._directory.create_secret_id(self._face._session, role, limits, meta_text(meta))

    def lookup_secret_id(self, role: str, secret_id: str) -> SecretIdInfo:
        """What is known of a secret id of this role. Raises UsageError, IdentityNotFound, AuthenticationFailed."""
        directory, session = self._directory, self._face._session
        return directory.read_secret_id(session, role, directory.accessor_of_secret_id(session, secret_id))

    def lookup_secret_id_accessor(self, role: str, accessor: str) -> SecretIdInfo:
        """What is known of the secret id of this role that an accessor names. Raises UsageError, IdentityNotFound."""
        return self._directory.read_secret_id(self._face._session, role, _accessor(accessor))

    def list_secret_ids(self, role: str, *, limit: int = 100, after: str | None = None) -> Page[SecretIdInfo]:
        """A page of the secret ids of a role, in the order of their accessors.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no accessor. IdentityNotFound: no such role.
        """
        check_limit(limit)
        return Page(*self._directory.list_secret_ids(self._face._session, role, limit=limit, after=after))

    def destroy_secret_id(self, role: str, accessor: str) -> None:
        """Remove the secret id of this role that an accessor names. Raises UsageError, IdentityNotFound."""
        self._directory.destroy_secret_id(self._face._session, role, _accessor(accessor))


def _length(value: Length, what: str) -> int | None:
    return None if value is None else parse_duration(value, what=what)


def _rules(
    policies: Iterable[str],
    networks: Iterable[str],
    *,
    ttl: Length,
    max_ttl: Length,
    uses: int | None,
    period: Length,
    renewable: bool = True,
) -> TokenRules:
    from keystead.access.tokens import TokenRules  # noqa: PLC0415 - as above
    from keystead.access.words import network_texts, policy_names  # noqa: PLC0415 - as above

    return TokenRules(
        policy_names(policies),
        _length(ttl, "ttl"),
        _length(max_ttl, "max_ttl"),
        _length(period, "period"),
        uses,
        renewable,
        network_texts(networks),
    )


def _limits(ttl: Length, uses: int | None, networks: Iterable[str]) -> SecretIdLimits:
    from keystead.access.directory import SecretIdLimits  # noqa: PLC0415 - as above
    from keystead.access.words import network_texts  # noqa: PLC0415 - as above

    return SecretIdLimits(_length(ttl, "ttl"), uses, network_texts(networks))


def _accessor(text: str) -> str:
    from keystead.access.words import check_accessor  # noqa: PLC0415 - as above

    return check_accessor(text)
