"""What is told of each request once it is answered: a line of the log.

Told are its id, the template of its route, status, code, time and the kind of who asked; never what it was about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from keystead.server.answers import Answer
from keystead.server.dispatch import Dispatch, Request
from keystead.server.logs import LOG, say

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER: Final = "other"


class Requests:
    """The requests of one worker. `each`: whether successful ones are told too, which costs time on each of them."""

    def __init__(self, dispatch: Dispatch, monotonic: Callable[[], float]) -> None:
        self._dispatch = dispatch
        self._monotonic = monotonic
        self.each = LOG.isEnabledFor(logging.DEBUG)

    def answered(self, request: Request, answer: Answer) -> None:
        """An answer to a request of the API left."""
        if answer.status >= 400 or self.each:
            route = self._dispatch.route_of(request.method, request.target)
            self.told(request.method, route, request, answer.status, answer.code)

    def told(self, method: str, route: str, request: Request, status: int, code: str) -> None:
        """The same of any request, whose route is known: "" for none."""
        if status < 400:
            level, event = logging.DEBUG, "request"
        elif status < 500:
            level, event = logging.INFO, "request_refused"
        else:
            level, event = logging.WARNING, "request_failed"
        if LOG.isEnabledFor(level):
            say(
                level,
                event,
                request_id=request.request_id,
                method=method if method in METHODS else OTHER,
                route=route,
                status=status,
                code=code,
                ms=round((self._monotonic() - request.began) * 1000, 3),
                principal=self._kind(request),
            )

    def _kind(self, request: Request) -> str:
        """The kind of who asked, where the access token is known here; "" for anybody else."""
        caller = self._dispatch.caller(request)
        return "" if caller is None else caller.session.principal.kind
