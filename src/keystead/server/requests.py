"""What is told of each request once it is answered: a line of the log, and a span where requests are traced.

Told are its id, the template of its route, status, code, time and the kind of who asked; never what it was about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from keystead.server.answers import Answer
from keystead.server.dispatch import Dispatch, Request
from keystead.server.logs import LOG, say
from keystead.server.tracing import TRACEPARENT, Answered, Spans

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER: Final = "_OTHER"


class Requests:
    """The requests of one worker. `each`: whether successful ones are told too, which costs time on each of them."""

    def __init__(self, dispatch: Dispatch, monotonic: Callable[[], float], spans: Spans | None) -> None:
        self._dispatch = dispatch
        self._monotonic = monotonic
        self._spans = spans
        self.each = LOG.isEnabledFor(logging.DEBUG) or spans is not None

    def answered(self, request: Request, answer: Answer) -> None:
        """An answer to a request of the API left."""
        if answer.status >= 400 or self.each:
            self.told(request, self._dispatch.route_of(request.method, request.target), answer.status, answer.code)

    def told(self, request: Request, route: str, status: int, code: str) -> None:
        """The same of any request, whose route is known: "" for none."""
        method = request.method if request.method in METHODS else OTHER
        seconds = self._monotonic() - request.began
        told = Answered(request.request_id, method, route, status, code, seconds)
        self._log(request, told)
        if self._spans is not None:
            self._spans.add(told, request.headers.get(TRACEPARENT, b""))

    def _log(self, request: Request, told: Answered) -> None:
        if told.status < 400:
            level, event = logging.DEBUG, "request"
        elif told.status < 500:
            level, event = logging.INFO, "request_refused"
        else:
            level, event = logging.WARNING, "request_failed"
        if LOG.isEnabledFor(level):
            say(
                level,
                event,
                request_id=told.request_id,
                method=told.method,
                route=told.route,
                status=told.status,
                code=told.code,
                ms=round(told.seconds * 1000, 3),
                principal=self._kind(request),
            )

    def _kind(self, request: Request) -> str:
        """The kind of who asked, where the access token is known here; "" for anybody else."""
        caller = self._dispatch.caller(request)
        return "" if caller is None else caller.session.principal.kind
