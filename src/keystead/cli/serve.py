"""`keystead serve`: the server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import MissingExtra, StoreBusy

if TYPE_CHECKING:
    import socket

    from keystead.server.logs import Stderr
    from keystead.server.metrics import Row
    from keystead.server.settings import ServerSettings
    from keystead.server.worker import Worker


_PACKAGES: Final = ("uvicorn", "httptools", "starlette")


@click.command()
@click.option("--address", metavar="ADDRESS", help="Where to listen (default: 127.0.0.1).")
@click.option("--port", type=int, metavar="PORT", help="The port (default: 7780).")
@click.option("--workers", type=int, metavar="N", help="How many processes answer (default: 1).")
@click.option("--tls-certificate", metavar="FILE", help="The server's certificate, PEM.")
@click.option("--tls-key", metavar="FILE", help="Its private key, PEM.")
@click.option("--tls-client-authorities", metavar="FILE", help="Whose client certificates are asked for, PEM.")
@click.option("--log-format", metavar="FORMAT", help="The log as json or text (default: json).")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error (default: info).")
@click.option("--tracing", metavar="WHEN", help="Traces of requests: auto, on or off (default: auto).")
@global_options
@pass_context
def serve(context: Context, /, **flags: Any) -> None:
    """Answer requests over HTTP until SIGTERM or Ctrl-C.

    Settings come from these options, from KEYSTEAD_SERVER_PORT and the like, and from the table [server] of
    keystead.toml, in this order; `keystead config explain` says where each came from.
    """
    require_server()
    from pathlib import Path

    from keystead.cli.server_settings import configuration_for
    from keystead.node.location import locate
    from keystead.node.settings import environment

    settings = configuration_for(locate(context.store, environment(), Path.cwd()), flags).settings
    lines = begin_log(context, settings)
    context.hear = note
    _try_store(context)
    run_server(context, settings, lines, listeners(settings))


def _try_store(context: Context) -> None:
    """What cannot be opened is told here, and not by every worker."""
    from keystead.node.settings import environment
    from keystead.server.supervisor import LISTEN_FDS

    while True:
        try:
            with context.owner(serving=True):
                return
        except StoreBusy:
            # Nobody would start again who takes over from a parent that was killed; clients wait on its sockets.
            if not environment().get(LISTEN_FDS):
                raise


def begin_log(context: Context, settings: ServerSettings) -> Stderr:
    """Send the log to stderr as the settings say; with --quiet nothing below a warning."""
    from keystead.server.logs import set_up

    context.log()  # once, so that opening the store sends it nowhere else
    level = settings.log_level
    if context.quiet and level in {"debug", "info"}:
        level = "warning"
    return set_up(settings.log_format, level, events=context.log_level())


def note(text: str) -> None:
    """A sentence that a person would be told, as a line of the log."""
    import logging

    from keystead.server.logs import say

    say(logging.INFO, "note", message=text.strip().removeprefix("note: "))


def require_server() -> None:
    """Nothing, where the packages are installed that the server needs.

    Raises:
        MissingExtra.
    """
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"the server needs {', '.join(missing)}", hint="pip install 'keystead[server]'")


def listeners(settings: ServerSettings) -> list[socket.socket]:
    """The sockets to answer on: those of a parent that was killed, else where the settings say.

    Raises:
        ServerUnavailable.
    """
    from keystead.node.settings import environment
    from keystead.server.listening import inherited, listen
    from keystead.server.supervisor import LISTEN_FDS

    given = environment().get(LISTEN_FDS)
    return inherited(given) if given else listen(settings)


def run_server(
    context: Context,
    settings: ServerSettings,
    lines: Stderr,
    sockets: list[socket.socket],
    ready: Callable[[str], None] | None = None,
) -> None:
    """Start the workers and keep them alive until a signal says stop; `ready` is told where they answer."""
    import logging

    from keystead import __version__
    from keystead.clock import SystemClock
    from keystead.server.logs import say
    from keystead.server.metrics import Board, Row
    from keystead.server.notify import notify
    from keystead.server.supervisor import Supervisor, take_over
    from keystead.server.tls import Certificates

    if settings.is_tls:
        Certificates(settings)  # what cannot be used is told here, and not by every worker
    url = url_of(settings, sockets[0])
    traced = is_traced(settings)
    say(logging.INFO, "start", version=__version__, workers=settings.workers, tls=settings.is_tls, tracing=traced)

    board = Board(settings.workers)

    def work(number: int, answers: Callable[[], None], is_heir: Callable[[], bool]) -> None:
        def orphaned() -> None:
            if is_heir():
                take_over(sys.argv[1:], sockets)

        row = Row(board, number)
        _work(context, settings, lines, row, lambda worker: worker.serve(sockets, answers, orphaned), traced=traced)

    def told() -> None:
        notify("READY=1")
        say(logging.INFO, "listening", url=url)
        if ready is not None:
            ready(url)

    code = Supervisor(
        settings.workers,
        work,
        drain_seconds=settings.drain_ms / 1000,
        ready=told,
        restarted=board.restarted,
        monotonic=SystemClock().monotonic,
    ).run()
    if code:
        sys.exit(code)


def _work(
    context: Context,
    settings: ServerSettings,
    lines: Stderr,
    row: Row,
    serve: Callable[[Worker], Coroutine[Any, Any, None]],
    *,
    traced: bool,
) -> None:
    """Be one worker until `serve` is done, with its own store, its log and its spans."""
    from keystead.clock import SystemClock
    from keystead.node.settings import environment
    from keystead.server.memory import keep_little
    from keystead.server.tracing import Spans
    from keystead.server.worker import Worker, run_loop

    keep_little()
    lines.start()
    spans = None
    try:
        spans = Spans(environment(), SystemClock().now_ms) if traced else None
        with context.owner(serving=True) as owner:
            run_loop(serve(Worker(owner, settings, row, lambda: lines.dropped, spans)))
    finally:
        if spans is not None:
            spans.stop()
        lines.stop()


def is_traced(settings: ServerSettings) -> bool:
    """Whether requests are traced.

    Raises:
        MissingExtra: they should be, and the packages are not installed.
        ConfigurationError: the OTEL_ variables name an exporter that is not.
    """
    import logging

    from keystead.node.settings import environment
    from keystead.server.logs import say
    from keystead.server.tracing import exporters, is_installed, is_wanted, require_installed

    if not is_wanted(settings.tracing, environment()):
        return False
    if settings.tracing == "auto" and not is_installed():
        say(logging.WARNING, "tracing_not_installed", message="pip install 'keystead[otel]', or set tracing to off")
        return False
    require_installed()
    exporters(environment())
    return True


def url_of(settings: ServerSettings, listener: socket.socket) -> str:
    """Where a server is reached."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.is_tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
