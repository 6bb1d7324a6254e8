"""What the access room needs from storage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from keystead.access.accounts import FailureRecord, RoleRecord, SecretIdRecord, UserRecord
from keystead.access.tokens import TokenRecord

if TYPE_CHECKING:
    from keystead.access.auth_methods import AuthMethodRecord
    from keystead.access.grants import Grant, GrantRecord


class PolicyRow(NamedTuple):
    """A policy as the store keeps it: `document` is its text, `mac` binds all else to the store."""

    name: str
    document: str
    created_ms: int
    updated_ms: int
    version: int
    mac: bytes


class PolicyRows(Protocol):
    """The policies of a store, on one connection."""

    def get(self, name: str) -> PolicyRow | None:
        """One policy; None where there is none of this name."""

    def named(self, names: Iterable[str]) -> Sequence[PolicyRow]:
        """Those of these policies that are there."""

    def page(self, limit: int, after: str) -> Sequence[PolicyRow]:
        """Policies in the order of their names, from behind `after`."""

    def put(self, row: PolicyRow) -> None:
        """Add a policy, or put it in the place of the one of its name."""

    def delete(self, name: str) -> None:
        """Remove a policy."""


class TokenRows(Protocol):
    """The access tokens, on one connection. What comes out is not checked yet."""

    def by_hash(self, hashed: bytes) -> TokenRecord | None:
        """One token by the keyed hash of it."""

    def by_accessors(self, accessors: Sequence[str]) -> list[TokenRecord]:
        """Those of these accessors that are there."""

    def insert(self, record: TokenRecord) -> None:
        """Add a token."""

    def put(self, records: Iterable[TokenRecord]) -> None:
        """Replace the rows of these accessors."""

    def page(self, after: str, limit: int, principal: str | None) -> list[TokenRecord]:
        """Up to `limit` tokens with accessors behind `after`, in their order, of one principal or all."""

    def tree(self, accessors: Sequence[str]) -> list[TokenRecord]:
        """These tokens and all that descend from them, each once, however wide and deep."""

    def children(self, accessor: str) -> list[TokenRecord]:
        """The tokens that were made with this one."""

    def of_principal(self, principal: str) -> list[str]:
        """The accessors of all tokens of a principal."""

    def of_principals_under(self, prefix: str) -> list[str]:
        """The accessors of all tokens whose principal begins with a text that ends in `/`."""

    def ended_before(self, before_ms: int, limit: int) -> list[str]:
        """Accessors of up to `limit` tokens that expired, or were revoked, before a time."""

    def delete(self, accessors: Iterable[str]) -> None:
        """Remove rows."""


class AccountRows(Protocol):
    """Users, failures, roles and secret ids, on one connection. What comes out is not checked yet."""

    def user(self, name: str) -> UserRecord | None:
        """One user."""

    def users(self, after: str, limit: int) -> list[UserRecord]:
        """Up to `limit` users with names behind `after`, in their order."""

    def put_user(self, record: UserRecord) -> None:
        """Add or replace a user."""

    def delete_user(self, name: str) -> None:
        """Remove a user."""

    def failures(self, name: str) -> FailureRecord | None:
        """The failed logins under a name, also one that no user has."""

    def put_failures(self, record: FailureRecord) -> None:
        """Add or replace a count."""

    def forget_failures(self, name: str) -> None:
        """Remove a count."""

    def forget_failures_before(self, before_ms: int) -> int:
        """Remove counts that began, and locks that ended, before a time; how many."""

    def role(self, name: str) -> RoleRecord | None:
        """One role by its name."""

    def role_by_id(self, role_id: str) -> RoleRecord | None:
        """One role by its role id."""

    def roles(self, after: str, limit: int) -> list[RoleRecord]:
        """Up to `limit` roles with names behind `after`, in their order."""

    def put_role(self, record: RoleRecord) -> None:
        """Add or replace a role."""

    def delete_role(self, name: str) -> None:
        """Remove a role and its secret ids."""

    def secret_id(self, hashed: bytes) -> SecretIdRecord | None:
        """One secret id by the keyed hash of it."""

    def secret_id_by_accessor(self, accessor: str) -> SecretIdRecord | None:
        """One secret id by its accessor."""

    def secret_ids(self, role: str, after: str, limit: int) -> list[SecretIdRecord]:
        """Up to `limit` secret ids of a role with accessors behind `after`, in their order."""

    def put_secret_id(self, record: SecretIdRecord) -> None:
        """Add or replace a secret id."""

    def delete_secret_id(self, accessor: str) -> None:
        """Remove a secret id."""

    def forget_secret_ids_before(self, before_ms: int) -> int:
        """Remove secret ids that expired before a time; how many."""


class AuthMethodRows(Protocol):
    """The auth methods, on one connection. What comes out is not checked yet."""

    def get(self, name: str) -> AuthMethodRecord | None:
        """One auth method."""

    def page(self, limit: int, after: str) -> list[AuthMethodRecord]:
        """Up to `limit` auth methods with names behind `after`, in their order."""

    def put(self, record: AuthMethodRecord) -> None:
        """Add or replace an auth method."""

    def delete(self, name: str) -> None:
        """Remove an auth method."""


class KeyGrants(Protocol):
    """What the engine asks of the grants of named keys; what is no authentic grant is left out."""

    def has_any(self, principal: str) -> bool:
        """Whether a principal may have grants; False only where it has none."""

    def of(self, name: str, principal: str) -> Sequence[Grant]:
        """The grants of the key of this name (an alias is none) to a principal."""


class GrantRows(Protocol):
    """The grants, on one connection. What comes out is not checked yet."""

    def get(self, grant_id: str) -> GrantRecord | None:
        """One grant."""

    def of_key(self, key_id: str, grantee: str | None = None) -> list[GrantRecord]:
        """All grants of a key, or those of them to one principal."""

    def has_any(self, grantee: str) -> bool:
        """Whether there is a row of this grantee."""

    def page(self, limit: int, after: str, which: tuple[str | None, str | None, str | None]) -> list[GrantRecord]:
        """Up to `limit` grants with ids behind `after`, in their order; `which` is key id, grantee and retiring
        principal, None where any will do."""

    def to(self, grantee: str) -> list[GrantRecord]:
        """All grants to a principal; one that ends in a slash stands for all that begin so."""

    def insert(self, record: GrantRecord) -> None:
        """Add a grant."""

    def ended_before(self, before_ms: int, limit: int) -> list[GrantRecord]:
        """Up to `limit` grants whose time was over before a moment."""

    def delete(self, grant_id: str) -> None:
        """Remove a grant."""
