"""No eight bytes of any secret get out of the services: not by an answer, an error, a log, a file, a listing."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest
from tests.aio.test_faces import FACES, public
from tests.leaks.looking import Canaries, told_by_error
from tests.leaks.scenes import CANNOT_FAIL, SCENES
from tests.leaks.world import World


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_no_method_lets_a_secret_out_whether_it_succeeds_or_fails(
    is_async: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes: dict[tuple[str, str], set[str]] = {}
    found: list[str] = []
    for scene in SCENES:
        world = World(tmp_path / scene.__name__, is_async=is_async)
        (world.folder / "tmp").mkdir(parents=True)
        monkeypatch.setenv("TMPDIR", str(world.folder / "tmp"))
        with world.watched():
            world.open()
            scene(world)
        out, err = capfd.readouterr()
        world.search("the output", out + err)
        found += [f"{scene.__name__}: {line}" for line in dict.fromkeys(world.found)]
        for method, seen in world.outcomes.items():
            outcomes.setdefault(method, set()).update(seen)
        assert len(world.listener.told) > 2, "the log was listened to"
    assert not found, "\n".join(found)
    # a method that is new comes to this test without being asked
    methods = {(sync.__name__, name) for sync, _ in FACES for name in public(sync)} - {
        ("Connection", "kms"),
        ("Connection", "secrets"),
    }
    assert {method for method in methods if "ok" not in outcomes.get(method, ())} == set()
    assert {method for method in methods if outcomes.get(method, {"ok"}) == {"ok"}} == CANNOT_FAIL


def test_what_looks_for_canaries_finds_them_in_every_spelling() -> None:
    canaries = Canaries()
    text, data = canaries.text(), canaries.data()
    import base64

    for value in (text.encode(), data):
        for at in range(3):
            piece = value[3 : 3 + 8 + 2]
            for shown in (
                piece.hex(),
                repr(piece),
                base64.b64encode(b"x" * at + piece + b"y" * 5).decode(),
                base64.urlsafe_b64encode(b"x" * at + piece + b"y").decode(),
            ):
                assert canaries.in_(f"before {at} {shown} after"), (at, shown)
        assert not canaries.in_(value[:7])
    try:
        (text + "\ud800").encode()
    except UnicodeEncodeError as error:
        codec = error
    assert any(canaries.in_(told) for told in told_by_error(codec))


def test_no_hash_can_spell_a_part_of_a_canary() -> None:
    canaries = Canaries()
    for _ in range(50):
        text = canaries.text()
        assert not re.search("[0-9a-f]{8}", text)
    assert not canaries.in_("".join(secrets.token_hex(32) for _ in range(10_000)))
