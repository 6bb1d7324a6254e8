"""`keystead serve`: the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keystead.cli.context import Context, pass_context

if TYPE_CHECKING:
    from keystead.server.settings import ServerSettings


@click.command()
@click.option("--address", metavar="ADDRESS", help="Where to listen (default: 127.0.0.1).")
@click.option("--port", type=int, metavar="PORT", help="The port (default: 7780).")
@click.option("--workers", type=int, metavar="N", help="How many processes answer (default: 1).")
@click.option("--tls-certificate", metavar="FILE", help="The server's certificate, PEM.")
@click.option("--tls-key", metavar="FILE", help="Its private key, PEM.")
@click.option("--tls-client-authorities", metavar="FILE", help="Whose client certificates are asked for, PEM.")
@pass_context
def serve(context: Context, /, **flags: Any) -> None:
    """Answer requests over HTTP until SIGTERM or Ctrl-C.

    Settings come from these options, from KEYSTEAD_SERVER_PORT and the like, and from the table [server] of
    keystead.toml, in this order; `keystead config explain` says where each came from.
    """
    import asyncio

    from keystead.cli.server_settings import configuration_for
    from keystead.server.listening import listen
    from keystead.server.worker import Worker

    with context.owner(serving=True) as owner:
        settings = configuration_for(owner.node.location, flags).settings
        sockets = listen(settings)
        worker = Worker(owner, settings)
        asyncio.run(worker.serve(sockets, lambda: context.say(f"keystead answers at {url_of(settings, sockets[0])}")))


def url_of(settings: ServerSettings, socket: Any) -> str:
    """Where a server is reached."""
    host, port = socket.getsockname()[:2]
    scheme = "https" if settings.is_tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
