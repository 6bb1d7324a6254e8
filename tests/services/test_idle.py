"""A process in which nobody calls: it sweeps all the same, and keeps nothing that another process took away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.conftest import BY_HAND, Open, recorded, within

import keystead
from keystead.clock import SystemClock
from keystead.node.settings import Settings
from keystead.services.connection import Connection


@pytest.fixture
def idle(opened: Open) -> Connection:
    """Another node on the machine's own clock, that reads what there is and is then left alone."""
    with opened(clock=SystemClock()) as first:
        first.kms.store_secret("API_KEY", "the value")
    other = opened(clock=SystemClock())
    assert other.secrets.get_secret("API_KEY").reveal() == "the value"
    assert other.secrets.get_secret("API_KEY").reveal() == "the value"
    return other


@pytest.fixture
def busy(opened: Open, idle: Connection) -> Iterator[Connection]:
    with opened(clock=SystemClock()) as store:
        yield store


def test_an_idle_process_drops_a_data_key_and_values_that_another_destroyed(busy: Connection, idle: Connection) -> None:
    """Section 3: every process drops a destroyed key within one second, also one that has nothing to do."""
    former = busy.kms.list_data_keys().items[0].id
    material = idle.kms.node.ring._materials[former]
    busy.kms.rotate_data_key()
    busy.kms.destroy_data_key(former)
    assert within(lambda: material.forgotten, 10)
    assert within(lambda: idle.kms.node.cache.size() == (0, 0), 10)
    assert within(lambda: not idle.secrets._hot, 10)


def test_an_idle_process_ends_its_revoked_session(busy: Connection, idle: Connection) -> None:
    busy.kms.revoke_session(idle.kms.session_id)
    assert within(lambda: idle.kms._session.ended, 10)


def test_an_idle_process_records_what_expired_on_a_timer(path: Path, key: str) -> None:
    settings = Settings(sweep_interval_ms=1_000)
    with keystead.connect(path, master_key=key, settings=settings) as store:
        events = recorded(store.kms)
        store.kms.store_secret("API_KEY", "x", ttl="7s")
        assert within(lambda: ("secret_expired", "secret/API_KEY", "success") in events, 20)


def test_an_idle_process_leaves_no_records_while_its_store_is_away(path: Path, key: str) -> None:
    with keystead.connect(path, master_key=key, settings=BY_HAND) as store:
        events = recorded(store.kms)
        path.rename(path.with_name("aside.db"))
        assert not within(lambda: events, 3)
        path.with_name("aside.db").rename(path)
        store.kms.store_secret("API_KEY", "x")
