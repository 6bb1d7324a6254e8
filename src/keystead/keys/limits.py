"""How much a key may protect and for how long: bounds, reserved blocks, and when rotation is due."""

from __future__ import annotations

from enum import StrEnum

# half of the 2^32 messages that SP 800-38D allows one AES-GCM key under random IVs
MESSAGE_LIMIT = 2**31
SALT_MESSAGE_LIMIT = 2**30
FIRST_BLOCK = 64
LARGEST_BLOCK = 2**20
DEFAULT_MAX_AGE_MS = 90 * 24 * 3_600_000
# an eighth is left for processes that hold the key while it rotates: 256 of the largest blocks
ROTATE_AT_MESSAGES = MESSAGE_LIMIT - MESSAGE_LIMIT // 8


class RotationReason(StrEnum):
    """Why a data key is to be rotated."""

    AGE = "age"
    MESSAGES = "messages"


def next_block(last_block: int) -> int:
    """How many messages a process reserves next, where its last block was of `last_block` (0: it had none).

    A process that encrypts little wastes little, and one that encrypts much asks the store seldom.
    """
    return FIRST_BLOCK if last_block <= 0 else min(max(2 * last_block, FIRST_BLOCK), LARGEST_BLOCK)


def grant(reserved: int, wanted: int) -> int:
    """How many of `wanted` messages can still be reserved where `reserved` are; 0: the key is used up."""
    return max(0, min(wanted, MESSAGE_LIMIT - reserved))


def is_refill_due(left: int, block: int) -> bool:
    """Whether to reserve the next block: half of this one, or less, is left."""
    return 2 * left <= block


def rotation_due(created_ms: int, now_ms: int, max_age_ms: int | None, reserved: int) -> RotationReason | None:
    """Why the key is to be rotated now, or None where it is not.

    Times are ms since the epoch; `max_age_ms` None: age is no reason; `reserved` counts messages, too high if anything.
    """
    if reserved >= ROTATE_AT_MESSAGES:
        return RotationReason.MESSAGES
    if max_age_ms is not None and now_ms - created_ms >= max_age_ms:
        return RotationReason.AGE
    return None
