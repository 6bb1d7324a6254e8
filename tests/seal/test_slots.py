"""Any slot opens the store, a wrong credential is told before anything is written, and one slot always stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto.material import KeyMaterial
from keystead.errors import IntegrityError, KeyStateError, SlotNotFound, UsageError, WrongMasterKey
from keystead.seal.credential import Credential
from keystead.seal.master_key import MasterKey, fingerprint
from keystead.seal.provider import Slot, make_slot, open_slot, root_check
from keystead.seal.providers.passphrase import Passphrase
from keystead.seal.providers.recovery import RecoveryKit
from keystead.seal.slots import MAX_SLOTS, add_slot, describe_slots, find_slot, free_label, open_any, remove_slot

Make = Callable[..., Slot]


@pytest.fixture
def make(root: KeyMaterial, store_id: str) -> Make:
    def made(credential: Credential, label: str = "mine", *, now_ms: int = 1) -> Slot:
        return make_slot(root, credential, store_id=store_id, label=label, now_ms=now_ms)

    return made


def plain(number: int, *, label: str = "") -> Slot:
    """A slot for the rules that look at names only."""
    return Slot(f"slot_{number:08x}", "theirs", label or f"label {number}", number, {}, b"")


def test_any_slot_opens_the_store(make: Make, root: KeyMaterial, master_key: MasterKey, store_id: str) -> None:
    kit, passphrase = RecoveryKit.generate(store_id=store_id), Passphrase("correct horse battery")
    slots = [make(master_key, "key"), make(kit, "kit"), make(passphrase, "words")]
    credentials: tuple[Credential, ...] = (master_key, kit, passphrase)
    for credential, slot in zip(credentials, slots, strict=True):
        opened = open_any(slots, credential, store_id=store_id, root_check=root_check(root))
        assert opened.slot is slot
        assert opened.root.view() == root.view()


def test_a_wrong_key_is_refused_by_naming_both_fingerprints(
    make: Make, root: KeyMaterial, master_key: MasterKey, other_key: MasterKey, store_id: str
) -> None:
    with pytest.raises(WrongMasterKey) as caught:
        open_any([make(master_key)], other_key, store_id=store_id, root_check=root_check(root))
    told = str(caught.value)
    for words in (fingerprint(other_key), fingerprint(master_key), store_id, "nothing was written"):
        assert words in told


def test_a_kit_of_another_store_is_told_by_its_name(
    make: Make, root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    kit = RecoveryKit.generate(store_id="store_elsewhere")
    with pytest.raises(WrongMasterKey, match="the kit names store store_elsewhere") as caught:
        open_any([make(master_key)], kit, store_id=store_id, root_check=root_check(root))
    assert "no slot of that kind; it has master-key" in str(caught.value)


def test_a_slot_whose_fingerprint_fits_and_that_does_not_open_was_changed(
    make: Make, root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    slot = make(master_key)
    broken = replace(slot, label="another")
    with pytest.raises(IntegrityError, match="changed"):
        open_any([broken], master_key, store_id=store_id, root_check=root_check(root))
    assert open_any([broken, slot], master_key, store_id=store_id, root_check=root_check(root)).slot is slot


def test_a_broken_slot_does_not_keep_another_from_opening(
    make: Make, root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    check = root_check(root)
    good = make(master_key)
    other_root = make_slot(KeyMaterial.generate(), master_key, store_id=store_id, label="old", now_ms=1)
    broken = replace(good, id="slot_ffffffff", metadata={"fingerprint": fingerprint(master_key)})
    assert open_any([broken, other_root, good], master_key, store_id=store_id, root_check=check).slot is good
    with pytest.raises(IntegrityError, match="metadata"):
        open_any([broken, other_root], master_key, store_id=store_id, root_check=check)


def test_a_store_without_slots_opens_by_nothing(root: KeyMaterial, master_key: MasterKey, store_id: str) -> None:
    with pytest.raises(WrongMasterKey, match="none at all"):
        open_any([], master_key, store_id=store_id, root_check=root_check(root))


def test_more_slots_than_keystead_writes_are_refused_and_not_tried(
    root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    many = [plain(number) for number in range(MAX_SLOTS + 1)]
    with pytest.raises(IntegrityError, match="17 key slots"):
        open_any(many, master_key, store_id=store_id, root_check=root_check(root))


def test_changing_the_master_key_is_adding_and_removing(
    make: Make, root: KeyMaterial, master_key: MasterKey, other_key: MasterKey, store_id: str
) -> None:
    old, new = make(master_key, "old"), make(other_key, "new")
    slots, gone = remove_slot(add_slot([old], new), "old")
    assert (slots, gone) == ((new,), old)
    assert open_any(slots, other_key, store_id=store_id, root_check=root_check(root)).slot is new
    with pytest.raises(WrongMasterKey):
        open_any(slots, master_key, store_id=store_id, root_check=root_check(root))


def test_the_last_slot_cannot_be_removed() -> None:
    with pytest.raises(KeyStateError, match="last one") as caught:
        remove_slot([plain(1)], "slot_00000001")
    assert "keystead slots add" in caught.value.hint


def test_the_same_credential_does_not_get_two_slots(make: Make, master_key: MasterKey, store_id: str) -> None:
    kit = RecoveryKit.generate(store_id=store_id)
    slots = (make(master_key, "one"), make(kit, "kit"))
    for credential in (master_key, kit):
        with pytest.raises(KeyStateError, match="same"):
            add_slot(slots, make(credential, "two"))


def test_a_label_or_an_id_is_not_given_twice_and_slots_are_bounded() -> None:
    with pytest.raises(KeyStateError, match="label"):
        add_slot([plain(1)], plain(2, label="label 1"))
    with pytest.raises(KeyStateError):
        add_slot([plain(1)], plain(1, label="other"))
    full = [plain(number) for number in range(MAX_SLOTS)]
    with pytest.raises(KeyStateError, match=str(MAX_SLOTS)):
        add_slot(full, plain(99))


def test_a_slot_is_named_by_id_beginning_or_label() -> None:
    slots = [replace(plain(1), id="slot_abcd0001"), replace(plain(2), id="slot_abce0002", label="laptop")]
    for which in ("slot_abcd0001", "abcd0001", "abcd", "slot_abcd", "label 1"):
        assert find_slot(slots, which) is slots[0]
    assert find_slot(slots, "laptop") is slots[1]
    with pytest.raises(UsageError, match="slot_abcd0001, slot_abce0002"):
        find_slot(slots, "abc")
    for which in ("", "slot_", "LAPTOP", "abcd00011", "f"):
        with pytest.raises(SlotNotFound):
            find_slot(slots, which)


def test_a_label_counts_before_the_beginning_of_an_id() -> None:
    slots = [replace(plain(1), id="slot_abcd0001"), plain(2, label="abcd")]
    assert find_slot(slots, "abcd") is slots[1]


def test_a_free_label_counts_on() -> None:
    slots = [plain(1, label="key"), plain(2, label="key-2")]
    assert free_label(slots, "key") == "key-3"
    assert free_label(slots, "other") == "other"


def test_slots_are_listed_oldest_first_with_what_names_them(make: Make, master_key: MasterKey) -> None:
    young, old = make(master_key, "young", now_ms=9), make(Passphrase("correct horse battery"), "old", now_ms=3)
    first, second = describe_slots([young, old])
    assert (first.id, first.kind, first.label, first.created_ms, first.fingerprint) == (
        old.id,
        "passphrase",
        "old",
        3,
        "",
    )
    assert (second.id, second.fingerprint) == (young.id, fingerprint(master_key))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=MAX_SLOTS, unique=True), st.text(max_size=12))
def test_removing_takes_exactly_one_or_raises(numbers: list[int], which: str) -> None:
    slots = [plain(number) for number in numbers]
    for name in (which, slots[0].id, slots[-1].id[5:9]):
        try:
            left, gone = remove_slot(slots, name)
        except (SlotNotFound, UsageError, KeyStateError):
            continue
        assert len(left) == len(slots) - 1 >= 1
        assert gone not in left
        assert {slot.id for slot in (*left, gone)} == {slot.id for slot in slots}


@pytest.mark.parametrize("mere", ["canary horse battery staple", b"canary" * 6])
def test_the_mere_text_or_bytes_of_a_credential_are_refused_with_what_to_make_of_them(
    mere: Any, make: Make, master_key: MasterKey, root: KeyMaterial, store_id: str
) -> None:
    slot, check = make(master_key), root_check(root)
    for attempt in (
        lambda: make(mere),
        lambda: open_any([slot], mere, store_id=store_id, root_check=check),
        lambda: open_slot(slot, mere, store_id=store_id, root_check=check),
    ):
        with pytest.raises(UsageError, match="Passphrase") as caught:
            attempt()
        assert "canary" not in str(caught.value)
