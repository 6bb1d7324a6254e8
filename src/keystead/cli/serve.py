"""`keystead serve`: the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import MissingExtra, StoreBusy

if TYPE_CHECKING:
    import socket

    from keystead.server.settings import ServerSettings


_PACKAGES: Final = ("uvicorn", "httptools", "starlette")


@click.command()
@click.option("--address", metavar="ADDRESS", help="Where to listen (default: 127.0.0.1).")
@click.option("--port", type=int, metavar="PORT", help="The port (default: 7780).")
@click.option("--workers", type=int, metavar="N", help="How many processes answer (default: 1).")
@click.option("--tls-certificate", metavar="FILE", help="The server's certificate, PEM.")
@click.option("--tls-key", metavar="FILE", help="Its private key, PEM.")
@click.option("--tls-client-authorities", metavar="FILE", help="Whose client certificates are asked for, PEM.")
@global_options
@pass_context
def serve(context: Context, /, **flags: Any) -> None:
    """Answer requests over HTTP until SIGTERM or Ctrl-C.

    Settings come from these options, from KEYSTEAD_SERVER_PORT and the like, and from the table [server] of
    keystead.toml, in this order; `keystead config explain` says where each came from.
    """
    require_server()
    from keystead.node.settings import environment
    from keystead.server.supervisor import LISTEN_FDS

    while True:
        try:
            settings = _settings(context, flags)
            break
        except StoreBusy:
            # Nobody would start again who takes over from a parent that was killed; clients wait on its sockets.
            if not environment().get(LISTEN_FDS):
                raise
    run_server(context, settings)


def _settings(context: Context, flags: dict[str, Any]) -> ServerSettings:
    """The settings. What cannot be opened is told here, and not by every worker."""
    from keystead.cli.server_settings import configuration_for

    with context.owner(serving=True) as owner:
        return configuration_for(owner.node.location, flags).settings


def require_server() -> None:
    """Nothing, where the packages are installed that the server needs.

    Raises:
        MissingExtra.
    """
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"the server needs {', '.join(missing)}", hint="pip install 'keystead[server]'")


def run_server(context: Context, settings: ServerSettings, ready: Callable[[str], None] | None = None) -> None:
    """Start the workers and keep them alive until a signal says stop; `ready` is told where they answer."""
    from keystead.clock import SystemClock
    from keystead.node.settings import environment
    from keystead.server.listening import inherited, listen
    from keystead.server.notify import notify
    from keystead.server.supervisor import LISTEN_FDS, Supervisor, take_over
    from keystead.server.tls import Certificates
    from keystead.server.worker import Worker, run_loop

    if settings.is_tls:
        Certificates(settings)  # what cannot be used is told here, and not by every worker
    given = environment().get(LISTEN_FDS)
    sockets = inherited(given) if given else listen(settings)
    url = url_of(settings, sockets[0])

    def work(answers: Callable[[], None], is_heir: Callable[[], bool]) -> None:
        def orphaned() -> None:
            if is_heir():
                take_over(sys.argv[1:], sockets)

        with context.owner(serving=True) as owner:
            run_loop(Worker(owner, settings).serve(sockets, answers, orphaned))

    def told() -> None:
        notify("READY=1")
        if ready is None:
            context.say(f"keystead answers at {url}")
        else:
            ready(url)

    code = Supervisor(
        settings.workers,
        work,
        drain_seconds=settings.drain_ms / 1000,
        ready=told,
        monotonic=SystemClock().monotonic,
    ).run()
    if code:
        sys.exit(code)


def url_of(settings: ServerSettings, listener: socket.socket) -> str:
    """Where a server is reached."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.is_tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
