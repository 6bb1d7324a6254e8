"""TLS 1.2 and 1.3 only: certificates that are reloaded when their files change, client certificates on request."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from keystead.errors import FileUnavailable
from keystead.server.logs import say
from keystead.server.settings import ServerSettings

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Certificates:
    """The context of a server's connections.

    Raises:
        FileUnavailable: a file cannot be read, is none of PEM, or key and certificate do not belong together.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._certificate = Path(settings.tls_certificate)
        self._key = Path(settings.tls_key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers(_CIPHERS)
        self.context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._stamp()
        self._load(self.context)
        if settings.tls_client_authorities:
            self.context.verify_mode = ssl.CERT_OPTIONAL
            try:
                self.context.load_verify_locations(settings.tls_client_authorities)
            except (OSError, ssl.SSLError) as error:
                raise FileUnavailable(
                    f"cannot read the authorities in {settings.tls_client_authorities}",
                    why=_why(error),
                    hint="name a file of their certificates in PEM",
                ) from None

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # With no password, whoever happens to sit at a terminal would be asked for it, and nothing else go on.
            context.load_cert_chain(self._certificate, self._key, password=b"")
        except (OSError, ssl.SSLError) as error:
            raise FileUnavailable(
                f"cannot use the certificate {self._certificate} with the key {self._key}",
                why=_why(error),
                hint="give PEM files that belong together, the server's certificate first",
            ) from None

    def _stamp(self) -> tuple[float, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self._certificate, self._key))
        except OSError:
            return ()

    def reload(self, *, asked: bool = False) -> bool:
        """Serve what the files hold now, if that is something else and whole; else what is served stays.

        Who `asked` for it is told how it went whatever was seen before.
        """
        stamp = self._stamp()
        if not asked and stamp in (self._seen, ()):
            return False
        self._seen = stamp
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            self._load(trial)
            self._load(self.context)
        except FileUnavailable as error:
            say(logging.WARNING, "certificate_not_reloaded", message=error.message, why=error.why)
            return False
        say(logging.INFO, "certificate_reloaded")
        return True


def _why(error: OSError | ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM of that kind, or a key that is encrypted"
    return error.strerror or ""
