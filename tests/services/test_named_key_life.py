"""A named key's life against a model of ten lines: any sequence of changes, uses and waits, over two connections."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.services.conftest import BY_HAND, DAY_MS

import keystead
from keystead.errors import CallerError, KeyNotFound, KeyStateError, UsageError
from keystead.services.named_keys import NamedKeyOperations
from keystead.testing import ManualClock

KEY = keystead.generate_master_key()
# Where each state may go by hand, as docs/keys.md says; to where a key is already, nothing happens.
MOVES = {
    "suspend": ("suspended", {"active"}),
    "resume": ("active", {"suspended"}),
    "deactivate": ("deactivated", {"active", "suspended"}),
    "mark_compromised": ("compromised", {"active", "suspended", "deactivated"}),
}
CONTEXT = {"of": "life"}


class Life(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.path = Path(self.folder.name) / "app.db"
        self.stores = [self.connect(), self.connect()]
        self.stores[0].kms.keys.create("k")
        self.stores[0].kms.keys.create("other")
        # The model: state, versions, minima, when it ends, what the alias stands for, and who made each ciphertext.
        self.state, self.primary = "active", 1
        self.minima = (1, 1)
        self.due: int | None = None
        self.alias: str | None = None
        self.made: list[tuple[str, int, bytes]] = []
        self.steps = self.actor = 0

    def connect(self) -> keystead.Connection:
        return keystead.connect(self.path, master_key=KEY, clock=self.clock, settings=BY_HAND)

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close()
            self.folder.cleanup()

    def keys(self, at: int) -> NamedKeyOperations:
        self.actor = at
        return self.stores[at].kms.keys

    def attempt(self, call: Any) -> Any:
        try:
            return call()
        except CallerError as error:
            return type(error)

    def protects(self) -> Any:
        """What encrypting gives: a refusal, or None for a ciphertext."""
        return None if self.state == "active" else KeyStateError

    def opens(self, version: int) -> Any:
        """What opening a ciphertext of that version gives: a refusal, or None for its plaintext."""
        return None if self.shown() in ("active", "deactivated") and version >= self.minima[1] else KeyStateError

    def shown(self) -> str:
        """The state: a deactivated key is suspended as long as its destruction waits."""
        return "suspended" if self.due is not None and self.state == "deactivated" else self.state

    def ended(self) -> None:
        if self.due is not None and self.clock.now_ms() >= self.due and self.state != "destroyed":
            self.state, self.due = "destroyed", None

    @rule(at=st.integers(0, 1))
    def rotates(self, at: int) -> None:
        answer = self.attempt(lambda: self.keys(at).rotate("k").version)
        if self.state != "active":
            assert answer is KeyStateError
            return
        self.primary += 1
        assert answer == self.primary

    @rule(at=st.integers(0, 1))
    def suspends(self, at: int) -> None:
        self.moves(at, "suspend")

    @rule(at=st.integers(0, 1))
    def resumes(self, at: int) -> None:
        self.moves(at, "resume")

    @rule(at=st.integers(0, 1))
    def deactivates(self, at: int) -> None:
        self.moves(at, "deactivate")

    # Few lives would show much if any step could be what ends them.
    @precondition(lambda self: self.steps > 8)
    @rule(at=st.integers(0, 1))
    def is_compromised(self, at: int) -> None:
        self.moves(at, "mark_compromised")

    def moves(self, at: int, move: str) -> None:
        to, origins = MOVES[move]
        answer = self.attempt(lambda: getattr(self.keys(at), move)("k").state)
        if self.state == to:
            assert answer == self.shown()
        elif self.due is not None or self.state not in origins:
            assert answer is KeyStateError
        else:
            assert answer == to
            self.state = to

    @rule(at=st.integers(0, 1), days=st.sampled_from([7, 30]))
    def schedules(self, at: int, days: int) -> None:
        answer = self.attempt(lambda: self.keys(at).schedule_destruction("k", days=days).destroy_ms)
        if self.state == "destroyed" or self.due is not None:
            assert answer is KeyStateError
            return
        self.due = self.clock.now_ms() + days * DAY_MS
        assert answer == self.due
        self.state = "suspended" if self.state == "active" else self.state

    @rule(at=st.integers(0, 1))
    def cancels(self, at: int) -> None:
        answer = self.attempt(lambda: self.keys(at).cancel_destruction("k").state)
        assert answer == (KeyStateError if self.due is None else self.state)
        self.due = None

    @precondition(lambda self: self.steps > 12)
    @rule(at=st.integers(0, 1))
    def destroys(self, at: int) -> None:
        answer = self.attempt(lambda: self.keys(at).destroy("k").state)
        if self.state in ("active", "destroyed"):
            assert answer is KeyStateError
            return
        assert answer == "destroyed"
        self.state, self.due = "destroyed", None

    @rule(at=st.integers(0, 1), least=st.tuples(st.integers(1, 4), st.integers(1, 4)))
    def configures(self, at: int, least: tuple[int, int]) -> None:
        encrypt, decrypt = least
        answer = self.attempt(lambda: self.keys(at).configure("k", min_encrypt=encrypt, min_decrypt=decrypt).version)
        if self.state == "destroyed":
            assert answer is KeyStateError
        elif not decrypt <= encrypt <= self.primary:
            assert answer is UsageError
        else:
            assert answer == self.primary
            self.minima = least

    @rule(at=st.integers(0, 1), to=st.sampled_from(["k", "other"]))
    def moves_the_alias(self, at: int, to: str) -> None:
        answer = self.attempt(lambda: self.keys(at).set_alias("a", to).name)
        if to == "k" and self.state == "destroyed":
            assert answer is KeyStateError
            return
        assert answer == to
        self.alias = to

    @rule(at=st.integers(0, 1))
    def removes_the_alias(self, at: int) -> None:
        answer = self.attempt(lambda: self.keys(at).remove_alias("a"))
        assert (answer is KeyNotFound) is (self.alias is None)
        self.alias = None

    @rule(
        at=st.integers(0, 1), name=st.sampled_from(["k", "other", "a"]), version=st.one_of(st.none(), st.integers(1, 4))
    )
    def encrypts(self, at: int, name: str, version: int | None) -> None:
        key = self.alias if name == "a" else name
        answer = self.attempt(lambda: self.keys(at).encrypt(name, b"data", context=CONTEXT, version=version))
        latest = self.primary if key == "k" else 1
        wanted = latest if version is None else version
        if key is None:
            assert answer is KeyNotFound
        elif key == "k" and self.protects():
            assert answer is self.protects()
        elif wanted > latest:
            assert answer is KeyNotFound
        elif key == "k" and wanted < self.minima[0]:
            assert answer is KeyStateError
        else:
            self.made.append((key, wanted, answer))

    @rule(ms=st.sampled_from([1, DAY_MS, 7 * DAY_MS]))
    def waits(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule(at=st.integers(0, 1))
    def maintains(self, at: int) -> None:
        self.stores[at].kms.node.maintain()
        self.ended()

    @rule(at=st.integers(0, 1))
    def opens_again(self, at: int) -> None:
        self.stores[at].close()
        self.stores[at] = self.connect()
        # A store that is opened with work due does it in the background: the model goes on once that has ended.
        ticker = self.stores[at].kms.node.ticker
        while ticker._jobs:
            time.sleep(0.001)
        ticker.hold()
        ticker.let_go()
        self.ended()

    @invariant()
    def uses_are_what_the_model_says(self) -> None:
        if not hasattr(self, "stores"):
            return
        self.steps += 1
        # Who made the change knows it at once, whatever it kept for a period.
        self.uses(self.actor)
        # A millisecond over the second in which the other must see it: seconds are floats, and may round up.
        self.clock.advance(1001)
        for at in (0, 1):
            info = self.stores[at].kms.keys.read("k")
            assert (info.state, info.version, info.destroy_ms) == (self.shown(), self.primary, self.due)
            assert info.aliases == (("a",) if self.alias == "k" else ())
            # Twice, so that the short way of a period answers as the first use of it does.
            self.uses(at)
            self.uses(at)

    def uses(self, at: int) -> None:
        keys = self.stores[at].kms.keys
        sealed = self.attempt(lambda: keys.encrypt("k", b"now", context=CONTEXT))
        assert self.protects() in (None, sealed)
        for key, version, blob in self.made[-4:]:
            wanted = (self.opens(version) if key == "k" else None) or b"data"
            assert self.attempt(lambda blob=blob, key=key: keys.decrypt(key, blob, context=CONTEXT)) == wanted
            if self.alias == key:
                assert self.attempt(lambda blob=blob: keys.decrypt("a", blob, context=CONTEXT)) == wanted


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
