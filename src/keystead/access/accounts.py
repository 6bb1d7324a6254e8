"""What users, roles and secret ids are, and the rules of counting failures: values in, values out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keystead.access.tokens import TokenRules, rules_of, texts
from keystead.crypto.kdf import Argon2Parameters


class UserRecord(NamedTuple):
    """The row of a user. `verifier` is a keyed hash of the Argon2id output, made with this salt and cost.

    `rules` says as JSON text what the user's tokens are given. `factor` is the encrypted secret of the second factor,
    which is one from `factor_confirmed_ms` on; `factor_step` is the newest time step whose code was used. `mac` binds
    all of it to the store.
    """

    name: str
    salt: bytes
    iterations: int
    lanes: int
    memory_kib: int
    verifier: bytes
    rules: str
    created_ms: int
    updated_ms: int
    epoch: int = 0
    factor_required: int = 0
    factor: bytes | None = None
    factor_made_ms: int | None = None
    factor_confirmed_ms: int | None = None
    factor_step: int | None = None
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "user" if self._plain else "user-with-second-factor"

    @property
    def bound_fields(self) -> tuple[Any, ...]:
        """What its MAC is over: a user without a second factor is bound as before there were any."""
        return tuple(self[:10] if self._plain else self[:-1])

    @property
    def _plain(self) -> bool:
        return self[10:-1] == (0, None, None, None, None)

    @property
    def cost(self) -> Argon2Parameters:
        """What deriving from the password costs."""
        return Argon2Parameters(self.iterations, self.lanes, self.memory_kib)


class FailureRecord(NamedTuple):
    """How many logins failed under a name since `first_ms`, and until when (ms since the epoch) it is locked."""

    name: str
    failed: int
    first_ms: int
    locked_until_ms: int
    epoch: int = 0
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "login-failures"


class RoleRecord(NamedTuple):
    """The row of a role. Its secret ids get these limits; `networks` is from where it may log in."""

    name: str
    role_id: str
    rules: str
    secret_id_ttl_ms: int | None
    secret_id_uses: int | None
    networks: str
    created_ms: int
    updated_ms: int
    epoch: int = 0
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "role"


class SecretIdRecord(NamedTuple):
    """The row of a secret id, kept as the keyed hash of it; it belongs to one role for good."""

    hash: bytes
    accessor: str
    role: str
    meta: str
    networks: str
    created_ms: int
    expires_ms: int | None
    uses_left: int | None
    epoch: int = 0
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "secret-id"


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What may be shown of a user: the name, what its tokens are given, and until when it is locked.

    `second_factor_ms` is since when it has a second factor, None: it has none that was confirmed.
    """

    name: str
    rules: TokenRules
    created_ms: int
    updated_ms: int
    locked_until_ms: int | None
    require_second_factor: bool
    second_factor_ms: int | None


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """What may be shown of a role. Lengths are in ms; None: no limit."""

    name: str
    role_id: str
    rules: TokenRules
    secret_id_ttl_ms: int | None
    secret_id_uses: int | None
    networks: tuple[str, ...]
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class SecretIdInfo:
    """What may be shown of a secret id. `expires_ms` and `uses_left` None: no limit."""

    accessor: str
    role: str
    meta: Mapping[str, str]
    networks: tuple[str, ...]
    created_ms: int
    expires_ms: int | None
    uses_left: int | None


class LockRules(NamedTuple):
    """So many failures within `window_ms` lock a name for `lock_ms`."""

    failures: int
    window_ms: int
    lock_ms: int


def user_info(record: UserRecord, failures: FailureRecord | None, now_ms: int) -> UserInfo:
    """What may be shown of a user's record."""
    locked = None if failures is None or not locked_for(failures, now_ms) else failures.locked_until_ms
    return UserInfo(
        record.name,
        rules_of(record.rules),
        record.created_ms,
        record.updated_ms,
        locked,
        bool(record.factor_required),
        record.factor_confirmed_ms,
    )


def role_info(record: RoleRecord) -> RoleInfo:
    """What may be shown of a role's record."""
    return RoleInfo(
        record.name,
        record.role_id,
        rules_of(record.rules),
        record.secret_id_ttl_ms,
        record.secret_id_uses,
        texts(record.networks),
        record.created_ms,
        record.updated_ms,
    )


def secret_id_info(record: SecretIdRecord) -> SecretIdInfo:
    """What may be shown of a secret id's record."""
    return SecretIdInfo(
        record.accessor,
        record.role,
        json.loads(record.meta),
        texts(record.networks),
        record.created_ms,
        record.expires_ms,
        record.uses_left,
    )


def why_secret_id_ended(record: SecretIdRecord, now_ms: int) -> str | None:
    """As a class for who counts refusals: why a secret id is none any more; None while it is one."""
    if record.expires_ms is not None and now_ms >= record.expires_ms:
        return "secret-id-expired"
    if record.uses_left is not None and record.uses_left < 1:
        return "secret-id-used-up"
    return None


def locked_for(failures: FailureRecord, now_ms: int) -> int:
    """For how many ms more a name is locked; 0 where it is not."""
    return max(0, failures.locked_until_ms - now_ms)


def failed_once_more(name: str, failures: FailureRecord | None, now_ms: int, rules: LockRules) -> FailureRecord:
    """The count after one more failure, still without MAC. What happens while a name is locked does not count, so that
    nobody can be kept out for ever by guessing on."""
    if failures is None:
        failures = FailureRecord(name, 0, now_ms, 0)
    elif locked_for(failures, now_ms):
        return failures
    elif failures.locked_until_ms or now_ms - failures.first_ms >= rules.window_ms:
        failures = failures._replace(failed=0, first_ms=now_ms, locked_until_ms=0)
    count = failures.failed + 1
    until = now_ms + rules.lock_ms if count >= rules.failures else 0
    return failures._replace(failed=count, locked_until_ms=until)
