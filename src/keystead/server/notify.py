"""Telling a service manager how far the server is: the protocol of sd_notify."""

from __future__ import annotations

import socket
from contextlib import suppress

from keystead.node.settings import environment


def notify(state: str) -> None:
    """Send a state such as `READY=1` to whoever started the server and wants to know; nobody: nothing."""
    place = environment().get("NOTIFY_SOCKET", "")
    if not place or place[0] not in "/@":
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(f"\0{place[1:]}" if place[0] == "@" else place)
        sender.sendall(state.encode("ascii"))
