"""keys, slots, rekey: what opens the store, and what encrypts in it."""

from __future__ import annotations

import stat

from tests.cli.conftest import CANARY, Commands


def ids(ks: Commands, noun: str) -> list[str]:
    return [item["id"] for item in ks.good(noun, "list", "--json").document[noun]]


def test_rotation_makes_a_new_active_key_and_the_old_one_still_opens(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    sealed = ks.good("encrypt", input="y").out
    ks.good("keys", "rotate")
    states = [key["state"] for key in ks.good("keys", "list", "--json").document["keys"]]
    assert states == ["deactivated", "active"]
    assert ks.good("get", "A").text == "x"
    assert ks.good("decrypt", input=sealed).text == "y"


def test_destroying_a_key_names_what_is_lost_and_asks_for_the_id(ks: Commands) -> None:
    for number in range(12):
        ks.good("set", f"NAME_{number:02d}", input="x")
    sealed = ks.good("encrypt", input="y").out
    ks.good("keys", "rotate")
    old = ids(ks, "keys")[0]
    refused = ks("keys", "destroy", old)
    assert refused.code == 2
    assert "12 versions" in refused.err
    assert "NAME_00#1" in refused.err
    assert "and 2 more" in refused.err
    assert "earlier" in refused.err
    wrong = ks.terminal("keys", "destroy", old, answers=[("Type", "yes")])
    assert wrong.code == 2
    assert ks.good("get", "NAME_00").text == "x"
    right = ks.terminal("keys", "destroy", old, answers=[("Type", old)])
    assert right.code == 0
    assert "is destroyed" in right.screen
    assert ks("get", "NAME_00").code == 3
    assert ks("decrypt", input=sealed).code in (6, 7)


def test_the_active_key_is_not_destroyed(ks: Commands) -> None:
    refused = ks("keys", "destroy", ids(ks, "keys")[0], "--yes")
    assert refused.code == 6
    assert "keys rotate" in refused.err
    assert ks("keys", "destroy", "nowhere", "--yes").code == 3


def test_a_key_is_destroyed_by_scripts_with_yes(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    ks.good("keys", "rotate")
    document = ks.good("keys", "destroy", ids(ks, "keys")[0], "--yes", "--json").document
    assert document["state"] == "destroyed"
    assert document["lost"] == [{"name": "A", "version": 1}]


def test_a_new_master_key_takes_the_place_of_the_old_one(ks: Commands) -> None:
    ks.good("set", "A", input=CANARY)
    added = ks.good("slots", "add", "--key-file", "new.key")
    assert stat.S_IMODE((ks.folder / "new.key").stat().st_mode) == 0o600
    assert (ks.folder / "new.key").read_text().strip() not in added.err + added.text
    old = ids(ks, "slots")[0]
    refused = ks("slots", "remove", old)
    assert refused.code == 2
    shown = ks.terminal("slots", "remove", old[:9], answers=[("Type", old)])
    assert shown.code == 0
    assert ks("get", "A").code == 5
    new = {"KMS_MASTER_KEY_FILE": str(ks.folder / "new.key")}
    assert ks.good("get", "A", env=new).text == CANARY
    assert ks("slots", "remove", "nowhere", "--yes", env=new).code == 3
    last = ks(
        "slots", "remove", ks.good("slots", "list", "--json", env=new).document["slots"][0]["id"], "--yes", env=new
    )
    assert last.code == 6
    assert "last" in last.err


def test_without_a_kind_the_new_master_key_is_printed_once(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    name, _, key = ks.good("slots", "add").text.strip().partition("=")
    assert name == "KMS_MASTER_KEY"
    (ks.store / "master.key").unlink()
    assert ks.good("get", "A", env={name: key}).text == "x"


def test_a_kit_is_added_and_opens_the_store(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    ks.good("slots", "add", "--recovery-file", "kit.txt")
    assert ks("slots", "add", "--recovery-file", ".keystead/kit.txt").code == 2
    assert ks("slots", "add", "--recovery-file", "kit.txt").code == 6
    assert ks("slots", "add", "--recovery-file", "no/folder/kit").code == 2
    assert len(ids(ks, "slots")) == 2
    (ks.store / "master.key").unlink()
    ks.good("init", "--recover", "kit.txt")
    assert ks.good("get", "A").text == "x"


def test_a_passphrase_is_added_from_a_private_file_or_a_descriptor(ks: Commands) -> None:
    words = ks.folder / "words"
    words.write_text("correct horse battery staple\n")
    words.chmod(0o644)
    assert ks("slots", "add", "--passphrase-file", "words").code == 5
    words.chmod(0o600)
    ks.good("slots", "add", "--passphrase-file", "words", "--label", "the words")
    ks.good("slots", "add", "--passphrase-file", "-", input="another six words of mine\n")
    assert ks("slots", "add", "--passphrase-file", "words", "--key-file", "k").code == 2
    assert ks("slots", "add", "--passphrase-fd", "77").code == 1
    (ks.store / "master.key").unlink()
    assert ks("list").code == 5
    ks.good("list", env={"KMS_PASSPHRASE_FILE": str(words)})
    labels = [
        slot["label"]
        for slot in ks.good("slots", "list", "--json", env={"KMS_PASSPHRASE_FILE": str(words)}).document["slots"]
    ]
    assert labels == ["master key", "the words", "passphrase"]


def test_a_key_file_that_is_there_is_not_overwritten_and_no_slot_is_added(ks: Commands) -> None:
    (ks.folder / "mine").write_text("mine")
    assert ks("slots", "add", "--key-file", "mine").code == 6
    assert ks("slots", "add", "--key-file", "no/folder/key").code == 1
    assert (ks.folder / "mine").read_text() == "mine"
    assert len(ids(ks, "slots")) == 1


def test_rekey_opens_or_drops_every_slot(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    ks.good("slots", "add", "--key-file", "second.key", "--label", "second")
    ks.good("slots", "add", "--recovery-file", "kit.txt")
    first, second, third = ids(ks, "slots")
    refused = ks("rekey")
    assert refused.code == 2
    assert second in refused.err
    ks.good("rekey", "--master-key-file", f"{second}=second.key", "--recovery-kit", f"{third}=kit.txt")
    assert ids(ks, "slots") == [first, second, third]
    assert ks.good("get", "A").text == "x"
    assert ks.good("get", "A", env={"KMS_MASTER_KEY_FILE": str(ks.folder / "second.key")}).text == "x"
    ask = ks("rekey", "--drop", "second", "--drop", third)
    assert ask.code == 2
    ks.good("rekey", "--drop", "second", "--drop", third, "--yes")
    assert ids(ks, "slots") == [first]
    assert ks("get", "A", env={"KMS_MASTER_KEY_FILE": str(ks.folder / "second.key")}).code == 5
    assert ks.good("get", "A").text == "x"


def test_rekey_with_what_does_not_open_a_slot_changes_nothing(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    ks.good("slots", "add", "--key-file", "second.key")
    second = ids(ks, "slots")[1]
    (ks.folder / "wrong.key").write_text(ks.good("generate-master-key").text.partition("=")[2])
    (ks.folder / "wrong.key").chmod(0o600)
    assert ks("rekey", "--master-key-file", f"{second}=wrong.key").code in (5, 7)
    assert ks("rekey", "--master-key-file", f"{second}").code == 2
    assert ks("rekey", "--master-key-file", f"{second}=nowhere").code == 1
    assert ks("rekey", "--drop", "nowhere", "--yes").code == 3
    assert ks.good("get", "A", env={"KMS_MASTER_KEY_FILE": str(ks.folder / "second.key")}).text == "x"


def test_rekey_asks_for_the_passphrase_once(ks: Commands) -> None:
    words = ks.folder / "words"
    words.write_text("correct horse battery staple\n")
    words.chmod(0o600)
    ks.good("slots", "add", "--passphrase-file", "words")
    ks.good("slots", "remove", ids(ks, "slots")[0], "--yes")
    (ks.store / "master.key").unlink()
    shown = ks.terminal("rekey", answers=[("Passphrase of the store", "correct horse battery staple")])
    assert shown.code == 0
    assert shown.screen.count("Passphrase") == 1
