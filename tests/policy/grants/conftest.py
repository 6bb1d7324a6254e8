"""What the tests of grants share: a store with three keys, and services for whoever a test makes up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keystead.access.principal import make_principal
from keystead.access.session import Authentication, Session
from keystead.audit.reader import tail
from keystead.errors import Denied, KeyNotFound
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.kms import KMSService

ADA, EVE, BOB = "user:ada", "user:eve", "user:bob"
PROD = {"env": "prod"}
REFUSED = (Denied, KeyNotFound)
"""What a refused caller gets: who may know of nothing on a key is told that it is not there."""


def acting(store: Connection, principal: str, *policies: str) -> KMSService:
    """The service of a session of this principal with these policies."""
    node = store.kms.node
    kind, _, name = principal.partition(":")
    authentication = Authentication("password", policies)
    session = Session.start(make_principal(kind, name), node.clock.now_ms(), authentication)
    node.sessions[session.id] = session
    service = KMSService.on(node)
    service._bound, service._use = session, node.data_use(session, service.__dict__)
    return service


@pytest.fixture
def kms(store: Connection) -> KMSService:
    store.kms.keys.create("orders", tags={"env": "prod"})
    store.kms.keys.create("cards")
    store.kms.keys.create("signer", type="ed25519")
    return store.kms


@pytest.fixture
def grants(kms: KMSService) -> GrantOperations:
    return kms.grants


def records(store: Connection, event: str) -> list[Any]:
    found = [entry.record for entry in tail(store.kms.node.location.audit, 10_000)]
    return [record for record in found if record.event == event]


def edit(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM key_grants ORDER BY created_ms, grant_id").fetchall()
