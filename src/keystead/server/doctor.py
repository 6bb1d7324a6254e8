"""What is unsafe about how a server is set up, and how to mend it."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from keystead.crypto.certificates import ends_at
from keystead.errors import FileUnavailable
from keystead.node.doctor import Finding, Severity
from keystead.server.settings import ServerSettings
from keystead.server.tls import Certificates

SOON: Final = timedelta(days=30)


def examine_server(settings: ServerSettings, now_ms: int) -> list[Finding]:
    """Everything that is found about the settings of a server."""
    return [*_reachable(settings), *_certificate(settings, now_ms), *_processes(settings)]


def _reachable(settings: ServerSettings) -> Iterator[Finding]:
    if settings.insecure and not settings.is_loopback:
        yield Finding(
            Severity.ERROR,
            f"the server listens on {settings.address} without TLS: secrets cross the network in the clear",
            "give tls_certificate and tls_key; or listen on 127.0.0.1 behind a proxy on this machine",
        )
    if not settings.is_loopback and not settings.allowed_hosts:
        yield Finding(
            Severity.HINT,
            "the server answers under any host name",
            "list its names in allowed_hosts",
        )
    if not settings.is_loopback and not settings.requests_per_address:
        yield Finding(
            Severity.WARNING,
            "one address may ask as often as it likes",
            "set requests_per_address, and requests_per_principal",
        )


def _certificate(settings: ServerSettings, now_ms: int) -> Iterator[Finding]:
    if not settings.is_tls:
        return
    try:
        Certificates(settings)
        end = ends_at(Path(settings.tls_certificate).read_bytes())
    except (FileUnavailable, OSError, ValueError, ssl.SSLError) as error:
        yield Finding(Severity.ERROR, f"TLS cannot be set up: {error}", "mend tls_certificate and tls_key")
        return
    left = end - datetime.fromtimestamp(now_ms / 1000, UTC)
    if left < SOON:
        severity = Severity.ERROR if left < timedelta() else Severity.WARNING
        yield Finding(
            severity,
            f"the certificate ends on {end:%Y-%m-%d}",
            "renew it; a running server takes the new one by itself",
        )
    key = Path(settings.tls_key)
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        yield Finding(Severity.ERROR, f"others can read the key {key} (mode {mode:04o})", "keystead doctor --fix", key)


def _processes(settings: ServerSettings) -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    if settings.workers > cores:
        yield Finding(
            Severity.HINT,
            f"{settings.workers} workers share {cores} cores, and answer no more than {cores} would",
            f"workers = {cores}",
        )
