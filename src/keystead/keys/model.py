"""What a data key is: its record, how it is wrapped, and the count that is kept of its messages."""

from __future__ import annotations

from typing import NamedTuple

from keystead.crypto.aad import bind
from keystead.crypto.compact import REFERENCE_LENGTH, SALT_LENGTH
from keystead.crypto.mac import mac, same
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.crypto.wrapping import unwrap_key, wrap_key
from keystead.errors import DecryptionError, IntegrityError
from keystead.keys.lifecycle import KeyState


class DataKeyRecord(NamedTuple):
    """A data key as the store keeps it. Times are ms since the epoch.

    `wrapped` is None once the key is destroyed; `salt` is the one under which the store's own ciphertexts derive their
    message keys; `reserved` counts the envelopes v1 that processes have reserved, and only rises.
    """

    key_id: str
    reference: bytes
    state: KeyState
    created_ms: int
    state_ms: int
    salt: bytes
    wrapped: bytes | None
    reserved: int
    reserved_mac: bytes

    def aad(self, store_id: bytes) -> bytes:
        """What the wrapping binds: everything that decides about the key."""
        return bind(
            "data-key",
            store_id,
            self.key_id,
            self.reference,
            self.state.value,
            self.created_ms,
            self.state_ms,
            self.salt,
        )


def new_record(key_id: str, now_ms: int) -> DataKeyRecord:
    """A pre-wrapped record of a fresh active key, with random reference and salt."""
    return DataKeyRecord(
        key_id,
        random_bytes(REFERENCE_LENGTH),
        KeyState.ACTIVE,
        now_ms,
        now_ms,
        random_bytes(SALT_LENGTH),
        None,
        0,
        b"",
    )


def wrapped_under(
    record: DataKeyRecord, material: KeyMaterial, wrapping_key: bytes | bytearray, store_id: bytes
) -> DataKeyRecord:
    """The record with its material wrapped for exactly this state and these dates."""
    return record._replace(wrapped=wrap_key(wrapping_key, material, record.aad(store_id)))


def unwrapped(record: DataKeyRecord, wrapping_key: bytes | bytearray, store_id: bytes) -> KeyMaterial:
    """The key's material.

    Raises:
        IntegrityError: the record was edited, swapped or damaged, or holds no material.
    """
    if record.wrapped is None:
        raise IntegrityError(
            f"data key {record.key_id} has no material", hint="it was destroyed, or the row was edited"
        )
    try:
        return unwrap_key(wrapping_key, record.wrapped, record.aad(store_id))
    except DecryptionError:
        raise IntegrityError(
            f"the record of data key {record.key_id} is not what keystead wrote",
            hint="restore a backup elsewhere and compare; `keystead audit verify` says what was recorded",
        ) from None


def counted(record: DataKeyRecord, reserved: int, integrity_key: bytes | bytearray, store_id: bytes) -> DataKeyRecord:
    """The record with another count and the MAC that binds it."""
    return record._replace(
        reserved=reserved, reserved_mac=_count_mac(integrity_key, store_id, record.reference, reserved)
    )


def check_count(record: DataKeyRecord, integrity_key: bytes | bytearray, store_id: bytes) -> None:
    """Return if the count is one that keystead wrote.

    Raises:
        IntegrityError: it was edited.
    """
    expected = _count_mac(integrity_key, store_id, record.reference, record.reserved)
    if not same(expected, record.reserved_mac):
        raise IntegrityError(f"the message count of data key {record.key_id} was edited", hint="rotate the data key")


def _count_mac(integrity_key: bytes | bytearray, store_id: bytes, reference: bytes, reserved: int) -> bytes:
    return mac(integrity_key, bind("data-key-count", store_id, reference, reserved))
