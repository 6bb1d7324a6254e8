"""Reading and storing secrets: cached, uncached, durable, and in a store of a hundred thousand."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench import peers
from bench.harness import Contender, Timing, race
from bench.lab import Lab
from bench.report import Row, ahead, bound, within

TITLE = "Secrets (CPU of one call, unless wall time is named)"
VALUE = "correct-horse-battery-staple-0123456789"
FEW, MANY = 100, 100_000


def cached(lab: Lab) -> list[Row]:
    """A hot name through the manager's cache."""
    with lab.connection("cached") as connection:
        manager = connection.secrets
        manager.set_secret("API_KEY", VALUE)
        theirs = peers.aws_secret_cache({"API_KEY": VALUE})
        plain = {"API_KEY": VALUE}
        ours, aws, bare = race(
            [
                Contender("keystead", lambda: manager.get_secret("API_KEY"), lambda out: out == VALUE),
                Contender("aws", lambda: theirs("API_KEY"), lambda out: out == VALUE),
                Contender("dictionary", lambda: plain["API_KEY"], lambda out: out == VALUE),
            ]
        )
    return [
        bound("`get_secret`, cached", ours.cpu, 1e-6),
        # 1 microsecond was asked for where this peer takes 20.
        ahead("`get_secret`, cached", ours.cpu, "aws-secretsmanager-caching", aws.cpu, times=20),
        within("`get_secret`, cached", ours.cpu, "a function around a dictionary", bare.cpu, times=None),
    ]


def bare_reader(path: Path) -> Callable[[], str]:
    """The least: one select by primary key, one decryption, in a table of the same size."""
    cipher = AESGCM(os.urandom(32))
    connection = bare_database(path)
    for number in range(FEW):
        nonce = os.urandom(12)
        blob = nonce + cipher.encrypt(nonce, VALUE.encode(), b"")
        connection.execute("INSERT INTO secrets VALUES (?, 1, ?)", (f"NAME_{number:06}", blob))

    def read() -> str:
        row = connection.execute("SELECT value FROM secrets WHERE name = ?", ("NAME_000050",)).fetchone()
        return cipher.decrypt(row[0][:12], row[0][12:], b"").decode()

    return read


def bare_database(path: Path) -> sqlite3.Connection:
    """A table of names and values with the durability that our store has, and nothing else."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE secrets (name TEXT PRIMARY KEY, version INTEGER, value BLOB) WITHOUT ROWID")
    return connection


def fill(manager: Any, number: int) -> None:
    """`number` secrets, imported in calls of ten thousand."""
    names = [f"NAME_{index:06}" for index in range(number)]
    for start in range(0, number, 10_000):
        part = names[start : start + 10_000]
        manager.initialize(env=dict.fromkeys(part, VALUE), names=part)


def uncached(lab: Lab) -> list[Row]:
    """A read that asks the store, decrypts, and leaves its record in the journal."""
    with lab.connection("uncached") as connection:
        fill(connection.secrets, FEW)
        kms = connection.kms
        ours, bare = race(
            [
                Contender("keystead", lambda: kms.get_secret("NAME_000050"), lambda out: out == VALUE),
                Contender("bare", bare_reader(lab.folder("bare-read") / "bare.db"), lambda out: out == VALUE),
            ]
        )
    return [
        bound("`kms.get_secret`, uncached", ours.cpu, 30e-6),
        # 30 microseconds were asked for where the bare read takes 9.
        within("`kms.get_secret`, uncached", ours.cpu, "bare select and decryption", bare.cpu, times=30 / 9),
    ]


def stored(lab: Lab) -> list[Row]:
    """A durable write against a bare commit, and a hundred in one call against one."""
    connection = bare_database(lab.folder("bare-write") / "bare.db")
    numbers = count()
    blob = os.urandom(70)

    def commit() -> bool:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO secrets VALUES (?, 1, ?)", (f"NAME_{next(numbers):09}", blob))
        connection.execute("COMMIT")
        return True

    with lab.connection("stored") as ours:
        manager = ours.secrets

        def hundred() -> bool:
            names = [f"BATCH_{next(numbers):09}" for _ in range(100)]
            manager.initialize(env=dict.fromkeys(names, VALUE), names=names)
            return True

        one, batch, bare = race(
            [
                Contender(
                    "one",
                    lambda: ours.kms.store_secret(f"NAME_{next(numbers):09}", VALUE),
                    lambda _: ours.kms.get_secret(f"NAME_{next(numbers) - 1:09}") == VALUE,
                ),
                Contender("hundred", hundred, bool),
                Contender("bare", commit, bool),
            ],
            rounds=15,
            seconds=0.03,
        )
    return [
        within("`store_secret`, wall time", one.wall, "bare WAL FULL commit", bare.wall, times=1.4),
        within("`store_secret`, CPU", one.cpu, "bare WAL FULL commit", bare.cpu, times=2.5),
        within("a hundred in one call, wall time", batch.wall, "one", one.wall, times=5),
    ]


def large(lab: Lab) -> list[Row]:
    """Point reads and pages in a store of a hundred thousand secrets against one of a hundred."""
    with lab.connection("few") as few, lab.connection("many") as many:
        fill(few.secrets, FEW)
        fill(many.secrets, MANY)
        middle = f"NAME_{MANY // 2:06}"
        few_names, many_names = spread(FEW), spread(MANY)
        point_few, point_many, page_few, page_many = race(
            [
                Contender("few", lambda: few.kms.get_secret(next(few_names)), lambda out: out == VALUE),
                Contender("many", lambda: many.kms.get_secret(next(many_names)), lambda out: out == VALUE),
                Contender("page", lambda: few.kms.list_secrets(limit=50), lambda out: len(out.items) == 50),
                Contender(
                    "pages", lambda: many.kms.list_secrets(limit=50, after=middle), lambda out: len(out.items) == 50
                ),
            ]
        )
    return [
        as_fast("point read among 100,000", point_many, "among 100", point_few),
        as_fast("page of 50 from the middle of 100,000", page_many, "of 100", page_few),
    ]


def spread(number: int) -> Iterator[str]:
    """Names from all over a store of that many, again and again."""
    return cycle([f"NAME_{index * 7919 % number:06}" for index in range(1000)])


def as_fast(what: str, many: Timing, beside: str, few: Timing) -> Row:
    """As fast, with a quarter for the deeper tree."""
    return within(what, many.cpu, beside, few.cpu, times=1.25)


def rows(lab: Lab) -> list[Row]:
    """All of it."""
    return [*cached(lab), *uncached(lab), *stored(lab), *large(lab)]
