"""What is asked for seldom: health, metrics, the OpenAPI document; an ASGI application on Starlette."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from keystead.api.operations import PREFIX
from keystead.errors import KeysteadError, UsageError
from keystead.server import answers
from keystead.server.dispatch import Request as Asked
from keystead.server.openapi import openapi_document
from keystead.server.tracing import TRACEPARENT

if TYPE_CHECKING:
    from keystead.server.worker import Worker

MOST_SECONDS: Final = 60
BINDING: Final = "binding"
"""Where the state of a request names the client's certificate."""
_REQUEST: Final = "keystead.request"
_CODE: Final = "keystead.code"
"""Where the scope of a request holds it as one of ours, and the code of the problem that it was answered by."""


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
        self._worker.note_figures()
        return PlainTextResponse(self._worker.board.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, _request: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(self._document)

    async def changes(self, request: Request) -> Response:
        """A number that is another one after any change; `after` waits for up to `timeout` seconds until it is."""
        worker, request_id = self._worker, self._id(request)
        try:
            after, seconds = whole(request, "after", -1), min(MOST_SECONDS, whole(request, "timeout", 0))
            asked = request.scope[_REQUEST]
            loop = asyncio.get_running_loop()
            caller = await loop.run_in_executor(worker.threads, worker.dispatch.require_caller, asked)
            late = worker.rates.principal(caller.name)
            if late is not None:
                refused = answers.of_refusal(answers.TOO_MANY, request_id, (b"retry-after", b"%d" % late))
                return rendered(refused, request, request_id)
            number = await worker.changes_after(after, seconds)
        except KeysteadError as error:
            return rendered(answers.of_error(error, request_id), request, request_id)
        return rendered(answers.Answer(200, answers.to_json({"changes": number})), request, request_id)

    async def nothing(self, request: Request, _error: Exception) -> Response:
        """There is nothing at this path."""
        request_id = self._id(request)
        return rendered(answers.of_refusal(answers.NO_ROUTE, request_id), request, request_id)

    async def no_method(self, request: Request, _error: Exception) -> Response:
        """The path does not take this method."""
        request_id = self._id(request)
        refused = answers.of_refusal(answers.NO_METHOD, request_id, (b"allow", b"GET, HEAD"))
        return rendered(refused, request, request_id)

    def _id(self, request: Request) -> str:
        found: str = request.scope[_REQUEST].request_id
        return found


class Told:
    """The application of one worker, with a line of the log for what it answers."""

    def __init__(self, worker: Worker) -> None:
        seldom = Seldom(worker)
        answering = {
            "/health/live": seldom.live,
            "/health/ready": seldom.ready,
            "/metrics": seldom.metrics,
            f"{PREFIX}/openapi.json": seldom.openapi,
            f"{PREFIX}/changes": seldom.changes,
        }
        self._paths = frozenset(answering)
        self._worker = worker
        self._app = Starlette(
            routes=[Route(path, answer) for path, answer in answering.items()],
            exception_handlers={404: seldom.nothing, 405: seldom.no_method},
        )
        # A redirect would lead to the host that the request names, and there is one spelling of each path.
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = self._asked(scope)
        scope[_REQUEST] = asked
        route = scope["path"] if scope["path"] in self._paths else ""
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            if status:
                self._worker.requests.told(asked, route, status, scope.get(_CODE, ""))

    def _asked(self, scope: Scope) -> Asked:
        """A request of Starlette's as one of ours, without its body."""
        headers, worker = dict(scope["headers"]), self._worker
        if sum(name == TRACEPARENT for name, _ in scope["headers"]) > 1:
            del headers[TRACEPARENT]
        return Asked(
            scope["method"],
            scope["raw_path"],
            headers.get(b"authorization") or None,
            b"",
            scope["client"][0] if scope["client"] else "",
            scope.get("state", {}).get(BINDING, ""),
            headers,
            worker.id_of(headers.get(b"x-request-id")),
            began=worker.monotonic(),
        )


def rendered(answer: answers.Answer, request: Request, request_id: str) -> Response:
    """An answer of ours as one of Starlette's."""
    request.scope[_CODE] = answer.code
    pairs = (*answer.headers, *answers.COMMON_HEADERS, (b"x-request-id", request_id.encode("ascii")))
    headers = {name.decode("ascii"): text.decode("ascii") for name, text in pairs}
    return Response(answer.body, answer.status, headers, answer.kind.decode("ascii"))


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
