"""A secret's whole life against a model of ten lines: any sequence of changes, reads and waits."""

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
from keystead.errors import CallerError, SecretDeleted, SecretExpired, SecretNotFound, VersionConflict
from keystead.testing import ManualClock

HOUR_MS = 3_600_000
KEY = keystead.generate_master_key()
values = st.one_of(st.text("ab\u00fc", min_size=1, max_size=4), st.binary(min_size=1, max_size=4))
ttls = st.sampled_from([None, HOUR_MS, 3 * HOUR_MS])


class Life(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.path = Path(self.folder.name) / "app.db"
        self.store = self.connect()
        self.other = self.connect()
        # The model: each version's value and expiry, where previous points and until when, and how the secret ended.
        self.versions: list[tuple[str | bytes, int | None]] = []
        self.gone: set[int] = set()
        self.previous: tuple[int, int] | None = None
        self.ttl: int | None = None
        self.end = ""
        # When the end of the current version was recorded: as expired, and as deleted.
        self.expired: int | None = None
        self.deleted: int | None = None

    def connect(self) -> keystead.Connection:
        return keystead.connect(self.path, master_key=KEY, clock=self.clock, settings=BY_HAND)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.other.close()
            self.folder.cleanup()

    def attempt(self, call: Any) -> Any:
        try:
            return call()
        except CallerError as error:
            return type(error)

    def made(self, value: str | bytes, grace_ms: int) -> None:
        if self.versions and grace_ms:
            self.previous = (len(self.versions), self.clock.now_ms() + grace_ms)
        else:
            self.previous = None
        self.versions.append((value, None if self.ttl is None else self.clock.now_ms() + self.ttl))
        self.end, self.expired, self.deleted = "", None, None

    def swept(self) -> None:
        """What a sweep destroys: what ended seven days ago, a current version from when that was recorded on."""
        for number, (_, expires) in enumerate(self.versions, 1):
            ended = expires
            if expires is not None and number == len(self.versions):
                recorded = self.deleted if self.end == "deleted" else self.expired
                ended = None if recorded is None else max(recorded, expires)
            if ended is not None and self.clock.now_ms() >= ended + 7 * DAY_MS:
                self.gone.add(number)

    def expected(self, number: int) -> Any:
        """What reading a version gives."""
        if not self.versions:
            return SecretNotFound
        if self.end:
            return SecretDeleted
        if not 1 <= number <= len(self.versions):
            return SecretNotFound
        value, expires = self.versions[number - 1]
        if expires is not None and self.clock.now_ms() >= expires:
            return SecretExpired
        return SecretDeleted if number in self.gone else value

    @rule(value=values, ttl=st.one_of(st.just("keep"), ttls), mine=st.booleans())
    def stores(self, value: str | bytes, ttl: Any, mine: bool) -> None:
        kms = (self.store if mine else self.other).kms
        if self.end == "destroyed":
            self.ttl = None
        if ttl == "keep":
            assert kms.store_secret("S", value).version == len(self.versions) + 1
        else:
            self.ttl = ttl
            kms.store_secret("S", value, ttl=None if ttl is None else f"{ttl}ms")
        self.made(value, DAY_MS)

    @rule(value=values, compromised=st.booleans(), mine=st.booleans())
    def rotates(self, value: str | bytes, compromised: bool, mine: bool) -> None:
        kms = (self.store if mine else self.other).kms
        answer = self.attempt(lambda: kms.rotate_secret("S", value, compromised=compromised).version)
        if not self.versions or self.end:
            assert answer is (SecretDeleted if self.versions else SecretNotFound)
            return
        assert answer == len(self.versions) + 1
        self.made(value, 0 if compromised else DAY_MS)

    @rule(value=values, expected=st.integers(0, 4))
    def stores_if_expected(self, value: str | bytes, expected: int) -> None:
        answer = self.attempt(lambda: self.store.kms.store_secret("S", value, expected_version=expected).version)
        if expected != len(self.versions):
            assert answer is VersionConflict
            return
        if self.end == "destroyed":
            self.ttl = None
        self.made(value, DAY_MS)

    @precondition(lambda self: self.end != "destroyed")
    @rule()
    def deletes(self) -> None:
        answer = self.attempt(lambda: self.store.kms.delete_secret("S"))
        assert answer is (None if self.versions else SecretNotFound)
        if self.versions and not self.end:
            self.end, self.deleted = "deleted", self.clock.now_ms()

    @rule()
    def undeletes(self) -> None:
        answer = self.attempt(lambda: self.other.kms.undelete_secret("S"))
        if self.end == "destroyed":
            assert answer is SecretDeleted
        elif self.versions:
            self.end = ""

    @precondition(lambda self: self.end != "destroyed")
    @rule(number=st.integers(1, 5))
    def destroys_one(self, number: int) -> None:
        answer = self.attempt(lambda: self.store.kms.destroy_secret("S", version=number))
        if not 1 <= number <= len(self.versions):
            assert answer is SecretNotFound
        else:
            assert answer is (SecretDeleted if number in self.gone else None)
            self.gone.add(number)

    @rule()
    def destroys(self) -> None:
        answer = self.attempt(lambda: self.other.kms.destroy_secret("S"))
        if not self.versions or self.end == "destroyed":
            assert answer is (SecretDeleted if self.versions else SecretNotFound)
            return
        self.end, self.gone = "destroyed", set(range(1, len(self.versions) + 1))

    @rule(ms=st.sampled_from([1, HOUR_MS, DAY_MS, 7 * DAY_MS]))
    def waits(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule()
    def sweeps(self) -> None:
        self.store.kms.node.maintain()
        self.swept()

    @rule(mine=st.booleans())
    def opens_again(self, mine: bool) -> None:
        name = "store" if mine else "other"
        getattr(self, name).close()
        setattr(self, name, self.connect())
        # A store that is opened with work due does it in the background: the model goes on once that has ended.
        ticker = getattr(self, name).kms.node.ticker
        while ticker._jobs:
            time.sleep(0.001)
        ticker.hold()
        ticker.let_go()
        self.swept()

    @rule()
    def rotates_the_data_key(self) -> None:
        self.other.kms.rotate_data_key()

    def read(self, store: keystead.Connection, **which: Any) -> Any:
        value = self.attempt(lambda: store.kms.get_secret("S", **which))
        return value.reveal() if isinstance(value, keystead.SecretValue) else value

    @invariant()
    def reads_are_what_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        # A millisecond over the second in which a change must be seen: seconds are floats, and may round up.
        self.clock.advance(1001)
        latest = len(self.versions)
        if self.expired is None and self.expected(latest) is SecretExpired:
            self.expired = self.clock.now_ms()
        for store in (self.store, self.other):
            assert self.read(store) == self.expected(latest)
            for number in range(1, latest + 2):
                assert self.read(store, version=number) == self.expected(number)
            for _ in range(2):
                cached = self.attempt(lambda store=store: store.secrets.get_secret("S"))
                assert (cached.reveal() if isinstance(cached, keystead.SecretValue) else cached) == self.expected(
                    latest
                )
        previous = self.previous
        if self.versions and not self.end:
            live = previous is not None and self.clock.now_ms() < previous[1]
            assert self.read(self.store, label="previous") == (
                self.expected(previous[0]) if previous and live else SecretNotFound
            )
        listed = self.store.kms.list_secrets().items
        assert [info.version for info in listed] == ([latest] if self.versions and not self.end else [])


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
