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
    KEY_CREATE = "key:create"
    KEY_READ = "key:read"
    KEY_LIST = "key:list"
    KEY_CONFIGURE = "key:configure"
    KEY_ROTATE = "key:rotate"
    KEY_SUSPEND = "key:suspend"
    KEY_RESUME = "key:resume"
    KEY_DEACTIVATE = "key:deactivate"
    KEY_COMPROMISED = "key:compromised"
    KEY_SCHEDULE_DESTRUCTION = "key:schedule-destruction"
    KEY_CANCEL_DESTRUCTION = "key:cancel-destruction"
    KEY_DESTROY = "key:destroy"
    KEY_ALIAS = "key:alias"
    KEY_EXPORT = "key:export"
    KEY_BACKUP = "key:backup"
    KEY_RESTORE = "key:restore"
    KEY_ENCRYPT = "key:encrypt"
    KEY_DECRYPT = "key:decrypt"
    KEY_REENCRYPT = "key:reencrypt"
    KEY_DATA_KEY = "key:data-key"
    KEY_SIGN = "key:sign"
    KEY_VERIFY = "key:verify"
    KEY_MAC = "key:mac"
    KEY_VERIFY_MAC = "key:verify-mac"
    KEY_DERIVE = "key:derive"
    KEY_AGREE = "key:agree"
    KEY_ENCAPSULATE = "key:encapsulate"
    KEY_DECAPSULATE = "key:decapsulate"
    KEY_UNWRAP_IMPORT = "key:unwrap-import"
    KEY_PUBLIC_KEY = "key:public-key"
    RANDOM_GENERATE = "random:generate"
    DIGEST_COMPUTE = "digest:compute"
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


class Decision(NamedTuple):
    """Whether it is allowed, and why: in words for a person, and as a class for who counts refusals.

    `visible`: whether the principal may know that the resource exists.
    """

    allowed: bool
    reason: str
    reason_class: str = ""
    visible: bool = True


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
        return Decision(False, f"no statement allows principals of kind {kind} anything", "no-statement", visible=False)
