"""One record of the audit log: what happened, as one line of ASCII that holds no plaintext by construction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from json.encoder import encode_basestring_ascii as _quoted
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_TEXT: Final = 2048
"""Characters of one text; what is longer is cut and marked."""
MAX_DETAIL: Final = 32
"""Fields of one detail."""
MAX_NAME: Final = 64
"""Characters of a detail field's name."""
_MAX_NUMBER: Final = 2**63
_NO_DETAIL: Final[Mapping[str, str | int]] = MappingProxyType({})


class Event(StrEnum):
    """What can happen; each value is the event's name in the log."""

    KMS_INITIALIZED = "kms_initialized"
    KMS_ERROR = "kms_error"
    STORE_CREATED = "store_created"
    SLOT_ADDED = "slot_added"
    SLOT_REMOVED = "slot_removed"
    SLOTS_LISTED = "slots_listed"
    ROOT_KEY_ROTATED = "root_key_rotated"
    SESSION_OPENED = "session_opened"
    SESSION_CLOSED = "session_closed"
    SESSION_REVOKED = "session_revoked"
    SESSIONS_LISTED = "sessions_listed"
    OUTCOME_SETTLED = "outcome_settled"
    ACCESS_DENIED = "access_denied"
    SECRET_STORED = "secret_stored"
    SECRET_RETRIEVED = "secret_retrieved"
    SECRET_EXPIRED = "secret_expired"
    SECRET_ROTATED = "secret_rotated"
    SECRET_DELETED = "secret_deleted"
    SECRET_UNDELETED = "secret_undeleted"
    SECRET_DESTROYED = "secret_destroyed"
    SECRETS_LISTED = "secrets_listed"
    SECRETS_IMPORTED = "secrets_imported"
    DATA_KEY_ROTATED = "data_key_rotated"
    DATA_KEY_SCRUBBING = "data_key_scrubbing"
    DATA_KEY_DESTROYED = "data_key_destroyed"
    MESSAGES_RESERVED = "messages_reserved"
    DATA_KEYS_LISTED = "data_keys_listed"
    DATA_ENCRYPTED = "data_encrypted"
    DATA_DECRYPTED = "data_decrypted"
    DECRYPTION_FAILED = "decryption_failed"
    KEY_CREATED = "key_created"
    KEY_CONFIGURED = "key_configured"
    KEY_ROTATED = "key_rotated"
    KEY_SUSPENDED = "key_suspended"
    KEY_RESUMED = "key_resumed"
    KEY_DEACTIVATED = "key_deactivated"
    KEY_COMPROMISED = "key_compromised"
    KEY_DESTRUCTION_SCHEDULED = "key_destruction_scheduled"
    KEY_DESTRUCTION_CANCELLED = "key_destruction_cancelled"
    KEY_DESTROYED = "key_destroyed"
    KEY_ALIAS_SET = "key_alias_set"
    KEY_ALIAS_REMOVED = "key_alias_removed"
    KEY_EXPORTED = "key_exported"
    KEY_BACKED_UP = "key_backed_up"
    KEY_RESTORED = "key_restored"
    KEY_READ = "key_read"
    KEYS_LISTED = "keys_listed"
    KEY_REFUSED = "key_refused"
    KEY_ENCRYPTED = "key_encrypted"
    KEY_DECRYPTED = "key_decrypted"
    KEY_REENCRYPTED = "key_reencrypted"
    KEY_DATA_KEY_MADE = "key_data_key_made"
    KEY_SIGNED = "key_signed"
    KEY_VERIFIED = "key_verified"
    KEY_MAC_MADE = "key_mac_made"
    KEY_MAC_VERIFIED = "key_mac_verified"
    KEY_DERIVED = "key_derived"
    KEY_AGREED = "key_agreed"
    KEY_ENCAPSULATED = "key_encapsulated"
    KEY_DECAPSULATED = "key_decapsulated"
    KEY_IMPORT_UNWRAPPED = "key_import_unwrapped"
    KEY_PUBLIC_READ = "key_public_read"
    GRANT_CREATED = "grant_created"
    GRANT_REVOKED = "grant_revoked"
    GRANT_RETIRED = "grant_retired"
    GRANT_ENDED = "grant_ended"
    GRANT_READ = "grant_read"
    GRANTS_LISTED = "grants_listed"
    RANDOM_GENERATED = "random_generated"
    DIGEST_COMPUTED = "digest_computed"
    CACHE_HIT = "cache_hit"
    CACHE_MISS = "cache_miss"
    STALE_SERVED = "stale_served"
    ENVIRONMENT_FALLBACK = "environment_fallback"
    SECRETS_MANAGER_INITIALIZED = "secrets_manager_initialized"
    CONFIGURATION_LOADED = "configuration_loaded"
    BACKUP_CREATED = "backup_created"
    BACKUP_RESTORED = "backup_restored"
    ROLLBACK_ACCEPTED = "rollback_accepted"
    STATUS_READ = "status_read"
    USES_COUNTED = "uses_counted"
    POLICY_WRITTEN = "policy_written"
    POLICY_DELETED = "policy_deleted"
    POLICY_READ = "policy_read"
    POLICIES_LISTED = "policies_listed"
    POLICY_TESTED = "policy_tested"
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    TOKEN_CREATED = "token_created"
    TOKEN_RENEWED = "token_renewed"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_LOOKED_UP = "token_looked_up"
    TOKENS_LISTED = "tokens_listed"
    IDENTITIES_SWEPT = "identities_swept"
    USER_CREATED = "user_created"
    USER_CHANGED = "user_changed"
    USER_DELETED = "user_deleted"
    SECOND_FACTOR_ENROLLED = "second_factor_enrolled"
    SECOND_FACTOR_CONFIRMED = "second_factor_confirmed"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    SECOND_FACTOR_VERIFIED = "second_factor_verified"
    USER_LOOKED_UP = "user_looked_up"
    USERS_LISTED = "users_listed"
    ROLE_CREATED = "role_created"
    ROLE_CHANGED = "role_changed"
    ROLE_DELETED = "role_deleted"
    ROLE_LOOKED_UP = "role_looked_up"
    ROLES_LISTED = "roles_listed"
    SECRET_ID_CREATED = "secret_id_created"
    SECRET_ID_DESTROYED = "secret_id_destroyed"
    SECRET_ID_LOOKED_UP = "secret_id_looked_up"
    SECRET_IDS_LISTED = "secret_ids_listed"
    AUTH_METHOD_WRITTEN = "auth_method_written"
    AUTH_METHOD_DELETED = "auth_method_deleted"
    AUTH_METHOD_READ = "auth_method_read"
    AUTH_METHODS_LISTED = "auth_methods_listed"
    AUDIT_READ = "audit_read"
    AUDIT_VERIFIED = "audit_verified"
    AUDIT_CHECKPOINT = "audit_checkpoint"
    AUDIT_CLOSED = "audit_closed"
    AUDIT_RECOVERED = "audit_recovered"


class Outcome(StrEnum):
    """How it ended. `unknown` is a commit that failed in a way that may hide success."""

    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Record(NamedTuple):
    """One fact. Texts and whole numbers are all that fits in, so no secret value and no bytes can.

    `time_ms` is ms since the epoch; `detail` has at most 32 fields; texts over 2,048 characters are cut and marked.
    """

    time_ms: int
    node: str
    session: str
    principal: str
    event: str
    target: str
    outcome: str = Outcome.SUCCESS
    request_id: str = ""
    operation_id: str = ""
    detail: Mapping[str, str | int] = _NO_DETAIL

    def content(self) -> bytes:
        """The record as canonical JSON: one line, ASCII only, fields in fixed order, no newline at the end.

        Raises:
            TypeError: a field that is neither text nor a whole number of at most 63 bits; more than 32 detail fields,
                or one whose name is longer than 64 characters.
        """
        time_ms, node, session, principal, event, target, outcome, request_id, operation_id, detail = self
        texts = (node, session, principal, target, request_id, operation_id)
        if len("".join(texts)) > MAX_TEXT and max(map(len, texts)) > MAX_TEXT:
            return self._cut().content()
        return (
            f'{{"time":{time_ms:d},"event":{_quoted(event)},"outcome":{_quoted(outcome)},"target":{_quoted(target)},'
            f'"principal":{_quoted(principal)},"session":{_quoted(session)},"node":{_quoted(node)},'
            f'"request_id":{_quoted(request_id)},"operation_id":{_quoted(operation_id)},'
            f'"detail":{_detail(detail) if detail else "{}"}}}'
        ).encode("ascii")

    def _cut(self) -> Record:
        return self._replace(
            node=_bounded(self.node),
            session=_bounded(self.session),
            principal=_bounded(self.principal),
            target=_bounded(self.target),
            request_id=_bounded(self.request_id),
            operation_id=_bounded(self.operation_id),
        )

    @classmethod
    def parse(cls, content: bytes) -> Record:
        """The record whose canonical form `content` is.

        Raises:
            ValueError: `content` is anything but the canonical form of a record.
        """
        try:
            fields = json.loads(content)
            record = cls(
                fields["time"],
                fields["node"],
                fields["session"],
                fields["principal"],
                fields["event"],
                fields["target"],
                fields["outcome"],
                fields["request_id"],
                fields["operation_id"],
                fields["detail"],
            )
            if record.content() == content:
                return record
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            pass
        raise ValueError("not the canonical form of an audit record")


def _bounded(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    mark = f"...({len(text)} characters)"
    return text[: MAX_TEXT - len(mark)] + mark


def _detail(detail: Mapping[str, str | int]) -> str:
    if len(detail) > MAX_DETAIL:
        raise TypeError(f"the detail of an audit record has at most {MAX_DETAIL} fields")
    parts = []
    for name in sorted(detail):
        value = detail[name]
        if len(name) > MAX_NAME:
            raise TypeError(f"a detail field's name has at most {MAX_NAME} characters")
        if isinstance(value, str):
            parts.append(f"{_quoted(name)}:{_quoted(_bounded(value))}")
        elif isinstance(value, int) and -_MAX_NUMBER <= value < _MAX_NUMBER:
            parts.append(f"{_quoted(name)}:{int(value)}")
        else:
            raise TypeError(f"the detail of an audit record holds text and whole numbers, not {type(value).__name__}")
    return "{" + ",".join(parts) + "}"


def use_template(node: str, session: str, principal: str, event: str, target: str) -> bytes:
    """The content of a use's record, which `%` completes with its time and the request's id, as plain ASCII."""
    content = Record(0, node, session, principal, event, target, request_id="|").content().replace(b"%", b"%%")
    before, _, after = content.removeprefix(b'{"time":0').partition(b'"request_id":"|"')
    return b'{"time":%d' + before + b'"request_id":"%b"' + after
