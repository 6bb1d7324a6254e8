"""A real server in processes of its own, on a real store, and an administrator's access token."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import keystead
from keystead.services.connection import Connection

ADMINISTRATOR = {"version": 1, "statements": [{"id": "all", "effect": "allow", "actions": ["*"], "resources": ["**"]}]}
CHEAP_PASSWORDS = "password_iterations = 2\npassword_lanes = 4\npassword_memory_kib = 19456\n"
"""Settings with an Argon2id that is cheap, and yet of several lanes."""
ANSWERS = re.compile(rb'\blistening\b.*\burl\W+(http[^"\s]+)')


class Reply(NamedTuple):
    """One answer as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server."""

    folder: Path
    master_key: str
    flags: list[str]
    token: str
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    said: bytes = b""

    def start(self) -> Server:
        environment = {"PATH": os.environ["PATH"], "KMS_MASTER_KEY": self.master_key, **self.variables}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keystead", "serve", "--store", str(self.folder), "--port", "0", *self.flags],
            cwd=self.folder,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self.url = self.wait_for(ANSWERS)[1].decode()
        return self

    def wait_for(self, pattern: re.Pattern[bytes], seconds: float = 30) -> re.Match[bytes]:
        """What the server says on stderr, once it says this."""
        assert self.process is not None
        assert self.process.stderr is not None
        end = time.monotonic() + seconds
        while (found := pattern.search(self.said)) is None:
            ready, _, _ = select.select([self.process.stderr], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self.process.stderr.fileno(), 65536) if ready else b""
            assert more, f"the server said {self.said!r} and no more"
            self.said += more
        return found

    def await_line(self, text: bytes, seconds: float = 20) -> None:
        """Return once another thread, which listens, has heard this."""
        end = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < end, f"the server did not say {text!r}"
            time.sleep(0.02)

    def listen(self) -> None:
        """Read what the server says until it ends, for one that says more than its pipe holds."""
        assert self.process is not None
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            while more := os.read(stream.fileno(), 65536):
                self.said += more

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host, int(port)

    def workers(self) -> list[int]:
        """The processes that answer."""
        assert self.process is not None
        listing = subprocess.run(["pgrep", "-P", str(self.process.pid)], check=False, capture_output=True, text=True)
        return [int(pid) for pid in listing.stdout.split()]

    def connect(self, token: str | None = None, **options: Any) -> Connection:
        return keystead.connect(self.url, token=token or self.token, **options)

    def raw(self, data: bytes, *, seconds: float = 10, source: str = "") -> bytes:
        """Everything that comes back for these bytes until the server closes, or says no more; sent from `source`."""
        here = (source, 0) if source else None
        with socket.create_connection(self.address, timeout=seconds, source_address=here) as sock:
            sock.sendall(data)
            parts = []
            try:
                while part := sock.recv(65536):
                    parts.append(part)
                    if is_whole(b"".join(parts)):
                        sock.settimeout(0.2)
            except TimeoutError:
                pass
            return b"".join(parts)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
        source: str = "",
        seconds: float = 10,
    ) -> Reply:
        """One request over a connection of its own. `token` "" is the administrator's, None is none."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(data))}
        if data:
            lines["Content-Type"] = "application/json"
        if token is not None:
            lines["Authorization"] = f"Bearer {token or self.token}"
        lines |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        asked = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data
        return read_reply(self.raw(asked, source=source, seconds=seconds))

    def log_in(self, method: str, body: Any, **how: Any) -> Reply:
        """The answer to a login, which nobody's token goes with."""
        return self.request("POST", f"/api/v1/login/{method}", body, token=None, **{"seconds": 30, **how})

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def stop_and_read(self) -> str:
        """Everything that it said until its end."""
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.terminate()
        self.said += self.process.stderr.read()
        assert self.stop() == 0
        return self.said.decode("ascii")


def is_whole(data: bytes) -> bool:
    head, found, rest = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(found) and (length is None or len(rest) >= int(length[1]))


def read_reply(data: bytes) -> Reply:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


def prepared(folder: Path, *flags: str, **variables: str) -> Server:
    """A store with an administrator, and a server for it that is not started."""
    master_key = base64.b64encode(os.urandom(32)).decode()
    place = folder / ".keystead"
    place.mkdir(mode=0o700)
    with keystead.connect(place, master_key=master_key) as store:
        store.kms.policies.write("administrator", ADMINISTRATOR)
        token = store.kms.tokens.create(["administrator"], name="administrator").reveal()
    return Server(place, master_key, list(flags), token, variables)


def told(answer: Reply) -> tuple[int, dict[str, str], dict[str, Any]]:
    """What an answer tells, without what is another in each: ids, and how long is left of a lock."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "retry-after")}
    hidden = ("request_id", "retry_after_s")
    return answer.status, headers, {name: value for name, value in answer.json.items() if name not in hidden}


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that need no other."""
    running = prepared(tmp_path_factory.mktemp("server")).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Any]:
    """Servers of a test's own, by their flags."""
    made: list[Server] = []

    def start(*flags: str, **variables: str) -> Server:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(prepared(folder, *flags, **variables).start())
        return made[-1]

    yield start
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.stop()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("local") / ".keystead"
    folder.mkdir()
    with keystead.connect(folder, master_key=keystead.generate_master_key()) as store:
        store.kms.policies.write("administrator", ADMINISTRATOR)
        token = store.kms.tokens.create(["administrator"], name="administrator")
        yield store.as_token(token)


@pytest.fixture(scope="module")
def remote(server: Server) -> Iterator[Connection]:
    with server.connect() as connection:
        yield connection


@pytest.fixture(params=["store", "server"])
def both(request: pytest.FixtureRequest) -> Connection:
    found: Connection = request.getfixturevalue("local" if request.param == "store" else "remote")
    return found
