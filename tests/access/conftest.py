"""What the tests of identities share: stores on a clock that is set, with the cheapest Argon2id that is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead.access import passwords
from keystead.audit.reader import tail
from keystead.node.settings import Settings
from keystead.services.connection import Connection
from keystead.testing import ManualClock

DAY_MS = 86_400_000
CHEAP = Settings(
    sweep_interval_ms=100 * 365 * DAY_MS, password_iterations=2, password_lanes=1, password_memory_kib=19_456
)
PASSWORD = "correct horse battery"
KEY = keystead.generate_master_key()
Open = Callable[..., Connection]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def opened(path: Path, clock: ManualClock) -> Iterator[Open]:
    """Opens the store once more: another node, as in another process."""
    connections = []

    def open_(**how: Any) -> Connection:
        settings = replace(CHEAP, **how.pop("changes", {}))
        connections.append(keystead.connect(path, **{"master_key": KEY, "clock": clock, "settings": settings, **how}))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


@pytest.fixture
def store(opened: Open) -> Connection:
    return opened()


class Allowing:
    """A policy that allows what tokens with the policy `all` ask for, and else says what the store's own does."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def decide(self, session: Any, action: str, resource: str, facts: Any) -> Any:
        from keystead.access.policy import Decision

        if "all" in session.authentication.policies:
            return Decision(True, "a test", "test")
        return self._own.decide(session, action, resource, facts)


def allow(store: Connection) -> Connection:
    """Let whoever has the policy `all` do everything that its token may."""
    store.kms.node.gate._policy = Allowing(store.kms.node.policies)
    return store


@pytest.fixture
def free(store: Connection) -> Connection:
    return allow(store)


@pytest.fixture
def argon2(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """The cost of each Argon2id call from now on; nothing is derived, so that hundreds cost nothing."""
    calls: list[tuple[int, int, int]] = []

    def derive(passphrase: str, *, salt: bytes, parameters: Any) -> bytes:
        calls.append(tuple(parameters))
        return f"{passphrase}|{salt.hex()}".encode()

    monkeypatch.setattr(passwords, "derive_from_passphrase", derive)
    return calls


def records(store: Connection, event: str = "") -> list[Any]:
    """The records of the log, or those of one event."""
    found = [entry.record for entry in tail(store.kms.node.location.audit, 10_000)]
    return [record for record in found if not event or record.event == event]
