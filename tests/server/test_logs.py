"""The log of a server: one line for one thing, whatever a client gives; nobody waits for it; no value is in it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from tests.docs.pages import ROOT, rows, section
from tests.server.conftest import Server
from tests.server.test_http import head

from keystead.server.logs import MOST_WAITING, Lines, Stderr

KNOWN = {"time", "level", "event", "pid", "request_id", "method", "route", "status", "code", "ms", "principal"}
HOSTILE = 'a\r\n{"event":"forged"}\u2028\x1b[31m'
# What is broken on purpose, in a process of its own: each holds what must not be seen.
DEFECTS = """
import asyncio, logging, threading
from keystead.server.logs import defect, set_up

lines = set_up("json", "info", events=None)

def fail(value):
    raise ValueError("cAnaRy5e7b " + value)

try:
    fail("x")
except ValueError as error:
    defect(error, "req_1")
    logging.getLogger("uvicorn.error").error("Exception in %s", "cAnaRy5e7b", exc_info=True)
thread = threading.Thread(target=fail, args=("y",))
thread.start()
thread.join()
logging.getLogger("keystead").warning("two\\nlines %s", "of ours")
logging.getLogger("other").info("not asked for")
"""


def records(text: str) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in text.splitlines()]


def ask_with_ill_will(server: Server) -> None:
    """Requests that are refused, each with what could break a line."""
    escaped = HOSTILE.encode("unicode_escape").decode()
    for target in (f"/api/v1/secrets/{escaped}", f"/api/v1/{escaped}?x={escaped}", f"/{escaped}", "/api/v1/x%0a%0d"):
        server.raw(head("GET", target, server.token, f"X-Request-Id: {escaped}", f"Idempotency-Key: {escaped}"))
    for line in (
        "X-Request-Id: \x1b[31m",
        "X-Request-Id: a\tb",
        f"X-Request-Id: {'a' * 65}",
        'X-Request-Id: {"a":"b"}',
    ):
        server.raw(head("GET", "/api/v1/secrets/absent-name", None, line))
    server.raw(b'G"T /\x1b HTTP/1.1\r\n\r\n')
    server.raw(b"PROPFIND /api/v1/keys HTTP/1.1\r\nHost: h\r\n\r\n")
    server.request("PUT", "/api/v1/secrets/absent-name", {"value": "x", "tags": {HOSTILE: 1}})
    server.request("POST", "/api/v1/login/password", {"name": HOSTILE, "password": HOSTILE}, token=None)


def test_each_thing_is_one_line_of_json_whatever_a_client_gives(own_server: Any) -> None:
    server = own_server("--workers", "2", "--log-level", "debug")
    assert server.request("GET", "/api/v1/whoami", headers={"X-Request-Id": "good.id-1"}).status == 200
    assert server.request("GET", "/health/live", token=None).status == 200
    ask_with_ill_will(server)
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for(re.compile(rb'"event":"worker_restarted"'))
    found = records(server.stop_and_read())
    happened = [record["event"] for record in found]
    for event, times in (("start", 1), ("listening", 1), ("worker_started", 2), ("drain_begun", 1), ("drain_ended", 1)):
        assert happened.count(event) == times, event
    assert "SIGKILL" in {record.get("signal") for record in found if record["event"] == "worker_ended"}
    assert set(happened) == {
        "start", "listening", "worker_started", "worker_ended", "worker_restarted", "drain_begun", "drain_ended",
        "request", "request_refused",
    }  # fmt: skip
    requests = [record for record in found if record["event"].startswith("request")]
    assert all(set(record) <= KNOWN for record in requests)
    good = next(record for record in requests if record["request_id"] == "good.id-1")
    assert (good["route"], good["status"], good["principal"], good["level"]) == (
        "/api/v1/whoami", 200, "token", "debug",
    )  # fmt: skip
    assert {record["method"] for record in requests} <= {"GET", "PUT", "POST", "_OTHER"}
    assert {record.get("route", "") for record in requests} <= {
        "", "/api/v1/whoami", "/health/live", "/api/v1/secrets/{name}", "/api/v1/keys", "/api/v1/login/{method}",
    }  # fmt: skip
    refused = [record for record in requests if record["status"] >= 400]
    assert len(refused) >= 12
    assert all(record["level"] == "info" and re.fullmatch(r"KS\d{4}", record["code"]) for record in refused)


def test_text_for_people_is_a_line_each_too_and_successes_are_not_told(own_server: Any) -> None:
    server = own_server("--workers", "1", KEYSTEAD_SERVER_LOG_FORMAT="text")
    assert server.request("GET", "/api/v1/whoami").status == 200
    ask_with_ill_will(server)
    lines = server.stop_and_read().splitlines()
    assert all(re.fullmatch(r"\S{23}Z (info   |warning) [a-z_]+( [a-z_]+=[!-~]+)*", line) for line in lines), lines
    assert not any(" request " in line or "absent" in line for line in lines)
    assert sum(" request_refused " in line for line in lines) >= 10


def test_a_log_that_nobody_reads_keeps_no_request_waiting(own_server: Any) -> None:
    server = own_server()
    count = 700  # lines of some 200 bytes, more than a pipe holds
    with socket.create_connection(server.address, timeout=20) as sock:
        answered = 0
        for _ in range(count // 10):
            sock.sendall(head("GET", "/api/v1/absent", None) * 10)
            answered += 10
            data = b""
            while data.count(b"HTTP/1.1 404") < 10:
                data += sock.recv(65536)
    assert answered == count
    assert server.request("GET", "/health/ready", token=None).status == 200
    assert server.stop() == 0


def test_lines_that_nobody_takes_are_dropped_counted_and_told() -> None:
    reader, writer = os.pipe()
    handler = Stderr(writer)
    handler.setFormatter(Lines(as_json=True))
    handler.start()
    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "fields": {"padding": "x" * 200}})
    for _ in range(2 * MOST_WAITING):
        handler.handle(record)
    lost = handler.dropped
    assert lost > 0
    told = bytearray()

    def read() -> None:
        while part := os.read(reader, 65536):
            told.extend(part)

    reading = threading.Thread(target=read)
    reading.start()
    end = time.monotonic() + 20
    while (
        b"log_lines_dropped" not in told or told.count(b'"event":"request"') < 2 * MOST_WAITING - lost
    ) and time.monotonic() < end:
        time.sleep(0.01)
    handler.stop()
    os.close(writer)
    reading.join(20)
    os.close(reader)
    found = records(told.decode())
    assert len([each for each in found if each["event"] == "request"]) == 2 * MOST_WAITING - lost
    assert sum(each["count"] for each in found if each["event"] == "log_lines_dropped") == lost


def test_a_full_pipe_does_not_stop_the_parent_either() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    handler = Stderr(writer)
    handler.setFormatter(Lines(as_json=True))
    handler.handle(logging.makeLogRecord({"msg": "worker_ended", "fields": {}}))
    assert handler.dropped == 1
    os.close(reader)
    handler.handle(logging.makeLogRecord({"msg": "worker_ended", "fields": {}}))  # whoever read it is gone
    assert handler.dropped == 2
    os.close(writer)


def test_a_defect_is_told_by_its_class_and_place_and_by_nothing_that_it_holds() -> None:
    done = subprocess.run([sys.executable, "-c", DEFECTS], capture_output=True, text=True, timeout=60, check=True)
    assert "cAnaRy" not in done.stderr + done.stdout
    first, foreign, thread, ours = records(done.stderr)
    assert (first["event"], first["level"], first["error"], first["request_id"]) == (
        "defect", "error", "ValueError", "req_1",
    )  # fmt: skip
    assert re.search(r"<string>:8 < .*<string>:11", first["place"])
    assert (foreign["logger"], foreign["message"], foreign["error"]) == (
        "uvicorn.error",
        "Exception in %s",
        "ValueError",
    )
    assert (thread["event"], thread["error"]) == ("defect", "ValueError")
    assert (ours["level"], ours["message"]) == ("warning", "two\nlines of ours")


def test_the_page_lists_every_event() -> None:
    told = {name for row in rows(section("docs/server.md", "The log")) for name in re.findall(r"`(\w+)`", row[0])}
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src/keystead").glob("[cs]*/*.py"))
    said = set(re.findall(r'\bsay\(\s*[^,"]*,\s*"(\w+)"', source))
    assert len(said) > 10
    assert said <= told
    assert [name for name in told if f'"{name}"' not in source] == []


def test_events_of_the_audit_log_name_names_and_are_told_only_where_asked_for(own_server: Any) -> None:
    # That there are none elsewhere is seen by the names of events in the first test, and by the search for leaks.
    server = own_server(LOG_LEVEL="INFO")
    server.request("PUT", "/api/v1/secrets/named-here", {"value": "x"})
    found = records(server.stop_and_read())
    assert any("named-here" in record["message"] for record in found if record["event"] == "audit")
