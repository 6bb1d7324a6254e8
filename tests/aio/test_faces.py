"""The async services have the names, parameters and results of the sync ones."""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import cached_property
from typing import Any

import pytest

import keystead
from keystead import aio
from keystead.aio import named_keys as aio_named_keys
from keystead.services import (
    audit_operations,
    config_loader,
    connection,
    grant_operations,
    identity_operations,
    key_operations,
    kms,
    named_keys,
    policy_operations,
    secrets_manager,
)

FACES: list[tuple[type, type]] = [
    (kms.KMSService, aio.KMSService),
    (secrets_manager.SecretsManager, aio.SecretsManager),
    (config_loader.ConfigLoader, aio.ConfigLoader),
    (connection.Connection, aio.Connection),
    (key_operations.SlotOperations, aio.SlotOperations),
    (audit_operations.AuditOperations, aio.AuditOperations),
    (named_keys.NamedKeyOperations, aio_named_keys.NamedKeyOperations),
    (policy_operations.PolicyOperations, aio.PolicyOperations),
    (grant_operations.GrantOperations, aio.GrantOperations),
    (identity_operations.TokenOperations, aio.TokenOperations),
    (identity_operations.IdentityOperations, aio.IdentityOperations),
]
# An async SecretsManager fills an async ConfigLoader.
WIDER = {"SecretSource | None": "SecretSource | SecretsManager | None"}
# What is ready at once in any case: attributes, and objects that read nothing when they are made.
PLAIN = {"KMSService.on", "Connection.config_loader"}
GENERATORS = {"AuditOperations.follow"}


def public(face: type) -> set[str]:
    return {name for name in dir(face) if not name.startswith("_")}


def parameters(call: Any, wider: dict[str, str]) -> list[tuple[object, ...]]:
    return [
        (each.name, each.kind, each.default, wider.get(each.annotation, each.annotation))
        for each in inspect.signature(call).parameters.values()
    ]


@pytest.mark.parametrize(("sync", "face"), FACES, ids=[face.__name__ for _, face in FACES])
def test_both_have_the_same_names(sync: type, face: type) -> None:
    assert public(sync) == public(face)


METHODS = [(sync, face, name) for sync, face in FACES for name in sorted(public(sync))]


@pytest.mark.parametrize(
    ("sync", "face", "name"), METHODS, ids=[f"{face.__name__}.{name}" for _, face, name in METHODS]
)
def test_each_method_has_the_same_parameters_and_result(sync: type, face: type, name: str) -> None:
    one, other = inspect.getattr_static(sync, name), inspect.getattr_static(face, name)
    assert type(one) is type(other)
    if isinstance(one, property):
        assert one.fget.__annotations__ == other.fget.__annotations__  # type: ignore[union-attr]
        return
    if isinstance(one, cached_property):
        assert one.func.__annotations__ == other.func.__annotations__  # type: ignore[union-attr]
        return
    one, other = getattr(sync, name), getattr(face, name)
    assert parameters(one, WIDER) == parameters(other, {})
    result, called = inspect.signature(one).return_annotation, f"{face.__name__}.{name}"
    assert inspect.signature(other).return_annotation == (f"Async{result}" if called in GENERATORS else result)
    assert inspect.iscoroutinefunction(other) == (called not in PLAIN | GENERATORS)
    assert not inspect.iscoroutinefunction(one)


@pytest.mark.parametrize(("sync", "face"), FACES[:3], ids=[face.__name__ for _, face in FACES[:3]])
def test_both_are_made_with_the_same_arguments(sync: type, face: type) -> None:
    assert parameters(sync.__init__, {}) == parameters(face.__init__, {})  # type: ignore[misc]


def test_both_are_connected_with_the_same_arguments() -> None:
    assert parameters(keystead.connect, {}) == parameters(aio.connect, {})


def test_whoever_does_not_ask_for_it_does_not_load_asyncio() -> None:
    code = (
        "import sys, tempfile, keystead\n"
        "with keystead.connect(tempfile.mkdtemp() + '/a.db', master_key=keystead.generate_master_key()) as store:\n"
        "    store.kms.store_secret('A', 'x'); store.secrets.get_secret('A'); store.kms.encrypt(b'x')\n"
        "print('asyncio' in sys.modules, 'keystead.aio' in sys.modules)\n"
        "print(keystead.aio.connect is sys.modules['keystead.aio'].connect)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\nTrue\n"
