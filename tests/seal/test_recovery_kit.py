"""A recovery kit is read back however it was typed, and never taken for another."""

from __future__ import annotations

import base64
import copy
import pickle
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto.material import KeyMaterial
from keystead.errors import MasterKeyInvalid
from keystead.seal.master_key import MasterKey, fingerprint
from keystead.seal.provider import make_slot
from keystead.seal.providers.recovery import RecoveryKit, parse_recovery_kit

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KEY = bytes(range(1, 33))


def kit(key: bytes = KEY) -> RecoveryKit:
    return RecoveryKit(KeyMaterial(key), store_id="store_a")


def document(key: bytes = KEY) -> str:
    return kit(key).document(slot_id="slot_0a0b0c0d", created_ms=1_700_000_000_000)


def read(text: str) -> bytes:
    return bytes(parse_recovery_kit(text).key.view())


def test_the_document_says_whose_it_is_and_what_to_do() -> None:
    text = document()
    for words in (
        "store_a",
        "slot_0a0b0c0d",
        "2023-11-14",
        "keystead init --recover",
        fingerprint(kit().key, kind="recovery"),
    ):
        assert words in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert text.isascii()


def test_the_document_fits_a_terminal_of_80_columns() -> None:
    assert max(len(line) for line in document().splitlines()) < 80


def test_the_document_and_its_lines_alone_give_the_same_kit() -> None:
    assert read(document()) == read("\n".join(kit().code())) == KEY
    assert parse_recovery_kit(document()).store_id == "store_a"
    assert parse_recovery_kit("\n".join(kit().code())).store_id == ""


def test_the_code_is_three_lines_of_six_groups_of_four() -> None:
    for line in kit().code():
        assert re.fullmatch(rf"([{ALPHABET}]{{4}}-){{5}}[{ALPHABET}]{{4}}", line)


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda text: text.replace("-", ""),
        lambda text: text.replace("-", " "),
        lambda text: text.replace("-", "\u2013").replace(" ", "\u00a0"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: " ".join(text.split()),
        lambda text: "\t" + text.replace("-", " - ") + "\n\n",
        lambda text: "\ufeff" + text,
        lambda text: text.replace("0", "O").replace("1", "I"),
        lambda text: text.replace("0", "o").replace("1", "l"),
        lambda text: text.replace("1", "L").replace("0", "O").lower(),
        lambda text: "".join(character + " " for character in text),
    ],
)
def test_a_kit_is_read_however_it_was_typed(typed: Callable[[str], str]) -> None:
    assert read(typed("\n".join(kit().code()))) == KEY


@pytest.mark.parametrize(
    "typed", [str.lower, str.upper, lambda text: text.replace("\n", "\r\n"), lambda text: "\u0130 " + text]
)
def test_the_whole_document_survives_a_word_processor(typed: Callable[[str], str]) -> None:
    assert read(typed(document())) == KEY


def test_every_single_wrong_character_is_found_and_its_line_named() -> None:
    code = "".join(kit().code()).replace("-", "")
    assert len(code) == 72
    tried = 0
    for place, right in enumerate(code):
        for wrong in ALPHABET:
            if wrong == right:
                continue
            tried += 1
            with pytest.raises(MasterKeyInvalid, match=f"typing mistake in line {place // 24 + 1} of 3"):
                read(code[:place] + wrong + code[place + 1 :])
    assert tried == 72 * 31


def test_a_character_too_few_or_too_many_or_of_no_kit_is_refused() -> None:
    code = "".join(kit().code()).replace("-", "")
    for place in range(72):
        with pytest.raises(MasterKeyInvalid, match="found 71 characters, needed 72"):
            read(code[:place] + code[place + 1 :])
        with pytest.raises(MasterKeyInvalid, match="found 73"):
            read(code[:place] + "7" + code[place:])
        for odd in "Uu*_.=\u0410\uff11\x00":
            with pytest.raises(MasterKeyInvalid, match=f"line {place // 24 + 1}, group {place % 24 // 4 + 1} "):
                read(code[:place] + odd + code[place + 1 :])


def test_neighbours_and_lines_that_changed_places_are_found() -> None:
    first, second, third = kit().code()
    with pytest.raises(MasterKeyInvalid, match="line 1 and in line 2 of 3"):
        read("\n".join((second, first, third)))
    code = "".join((first, second, third)).replace("-", "")
    swapped = [code[:i] + code[i + 1] + code[i] + code[i + 2 :] for i in range(71) if code[i] != code[i + 1]]
    for text in swapped:
        with pytest.raises(MasterKeyInvalid):
            read(text)
    assert len(swapped) > 50


def test_a_cut_document_and_a_huge_one_are_refused() -> None:
    with pytest.raises(MasterKeyInvalid, match="ends the recovery key"):
        read(document().split("=== end")[0])
    with pytest.raises(MasterKeyInvalid, match="16384"):
        read(document() + " " * 20_000)


def test_a_kit_of_a_later_version_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    import keystead.seal.providers.recovery as module

    with monkeypatch.context() as patch:
        patch.setattr(module, "_VERSION", b"\x02")
        later = "\n".join(kit().code())
    with pytest.raises(MasterKeyInvalid, match="later version"):
        read(later)


def test_no_kit_holds_the_master_key(root: KeyMaterial, master_key: MasterKey, store_id: str) -> None:
    made = RecoveryKit.generate(store_id=store_id)
    make_slot(root, master_key, store_id=store_id, label="mine", now_ms=1)
    slot = make_slot(root, made, store_id=store_id, label="kit", now_ms=1)
    text = made.document(slot_id=slot.id, created_ms=1)
    for key in (master_key, root):
        assert read(text) != bytes(key.view())
        assert base64.b64encode(key.view()).decode() not in text
        assert key.view().hex() not in text.lower()


def test_two_kits_differ() -> None:
    assert len({bytes(RecoveryKit.generate(store_id="store_a").key.view()) for _ in range(50)}) == 50


def test_a_kit_prints_no_key_and_is_not_pickled_or_copied() -> None:
    made = kit()
    assert repr(made) == str(made) == "<recovery kit of store store_a>"
    assert repr(parse_recovery_kit("\n".join(made.code()))) == "<recovery kit of store unknown>"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(made)
    made.forget()
    assert made.key.forgotten


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32), st.data())
def test_any_key_survives_paper(key: bytes, seed: int, data: st.DataObject) -> None:
    text = "".join(kit(key).code())
    fillers = st.sampled_from(["", " ", "-", "\n", " - ", "\u2014"])
    confusions = {"0": "0oO", "1": "1iIlL"}
    typed = "".join(
        data.draw(st.sampled_from(confusions.get(c, c + c.lower()))) + data.draw(fillers) for c in text[:40]
    )
    assert read(typed + text[40:]) == key


OWN_WORDS = "recovery characters"  # of the refusals, long ones; texts are drawn from the package's own source too


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.text(ALPHABET + "OIL- \n", min_size=70, max_size=90))
def test_nothing_else_is_taken_for_a_kit(text: str) -> None:
    with pytest.raises(MasterKeyInvalid) as caught:
        parse_recovery_kit(text)
    told, windows = str(caught.value), {text[i : i + 8] for i in range(len(text) - 7)}
    assert not [window for window in windows if window.isalnum() and window in told and window not in OWN_WORDS]


def test_a_mistyped_kit_is_never_repeated(tells_nothing_of: Callable[[BaseException, str], None]) -> None:
    code = "\n".join(kit().code())
    for typed in (code[:-1], code[:-1] + "U", code[:-1] + ("0" if code[-1] != "0" else "2"), code * 2):
        with pytest.raises(MasterKeyInvalid) as caught:
            parse_recovery_kit(typed)
        tells_nothing_of(caught.value, typed)
