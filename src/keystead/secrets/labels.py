"""Which version a label names, how labels move, and when a version ends. Rules only: values in, values out."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from keystead.clock import parse_duration
from keystead.errors import SecretNotFound, UsageError

_HOUR_MS = 3_600_000
DEFAULT_GRACE_MS = 24 * _HOUR_MS
DEFAULT_DESTROY_AFTER_MS = 7 * 24 * _HOUR_MS
DEFAULT_JUMP_LIMIT_MS = _HOUR_MS


class Keep(Enum):
    """The type of `KEEP`."""

    KEEP = "keep"

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep.KEEP
"""Leave as it is; for a TTL: start it anew with the same length."""


class Label(StrEnum):
    """A movable name of one version of a secret."""

    CURRENT = "current"
    PREVIOUS = "previous"
    PENDING = "pending"


class Labels(NamedTuple):
    """Where a secret's labels point; None where a label is not set. Times are ms since the epoch."""

    current: int | None = None
    previous: int | None = None
    previous_until_ms: int | None = None
    pending: int | None = None


def check_label(label: str) -> Label:
    """The label of that name.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    try:
        return Label(label)
    except ValueError:
        raise UsageError("not a label of a secret's version", hint=f"labels are {', '.join(Label)}") from None


def after_rotation(
    labels: Labels, new_version: int, now_ms: int, grace_ms: int = DEFAULT_GRACE_MS, compromised: bool = False
) -> Labels:
    """Where the labels point once `new_version` is the current one.

    `previous` names the former current version until `now_ms + grace_ms`; with no grace, or where the former value is
    `compromised`, it names none.

    Raises:
        UsageError: the new version's number is not above the current one's, or the grace is negative.
    """
    if grace_ms < 0:
        raise UsageError("the grace of a rotation is negative")
    if labels.current is not None and new_version <= labels.current:
        raise UsageError(f"version {new_version} does not come after version {labels.current}")
    keeps_previous = labels.current is not None and grace_ms > 0 and not compromised
    return Labels(
        current=new_version,
        previous=labels.current if keeps_previous else None,
        previous_until_ms=now_ms + grace_ms if keeps_previous else None,
        pending=None if labels.pending is not None and labels.pending <= new_version else labels.pending,
    )


def resolve_version(
    name: str, labels: Labels, now_ms: int, *, version: int | None = None, label: str | None = None
) -> int:
    """The number of the version that is asked for: by number, by label, or (with neither) the current one.

    Whether a version of that number exists is for the store to say.

    Raises:
        UsageError: both were given, or no such label exists.
        SecretNotFound: the label names no version, or `previous` came to its end.
    """
    if version is not None:
        if label is not None:
            raise UsageError(f"version and label were both given for {name}", hint="give one of them")
        return version
    wanted = Label.CURRENT if label is None else check_label(label)
    if wanted is Label.CURRENT:
        found = labels.current
    elif wanted is Label.PENDING:
        found = labels.pending
    else:
        ended = labels.previous_until_ms is not None and now_ms >= labels.previous_until_ms
        found = None if ended else labels.previous
    if found is None:
        raise SecretNotFound(
            f"secret {name} has no {wanted} version",
            why="its grace after the rotation is over" if wanted is Label.PREVIOUS and labels.previous else "",
            hint=f"`keystead history {name}` lists its versions",
        )
    return found


def resolve_ttl(ttl: timedelta | str | Keep | None, ttl_days: int | None = None, *, keep: int | None) -> int | None:
    """The TTL in ms that a new version gets, or None for no TTL.

    `ttl` is a timedelta, text such as `90d`, None for no TTL, or KEEP for `keep`, the length in ms (or None) of the
    version before. `ttl_days` is a whole number of days and goes with no other `ttl` than KEEP.

    Raises:
        UsageError: both were given, or one is zero, negative, beyond 100 years or of another kind.
    """
    if ttl_days is not None:
        if not isinstance(ttl, Keep):
            raise UsageError("ttl and ttl_days were both given", hint="give one of them")
        if isinstance(ttl_days, bool) or not isinstance(ttl_days, int):
            raise UsageError("ttl_days is not a whole number of days", hint="give an int, or a ttl such as 36h")
        return parse_duration(f"{ttl_days}d" if 0 <= ttl_days < 10**9 else timedelta(-1), what="ttl_days")
    if isinstance(ttl, Keep):
        return keep
    return None if ttl is None else parse_duration(ttl, what="ttl")


def expiry(now_ms: int, ttl_ms: int | None) -> int | None:
    """When a version made now expires, in ms since the epoch; None: never."""
    return None if ttl_ms is None else now_ms + ttl_ms


def is_expired(expires_ms: int | None, now_ms: int) -> bool:
    """Whether the version is over: from exactly `expires_ms` on."""
    return expires_ms is not None and now_ms >= expires_ms


def is_destroy_due(
    expires_ms: int | None,
    now_ms: int,
    *,
    ahead_ms: int,
    destroy_after_ms: int = DEFAULT_DESTROY_AFTER_MS,
    jump_limit_ms: int = DEFAULT_JUMP_LIMIT_MS,
) -> bool:
    """Whether an expired version's bytes may be destroyed now.

    `ahead_ms` is what the clock says of a jump: beyond `jump_limit_ms` nothing is destroyed, since a clock that was set
    wrong must not cost data.
    """
    return expires_ms is not None and ahead_ms <= jump_limit_ms and now_ms >= expires_ms + destroy_after_ms
