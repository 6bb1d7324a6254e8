"""What there is to be allowed, and who decides."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from keystead.gate import Facts, Session


class Action(StrEnum):
    """Everything that the gate can be asked for, as noun and verb."""

    SECRET_READ = "secret:read"
    SECRET_WRITE = "secret:write"
    SECRET_LIST = "secret:list"
    SECRET_ROTATE = "secret:rotate"
    SECRET_DELETE = "secret:delete"
    SECRET_UNDELETE = "secret:undelete"
    SECRET_DESTROY = "secret:destroy"
    SECRET_IMPORT = "secret:import"
    DATA_ENCRYPT = "data:encrypt"
    DATA_DECRYPT = "data:decrypt"
    DATA_REENCRYPT = "data:reencrypt"
    DATA_KEY_LIST = "data-key:list"
    DATA_KEY_ROTATE = "data-key:rotate"
    DATA_KEY_DESTROY = "data-key:destroy"
    ROOT_REKEY = "root:rekey"
    SLOT_LIST = "slot:list"
    SLOT_ADD = "slot:add"
    SLOT_REMOVE = "slot:remove"
    SESSION_LIST = "session:list"
    SESSION_REVOKE = "session:revoke"
    AUDIT_READ = "audit:read"
    AUDIT_VERIFY = "audit:verify"
    AUDIT_ACCEPT_ROLLBACK = "audit:accept-rollback"
    BACKUP_CREATE = "backup:create"
    BACKUP_RESTORE = "backup:restore"
    CACHE_CLEAR = "cache:clear"
    CONFIG_READ = "config:read"
    STATUS_READ = "status:read"
    STORE_OPEN = "store:open"
    LOGIN_ATTEMPT = "login:attempt"
    TOKEN_CREATE = "token:create"
    TOKEN_READ = "token:read"
    TOKEN_RENEW = "token:renew"
    TOKEN_REVOKE = "token:revoke"
    TOKEN_LIST = "token:list"
    USER_READ = "user:read"
    USER_WRITE = "user:write"
    USER_LIST = "user:list"
    USER_DELETE = "user:delete"
    ROLE_READ = "role:read"
    ROLE_WRITE = "role:write"
    ROLE_LIST = "role:list"
    ROLE_DELETE = "role:delete"
    SECRET_ID_CREATE = "secret-id:create"
    SECRET_ID_READ = "secret-id:read"
    SECRET_ID_LIST = "secret-id:list"
    SECRET_ID_DESTROY = "secret-id:destroy"


class Decision(NamedTuple):
    """Whether it is allowed, and why: in words for a person, and as a class for who counts refusals.

    `visible`: whether the principal may know that the resource exists.
    """

    allowed: bool
    reason: str
    reason_class: str = ""
    visible: bool = True


_OF_ONES_OWN = frozenset({Action.TOKEN_READ, Action.TOKEN_RENEW, Action.TOKEN_REVOKE})


def needs_no_statement(session: Session, action: str, resource: str) -> Decision | None:
    """Allowed without a policy: to show a credential, and to look at, renew and give up the access token that one acts
    by. None for everything else."""
    if action == Action.LOGIN_ATTEMPT:
        return Decision(True, "anybody may try to log in", "login")
    accessor = session.authentication.accessor
    if accessor and action in _OF_ONES_OWN and resource == f"token/{accessor}":
        return Decision(True, "it is the session's own access token", "own-token")
    return None


class OwnerPolicy:
    """The local owner may do all, and so may the node itself; nobody else may do anything."""

    __slots__ = ()

    def decide(self, session: Session, action: str, resource: str, facts: Facts) -> Decision:  # noqa: ARG002 - the Protocol's
        """Allowed for principals of kind `local` and `system`."""
        kind = session.principal.kind
        if kind == "local":
            return Decision(True, "the local owner may do all", "owner")
        if kind == "system":
            return Decision(True, "the node itself may do all", "owner")
        own = needs_no_statement(session, action, resource)
        if own is not None:
            return own
        return Decision(False, f"no statement allows principals of kind {kind} anything", "no-statement", visible=False)
