"""What is asked for seldom: health, metrics, the OpenAPI document; an ASGI application on Starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from keystead.api.operations import PREFIX
from keystead.errors import KeysteadError
from keystead.server import answers
from keystead.server.openapi import openapi_document

if TYPE_CHECKING:
    from keystead.server.worker import Worker


def make_app(worker: Worker) -> Starlette:
    """The application of one worker."""
    document = openapi_document(worker.routes)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    def ready(_request: Request) -> Response:
        """Whether requests can be answered: the store answers, its root key is here, the audit log can be written."""
        node = worker.owner.node
        problems = [] if not worker.draining else ["draining"]
        if node.root.sealed:
            problems.append("sealed")
        try:
            node.refresh(node.store.changes())
            node.recorder.ready()
        except KeysteadError as error:
            problems.append(error.code)
        if node.stale_since is not None:
            problems.append("store-does-not-answer")
        return JSONResponse(
            {"status": "unready" if problems else "ready", "problems": problems}, 503 if problems else 200
        )

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(worker.metrics.text(worker.gauges()), media_type="text/plain; version=0.0.4")

    async def openapi(_request: Request) -> Response:
        return JSONResponse(document)

    async def nothing(request: Request, _error: Exception) -> Response:
        answer = answers.of_refusal(answers.NO_ROUTE, worker.id_of(request.headers.get("x-request-id", "").encode()))
        return Response(answer.body, answer.status, media_type=answer.kind.decode("ascii"))

    async def no_method(_request: Request, _error: Exception) -> Response:
        answer = answers.of_refusal(answers.NO_METHOD, worker.new_id())
        return Response(answer.body, answer.status, {"allow": "GET, HEAD"}, answer.kind.decode("ascii"))

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/metrics", metrics),
            Route(f"{PREFIX}/openapi.json", openapi),
        ],
        exception_handlers={404: nothing, 405: no_method},
    )
