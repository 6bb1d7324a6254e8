"""The sockets that a server listens on."""

from __future__ import annotations

import errno
import os
import socket

from keystead.errors import ServerUnavailable
from keystead.server.settings import ServerSettings

BACKLOG = 2048


def inherited(numbers: str) -> list[socket.socket]:
    """The sockets of these descriptors, which another process listens on and gave to this one."""
    found = []
    for number in numbers.split(","):
        listener = socket.socket(fileno=int(number))
        listener.setblocking(False)
        os.set_inheritable(listener.fileno(), False)
        found.append(listener)
    return found


def listen(settings: ServerSettings) -> list[socket.socket]:
    """Listen where the settings say.

    Raises:
        ServerUnavailable: the address is none of this machine's, or the port is taken or not for this user.
    """
    where = f"{settings.address}:{settings.port}"
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServerUnavailable(f"cannot listen on {where}", why=error.strerror or str(error)) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        hint = {
            errno.EADDRINUSE: "another server is there already; stop it, or choose another port",
            errno.EACCES: "choose a port from 1024 on, or let the service manager pass the socket",
            errno.EADDRNOTAVAIL: "choose an address of this machine",
        }.get(error.errno or 0, "check address and port")
        raise ServerUnavailable(
            f"cannot listen on {where}", why=os.strerror(error.errno or errno.EIO), hint=hint
        ) from None
    return [listener]
