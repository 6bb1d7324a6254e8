"""Requests to the native API, answered from the parser's callbacks: uvicorn's protocol, extended.

What `dispatch.attempt` can answer is answered within `data_received`; everything else under `/api/v1/` goes to a
thread. Other paths, such as health and metrics, go to the ASGI application as they do in uvicorn. Bounds are checked as
the bytes arrive, before anything is parsed or anybody is authenticated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keystead.api.operations import PREFIX
from keystead.errors import AuditUnavailable
from keystead.gate import WouldWait
from keystead.server import answers
from keystead.server.answers import Answer, Refusal, head, of_error, of_refusal, plain_head
from keystead.server.app import BINDING
from keystead.server.callers import Caller
from keystead.server.dispatch import Request
from keystead.server.heads import KEPT, Head, Heads, method_of, wrong_with
from keystead.server.sending import send_file
from keystead.server.tracing import TRACEPARENT

if TYPE_CHECKING:
    from keystead.server.worker import Worker

_OURS: Final = f"{PREFIX}/".encode("ascii")
_HEALTH: Final = b"/health/"
_QUEUED: Final = 16
LINGER_SECONDS: Final = 1.0


class ApiProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, worker: Worker, **how: Any) -> None:
        super().__init__(**how)
        self.parser = httptools.HttpRequestParser(self)
        self.worker = worker
        self.limits = worker.settings
        self._clock = worker.monotonic
        self._now = 0.0
        self.deadline = 0.0
        self._late: Refusal | None = None
        self._header_bytes = 0
        self._ours = False
        self._length = 0
        self._parts: list[bytes] = []
        self._seen: dict[bytes, bytes] = {}
        self._heads = Heads()
        self._between = self._goes_on = True
        self._data = b""
        self._busy = False
        self._ending = False
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._method = ""
        self._began = 0.0
        self._each = worker.requests.each
        self._most_header_bytes = self.limits.max_header_bytes
        self._header_seconds = self.limits.header_timeout_ms / 1000
        self._body_seconds = self.limits.body_timeout_ms / 1000
        self._idle_seconds = self.limits.idle_timeout_ms / 1000
        self._any_host = worker.is_host(b"")
        self._limited = bool(self.limits.requests_per_address)
        self._shown: bytes | None = None
        self._caller: Caller | None = None
        self._source = ""
        self._chain: tuple[bytes, ...] = ()
        self._binding = ""

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection came: its deadline begins, and so may its end, where there are too many."""
        super().connection_made(transport)
        self._source = self.client[0] if self.client else ""
        self._now = self._clock()
        self._await_headers()
        secured = transport.get_extra_info("ssl_object")
        shown = secured.getpeercert(binary_form=True) if secured is not None else None
        if shown:
            self._chain, self._binding = (shown,), self.worker.binding_of(shown)
        if len(self.connections) > self.limits.max_connections:
            self._turn_away(answers.BUSY)
        elif self.worker.draining:
            self._turn_away(answers.DRAINING)

    def _close(self) -> None:
        """End the connection once what was written has left. Over TLS no goodbye of the peer is waited for."""
        self.transport.close()
        if self.scheme == "https":
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _await_headers(self) -> None:
        self._began = self._now
        self.deadline, self._late = self._began + self._header_seconds, answers.TOO_SLOW

    def _await_request(self) -> None:
        self.deadline, self._late = self._clock() + self._idle_seconds, None

    def is_late(self, now: float) -> bool:
        """Whether what is waited for should be here by now."""
        return not self._busy and (self.cycle is None or self.cycle.response_complete) and now >= self.deadline

    def expire(self) -> None:
        """What was waited for has not come in time."""
        if self._late is None:
            self._close()
        else:
            self._turn_away(self._late)

    def data_received(self, data: bytes) -> None:
        """Bytes came: parse them, which calls back below."""
        if self._ending:
            return
        self._now = self._clock()
        again = self._heads.again(data) if self._between else None
        if again is not None:
            self._answer_again(*again)
            return
        self._data = data if self._between else b""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # No other protocol is spoken here: the request was answered, or is being, and is the last one.
            self._end()
        except httptools.HttpParserError:
            if self._goes_on:  # what is behind the last message takes no answer away
                self._turn_away(answers.MALFORMED)

    def _end(self) -> None:
        """The answer that is under way is the last one of this connection."""
        self._ending = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif not self._busy:
            self._close()

    def _turn_away(self, refusal: Refusal) -> None:
        """The last answer of this connection."""
        if self._ending:
            return
        self._ending = True
        self._waiting.clear()
        if not self._busy and (self.cycle is None or self.cycle.response_complete):
            request_id = self.worker.new_id()
            answer = of_refusal(refusal._replace(close=True), request_id)
            self.worker.metrics.answered("refused", answer.status)
            self._write(answer, request_id, keep_alive=False)
            self.worker.requests.answered(self._as_far_as_read(request_id), answer)
        elif not self._busy:
            self._close()

    def _as_far_as_read(self, request_id: str) -> Request:
        """The request that is turned away; before its head was whole it has no target."""
        target = self.url if self._method else b""
        return Request(self._method, target, None, b"", self._source, "", {}, request_id, began=self._began)

    # The parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._between = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._header_bytes, self._length, self._method = 0, 0, ""
        self._ours = False
        self._parts, self._seen = [], {}
        self._await_headers()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self.url += url
        self._ours = self.url.startswith(_OURS) and not self.worker.is_streamed(self.url)
        self._header_bytes += len(url)
        if self._header_bytes > self._most_header_bytes:
            self._turn_away(answers.LONG_HEADERS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what decides may stand once only."""
        if self._ending:
            return
        name = name.lower()
        if not self._ours:
            # For the ASGI application, which is given all of them.
            self.headers.append((name, value))
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._most_header_bytes:
            self._turn_away(answers.LONG_HEADERS)
        elif name in KEPT:
            if name in self._seen:
                if name != TRACEPARENT:
                    self._turn_away(answers.MALFORMED)
                value = b""  # of two, none counts
            self._seen[name] = value

    def on_headers_complete(self) -> None:
        """The head is whole: refuse it, or wait for the body."""
        if self._ending:
            return
        refusal = self._refused()
        if refusal is not None:
            self._turn_away(refusal)
            return
        self.deadline, self._late = self._now + self._body_seconds, answers.TOO_SLOW
        expected = self._seen.get(b"expect")
        if not self._ours:
            self.expect_100_continue = expected is not None
            self._hand_over()
        elif expected is not None and not self._busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refused(self) -> Refusal | None:
        """What is wrong with the head of a request, if anything is."""
        seen, version = self._seen, self.parser.get_http_version()
        self._method = method_of(self.parser.get_method())
        if not self._method or not self.url.startswith(b"/"):
            return answers.MALFORMED
        refusal = wrong_with(version, seen, self.limits.max_body_bytes)
        if refusal is None and not self._any_host and not self.worker.is_host(seen.get(b"host", b"")):
            return answers.BAD_HOST
        return refusal

    def _hand_over(self) -> None:
        """A request for the ASGI application, which must not overtake an answer that is still to come."""
        if self._busy:
            self._ending = True
            return
        # Whoever watches the server's health is never kept from it.
        if not self.url.startswith(_HEALTH) and self.worker.rates.address(self._source) is not None:
            self._turn_away(answers.TOO_MANY)
            return
        target, headers, expected = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = target, headers, expected
        self.scope["headers"] = headers
        self.scope["state"][BINDING] = self._binding
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._ending:
            return
        self._length += len(body)
        if self._length > self.limits.max_body_bytes:
            self._turn_away(answers.TOO_LARGE)
        elif self._ours:
            self._parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: answer it."""
        if self._ending:
            return
        self._between = self._goes_on = keep_alive = self.parser.should_keep_alive()
        data, self._data = self._data, b""
        if not self._ours:
            self._await_request()
            super().on_message_complete()
            return
        hot = self.worker.dispatch.known(self._method, self.url) is not None
        if hot and data and keep_alive and not self.parser.should_upgrade():
            self._heads.keep(data, Head(self._method, self.url, self._seen, self._length))
        self._come(self._seen, b"".join(self._parts), keep_alive)

    def _answer_again(self, head: Head, body: bytes) -> None:
        """The same for a request whose head was read before: the callbacks above would come to the same."""
        self._method, self.url, self._began = head.method, head.target, self._now
        self._come(head.headers, body, keep_alive=True)

    def _come(self, seen: Mapping[bytes, bytes], body: bytes, keep_alive: bool) -> None:
        """A request has come: answer it, or let it wait for the answers before it."""
        request_id = self.worker.id_of(seen.get(b"x-request-id"))
        shown, connection = seen.get(b"authorization"), (self._source, self._binding)
        request = Request(self._method, self.url, shown, body, *connection, seen, request_id, self._chain, self._began)
        keep_alive = keep_alive and not self.worker.draining
        if self._busy or not (self.cycle is None or self.cycle.response_complete):
            self._waiting.append((request, keep_alive))
            if len(self._waiting) >= _QUEUED:
                self.flow.pause_reading()
        else:
            self._answer(request, keep_alive)

    # Answers

    def _answer(self, request: Request, keep_alive: bool) -> None:
        worker = self.worker
        self._busy = True
        late = worker.rates.address(request.source) if self._limited else None
        if late is not None:
            answer = of_refusal(answers.TOO_MANY, request.request_id, (b"retry-after", b"%d" % late))
            self._done(request, answer, keep_alive)
            return
        known = worker.dispatch.known(request.method, request.target)
        if known is not None:
            # Who shows on one connection what it showed there before is known by that.
            if self._caller is None or request.authorization != self._shown:
                self._caller, self._shown = worker.dispatch.caller(request), request.authorization
            if self._caller is not None:
                worker.group.begin()
                body = worker.dispatch.attempt(known, request, self._caller)
                if not isinstance(body, WouldWait):
                    worker.group.add(partial(self._leave, request, body, keep_alive))
                    return
                self._caller = None
        # Logins have threads of their own, so that strangers who try many keep nobody waiting who is known.
        threads = worker.logins if worker.dispatch.is_login(request) else worker.threads
        waiting = self.loop.run_in_executor(threads, worker.dispatch.answer, request)
        waiting.add_done_callback(partial(self._answered, request, keep_alive))

    def _leave(self, request: Request, body: bytes | Answer, keep_alive: bool, error: AuditUnavailable | None) -> None:
        if error is not None:
            self._done(request, of_error(error, request.request_id), keep_alive)
        elif not keep_alive or self._ending or self._waiting or isinstance(body, Answer):
            self._done(request, body if isinstance(body, Answer) else Answer(200, body), keep_alive)
        else:
            # The same in fewer steps, for nearly all of them.
            self._busy = False
            self.server_state.total_requests += 1
            self.worker.metrics.answered(request.method, 200)
            if not self.transport.is_closing():
                self.transport.write(plain_head(len(body), request.request_id) + body)
                self._await_request()
            if self._each:
                self.worker.requests.answered(request, Answer(200))

    def _answered(self, request: Request, keep_alive: bool, done: asyncio.Future[Answer]) -> None:
        if done.cancelled():
            answer = of_refusal(answers.DRAINING, request.request_id)
        elif (error := done.exception()) is not None:
            self.worker.report(error, request.request_id)
            answer = of_refusal(answers.FAILED, request.request_id)
        else:
            answer = done.result()
        self._done(request, answer, keep_alive)

    def _done(self, request: Request, answer: Answer, keep_alive: bool) -> None:
        self.server_state.total_requests += 1
        self.worker.metrics.answered(request.method, answer.status)
        if answer.file is not None:
            # The server waits at its end for what stands in `tasks`, and for this connection.
            keep_alive = keep_alive and not self._ending
            sending = self.loop.create_task(send_file(self, answer, request.request_id, keep_alive=keep_alive))
            self.tasks.add(sending)
            sending.add_done_callback(self.tasks.discard)
            sending.add_done_callback(lambda _: self._next(keep_alive))
            return
        self._busy = False
        self._write(answer, request.request_id, keep_alive=keep_alive and not self._ending)
        self.worker.requests.answered(request, answer)
        self._go_on()

    def _next(self, keep_alive: bool) -> None:
        """A file was sent, or could not be, which ended the connection."""
        self._busy = False
        if not keep_alive or self._ending:
            self._close()
        self._go_on()

    def _go_on(self) -> None:
        if self.transport.is_closing():
            return
        if self._waiting:
            self.flow.resume_reading()
            self._answer(*self._waiting.popleft())
        else:
            self._await_request()

    def _write(self, answer: Answer, request_id: str, *, keep_alive: bool) -> None:
        if not self.transport.is_closing():
            self.transport.write(head(answer, request_id, keep_alive=keep_alive) + answer.body)
            if not keep_alive or answer.close:
                self._close()

    def on_response_complete(self) -> None:
        """The ASGI application has answered: what waited behind it is next."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # that timer knows nothing of what waits; `deadline` does
        self._await_request()
        if self._waiting and not self.transport.is_closing():
            self._answer(*self._waiting.popleft())

    def shutdown(self) -> None:
        """The server is stopping: the answer under way is the last one."""
        if self._busy or self._waiting:
            self._ending = True
        elif self.cycle is None or self.cycle.response_complete:
            self._close()
        else:
            super().shutdown()
