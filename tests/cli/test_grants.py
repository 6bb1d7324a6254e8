"""`keystead grant`: made, listed, shown, revoked and retired; what it prints for scripts; mistakes."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Commands


@pytest.fixture
def keyed(ks: Commands) -> Commands:
    ks.good("key", "create", "orders")
    return ks


def test_a_grant_is_made_listed_shown_explained_and_ended(keyed: Commands) -> None:
    made = keyed.good("grant", "create", "orders", "user:ada", "-o", "encrypt", "-o", "read", "--context-subset", "a=b")
    id_ = made.text.strip()
    assert made.err == "user:ada may encrypt, read with key orders\n"
    assert keyed.good("grant", "ls", "orders").text == f'{id_}\torders\tuser:ada\tencrypt, read\thas {{"a": "b"}}\t-\n'
    assert keyed.good("grant", "list", "--grantee", "user:eve").text == ""
    shown = keyed.good("grant", "show", "orders", id_).text
    assert [line.split()[0] for line in shown.splitlines()][:4] == ["grant", "key", "grantee", "may"]
    told = keyed.good("policy", "explain", "user:ada", "key:encrypt", "key/orders", "--context", "a=b").text
    assert told.splitlines()[0] == f"allowed: grant {id_} allows it"
    assert keyed.good("policy", "who-can", "key:encrypt", "key/orders").text == f"{id_}\tuser:ada\tcontext\n"
    assert keyed.good("grant", "revoke", "orders", id_).err == f"grant {id_} is revoked\n"
    for verb in ("show", "revoke", "retire"):
        assert keyed("grant", verb, "orders", id_).code == 3


def test_grants_as_json_have_their_schema(keyed: Commands) -> None:
    words = (
        "grant",
        "create",
        "orders",
        "user:ada",
        "-o",
        "decrypt",
        "--name",
        "app",
        "--retiring",
        "user:eve",
        "--json",
    )
    made = keyed.good(*words).document
    assert (made["schema"], made["operations"], made["retiring"]) == ("keystead.grant/1", ["decrypt"], "user:eve")
    assert keyed.good(*words).document["id"] == made["id"]
    listed = keyed.good("grant", "list", "--retiring", "user:eve", "--json").document
    assert (listed["schema"], [one["id"] for one in listed["grants"]]) == ("keystead.grants/1", [made["id"]])
    assert keyed.good("grant", "show", "orders", made["id"], "--json").document == made
    retired = keyed.good("grant", "retire", "orders", made["id"], "--json").document
    assert (retired["id"], retired["retired"]) == (made["id"], True)


@pytest.mark.parametrize(("words", "code"), [
    (("create", "orders", "user:ada"), 2), (("create", "orders", "ada", "-o", "encrypt"), 2),
    (("create", "orders", "user:ada", "-o", "sign"), 2), (("create", "nowhere", "user:ada", "-o", "encrypt"), 3),
    (("create", "orders", "user:ada", "-o", "read", "--context-equals", "a=b"), 2), (("list",), 2),
    (("list", "nowhere"), 3), (("show", "orders", "x"), 2), (("revoke", "orders", "grt_" + "0" * 32), 3),
])  # fmt: skip
def test_a_mistake_ends_with_its_code(keyed: Commands, words: tuple[str, ...], code: int) -> None:
    assert keyed("grant", *words).code == code
