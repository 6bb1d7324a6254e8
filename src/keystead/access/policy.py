"""What there is to be allowed, and who decides."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from keystead.gate import Session


class Action(StrEnum):
    """Everything that the gate can be asked for, as noun and verb."""

    SECRET_READ = "secret:read"
    SECRET_WRITE = "secret:write"
    SECRET_LIST = "secret:list"
    SECRET_ROTATE = "secret:rotate"
    SECRET_DELETE = "secret:delete"
    SECRET_UNDELETE = "secret:undelete"
    SECRET_DESTROY = "secret:destroy"
    DATA_ENCRYPT = "data:encrypt"
    DATA_DECRYPT = "data:decrypt"
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
    KEY_CREATE_GRANT = "key:create-grant"
    KEY_LIST_GRANTS = "key:list-grants"
    KEY_REVOKE_GRANT = "key:revoke-grant"
    KEY_RETIRE_GRANT = "key:retire-grant"
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
    BACKUP_CREATE = "backup:create"
    BACKUP_RESTORE = "backup:restore"
    CACHE_CLEAR = "cache:clear"
    CONFIG_READ = "config:read"
    STATUS_READ = "status:read"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    POLICY_LIST = "policy:list"
    POLICY_DELETE = "policy:delete"
    POLICY_TEST = "policy:test"
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
    SECOND_FACTOR_ENROLL = "second-factor:enroll"
    SECOND_FACTOR_CONFIRM = "second-factor:confirm"
    SECOND_FACTOR_REMOVE = "second-factor:remove"
    ROLE_READ = "role:read"
    ROLE_WRITE = "role:write"
    ROLE_LIST = "role:list"
    ROLE_DELETE = "role:delete"
    SECRET_ID_CREATE = "secret-id:create"
    SECRET_ID_READ = "secret-id:read"
    SECRET_ID_LIST = "secret-id:list"
    SECRET_ID_DESTROY = "secret-id:destroy"
    AUTH_METHOD_READ = "auth-method:read"
    AUTH_METHOD_WRITE = "auth-method:write"
    AUTH_METHOD_LIST = "auth-method:list"
    AUTH_METHOD_DELETE = "auth-method:delete"


class Decision(NamedTuple):
    """Whether it is allowed, and why: in words for a person, and as a class for who counts refusals.

    `visible`: whether the principal may know that the resource exists. `volatile`: the next call may be decided
    otherwise although nothing in the store changed, since time, tags, a second factor or a context had a part in it.
    """

    allowed: bool
    reason: str
    reason_class: str = ""
    visible: bool = True
    volatile: bool = False


_OF_ONES_OWN = frozenset({Action.TOKEN_READ, Action.TOKEN_RENEW, Action.TOKEN_REVOKE})


def needs_no_policy(action: str) -> Decision | None:
    """Allowed to anybody, whatever policies say: to show a credential. None for everything else."""
    return Decision(True, "anybody may try to log in", "login") if action == Action.LOGIN_ATTEMPT else None


def needs_no_statement(session: Session, action: str, resource: str) -> Decision | None:
    """Allowed without a policy: to show a credential, and to look at, renew and give up the access token that one acts
    by. None for everything else."""
    anybodys = needs_no_policy(action)
    if anybodys is not None:
        return anybodys
    accessor = session.authentication.accessor
    if accessor and action in _OF_ONES_OWN and resource == f"token/{accessor}":
        return Decision(True, "it is the session's own access token", "own-token")
    return None
