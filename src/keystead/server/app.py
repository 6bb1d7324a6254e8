"""What is asked for seldom: health, metrics, the OpenAPI document; an ASGI application on Starlette."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from keystead.api.operations import PREFIX
from keystead.errors import KeysteadError, UsageError
from keystead.server import answers
from keystead.server.dispatch import Request as Asked
from keystead.server.openapi import openapi_document

if TYPE_CHECKING:
    from keystead.server.worker import Worker

MOST_SECONDS: Final = 60


class Seldom:
    """The answers of one worker to what is asked for seldom."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._document = openapi_document(worker.routes)

    async def live(self, _request: Request) -> Response:
        """Whether the process answers at all."""
        return JSONResponse({"status": "live"})

    def ready(self, _request: Request) -> Response:
        """Whether requests can be answered: the store answers, its root key is here, the audit log can be written."""
        node = self._worker.owner.node
        problems = ["draining"] if self._worker.draining else []
        if node.root.sealed:
            problems.append("sealed")
        try:
            node.refresh(node.store.changes())
            node.recorder.ready()
        except KeysteadError as error:
            problems.append(error.code)
        if node.stale_since is not None:
            problems.append("store-does-not-answer")
        told = {"status": "unready" if problems else "ready", "problems": problems}
        return JSONResponse(told, 503 if problems else 200)

    async def metrics(self, _request: Request) -> Response:
        """Figures in the text format of Prometheus."""
        text = self._worker.metrics.text(self._worker.gauges())
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, _request: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(self._document)

    async def changes(self, request: Request) -> Response:
        """A number that is another one after any change; `after` waits for up to `timeout` seconds until it is."""
        worker, request_id = self._worker, self._id(request)
        try:
            after, seconds = whole(request, "after", -1), min(MOST_SECONDS, whole(request, "timeout", 0))
            asked = asked_of(worker, request, request_id)
            loop = asyncio.get_running_loop()
            caller = await loop.run_in_executor(worker.threads, worker.dispatch.require_caller, asked)
            late = worker.rates.principal(caller.name)
            if late is not None:
                refused = answers.of_refusal(answers.TOO_MANY, request_id, (b"retry-after", b"%d" % late))
                return rendered(refused, request_id)
            number = await worker.changes_after(after, seconds)
        except KeysteadError as error:
            return rendered(answers.of_error(error, request_id), request_id)
        return rendered(answers.Answer(200, answers.to_json({"changes": number})), request_id)

    async def nothing(self, request: Request, _error: Exception) -> Response:
        """There is nothing at this path."""
        request_id = self._id(request)
        return rendered(answers.of_refusal(answers.NO_ROUTE, request_id), request_id)

    async def no_method(self, request: Request, _error: Exception) -> Response:
        """The path does not take this method."""
        request_id = self._id(request)
        return rendered(answers.of_refusal(answers.NO_METHOD, request_id, (b"allow", b"GET, HEAD")), request_id)

    def _id(self, request: Request) -> str:
        return self._worker.id_of(request.headers.get("x-request-id", "").encode("latin-1"))


def make_app(worker: Worker) -> Starlette:
    """The application of one worker."""
    seldom = Seldom(worker)
    app = Starlette(
        routes=[
            Route("/health/live", seldom.live),
            Route("/health/ready", seldom.ready),
            Route("/metrics", seldom.metrics),
            Route(f"{PREFIX}/openapi.json", seldom.openapi),
            Route(f"{PREFIX}/changes", seldom.changes),
        ],
        exception_handlers={404: seldom.nothing, 405: seldom.no_method},
    )
    # A redirect would lead to the host that the request names, and there is one spelling of each path.
    app.router.redirect_slashes = False
    return app


def rendered(answer: answers.Answer, request_id: str) -> Response:
    """An answer of ours as one of Starlette's."""
    pairs = (*answer.headers, *answers.COMMON_HEADERS, (b"x-request-id", request_id.encode("ascii")))
    headers = {name.decode("ascii"): text.decode("ascii") for name, text in pairs}
    return Response(answer.body, answer.status, headers, answer.kind.decode("ascii"))


def asked_of(worker: Worker, request: Request, request_id: str) -> Asked:
    """A request of Starlette's as one of ours, without its body."""
    shown = request.scope.get("state", {}).get("certificate", b"")
    return Asked(
        request.method,
        request.scope["raw_path"],
        request.headers.get("authorization", "").encode("latin-1") or None,
        b"",
        request.client.host if request.client else "",
        worker.binding_of(shown) if shown else "",
        {},
        request_id,
    )


def whole(request: Request, name: str, default: int) -> int:
    """A whole number in the query. Raises UsageError."""
    given = request.query_params.getlist(name)
    if not given:
        return default
    if len(given) > 1:
        raise UsageError(f"{name} is given more than once")
    text = given[0]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{name} must be a whole number")
    return int(text)
