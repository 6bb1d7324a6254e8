"""What the tests of policies share: a store, and services for whoever a test makes up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.services.conftest import clock, events, key, kms, opened, path, store  # noqa: F401 - fixtures

from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.services.secrets_manager import SecretsManager

Act = Callable[..., Connection]


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy of these statements; what they leave out is an allow of all on all."""
    blank = {"effect": "allow", "actions": ["*"], "resources": ["**"]}
    return {
        "version": 1,
        "statements": [{"id": f"s{number}", **blank, **one} for number, one in enumerate(statements, 1)],
    }


def allow(*resources: str, actions: tuple[str, ...] = ("*",), **conditions: Any) -> dict[str, Any]:
    """A statement that allows."""
    made = {"effect": "allow", "actions": list(actions), "resources": list(resources or ("**",))}
    return made | ({"conditions": conditions} if conditions else {})


def deny(*resources: str, actions: tuple[str, ...] = ("*",), **conditions: Any) -> dict[str, Any]:
    """A statement that denies."""
    return allow(*resources, actions=actions, **conditions) | {"effect": "deny"}


def service_of(store: Connection, *policies: str, kind: str = "user", **how: Any) -> Connection:  # noqa: F811
    """The services on an open store for a session of somebody who has these policies."""
    node = store.kms.node
    authentication = Authentication(how.pop("method", "password"), policies, **how)
    session = Session.start(Principal(kind, "ada"), node.clock.now_ms(), authentication)
    node.sessions[session.id] = session
    service = KMSService.on(node)
    service._bound = session
    service._use = node.data_use(session, service.__dict__)
    made = Connection(service)
    made.secrets = SecretsManager(service)
    return made


@pytest.fixture
def act(store: Connection) -> Act:  # noqa: F811
    """Services for whoever has these policies."""

    def acting(*policies: str, **how: Any) -> Connection:
        return service_of(store, *policies, **how)

    return acting
