"""A store whose every secret is a canary, and calls of its services in both faces, each looked at."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.leaks.looking import Canaries, told_by, told_by_error, told_by_files, told_by_process, told_by_record

import keystead
from keystead import aio
from keystead.audit.record import Event
from keystead.node.settings import Settings

QUIET = Settings(sweep_interval_ms=10**12, password_iterations=2, password_lanes=1, password_memory_kib=19_456)
FACES = {
    "store": "Connection",
    "kms": "KMSService",
    "secrets": "SecretsManager",
    "loader": "ConfigLoader",
    "slots": "SlotOperations",
    "audit": "AuditOperations",
    "keys": "NamedKeyOperations",
    "policies": "PolicyOperations",
    "grants": "GrantOperations",
    "tokens": "TokenOperations",
    "identities": "IdentityOperations",
}
# What these answer is the plaintext itself.
PLAINTEXT = {"kms.decrypt", "kms.decrypt_many", "kms.decrypt_data"}
PLAINTEXT |= {"keys.decrypt", "keys.batch", "keys.export", "keys.decapsulate"}


class Listener(logging.Handler):
    """Keeps all that any logger is told, at any level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(told_by_record(record))


class World:
    """One folder of stores. `found` lists the canaries that got out and where; `outcomes` what each method did."""

    def __init__(self, folder: Path, *, is_async: bool) -> None:
        self.folder = folder
        self.canaries = Canaries()
        self.text, self.data = self.canaries.text, self.canaries.data
        self.loop = asyncio.new_event_loop() if is_async else None
        self.listener = Listener()
        self.found: list[str] = []
        self.outcomes: dict[tuple[str, str], set[str]] = {}
        self.ours: set[Path] = set()
        self.key = self.new_key()
        self.faces: dict[str, Any] = {}

    def new_key(self) -> str:
        """A master key, which is a secret as text and as bytes."""
        key = self.canaries.remember(keystead.generate_master_key())
        self.canaries.remember(base64.b64decode(key))
        return key

    def file(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        """A file of the test's own, which may hold a canary."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return self.may_hold(path)

    def may_hold(self, path: Path) -> Path:
        """A file into which plaintext is put on purpose."""
        self.ours.add(path)
        return path

    def open(self, name: str = "app.db", **how: Any) -> None:
        """Open a store and call its services from now on."""
        how = {"master_key": self.key, "settings": QUIET, **how}
        connect = aio.connect if self.loop else keystead.connect
        self.use(self.attempt("connect", lambda: connect(self.folder / name, **how)))

    def use(self, store: Any) -> None:
        """Call the services of this connection from now on."""
        if store is not None:
            kms = store.kms
            self.faces |= {"store": store, "kms": kms, "secrets": store.secrets, "slots": kms.slots, "audit": kms.audit}
            self.faces |= {"keys": kms.keys, "policies": kms.policies, "grants": kms.grants}
            self.faces |= {"tokens": kms.tokens, "identities": kms.identities}
            self.attempt("kms.on_event", lambda: kms.on_event(list(Event), lambda facts: self.look("an event", facts)))
            for face in (store, kms, store.secrets):
                self.search(f"vars of {type(face).__name__}", repr(vars(face)))

    def do(self, which: str, *arguments: Any, **named: Any) -> Any:
        """What a method answers (`kms.encrypt`), or None where it raises; looked at either way."""
        face, _, name = which.partition(".")
        raised: list[BaseException] = []

        def call() -> Any:
            got = getattr(self.faces[face], name)
            return got(*arguments, **named) if callable(got) else got

        answer = self.attempt(which, call, raised)
        seen = self.outcomes.setdefault((FACES[face], name), set())
        seen.add(type(raised[0]).__name__ if raised else "ok")
        return answer

    def attempt(self, which: str, call: Any, raised: list[BaseException] | None = None) -> Any:
        """The answer of a call, waited for where it must be."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                answer = self._waited_for(call())
            except Exception as error:
                (raised if raised is not None else []).append(error)
                for text in told_by_error(error):
                    self.search(f"{which} raised {type(error).__name__}", text)
                answer = None
        for warning in warned:
            self.search(f"{which} warned", str(warning.message))
        if which not in PLAINTEXT:
            self.look(f"{which} answered", answer)
        return answer

    def _waited_for(self, answer: Any) -> Any:
        if self.loop is None:
            return list(answer) if inspect.isgenerator(answer) else answer
        if inspect.isasyncgen(answer):
            return self.loop.run_until_complete(_all(answer))
        return self.loop.run_until_complete(_awaited(answer)) if inspect.isawaitable(answer) else answer

    def look(self, where: str, value: object) -> None:
        for text in told_by(value):
            self.search(where, text)

    def search(self, where: str, text: str | bytes) -> None:
        self.found += [f"{where}: {window}" for window in self.canaries.in_(text)[:1]]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Whatever is logged meanwhile, and what lies in the folder and in the process's listing after it."""
        root, logger = logging.getLogger(), logging.getLogger("keystead")
        levels = root.level, logger.level
        root.addHandler(self.listener)
        root.setLevel(logging.DEBUG)
        logger.setLevel(logging.DEBUG)
        try:
            yield
            self.search("the process", told_by_process())
            if "store" in self.faces:
                self._waited_for(self.faces["store"].close())
        finally:
            root.removeHandler(self.listener)
            root.setLevel(levels[0])
            logger.setLevel(levels[1])
            if self.loop:
                self.loop.run_until_complete(self.loop.shutdown_default_executor())
                self.loop.close()
        for text in self.listener.told:
            self.search("the log", text)
        for where, content in told_by_files(self.folder, self.ours):
            self.search(where, content)


async def _awaited(answer: Any) -> Any:
    return await answer


async def _all(answers: Any) -> list[Any]:
    return [answer async for answer in answers]
