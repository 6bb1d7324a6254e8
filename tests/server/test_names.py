"""What is no name is told at a server as it is in process, and is sent nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.conftest import Server

from keystead.api.names import check_path_name
from keystead.api.operations import OPERATIONS
from keystead.errors import KeysteadError, UsageError
from keystead.services.connection import Connection

NAMES = (
    "", " ", "a b", "a//b", "/a", "a/", "../a", "a/../b", "a/./b", "A" * 600, "\u00e4", "a\x00b", "a\nb", "a:b", "a?b",
    "a%2Fb", "a%b", "*", ".", "..", "a;b", "\ud800", "a\\b", "a:encrypt",
    "never#previous", "never#3", "never#", "never#\ud800", "never",
)  # fmt: skip
CALLS: dict[str, Callable[[Any, str], Any]] = {
    "get_secret": lambda kms, name: kms.get_secret(name),
    "store_secret": lambda kms, name: kms.store_secret(name, "v", expected_version=9),
    "delete_secret": lambda kms, name: kms.delete_secret(name),
    "rotate_secret": lambda kms, name: kms.rotate_secret(name),
    "list_versions": lambda kms, name: kms.list_versions(name),
    "keys.read": lambda kms, name: kms.keys.read(name),
    "keys.rotate": lambda kms, name: kms.keys.rotate(name),
    "keys.encrypt": lambda kms, name: kms.keys.encrypt(name, b"x"),
    "keys.mac": lambda kms, name: kms.keys.mac(name, b"x"),
    "keys.derive": lambda kms, name: kms.keys.derive(name, b"x"),
    "keys.batch": lambda kms, name: kms.keys.batch("encrypt", name, [{"data": b"x"}]),
    "keys.remove_alias": lambda kms, name: kms.keys.remove_alias(name),
    "grants.get": lambda kms, name: kms.grants.get(name, "grt_" + "0" * 32),
    "destroy_data_key": lambda kms, name: kms.destroy_data_key(name),
    "revoke_session": lambda kms, name: kms.revoke_session(name),
    "slots.find": lambda kms, name: kms.slots.find(name),
    "lookup_accessor": lambda kms, name: kms.tokens.lookup_accessor(name),
    "read_user": lambda kms, name: kms.identities.read_user(name),
    "change_role": lambda kms, name: kms.identities.change_role(name, ttl="1h"),
    "create_secret_id": lambda kms, name: kms.identities.create_secret_id(name),
    "read_auth_method": lambda kms, name: kms.identities.read_auth_method(name),
    "policies.read": lambda kms, name: kms.policies.read(name),
    "policies.delete": lambda kms, name: kms.policies.delete(name),
}


def told(call: Callable[[], Any]) -> tuple[str, str]:
    """The class and the text of an error; the class of what is given."""
    try:
        return type(call()).__name__, ""
    except KeysteadError as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("method", CALLS)
def test_a_name_and_what_is_none_are_told_alike_in_process_and_at_a_server(
    server: Server, local: Connection, method: str
) -> None:
    call = CALLS[method]
    with server.connect() as remote:
        for name in NAMES:
            here, there = (told(lambda kms=kms, name=name: call(kms, name)) for kms in (local.kms, remote.kms))
            assert here == there, ascii(name)


def test_a_value_in_the_place_of_a_name_is_neither_repeated_nor_recorded(local: Connection) -> None:
    value = "not a name but what a key is used for"
    with pytest.raises(UsageError) as refused:
        local.kms.keys.encrypt(value, b"x")
    assert value not in str(refused.value)
    assert all(value not in item.record.target for item in local.kms.audit.tail(100))


@pytest.mark.parametrize("prefix", ["\ud800", "\u00e4"])
def test_a_query_that_has_no_utf8_form_is_refused_and_no_defect(server: Server, prefix: str) -> None:
    with server.connect() as remote, pytest.raises(UsageError):
        remote.kms.list_secrets(prefix)


def test_every_name_in_a_path_has_its_check() -> None:
    for operation in OPERATIONS:
        if "{" in operation.path and operation.method != "find":
            with pytest.raises(UsageError):
                check_path_name(operation.path.split("/")[1], operation.id, "a b")
