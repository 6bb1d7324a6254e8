"""One scenario over both faces, and what only the async one promises: the loop is not made to wait."""

from __future__ import annotations

import asyncio
import inspect
import io
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead import aio
from keystead.config.declare import SecretStr
from keystead.errors import DecryptionError, KeysteadError, SecretNotFound, SessionEnded, UsageError
from keystead.node.settings import Settings
from keystead.seal.master_key import generate_master_key, parse_master_key
from keystead.testing import ManualClock

KEY = generate_master_key()
QUIET = Settings(sweep_interval_ms=10**12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@dataclass
class App:
    jwt_secret: SecretStr
    port: int = 80


async def maybe(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def outcome(call: Callable[[], Any]) -> Any:
    """The result, or the class of the error, with what is random taken out."""
    try:
        return told(await maybe(call()))
    except KeysteadError as error:
        return type(error).__name__


def told(result: Any) -> Any:
    if isinstance(result, keystead.SecretValue):
        return (result.name, result.version, result.reveal())
    if isinstance(result, bytes) and len(result) >= 32:
        return len(result)
    text = repr(sorted(result.items()) if isinstance(result, dict) else result)
    return re.sub(r"[0-9a-f]{8,}|'(iv|tag|ciphertext)', '[^']*'|/\S+|ses_\w+", "~", text)


async def scenario(store: Any, path: Path, clock: ManualClock) -> list[Any]:
    """What every method answers."""
    kms, secrets, said = store.kms, store.secrets, []

    async def note(*calls: Callable[[], Any]) -> None:
        for call in calls:
            said.append(await outcome(call))

    blob = await maybe(kms.encrypt(b"x", aad={"user": "1"}))
    envelope = await maybe(kms.encrypt_data("x", aad="user:1"))
    for _ in range(3):
        await note(
            lambda: kms.encrypt(b"y"),
            lambda: kms.encrypt("y"),
            lambda: kms.encrypt(b"y", aad=5),
            lambda: kms.decrypt(blob, aad={"user": "1"}),
            lambda: kms.decrypt(blob, aad={"user": "2"}),
            lambda: kms.decrypt(b""),
            lambda: kms.encrypt_data("y"),
            lambda: kms.encrypt_data(5),
            lambda: kms.encrypt_data("y" * 100_000, aad="a"),
            lambda: kms.decrypt_data(envelope, aad="user:1"),
            lambda: kms.decrypt_data(envelope, aad="user:1", encoding=None),
            lambda: kms.decrypt_data(envelope, aad="user:1", encoding="nothing"),
            lambda: kms.decrypt_data(envelope, require_aad=True),
            lambda: kms.decrypt_data(envelope, aad="user:2"),
            lambda: kms.decrypt_data({}),
            lambda: kms.decrypt_data(5),
        )
    many = await maybe(kms.encrypt_many([b"a", b"b"]))
    await note(lambda: kms.decrypt_many(many), lambda: kms.reencrypt(envelope, aad="user:1", to="v2"))
    sealed, opened = io.BytesIO(), io.BytesIO()
    await note(lambda: kms.encrypt_stream(io.BytesIO(b"s"), sealed))
    sealed.seek(0)
    await note(lambda: kms.decrypt_stream(sealed, opened), opened.getvalue)
    await note(
        lambda: secrets.initialize(env={"JWT_SECRET": "x", "REDIS_URL": ""}),
        lambda: kms.store_secret("A", "1", ttl="1h", tags={"a": "b"}, expected_version=0),
        lambda: kms.store_secret("A", "1", expected_version=0),
        lambda: kms.store_secrets({"B": "1", "C": b"2"}),
        lambda: kms.store_secret("R", generate="hex:64"),
        lambda: kms.rotate_secret("A", "2", grace="5m"),
        lambda: kms.get_secret("A"),
        lambda: kms.get_secret("A", version=1),
        lambda: kms.get_secret("A", label="previous"),
        lambda: kms.get_secret("A#1"),
        lambda: kms.get_secret("A#previous"),
        lambda: kms.get_secret("A#1", version=1),
        lambda: kms.get_secret("A", version=1, label="previous"),
        lambda: kms.get_secret("NOWHERE"),
        lambda: kms.list_secrets(limit=2),
        lambda: kms.list_secrets("A", {"a": "b"}, False, after="0"),
        lambda: kms.list_versions("A"),
        kms.sweep,
    )
    for _ in range(3):
        await note(
            lambda: secrets.get_secret("A"),
            lambda: secrets.get_secret("A", version=1),
            lambda: secrets.get_secret("A#1"),
            lambda: secrets.get_secret("A#previous"),
            lambda: secrets.get_secret("A#1", label="previous"),
            lambda: secrets.get_secret("NOWHERE", "default"),
            lambda: secrets.get_secret("NOWHERE"),
            lambda: secrets.get_secrets(["A", "C", "A#1"]),
        )
    await note(
        lambda: secrets.set_secret("A", "3"),
        lambda: secrets.get_secret("A"),
        lambda: secrets.rotate_secret("A", "4"),
        lambda: secrets.get_secret("A"),
        lambda: secrets.list_secrets(prefix="A"),
        lambda: kms.delete_secret("A"),
        lambda: secrets.get_secret("A", "default"),
        lambda: kms.undelete_secret("A"),
        lambda: kms.destroy_secret("A", version=1),
        lambda: kms.destroy_secret("A"),
        secrets.clear_cache,
        lambda: store.config(App, env={"PORT": "81"}),
        lambda: store.config_loader(App, env={"PORT": "no"}).is_valid(store.secrets),
        lambda: store.config_loader(App, env={"PORT": "no"}).load(store.secrets),
        lambda: store.config_loader(env={"PORT": "81"}).get("PORT"),
        kms.list_data_keys,
        kms.rotate_data_key,
    )
    first = (await maybe(kms.list_data_keys())).items[0].id
    slot = (await maybe(kms.slots.list())).items[0].id
    await note(
        lambda: kms.affected_by_destroying(first),
        lambda: kms.destroy_data_key(first),
        lambda: kms.decrypt(blob, aad={"user": "1"}),
        lambda: kms.slots.add(parse_master_key(generate_master_key(), source="a test"), label="two"),
        lambda: kms.slots.remove("two"),
        lambda: kms.rekey({slot: parse_master_key(KEY, source="a test")}),
        lambda: kms.rekey({}),
        kms.audit.public_key,
        lambda: kms.backup(path.with_name("weak"), passphrase="x"),
        lambda: kms.restore(path.with_name("none"), passphrase="x"),
        lambda: kms.revoke_session("nonsense"),
        lambda: kms.on_event("nonsense", print),
        kms.get_status,
        secrets.get_status,
    )
    report = await maybe(kms.audit.verify())
    said += [report.ok, len((await maybe(kms.sessions())).items), len(await maybe(kms.audit.tail(5)))]
    await maybe(kms.revoke_session(kms.session_id))
    await note(
        lambda: kms.encrypt(b"y"),
        lambda: kms.encrypt_data("y"),
        lambda: secrets.get_secret("B"),
        kms.get_status,
        kms.close,
        store.close,
        lambda: kms.get_secret("B"),
    )
    return said


def test_one_scenario_gives_the_same_answers_over_both_faces(tmp_path: Path) -> None:
    answers = []
    for name, connect in (("sync", keystead.connect), ("async", aio.connect)):
        folder = tmp_path / name
        folder.mkdir()

        async def run(connect: Any = connect, folder: Path = folder) -> list[Any]:
            clock = ManualClock()
            store = await maybe(connect(folder / "app.db", master_key=KEY, clock=clock, settings=QUIET))
            return await scenario(store, folder / "app.db", clock)

        answers.append(asyncio.run(run()))
    assert len(answers[0]) > 100
    assert [pair for pair in zip(*answers, strict=True) if pair[0] != pair[1]] == []
    assert "SessionEnded" in answers[1]


# The loop


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What went to a thread."""
    calls: list[str] = []
    real = asyncio.base_events.BaseEventLoop.run_in_executor

    def counting(self: Any, executor: Any, call: Any, *arguments: Any) -> Any:
        calls.append(getattr(call, "args", [call])[0].__name__)
        return real(self, executor, call, *arguments)

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "run_in_executor", counting)
    return calls


USES: dict[str, Callable[[aio.Connection, bytes, Any], Awaitable[Any]]] = {
    "get_secret": lambda store, blob, envelope: store.secrets.get_secret("A"),
    "encrypt": lambda store, blob, envelope: store.kms.encrypt(b"x"),
    "decrypt": lambda store, blob, envelope: store.kms.decrypt(blob, aad="a"),
    "encrypt_data": lambda store, blob, envelope: store.kms.encrypt_data("x"),
    "decrypt_data": lambda store, blob, envelope: store.kms.decrypt_data(envelope, aad="a"),
}


@pytest.mark.parametrize("use", USES)
def test_what_is_at_hand_is_answered_on_the_loop_and_else_a_thread_is_asked_once(
    path: Path, clock: ManualClock, handed_over: list[str], use: str
) -> None:
    async def run() -> None:
        async with aio.connect(path, master_key=KEY, clock=clock, settings=QUIET) as store:
            await store.kms.store_secret("A", "x")
            blob, envelope = await store.kms.encrypt(b"x", aad="a"), await store.kms.encrypt_data("x", aad="a")
            clock.advance(1000)
            await store.secrets.get_secret("A")
            for _ in range(3):
                clock.advance(1000)
                handed_over.clear()
                first = await USES[use](store, blob, envelope)
                assert len(handed_over) == 1
                # Fewer than half of a block of messages, whose refill would be a second thread's business.
                for _ in range(8):
                    await USES[use](store, blob, envelope)
                assert len(handed_over) == 1
            assert first is not None

    asyncio.run(run())


def test_what_is_large_goes_to_a_thread(path: Path, clock: ManualClock, handed_over: list[str]) -> None:
    async def run() -> None:
        async with aio.connect(path, master_key=KEY, clock=clock, settings=QUIET) as store:
            for size in (1, 65_536, 65_537, 1_000_000):
                blob = await store.kms.encrypt(b"x" * size)
                assert await store.kms.decrypt(blob) == b"x" * size
                envelope = await store.kms.encrypt_data(b"x" * size)
                assert await store.kms.decrypt_data(envelope, encoding=None) == b"x" * size
                if size > 65_536:
                    assert len(handed_over) == 4
                handed_over.clear()

    asyncio.run(run())


def test_each_use_on_the_loop_is_counted_and_each_refusal_recorded_once(path: Path, clock: ManualClock) -> None:
    async def run() -> None:
        async with aio.connect(path, master_key=KEY, clock=clock, settings=QUIET) as store:
            failed: list[str] = []
            await store.kms.on_event("decryption_failed", lambda facts: failed.append(facts["outcome"]))
            blob = await store.kms.encrypt(b"x")
            before = store.kms.node.operations(store.kms.session_id)
            for _ in range(50):
                assert await store.kms.decrypt(blob) == b"x"
                await store.kms.encrypt(b"x")
            assert store.kms.node.operations(store.kms.session_id) >= before + 100
            for _ in range(5):
                with pytest.raises(DecryptionError):
                    await store.kms.decrypt(blob, aad="other")
            assert failed == ["failed"] * 5

    asyncio.run(run())


def test_messages_of_envelopes_are_counted_on_the_loop_too(path: Path) -> None:
    async def run() -> None:
        async with aio.connect(path, master_key=KEY) as store:
            made = [await store.kms.encrypt_data("x") for _ in range(1000)]
            assert len({envelope["iv"] for envelope in made}) == 1000
            assert (await store.kms.list_data_keys()).items[0].messages >= 1000

    asyncio.run(run())


def test_the_loop_goes_on_while_the_store_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.storage.sqlite.BUSY_SECONDS", 0.5)

    async def run() -> None:
        async with aio.connect(path, master_key=KEY) as store:
            await store.kms.store_secret("A", "x")
            for _ in range(3):
                await store.secrets.get_secret("A")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                writing = asyncio.ensure_future(store.kms.store_secret("A", "y"))
                turns = 0
                while not writing.done():
                    await asyncio.sleep(0)
                    assert (await store.secrets.get_secret("A")).reveal() == "x"
                    turns += 1
                assert turns > 20
                with pytest.raises(KeysteadError, match="busy"):
                    await writing

    asyncio.run(run())


def test_many_calls_at_once_all_get_their_answer(path: Path) -> None:
    async def run() -> None:
        async with aio.connect(path, master_key=KEY) as store:
            await asyncio.gather(*(store.kms.store_secret(f"N{number}", str(number)) for number in range(40)))
            read = await asyncio.gather(*(store.secrets.get_secret(f"N{number}") for number in range(40)))
            assert [value.reveal() for value in read] == [str(number) for number in range(40)]
            blobs = await asyncio.gather(*(store.kms.encrypt(bytes([number])) for number in range(40)))
            assert await asyncio.gather(*(store.kms.decrypt(blob) for blob in blobs)) == [bytes([n]) for n in range(40)]

    asyncio.run(run())


def test_the_log_is_followed_without_holding_the_loop_and_cancelling_ends_it(path: Path) -> None:
    async def run() -> None:
        async with aio.connect(path, master_key=KEY) as store:
            stop, seen = threading.Event(), asyncio.Event()

            async def follow() -> None:
                async for entry in store.kms.audit.follow(stop):
                    assert entry is not None
                    seen.set()

            following = asyncio.ensure_future(follow())
            while not seen.is_set():
                await store.kms.store_secret("A", "x")
                await asyncio.sleep(0.01)
            assert not stop.is_set()
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
            assert stop.is_set()

    asyncio.run(run())


# Opening and closing


def test_a_store_is_entered_or_awaited_and_nothing_is_opened_before(path: Path) -> None:
    async def run() -> None:
        waiting = aio.connect(path, master_key=KEY)
        assert not path.exists()
        async with waiting as store:
            await store.kms.store_secret("A", "x")
        with pytest.raises(SessionEnded):
            await store.kms.get_secret("A")
        store = await aio.connect(path, master_key=KEY)
        async with store:
            assert (await store.secrets.get_secret("A")).reveal() == "x"
        with pytest.raises(SessionEnded):
            await store.kms.encrypt(b"x")
        async with aio.KMSService(path, master_key=KEY) as kms:
            manager = aio.SecretsManager(kms, "5m")
            assert (await manager.get_secret("A")).reveal() == "x"
            second = aio.KMSService.on(kms.node, principal="bob")
            assert (await second.get_secret("A")).reveal() == "x"
            await second.close()
            assert (await kms.get_secret("A")).reveal() == "x"
            with pytest.raises(SecretNotFound):
                await kms.get_secret("B")

    asyncio.run(run())


def test_opening_that_is_cancelled_leaves_nothing_open(path: Path) -> None:
    async def run() -> None:
        opening = aio.connect(path, master_key=KEY)
        task = asyncio.ensure_future(opening.__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(SessionEnded):
            await opening._connection.kms.get_status()

    asyncio.run(run())
    held = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [name for name in held if str(path.parent) in name] == []


def test_a_wrong_argument_is_refused_before_anything_is_opened(path: Path) -> None:
    for connect in (aio.connect, keystead.connect):
        with pytest.raises(UsageError):
            connect(path, master_key=KEY, cache_ttl="soon")
    assert not path.exists()
