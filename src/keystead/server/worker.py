"""One worker: an open store, an event loop, threads for what waits, and a listening socket that others may share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import uvicorn
from uvicorn.server import Server

from keystead.access.methods.certificates import binding_of
from keystead.crypto.material import random_bytes
from keystead.errors import KeysteadError
from keystead.server import memory
from keystead.server.app import Told
from keystead.server.callers import Callers
from keystead.server.dispatch import Dispatch
from keystead.server.flushing import Flusher
from keystead.server.group import Group
from keystead.server.logs import defect, say
from keystead.server.metrics import Metrics, Row
from keystead.server.protocol import ApiProtocol
from keystead.server.rates import Rates
from keystead.server.requests import Requests
from keystead.server.routes import Routes
from keystead.server.settings import ServerSettings
from keystead.server.tls import Certificates
from keystead.server.tracing import Spans
from keystead.services.kms import KMSService

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
SWEEP_SECONDS: Final = 0.5
CHANGES_SECONDS: Final = 0.05
TRIM_SECONDS: Final = 10.0
LOGIN_THREADS: Final = 4
"""Logins that are looked at together. They wait for derivations and for issuers, and strangers may ask for them."""
_STREAMED: Final = (b"/api/v1/openapi.json", b"/api/v1/changes")


class Worker:
    """The parts of one worker. `owner` is the service of who opened the store, `row` where this worker's figures stand
    among all workers', `dropped` counts lines of the log; `spans` takes what is told of each request, if there is
    something.
    """

    def __init__(
        self,
        owner: KMSService,
        settings: ServerSettings,
        row: Row,
        dropped: Callable[[], int],
        spans: Spans | None,
    ) -> None:
        node = owner.node
        self.owner = owner
        self.settings = settings
        self.monotonic = node.clock.monotonic
        self.board = row.board
        self.metrics = Metrics(row)
        self.rates = Rates(settings.requests_per_address, settings.requests_per_principal, self.monotonic)
        self.threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="keystead")
        self.logins = ThreadPoolExecutor(LOGIN_THREADS, thread_name_prefix="keystead-login")
        self.callers = Callers(node, owner)
        self.routes = Routes()
        self.dispatch = Dispatch(owner, self.callers, self.routes, self.rates, max_depth=settings.max_json_depth)
        self.requests = Requests(self.dispatch, self.monotonic, spans)
        self._dropped = dropped
        self.group: Group
        self.draining = False
        self._ids = itertools.count(1)
        self._id = f"req_{random_bytes(9).hex()}"
        self._hosts: frozenset[bytes] = frozenset(host.lower().encode("ascii") for host in settings.allowed_hosts)
        self._certificates = Certificates(settings) if settings.is_tls else None
        self._server: Server | None = None

    # What the protocol asks

    def new_id(self) -> str:
        """A fresh id for a request."""
        return "%s%08x" % (self._id, next(self._ids))  # noqa: UP031 - the faster of the two

    def id_of(self, given: bytes | None) -> str:
        """The id that a request came with, if it has the form of one; else a fresh one."""
        if given is not None and _ID.fullmatch(given):
            return given.decode("ascii")
        return self.new_id()

    def is_host(self, host: bytes) -> bool:
        """Whether the server answers under this name."""
        return not self._hosts or bool({host.lower(), host.rpartition(b":")[0].lower()} & self._hosts)

    def is_streamed(self, target: bytes) -> bool:
        """Whether a target below the API's prefix is for the ASGI application."""
        return target.startswith(_STREAMED)

    def binding_of(self, certificate: bytes) -> str:
        """What a token is bound to that was given for a client certificate, from its DER."""
        return binding_of([certificate])

    def report(self, error: BaseException, request_id: str) -> None:
        """An error that is a defect: into the log by its class and place, never with a value."""
        defect(error, request_id)

    async def changes_after(self, number: int, seconds: float) -> int:
        """The number of changes: at once where it is another one, else when it is, or after so many seconds."""
        changes, end = self.owner.node.store.changes, self.monotonic() + seconds
        while changes() == number and self.monotonic() < end and not self.draining:
            await asyncio.sleep(CHANGES_SECONDS)
        return changes()

    def note_figures(self) -> None:
        """Write this worker's figures of now where all workers' are."""
        connections = len(self._server.server_state.connections) if self._server is not None else 0
        self.metrics.note(connections, self.callers.count(), self.owner.node.generation, self._dropped())

    # Running

    async def serve(
        self,
        sockets: list[socket.socket],
        ready: Callable[[], None] | None = None,
        orphaned: Callable[[], None] | None = None,
    ) -> None:
        """Answer until a signal says stop; what is under way then is answered within the drain time.

        `ready` is called once requests are answered, `orphaned` if the parent process ends before this one.
        """
        loop = asyncio.get_running_loop()
        node = self.owner.node
        waits = node.settings.audit_fsync == "group"
        flusher = Flusher(node.recorder.wait)
        self.group = Group(node.recorder, loop, flusher, waits=waits)
        config = uvicorn.Config(
            Told(self),
            http=partial(ApiProtocol, self),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            loop="asyncio",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=2048,
            timeout_graceful_shutdown=max(1, self.settings.drain_ms // 1000),
        )
        config.load()
        if self._certificates is not None:
            config.ssl = self._certificates.context
        self._server = _Server(config, self, ready)
        # The loop's own handler would log what a callback was given.
        loop.set_exception_handler(lambda _, context: defect(context.get("exception")))
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        watching = asyncio.create_task(self._watch(orphaned))
        try:
            await self._server.serve(sockets=sockets)
        finally:
            watching.cancel()
            self.threads.shutdown(wait=True)
            self.logins.shutdown(wait=True)
            flusher.close()
            self.callers.close()

    def stop(self) -> None:
        """Take no more connections, answer what is under way, and end."""
        if self._server is not None:
            self._server.should_exit = True

    def _reload(self) -> None:
        if self._certificates is not None:
            self._certificates.reload(asked=True)

    async def _watch(self, orphaned: Callable[[], None] | None) -> None:
        """Close what is late, reload changed certificates, forget callers that ended, see whether the parent lives."""
        parent, trim = os.getppid(), self.monotonic() + TRIM_SECONDS
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.note_figures()
            now = self.monotonic()
            if now >= trim:
                trim = now + TRIM_SECONDS
                await asyncio.get_running_loop().run_in_executor(self.threads, memory.give_back)
            if orphaned is not None and os.getppid() != parent:
                say(logging.WARNING, "parent_lost")
                orphaned()
                self.stop()
                orphaned = None
            if self._server is not None:
                for connection in list(self._server.server_state.connections):
                    if isinstance(connection, ApiProtocol) and connection.is_late(now):
                        connection.expire()
            if self._certificates is not None:
                await asyncio.to_thread(self._certificates.reload)
            with suppress(KeysteadError):  # while the store does not answer, it is asked again the next time
                await asyncio.get_running_loop().run_in_executor(self.threads, self.callers.sweep)


class _Server(Server):
    """uvicorn's server, which tells when it listens and when it is to stop."""

    def __init__(self, config: uvicorn.Config, worker: Worker, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._worker = worker
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The worker hears the signals itself: it has more to do at its end than to end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._worker.draining = True
        await super().shutdown(sockets)


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end, on the faster event loop where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
