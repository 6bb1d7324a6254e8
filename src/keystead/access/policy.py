"""What there is to be allowed, and who decides."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from keystead.access.principal import Principal


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
    KEY_LIST = "key:list"
    KEY_ROTATE = "key:rotate"
    KEY_DESTROY = "key:destroy"
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


class Decision(NamedTuple):
    """Whether it is allowed, and why, in words for a person."""

    allowed: bool
    reason: str


class Policy(Protocol):
    """Decides who may do what. Nothing is allowed that it does not allow."""

    def decide(self, principal: Principal, action: str, resource: str) -> Decision:
        """Whether `principal` may do `action` (a value of Action) to `resource` (such as `secret/API_KEY`)."""


class OwnerPolicy:
    """The local owner may do all, and so may the node itself; nobody else may do anything."""

    __slots__ = ()

    def decide(self, principal: Principal, action: str, resource: str) -> Decision:  # noqa: ARG002 - the Protocol's
        """Allowed for principals of kind `local` and `system`."""
        if principal.kind == "local":
            return Decision(True, "the local owner may do all")
        if principal.kind == "system":
            return Decision(True, "the node itself may do all")
        return Decision(False, f"no statement allows principals of kind {principal.kind} anything")
