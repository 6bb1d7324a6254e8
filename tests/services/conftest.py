"""What the tests of the services share: one store file a test, opened as often as wanted, on a clock that is set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead.node.settings import Settings
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

DAY_MS = 86_400_000
# A sweep that only a test asks for.
BY_HAND = Settings(sweep_interval_ms=100 * 365 * DAY_MS)
Open = Callable[..., Connection]


@pytest.fixture(scope="session")
def key() -> str:
    return keystead.generate_master_key()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def opened(path: Path, key: str, clock: ManualClock) -> Iterator[Open]:
    """Opens the store once more: another node, as in another process."""
    connections = []

    def open_(**how: Any) -> Connection:
        how = {"master_key": key, "clock": clock, "settings": BY_HAND, **how}
        connections.append(keystead.connect(path, **how))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


@pytest.fixture
def store(opened: Open) -> Connection:
    return opened()


@pytest.fixture
def kms(store: Connection) -> KMSService:
    return store.kms


@pytest.fixture
def events(kms: KMSService) -> list[tuple[str, str, str]]:
    """Each record of this node from now on: event, target, outcome."""
    return recorded(kms)


def recorded(kms: KMSService) -> list[tuple[str, str, str]]:
    """A list that grows with each record of the node."""
    from keystead.audit.record import Event

    seen: list[tuple[str, str, str]] = []
    kms.on_event(list(Event), lambda facts: seen.append((facts["event"], facts["target"], facts["outcome"])))
    return seen


def within(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Whether a condition comes true before a generous time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
