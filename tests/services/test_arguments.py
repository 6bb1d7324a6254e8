"""Arguments of the wrong kind, or that contradict each other, are usage errors that say so, and nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead.errors import UsageError
from keystead.services.connection import Connection

Call = Callable[[Connection], Any]

CALLS: dict[str, Call] = {
    "a grace that a compromised value has not": lambda s: s.kms.rotate_secret("A", "y", compromised=True, grace="1h"),
    "a label that is none, behind a default": lambda s: s.secrets.get_secret("NOWHERE", None, label="newest"),
    "a label that is no text": lambda s: s.secrets.get_secret("A", label=["previous"]),
    "a version that is none, behind a default": lambda s: s.secrets.get_secret("NOWHERE", None, version=0),
    "version and label, behind a default": lambda s: s.secrets.get_secret("NOWHERE", None, version=1, label="current"),
    "digits of another script": lambda s: s.kms.store_secret("A", "y", ttl="１d"),
    "one text in the place of names to import": lambda s: s.secrets.initialize(env={}, names="JWT_SECRET"),
    "a name to import that is none": lambda s: s.secrets.initialize(env={}, names=[3]),
    "a prefix to import that is none": lambda s: s.secrets.initialize(env={}, prefix=3),
    "one text in the place of names to read": lambda s: s.secrets.get_secrets("A"),
    "a prefix that is a number": lambda s: s.kms.list_secrets(prefix=3),
    "a prefix that no name has": lambda s: s.kms.list_secrets(prefix="\udc80"),
    "tags that are a list": lambda s: s.kms.list_secrets(tags=["a"]),
    "a tag that is no text": lambda s: s.kms.list_secrets(tags={"a": object()}),
    "expired that is no answer": lambda s: s.kms.list_secrets(expired="no"),
    "a data key's id that is a number": lambda s: s.kms.destroy_data_key(3),
    "a data key's id that no key has": lambda s: s.kms.destroy_data_key("\udc80"),
    "the id of what a destruction affects": lambda s: s.kms.affected_by_destroying(3),
    "a slot that is a number": lambda s: s.kms.slots.find(3),
    "a slot's credential that is text": lambda s: s.kms.slots.add(keystead.generate_master_key(), label="x"),
    "one text in the place of slots to drop": lambda s: s.kms.rekey(drop=s.kms.slots.list().items[0].id),
    "a rekeying credential that is text": lambda s: s.kms.rekey({s.kms.slots.list().items[0].id: "x"}),
    "a callback that cannot be called": lambda s: s.kms.on_event("secret_stored", None),
    "a key's name that is a list": lambda s: s.kms.keys.encrypt(["k"], b"x"),
    "a key's name that is bytes": lambda s: s.kms.keys.decrypt(bytearray(b"k"), b"x"),
    "a key's name that is a mapping": lambda s: s.kms.keys.sign({}, b"x"),
    "a key's name that is a set": lambda s: s.kms.keys.verify(set(), b"x", b"y"),
    "a key's name that is a view": lambda s: s.kms.keys.mac(memoryview(b"kk").cast("H"), b"x"),
    "a key's name that is a list, to verify by": lambda s: s.kms.keys.verify_mac([], b"x", b"y"),
    "a key's name that is a list, to derive by": lambda s: s.kms.keys.derive([], "context"),
    "a wrapping key's name that is a list": lambda s: s.kms.keys.import_key("k", b"x", wrapping_key=[]),
    "events that are a number": lambda s: s.kms.on_event(3, print),
}


@pytest.mark.parametrize("what", CALLS)
def test_it_is_a_usage_error_that_says_what_is_wrong(store: Connection, what: str) -> None:
    store.kms.store_secret("A", "x")
    before = store.kms.get_status()
    with pytest.raises(UsageError) as refused:
        CALLS[what](store)
    assert refused.value.message
    after = store.kms.get_status()
    assert (after.secrets_count, after.data_keys_count, after.slots) == (1, 1, before.slots)
    assert store.kms.get_secret("A").version == 1


def test_names_to_read_may_be_any_iterable(store: Connection) -> None:
    store.kms.store_secrets({"A": "a", "B": "b"})
    for names in (iter(["B", "A"]), {"B": 0, "A": 1}.keys(), ("B", "A")):
        assert list(store.secrets.get_secrets(names)) == ["B", "A"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        3,
        b"app.db",
        "a\0b.db",
        "sqlite:///",
        "sqlite:",
        ":memory:",
        "sqlite:///:memory:",
        "sqlite:///app.db?mode=ro",
        "localhost:7780",
        "10.0.0.7:7780/",
        "HTTP://127.0.0.1:7780",
    ],
)
def test_a_url_that_names_no_file_is_refused_and_nothing_is_made(
    url: Any, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="url"):
        keystead.connect(url, master_key=key)
    assert list(tmp_path.iterdir()) == []


def test_a_question_mark_that_belongs_to_the_path_is_escaped_in_a_url(tmp_path: Path, key: str) -> None:
    with keystead.connect(f"sqlite:///{tmp_path}/what%3F.db", master_key=key):
        assert (tmp_path / "what?.db").is_file()


@pytest.mark.parametrize("given", [3, bytes(range(32)), b"x", object()], ids=["int", "bytes", "short", "object"])
def test_a_master_key_of_another_kind_is_a_usage_error_that_does_not_show_it(given: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="master key") as refused:
        keystead.connect(tmp_path / "app.db", master_key=given)
    assert repr(given) not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
