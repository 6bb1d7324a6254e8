"""A client renews its access token in good time, and what becomes of a token that cannot be renewed."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.conftest import Server

from keystead import aio
from keystead.client import renewal
from keystead.client.kms import RemoteKMS
from keystead.client.renewal import Renewal
from keystead.client.transport import Transport
from keystead.errors import KeysteadError, ServerUnavailable, SessionEnded, UsageError
from keystead.testing import ManualClock


class Asked:
    """A server's answers to renewals, one after the other; without more of them, as long as at first."""

    def __init__(self, *answers: int | KeysteadError | None) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self) -> int | None:
        self.count += 1
        answer = self.answers.pop(0) if self.answers else 3_600_000
        if isinstance(answer, KeysteadError):
            raise answer
        return answer


def begun(asked: Callable[[], int | None], clock: ManualClock, left_ms: int = 3_600_000, spread: float = 0.0) -> Any:
    found = Renewal(clock, asked, lambda: spread)
    found.stop()  # what is tested here is when it is due; the thread has a test of its own
    found.begin(clock.monotonic(), left_ms, renewable=True)
    return found


def test_it_is_due_at_two_thirds_of_what_is_left_or_a_little_sooner() -> None:
    clock, asked = ManualClock(), Asked()
    assert begun(asked, clock).wait_s() == pytest.approx(2400)
    assert begun(asked, clock, spread=1.0).wait_s() == pytest.approx(2160)
    kept = begun(asked, clock)
    clock.advance(2_400_000)
    assert kept.wait_s() == 0
    kept.attempt()
    assert (asked.count, kept.wait_s()) == (1, pytest.approx(2400))


def test_what_fails_is_tried_again_and_what_cannot_be_is_not() -> None:
    clock, asked = ManualClock(), Asked(ServerUnavailable("away"), ServerUnavailable("away"))
    kept = begun(asked, clock)
    clock.advance(2_400_000)
    for _ in range(2):
        kept.attempt()
        assert kept.wait_s() == pytest.approx(300), "not later than in five minutes"
        clock.advance(300_000)
    kept.attempt()
    assert (asked.count, kept.wait_s()) == (3, pytest.approx(2400))
    ended = begun(Asked(UsageError("not renewable")), clock)
    ended.attempt()
    assert (ended.wait_s(), ended.has_ended) == (None, False)
    clock.advance(3_600_000)
    assert ended.has_ended


def test_a_renewal_that_moves_nothing_is_the_last() -> None:
    clock = ManualClock()
    kept = begun(Asked(3_600_000, 1_200_000), clock)
    clock.advance(2_400_000)
    kept.attempt()
    clock.advance(2_400_000)
    kept.attempt()
    assert kept.wait_s() is None
    assert not kept.has_ended
    clock.advance(1_200_000)
    assert kept.has_ended


def test_one_renewal_at_a_time() -> None:
    clock, inside, go = ManualClock(), threading.Event(), threading.Event()
    count = []

    def slow() -> int:
        count.append(1)
        inside.set()
        assert go.wait(30)
        return 3_600_000

    kept = begun(slow, clock)
    first = threading.Thread(target=kept.attempt)
    first.start()
    assert inside.wait(30)
    kept.attempt()
    go.set()
    first.join(30)
    assert len(count) == 1


def eventually(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread looks at the injected clock all the time."""
    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.01)


def thread_of(kms: Any) -> threading.Thread:
    """The thread that renews for a connection, which lives."""
    found: threading.Thread = kms._renewal.thread
    assert found.is_alive()
    return found


@pytest.mark.usefixtures("looking")
def test_a_connection_renews_by_itself_until_it_is_closed_or_dropped(server: Server) -> None:
    clock = ManualClock()
    with server.connect() as store:
        token = store.kms.tokens.create(["administrator"], ttl="1h")
        kms = RemoteKMS(Transport(server.url), token.reveal(), clock).initialize()
        clock.advance(2_460_000)
        eventually(lambda: store.kms.tokens.lookup_accessor(token.accessor).expires_ms > token.info.expires_ms)
        thread = thread_of(kms)
        kms.close()
        thread.join(30)
        assert not thread.is_alive()
        kms = RemoteKMS(Transport(server.url), token.reveal(), clock).initialize()
        thread = thread_of(kms)
        del kms
        gc.collect()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.usefixtures("looking")
def test_a_renewal_that_fails_breaks_no_call_and_is_tried_again(server: Server) -> None:
    clock, asked = ManualClock(), Asked(ServerUnavailable("away"))
    with server.connect() as store:
        token = store.kms.tokens.create(["administrator"], ttl="1h")
        with RemoteKMS(Transport(server.url), token.reveal(), clock) as kms:
            kms._renewal._renew = asked
            clock.advance(2_460_000)
            eventually(lambda: asked.count == 1)
            assert kms.decrypt(kms.encrypt(b"x")) == b"x"
            clock.advance(300_000)
            eventually(lambda: asked.count == 2)
            assert kms.decrypt(kms.encrypt(b"x")) == b"x"


@pytest.mark.parametrize(
    "how", [{"renewable": False}, {"uses": 50}, {"max_ttl": "1h"}], ids=lambda how: next(iter(how))
)
def test_what_a_renewal_would_not_move_is_not_renewed(server: Server, how: dict[str, Any]) -> None:
    with server.connect() as store:
        token = store.kms.tokens.create(["administrator"], ttl="1h", **how)
        with RemoteKMS(Transport(server.url), token.reveal(), ManualClock()) as kms:
            assert (kms._renewal.wait_s(), kms._renewal.thread) == (None, None)


def test_a_token_that_ends_says_what_to_do(server: Server) -> None:
    with server.connect() as store:
        token = store.kms.tokens.create(["administrator"], ttl="5s", renewable=False)
        with server.connect(token=token.reveal()) as short:
            end = time.monotonic() + 30
            with pytest.raises(SessionEnded, match="has ended") as caught:
                while time.monotonic() < end:
                    short.kms.encrypt(b"x")
                    time.sleep(0.1)
            assert "log in again" in caught.value.hint
            with pytest.raises(SessionEnded, match="has ended"):
                short.secrets.get_secret("none")


@pytest.mark.usefixtures("looking")
def test_a_forked_child_renews_too(server: Server) -> None:
    with server.connect() as store:
        token = store.kms.tokens.create(["administrator"], ttl="1h")
        with RemoteKMS(Transport(server.url), token.reveal(), ManualClock()) as kms:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    kms.encrypt(b"x")
                    code = 0 if thread_of(kms) else 2
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_async_code_renews_the_same(server: Server) -> None:
    async def use() -> threading.Thread:
        async with aio.connect(server.url, token=server.token) as store:
            return thread_of(store.kms._sync)

    thread = asyncio.run(use())
    thread.join(30)
    assert not thread.is_alive()
