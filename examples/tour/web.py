"""The example application as a process of its own, called over HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, Self

EXAMPLES = Path(__file__).resolve().parents[1]
_RUNNING = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
_START_SECONDS = 20
_STOP_SECONDS = 10


class Answer(NamedTuple):
    """The status of an answer, and its JSON (None where it has no body)."""

    status: int
    body: Any


class WebApplication:
    """Starts the application in `folder`, waits until it serves, and ends it at the end of a `with` block.

    Its output goes to `web.log` in the folder; the port is a free one of the loopback interface.

    Raises:
        RuntimeError: it ended, or did not serve in time; with what it said.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / "web.log"
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_app.app:app"]
        command += ["--host", "127.0.0.1", "--port", "0", "--workers", "1"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=output, stderr=output
            )
        try:
            self.port = self._wait_until_it_serves()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _wait_until_it_serves(self) -> int:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            running = _RUNNING.search(self.output())
            if running:
                return int(running[1])
            if ended:
                raise RuntimeError(f"the application ended at its start, and said:\n{self.output()}")
            time.sleep(0.02)
        raise RuntimeError(f"the application did not serve within {_START_SECONDS} s, and said:\n{self.output()}")

    def output(self) -> str:
        """What it said so far."""
        return self.log.read_text("utf-8")

    def call(self, method: str, path: str, body: object = None, access_token: str | None = None) -> Answer:
        """One request."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json"}
        if access_token is not None:
            headers["Authorization"] = f"Bearer {access_token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return Answer(answer.status, json.loads(text) if text else None)
        finally:
            connection.close()

    def stop(self) -> int:
        """End it as a service manager does, by SIGTERM; its exit code (negative: the signal that ended it)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the application did not end within {_STOP_SECONDS} s of SIGTERM") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
