"""What other processes do is seen within one second, however the calls fall; a second node stands for a process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.services.conftest import BY_HAND, Open

from keystead.errors import SecretDeleted, SecretExpired, SessionEnded
from keystead.node.settings import Settings
from keystead.services.connection import Connection
from keystead.testing import ManualClock


def used_late_in_the_first_second(store: Connection, clock: ManualClock) -> None:
    """What was learned at 0 is used once more just before it is a second old, which must not stretch it."""
    blob, envelope = store.kms.encrypt(b"x"), store.kms.encrypt_data("x")
    clock.advance(1500)
    store.kms.get_status()
    clock.advance(990)
    for _ in range(2):
        store.secrets.get_secret("API_KEY")
        store.kms.decrypt(blob)
        store.kms.decrypt_data(envelope)
        store.kms.encrypt(b"x")
        store.kms.encrypt_data("x")


def test_a_rotation_elsewhere_is_seen_within_one_second(opened: Open, clock: ManualClock) -> None:
    store, other = opened(), opened()
    store.kms.store_secret("API_KEY", "old")
    used_late_in_the_first_second(store, clock)
    other.kms.rotate_secret("API_KEY", "new")
    clock.advance(1000)
    assert store.secrets.get_secret("API_KEY").reveal() == "new"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda other: other.kms.delete_secret("API_KEY"), SecretDeleted),
        (lambda other: other.kms.destroy_secret("API_KEY"), SecretDeleted),
    ],
    ids=["deletion", "destruction"],
)
def test_an_end_elsewhere_is_seen_within_one_second(
    opened: Open, clock: ManualClock, change: Callable[[Connection], None], error: type[Exception]
) -> None:
    store, other = opened(), opened()
    store.kms.store_secret("API_KEY", "old")
    used_late_in_the_first_second(store, clock)
    change(other)
    clock.advance(1000)
    with pytest.raises(error):
        store.secrets.get_secret("API_KEY")


def test_a_value_is_unreadable_from_the_millisecond_of_its_expiry_also_from_the_cache(
    store: Connection, clock: ManualClock
) -> None:
    store.kms.store_secret("API_KEY", "old", ttl="500ms")
    for _ in range(3):
        assert store.secrets.get_secret("API_KEY").reveal() == "old"
    clock.advance(499)
    assert store.secrets.get_secret("API_KEY").reveal() == "old"
    clock.advance(1)
    with pytest.raises(SecretExpired):
        store.secrets.get_secret("API_KEY")
    with pytest.raises(SecretExpired):
        store.kms.get_secret("API_KEY")


USES: dict[str, Callable[[Connection, bytes, object], object]] = {
    "cached read": lambda store, blob, envelope: store.secrets.get_secret("API_KEY"),
    "batch": lambda store, blob, envelope: store.secrets.get_secrets(["API_KEY"]),
    "read": lambda store, blob, envelope: store.kms.get_secret("API_KEY"),
    "encrypt": lambda store, blob, envelope: store.kms.encrypt(b"x"),
    "decrypt": lambda store, blob, envelope: store.kms.decrypt(blob),
    "encrypt_data": lambda store, blob, envelope: store.kms.encrypt_data("x"),
    "decrypt_data": lambda store, blob, envelope: store.kms.decrypt_data(envelope),  # type: ignore[call-overload]
    "store": lambda store, blob, envelope: store.kms.store_secret("OTHER", "x"),
    "list": lambda store, blob, envelope: store.kms.list_secrets(),
    "data keys": lambda store, blob, envelope: store.kms.list_data_keys().items,
    "slots": lambda store, blob, envelope: store.kms.slots.list(),
    "status": lambda store, blob, envelope: store.kms.get_status(),
}


@pytest.mark.parametrize("use", USES)
def test_after_a_revocation_elsewhere_nothing_works_within_one_second(
    opened: Open, clock: ManualClock, use: str
) -> None:
    store, other = opened(), opened()
    store.kms.store_secret("API_KEY", "old")
    blob, envelope = store.kms.encrypt(b"x"), store.kms.encrypt_data("x")
    used_late_in_the_first_second(store, clock)
    USES[use](store, blob, envelope)
    other.kms.revoke_session(store.kms.session_id)
    clock.advance(1000)
    with pytest.raises(SessionEnded):
        USES[use](store, blob, envelope)


def test_with_a_freshness_of_nothing_the_store_is_asked_each_time(opened: Open) -> None:
    settings = Settings(freshness_ms=0, sweep_interval_ms=BY_HAND.sweep_interval_ms)
    store, other = opened(settings=settings), opened()
    store.kms.store_secret("API_KEY", "old")
    for number in range(3):
        assert store.secrets.get_secret("API_KEY") == store.secrets.get_secret("API_KEY")
        other.kms.rotate_secret("API_KEY", f"new {number}")
        assert store.secrets.get_secret("API_KEY").reveal() == f"new {number}"
    store.kms.encrypt(b"x")
    other.kms.revoke_session(store.kms.session_id)
    with pytest.raises(SessionEnded):
        store.kms.encrypt(b"x")


def test_a_data_key_that_was_rotated_elsewhere_encrypts_nothing_more_after_one_second(
    opened: Open, clock: ManualClock
) -> None:
    store, other = opened(), opened()
    store.kms.store_secret("API_KEY", "old")
    used_late_in_the_first_second(store, clock)
    new = other.kms.rotate_data_key()
    clock.advance(1000)
    assert store.kms.encrypt_data("x")["keyId"] == new.id
    assert other.kms.decrypt(store.kms.encrypt(b"x")) == b"x"
