"""The server of one soak: a store, a certificate, processes that can be killed, and what the system says of them."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.methods.authorities import SERVER, dns, issue, root
from tests.server.conftest import prepared

_DATES = {"begin": datetime.now(UTC) - timedelta(days=1), "end": datetime.now(UTC) + timedelta(days=30)}
_SAYS = b"listening"


class Process(NamedTuple):
    """One process of the server. `started` counts in ticks since the machine did."""

    pid: int
    parent: int
    started: int
    is_worker: bool


class Site:
    """A store with a server of `workers` processes over TLS, on a port that stays the same."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder, self.log = folder, folder / "server.log"
        made = prepared(folder)
        self.store, self.master_key, self.token = made.folder, made.master_key, made.token
        (self.store / "keystead.toml").write_text('sweep_interval = "5s"\n[server]\nthreads = 4\n')
        self._authority = root(**_DATES)
        (folder / "ca.pem").write_text(self._authority.pem)
        self.renew()
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.address = ("127.0.0.1", int(found.getsockname()[1]))
        self.context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        self.context.check_hostname = False  # the certificate's name is localhost
        self._command = [
            sys.executable, "-m", "keystead", "serve", "--store", str(self.store), "--port", str(self.address[1]),
            "--workers", str(workers), "--tls-certificate", str(folder / "server.pem"),
            "--tls-key", str(folder / "server.key"),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def renew(self) -> None:
        """Put another certificate in the place of the one that is served."""
        issued = issue("localhost", self._authority, names=[dns("localhost")], usages=[SERVER], **_DATES)
        for name, text in (("server.key", issued.key_pem), ("server.pem", issued.pem)):
            fresh = self.folder / f"{name}.new"
            fresh.touch(0o600)
            fresh.write_text(text)
            fresh.replace(self.folder / name)

    def served(self) -> bytes:
        """The certificate that a new connection is shown, by a worker that is not just ending."""
        end = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(self.address, 10) as sock, self.context.wrap_socket(sock) as secured:
                    return secured.getpeercert(binary_form=True) or b""
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def start(self) -> None:
        before = self._said()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.store, stderr=log, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "KMS_MASTER_KEY": self.master_key},
            )  # fmt: skip
        self.wait_until_it_says(before)

    def wait_until_it_says(self, before: int, seconds: float = 60) -> None:
        """Until a parent says that all workers answer, once more than `before`."""
        end = time.monotonic() + seconds
        while self._said() <= before:
            if time.monotonic() > end:
                raise AssertionError(f"the server does not come back: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def _said(self) -> int:
        return self.log.read_bytes().count(_SAYS) if self.log.exists() else 0

    def processes(self) -> list[Process]:
        """Those that live now, the parent first; in the midst of a start or an end, what there is."""
        found: dict[int, tuple[int, int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if str(self.store).encode() not in (entry / "cmdline").read_bytes():
                        continue
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                found[int(entry.name)] = int(fields[1]), int(fields[19])
        every = [Process(pid, parent, started, parent in found) for pid, (parent, started) in found.items()]
        return sorted(every, key=lambda process: (process.is_worker, process.started))

    def workers(self) -> list[Process]:
        """The workers, the eldest first."""
        return [process for process in self.processes() if process.is_worker]

    def parent(self) -> int | None:
        return next((process.pid for process in self.processes() if not process.is_worker), None)

    def kill_parent(self) -> None:
        """And wait for the one that follows it by itself."""
        before, pid = self._said(), self.parent()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._bury(pid)
        self.wait_until_it_says(before)

    def kill_all(self) -> None:
        """Every process at once, as a power cut does."""
        while living := self.processes():
            for process in living:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self._bury(process.pid)
            time.sleep(0.05)

    def stop(self, seconds: float = 60) -> int | None:
        """SIGTERM; the exit code of a parent of ours, None of one that followed another."""
        pid = self.parent()
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        if self._process is not None and self._process.pid == pid:
            return self._process.wait(seconds)
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        return None

    def _bury(self, pid: int) -> None:
        if self._process is not None and self._process.pid == pid:
            self._process.wait(30)
