"""Every error that keystead raises, as one tree, split by who must act.

Each leaf has a stable `code`. `str(error)` says what happened and to what; `why` gives the cause where one is known,
`hint` the next step. No message holds a secret value or key material.

    KeysteadError
    ├── CallerError                 the call must change
    │   ├── UsageError              KS1001
    │   ├── NotFound
    │   │   ├── SecretNotFound      KS1101
    │   │   ├── DataKeyNotFound     KS1102
    │   │   ├── SlotNotFound        KS1103
    │   │   ├── SessionNotFound     KS1104
    │   │   ├── KeyNotFound         KS1105
    │   │   ├── PolicyNotFound      KS1106
    │   │   ├── IdentityNotFound    KS1107
    │   │   └── GrantNotFound       KS1108
    │   ├── Denied                  KS1201
    │   ├── SessionEnded            KS1202
    │   ├── AuthenticationFailed    KS1203
    │   ├── LockedOut               KS1204
    │   ├── Conflict
    │   │   ├── VersionConflict     KS1301
    │   │   ├── KeyStateError       KS1302
    │   │   ├── StoreExists         KS1303
    │   │   ├── NameCollision       KS1304
    │   │   └── AlreadyExists       KS1305
    │   ├── SecretExpired           KS1401
    │   ├── SecretDeleted           KS1402
    │   └── ConfigurationError      KS1501
    ├── DataError                   the data is bad: no retry helps
    │   ├── EnvelopeError           KS2001
    │   ├── DecryptionError         KS2002
    │   ├── IntegrityError          KS2003
    │   ├── RollbackDetected        KS2004
    │   ├── AuditBroken             KS2005
    │   └── BackupError             KS2006
    └── OperatorError               whoever runs the store must act
        ├── StoreNotFound           KS3001
        ├── StoreUnavailable        KS3002
        ├── StoreBusy               KS3003
        ├── SchemaTooNew            KS3004
        ├── OutcomeUnknown          KS3005
        ├── Sealed                  KS3101
        ├── MasterKeyMissing        KS3102
        ├── MasterKeyInvalid        KS3103
        ├── WrongMasterKey          KS3104
        ├── KeyExhausted            KS3105
        ├── AuditUnavailable        KS3201
        ├── MissingExtra            KS3301
        ├── FileUnavailable         KS3401
        └── ServerUnavailable       KS3501
"""

from __future__ import annotations

from collections.abc import Mapping


class KeysteadError(Exception):
    """The root of the tree; raised only as one of its leaves.

    `message` names what happened and to what; `why` the cause; `hint` what to do next.
    """

    code = "KS0000"

    def __init__(self, message: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.why:
            parts.append(f"why: {self.why}")
        if self.hint:
            parts.append(f"next: {self.hint}")
        return "; ".join(parts)


class CallerError(KeysteadError):
    """The call must change."""


class UsageError(CallerError, ValueError):
    """Arguments that contradict each other, are out of bounds or of the wrong kind."""

    code = "KS1001"


class NotFound(CallerError, LookupError):
    """What was named is not there; with `refused`, the caller may not know whether it is."""

    refused = False


class SecretNotFound(NotFound):
    """No such secret, version or label."""

    code = "KS1101"


class DataKeyNotFound(NotFound):
    """The store holds no data key with this id or reference."""

    code = "KS1102"


class SlotNotFound(NotFound):
    """The store has no key slot with this id."""

    code = "KS1103"


class SessionNotFound(NotFound):
    """No session with this id is known."""

    code = "KS1104"


class KeyNotFound(NotFound):
    """The store holds no named key, alias or version of this name, or none that the caller may know of."""

    code = "KS1105"


class PolicyNotFound(NotFound):
    """The store holds no policy of this name, or none that the caller may know of."""

    code = "KS1106"


class IdentityNotFound(NotFound):
    """No user, role, auth method or access token is there under this name or accessor."""

    code = "KS1107"


class GrantNotFound(NotFound):
    """The key has no grant with this id."""

    code = "KS1108"


class Denied(CallerError, PermissionError):
    """The session's principal may not do this."""

    code = "KS1201"


class SessionEnded(CallerError):
    """The session was revoked, or its service was closed."""

    code = "KS1202"


class AuthenticationFailed(CallerError, PermissionError):
    """Who asks did not prove to be who it says. Which check failed tells `reason_class`, in a word, and no message."""

    code = "KS1203"

    def __init__(
        self,
        message: str = "authentication failed",
        *,
        reason_class: str = "",
        hint: str = "check the name and the credential, or ask for a new one where it may have ended",
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason_class = reason_class


class LockedOut(CallerError, PermissionError):
    """Too many failed logins under this name; `retry_after_s` tells in how many seconds one is looked at again."""

    code = "KS1204"

    def __init__(self, message: str, *, retry_after_s: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Conflict(CallerError):
    """What is there is not what the call expected."""


class VersionConflict(Conflict):
    """`expected_version` is not the `current` version (0: none); `expected` is the one that was asked for."""

    code = "KS1301"

    def __init__(self, message: str, *, expected: int, current: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.current = current


class KeyStateError(Conflict):
    """The key's state does not permit this use or transition."""

    code = "KS1302"


class StoreExists(Conflict):
    """A store is already there and is not empty."""

    code = "KS1303"


class NameCollision(Conflict):
    """Two secret names become the same environment variable."""

    code = "KS1304"


class AlreadyExists(Conflict):
    """Something of this name is there already."""

    code = "KS1305"


class SecretExpired(CallerError):
    """The secret's TTL is over."""

    code = "KS1401"


class SecretDeleted(CallerError):
    """The secret, or this version of it, was deleted or destroyed."""

    code = "KS1402"


class ConfigurationError(CallerError):
    """Settings that cannot be loaded; `problems` tells of each field what is wrong with it, never its value."""

    code = "KS1501"

    def __init__(self, message: str, *, problems: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.problems = dict(problems or {})
        super().__init__(message, why="; ".join(f"{name}: {text}" for name, text in self.problems.items()), hint=hint)


class DataError(KeysteadError):
    """The data is bad: no retry helps."""


class EnvelopeError(DataError, ValueError):
    """An envelope or ciphertext whose form is wrong; `field` names the part."""

    code = "KS2001"

    def __init__(self, field: str, problem: str) -> None:
        hint = "check that it is whole, and that it is in the form that is expected here"
        super().__init__(f"not a valid ciphertext: {field}: {problem}", hint=hint)
        self.field = field


class DecryptionError(DataError):
    """A ciphertext that does not authenticate. It says nothing more, on purpose."""

    code = "KS2002"

    def __init__(self) -> None:
        super().__init__(
            "cannot decrypt: the ciphertext, its AAD or its key do not belong together",
            hint="check that the AAD is the one given at encryption and that the ciphertext is whole",
        )


class IntegrityError(DataError):
    """A stored record that is not what keystead wrote there."""

    code = "KS2003"


class RollbackDetected(DataError):
    """The store is older than its audit log says."""

    code = "KS2004"


class AuditBroken(DataError):
    """The audit log does not verify; `where` names the first bad record."""

    code = "KS2005"

    def __init__(self, message: str, *, where: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class BackupError(DataError):
    """A backup that is damaged, foreign, or opened with the wrong passphrase."""

    code = "KS2006"


class OperatorError(KeysteadError):
    """Whoever runs the store must act. `damaged`: it is no sound database, and nothing is served in its place."""

    damaged = False


class StoreNotFound(OperatorError, LookupError):
    """No store was found; `looked_at` lists the folders."""

    code = "KS3001"

    def __init__(self, message: str, *, looked_at: tuple[str, ...] = (), why: str = "", hint: str = "") -> None:
        super().__init__(message, why=why, hint=hint)
        self.looked_at = looked_at


class StoreUnavailable(OperatorError):
    """The store cannot be read or written (disk, permissions, corruption)."""

    code = "KS3002"


class StoreBusy(OperatorError):
    """Another process held the store longer than the bounded wait."""

    code = "KS3003"


class SchemaTooNew(OperatorError):
    """The store was written by a newer keystead; nothing was touched."""

    code = "KS3004"


class OutcomeUnknown(OperatorError):
    """A commit failed in a way that may hide success; `operation_id` names it for a retry."""

    code = "KS3005"

    def __init__(self, message: str, *, operation_id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.operation_id = operation_id


class Sealed(OperatorError):
    """The root key is not in memory."""

    code = "KS3101"


class MasterKeyMissing(OperatorError):
    """No source gave a master key; `looked_at` lists each source with what was found there."""

    code = "KS3102"

    def __init__(self, message: str, *, looked_at: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, why="; ".join(looked_at), hint=hint)
        self.looked_at = looked_at


class MasterKeyInvalid(OperatorError):
    """A source gave something that is not a usable master key."""

    code = "KS3103"


class WrongMasterKey(OperatorError):
    """A well-formed master key that opens no slot of this store."""

    code = "KS3104"


class KeyExhausted(OperatorError):
    """A data key's message allowance is used up and the store cannot be asked for more."""

    code = "KS3105"


class AuditUnavailable(OperatorError):
    """The audit journal cannot be written, so the operation was refused before any effect."""

    code = "KS3201"


class MissingExtra(OperatorError, ImportError):
    """A feature whose optional dependency is not installed."""

    code = "KS3301"


class FileUnavailable(OperatorError):
    """A file that was named to be read or written cannot be (missing, permissions, disk full)."""

    code = "KS3401"


class ServerUnavailable(OperatorError):
    """A keystead server that cannot be reached, or does not answer as one."""

    code = "KS3501"
