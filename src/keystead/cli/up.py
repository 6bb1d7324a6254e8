"""`keystead up`: a store, a server on this machine, and a command line that is logged in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from keystead.cli import output
from keystead.cli.context import Context, global_options, pass_context

if TYPE_CHECKING:
    from keystead.node.location import Location
    from keystead.services.import_environment import ImportReport
    from keystead.services.kms import KMSService
    from keystead.services.setup import NewStore

_KIT = "RECOVERY.txt"
_LOOPBACK = "127.0.0.1"


class _Came(NamedTuple):
    """What a start found and did."""

    made: NewStore | None
    imported: ImportReport | None
    kept_in: str


@click.command()
@click.option("--port", type=int, metavar="PORT", help="The port (default: 7780).")
@click.option("--log-format", metavar="FORMAT", help="The log as text or json (default: text).")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error (default: warning).")
@global_options
@pass_context
def up(context: Context, /, port: int | None, **log: Any) -> None:
    """Serve ./.keystead on this machine, and make it first.

    Where there is a store, it is served as it is. Values of ./.env become secrets of the same names; the file stays.
    An access token for an administrator is kept as by `keystead login`, so that commands act on the server once
    KEYSTEAD_URL names it. Only this machine can reach it. Ctrl-C stops it, and everything stays: the next `keystead up`
    goes on.
    """
    from keystead.cli.serve import begin_log, listeners, require_server, run_server, url_of
    from keystead.cli.server_settings import configuration_for
    from keystead.services import env_file, setup

    require_server()
    context.log()
    # The first screen says to put the server's url into KEYSTEAD_URL, and the next start is often by the same shell.
    context.require_store_here(Path.cwd())
    location = setup.place(None, context.store)
    flags = {"port": port, "address": _LOOPBACK, "insecure": False, **log}
    # The first screen tells a person what the log of a service would.
    settings = configuration_for(location, flags, log_format="text", log_level="warning").settings
    # Before anything is made or kept: where the port is another server's, the access token that is kept for it is too.
    sockets = listeners(settings)
    found = _found(location.project / ".env")
    made = None
    if not setup.is_there(location):
        made = setup.make_store(location, kit_file=location.folder / _KIT, dev=True)
    context.store = str(location.database)
    with context.owner(serving=True) as owner:
        imported = None if found is None else env_file.import_values(owner, *found, "store")
        kept_in = _administrator(owner, url_of(settings, sockets[0]))
    came = _Came(made, imported, kept_in)
    lines = begin_log(context, settings)
    run_server(context, settings, lines, sockets, lambda where: _tell(context, location, came, where))


def _found(file: Path) -> tuple[dict[str, str], dict[str, str]] | None:
    """What a `.env` file holds, and what of it is refused; None where there is none."""
    from keystead.services import env_file

    return env_file.read_values(file, None) if file.is_file() else None


def _administrator(owner: KMSService, url: str) -> str:
    """An access token for who started it, kept for the server's url; where."""
    from keystead.cli.kept_token import Kept, KeptToken, server_key
    from keystead.services.first_administrator import first_administrator, is_accepted

    kept = KeptToken(server_key(url))
    known = kept.read()
    if known is not None and is_accepted(owner, known.token):
        return kept.place
    return kept.write(Kept(first_administrator(owner).reveal()))


def _tell(context: Context, location: Location, came: _Came, url: str) -> None:
    """The first screen."""
    if context.json:
        imported = [] if came.imported is None else came.imported.imported
        output.document(
            "up/1", url=url, database=str(location.database), created=came.made is not None, imported=imported
        )
        return
    import keystead

    new = " (new)" if came.made is not None else ""
    context.say(f"keystead {keystead.__version__}   store {_near(location.database)}{new}")
    if came.made is not None:
        warning = ": beside the data, which is fine for a trial" if came.made.beside else ""
        _line(context, "master key", f"{came.made.key_source}{warning}")
        _line(context, "recovery kit", f"{_near(location.folder / _KIT)} (move it off this machine)")
    if came.imported is not None:
        figures = f"{len(came.imported.imported)} names from .env, {len(came.imported.present)} were there already"
        _line(context, "imported", figures)
        for name in came.imported.conflicts:
            _line(context, "", f"{name}: store and .env differ; the store wins")
        for name, why in came.imported.failed.items():
            _line(context, "", f"{name}: {why}")
    _line(context, "logged in", f"as an administrator, by the access token in {_near(Path(came.kept_in))}")
    context.say("")
    _line(context, "api", f"{url}/api/v1")
    _line(context, "", "this machine only; Ctrl-C stops it, the data stays")
    _line(context, "try", f"export KEYSTEAD_URL={url}")
    _line(context, "", "keystead set db/password       asks for the value")
    _line(context, "", "keystead get db/password       the value only, to a pipe")
    _line(context, "", "keystead run -- python app.py  secrets in its environment")
    _line(context, "", "keystead doctor                what to mend before others use it")


def _line(context: Context, name: str, text: str) -> None:
    context.say(f"  {output.emphasis(name.ljust(13), sys.stderr, bold=True)}{text}")


def _near(path: Path) -> str:
    """A path as it is seen from here."""
    try:
        return f"./{path.relative_to(Path.cwd())}"
    except ValueError:
        return str(path)
