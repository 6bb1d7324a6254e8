"""The keyring hands out whole keys or none, holds no more than it may, and forgets for good."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from keystead.crypto.material import KeyMaterial
from keystead.errors import Sealed
from keystead.seal.keyring import Keyring


@pytest.fixture
def keyring(root: KeyMaterial) -> Keyring:
    opened = Keyring(limit=3)
    opened.put_root(KeyMaterial(root.view()))
    return opened


def test_a_new_keyring_is_sealed() -> None:
    keyring = Keyring()
    assert keyring.sealed
    with pytest.raises(Sealed):
        keyring.root()
    with pytest.raises(Sealed):
        keyring.data_key("default-1")
    with pytest.raises(Sealed), keyring.holding_root():
        pass


def test_what_was_put_in_comes_out(keyring: Keyring, root: KeyMaterial) -> None:
    key = KeyMaterial.generate()
    assert keyring.add("default-1", KeyMaterial(key.view()))
    held = keyring.data_key("default-1")
    assert held is not None
    assert held.view() == key.view()
    assert keyring.root().view() == root.view()
    assert keyring.data_key("default-2") is None
    assert "default-1" in keyring
    assert len(keyring) == 1


def test_a_copy_outlives_what_the_keyring_overwrites(keyring: Keyring) -> None:
    key = KeyMaterial.generate()
    keyring.add("default-1", KeyMaterial(key.view()))
    mine = keyring.data_key("default-1")
    keyring.forget()
    assert mine is not None
    assert mine.view() == key.view()


def test_a_copy_in_a_block_is_overwritten_at_its_end(keyring: Keyring, root: KeyMaterial) -> None:
    keyring.add("default-1", KeyMaterial.generate())
    with keyring.holding("default-1") as key, keyring.holding_root() as mine:
        assert key is not None
        assert mine.view() == root.view()
    assert key.forgotten
    assert mine.forgotten
    assert keyring.data_key("default-1") is not None
    with keyring.holding("default-2") as absent:
        assert absent is None


def test_sealing_overwrites_every_key(root: KeyMaterial) -> None:
    keyring = Keyring()
    keys = [KeyMaterial.generate() for _ in range(5)]
    buffers = [key.view() for key in (root, *keys)]
    keyring.put_root(root)
    for number, key in enumerate(keys):
        keyring.add(f"default-{number}", key)
    keyring.forget()
    assert all(key.forgotten for key in (root, *keys))
    assert all(bytes(buffer) == b"" for buffer in buffers)
    assert keyring.sealed
    assert len(keyring) == 0
    keyring.forget()


def test_a_sealed_keyring_takes_no_data_key_and_overwrites_it() -> None:
    key = KeyMaterial.generate()
    with pytest.raises(Sealed):
        Keyring().add("default-1", key)
    assert key.forgotten


def test_the_least_recently_used_key_goes_first(keyring: Keyring) -> None:
    keys = {name: KeyMaterial.generate() for name in ("a", "b", "c", "d")}
    for name in ("a", "b", "c"):
        keyring.add(name, keys[name])
    keyring.data_key("a")
    keyring.add("d", keys["d"])
    assert {name for name in keys if name in keyring} == {"a", "c", "d"}
    assert keys["b"].forgotten


def test_a_new_root_key_takes_the_place_of_the_old_one(keyring: Keyring) -> None:
    first, second = KeyMaterial.generate(), KeyMaterial.generate()
    keyring.put_root(first)
    keyring.put_root(second)
    assert first.forgotten
    assert keyring.root().view() == second.view()
    keyring.put_root(second)
    assert not second.forgotten


def test_putting_a_key_in_again_overwrites_the_one_before(keyring: Keyring) -> None:
    first, second = KeyMaterial.generate(), KeyMaterial.generate()
    keyring.add("default-1", first)
    keyring.add("default-1", second)
    assert first.forgotten
    assert len(keyring) == 1
    keyring.add("default-1", second)
    assert not second.forgotten


def test_a_dropped_key_does_not_come_back(keyring: Keyring, root: KeyMaterial) -> None:
    first, late = KeyMaterial.generate(), KeyMaterial.generate()
    keyring.add("default-1", first)
    keyring.drop("default-1")
    assert first.forgotten
    assert not keyring.add("default-1", late)
    assert late.forgotten
    assert keyring.data_key("default-1") is None
    keyring.forget()
    keyring.put_root(KeyMaterial(root.view()))
    assert not keyring.add("default-1", KeyMaterial.generate())


def test_it_prints_no_key(keyring: Keyring) -> None:
    keyring.add("default-1", KeyMaterial.generate())
    assert repr(keyring) == "<keyring: open, 1 data keys>"
    keyring.forget()
    assert repr(keyring) == "<keyring: sealed, 0 data keys>"


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Keyring(limit=0)


def test_threads_see_whole_keys_while_others_seal_and_evict() -> None:
    keyring = Keyring(limit=2)
    known = {f"default-{number}": bytes([number + 1]) * 32 for number in range(4)}
    wrong: list[bytes] = []
    seen: list[str] = []
    stop = Event()

    def read() -> None:
        while not stop.is_set():
            for name, expected in known.items():
                try:
                    with keyring.holding(name) as key:
                        if key is not None and bytes(key.view()) != expected:
                            wrong.append(bytes(key.view()))
                        elif key is not None:
                            seen.append(name)
                except Sealed:
                    continue

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(300):
        keyring.put_root(KeyMaterial.generate())
        for name, material in known.items():
            keyring.add(name, KeyMaterial(material))
        keyring.forget()
    keyring.put_root(KeyMaterial.generate())
    keyring.add("default-0", KeyMaterial(known["default-0"]))
    while not seen:
        stop.wait(0.001)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
