"""A passphrase slot costs what Argon2id costs, and its cost cannot be lowered or raised by who writes the store."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from collections.abc import Callable

import pytest

from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters
from keystead.crypto.material import KeyMaterial
from keystead.errors import DecryptionError, IntegrityError, MasterKeyInvalid, UsageError, WrongMasterKey
from keystead.seal.provider import Slot, make_slot, open_slot, root_check
from keystead.seal.providers import passphrase as passphrase_module
from keystead.seal.providers.passphrase import Passphrase, PassphraseProvider, require_strength
from keystead.seal.slots import open_any

TEXT = "correct horse battery staple"
CHEAP = Argon2Parameters(iterations=2, lanes=1, memory_kib=19_456)
GOOD: dict[str, str | int] = {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "iterations": 3, "lanes": 4, "memory_kib": 65_536}


def with_salt(passphrase: Passphrase) -> PassphraseProvider:
    return PassphraseProvider(passphrase, salt=bytes(16), parameters=CHEAP)


def test_a_new_slot_takes_the_parameters_of_rfc_9106(root: KeyMaterial, store_id: str) -> None:
    first = make_slot(root, Passphrase(TEXT), store_id=store_id, label="mine", now_ms=1)
    second = make_slot(root, Passphrase(TEXT), store_id=store_id, label="mine", now_ms=1)
    assert {name: first.metadata[name] for name in ("iterations", "lanes", "memory_kib")} == {
        "iterations": 3,
        "lanes": 4,
        "memory_kib": 65_536,
    }
    assert Argon2Parameters(iterations=3, lanes=4, memory_kib=65_536) == RFC_9106_LOW_MEMORY
    assert first.metadata["salt"] != second.metadata["salt"]


@pytest.mark.parametrize(
    "edit",
    [
        {"iterations": 1},
        {"iterations": 0},
        {"iterations": -3},
        {"iterations": 17},
        {"lanes": 0},
        {"lanes": 17},
        {"memory_kib": 8},
        {"memory_kib": 19_455},
        {"memory_kib": 1_048_577},
        {"memory_kib": 64 * 1024 * 1024},
        {"memory_kib": 2**63},
        {"iterations": "3"},
        {"iterations": True},
        {"salt": "AAAA"},
        {"salt": ""},
        {"more": 1},
    ],
)
def test_a_cost_that_was_edited_is_refused_before_memory_is_taken(
    edit: dict[str, str | int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(passphrase_module, "derive_from_passphrase", lambda *a, **k: calls.append(a))
    slot = Slot("slot_00000001", "passphrase", "mine", 1, {**GOOD, **edit}, bytes(61))
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="metadata"):
        open_slot(slot, Passphrase(TEXT), store_id="store_a", root_check=bytes(32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert calls == []
    assert peak < 1_000_000


def test_a_cost_lowered_within_bounds_is_found_by_the_wrapping(root: KeyMaterial, store_id: str) -> None:
    slot = make_slot(root, Passphrase(TEXT), store_id=store_id, label="mine", now_ms=1)
    lowered = Slot(slot.id, slot.kind, slot.label, 1, {**slot.metadata, "iterations": 2}, slot.wrapped)
    with pytest.raises(DecryptionError):
        open_slot(lowered, Passphrase(TEXT), store_id=store_id, root_check=root_check(root))


def test_composed_and_decomposed_letters_are_one_passphrase() -> None:
    wrapped = with_salt(Passphrase("caf\u00e9 noir au lait")).wrap(KeyMaterial(bytes(range(32))), b"")
    opened = with_salt(Passphrase("cafe\u0301 noir au lait")).unwrap(wrapped, b"")
    assert bytes(opened.view()) == bytes(range(32))


@pytest.mark.parametrize("other", [TEXT + " ", " " + TEXT, TEXT + "\n", TEXT.upper(), TEXT[:-1]])
def test_nothing_is_trimmed_or_folded(other: str) -> None:
    wrapped = with_salt(Passphrase(TEXT)).wrap(KeyMaterial.generate(), b"")
    with pytest.raises(DecryptionError):
        with_salt(Passphrase(other)).unwrap(wrapped, b"")


@pytest.mark.parametrize("weak", ["elevenchars", "aaaaaaaaaaaaaaaa", "ababababababab", "e\u0301" * 6, "ﬁ" * 3])
def test_a_new_slot_refuses_a_weak_passphrase(
    weak: str, root: KeyMaterial, store_id: str, tells_nothing_of: Callable[[BaseException, str], None]
) -> None:
    with pytest.raises(UsageError, match="12 characters") as caught:
        make_slot(root, Passphrase(weak), store_id=store_id, label="mine", now_ms=1)
    tells_nothing_of(caught.value, weak)


def test_an_old_slot_is_opened_by_a_passphrase_that_is_too_weak_for_a_new_one(root: KeyMaterial) -> None:
    wrapped = with_salt(Passphrase("short")).wrap(root, b"")
    provider = PassphraseProvider.of_slot(Passphrase("short"), with_salt(Passphrase("short")).metadata())
    assert provider.unwrap(wrapped, b"").view() == root.view()


def test_a_provider_is_not_made_with_a_cost_out_of_bounds() -> None:
    with pytest.raises(ValueError, match="memory"):
        PassphraseProvider.create(Passphrase(TEXT), parameters=Argon2Parameters(memory_kib=8))


@pytest.mark.parametrize("text", ["", "x" * 1025, "\udcff not unicode at all"])
def test_what_is_no_passphrase_is_refused_with_its_source(text: str) -> None:
    with pytest.raises(MasterKeyInvalid, match="from the prompt"):
        Passphrase(text, source="the prompt")


def test_a_passphrase_prints_nothing_and_is_not_pickled_or_copied() -> None:
    passphrase = Passphrase(TEXT)
    assert repr(passphrase) == str(passphrase) == f"{passphrase}" == "<passphrase>"
    assert passphrase.reveal() == TEXT
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(passphrase)
    require_strength(passphrase)


def test_a_wrong_passphrase_is_told_without_being_repeated(
    root: KeyMaterial, store_id: str, tells_nothing_of: Callable[[BaseException, str], None]
) -> None:
    slot = make_slot(root, Passphrase(TEXT), store_id=store_id, label="mine", now_ms=1)
    with pytest.raises(WrongMasterKey, match=slot.id) as caught:
        open_any([slot], Passphrase("incorrect mule battery"), store_id=store_id, root_check=root_check(root))
    tells_nothing_of(caught.value, "incorrect mule battery")
