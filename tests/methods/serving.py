"""A real server over https on this machine, with a certificate of a test authority, that can misbehave."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.methods.authorities import SERVER, Issued, dns, issue

LOCAL = ("127.0.0.1/32", "::1/128")
TODAY = datetime.now(UTC).replace(microsecond=0)
VALID = {"begin": TODAY - timedelta(days=1), "end": TODAY + timedelta(days=1)}
Answer = tuple[int, dict[str, str], bytes]


class Site:
    """What is served under each path, and what was asked for. `chunks` of a path are sent one by one instead."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.chunks: dict[str, Iterator[bytes]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self.ca_pem = ""
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def put(self, path: str, body: object, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, {"Content-Length": str(len(data)), **headers}, data)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.headers.append(dict(self.headers))
            if self.path in site.chunks:
                self._drip(site.chunks[self.path])
                return
            status, headers, body = site.answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _drip(self, chunks: Iterator[bytes]) -> None:
            try:
                for chunk in chunks:
                    self.wfile.write(chunk)
                    self.wfile.flush()
            except OSError:
                return

        def log_message(self, *_args: object) -> None:
            return

    return Handler


@contextmanager
def serving(folder: Path, authority: Issued, certificate: Issued | None = None) -> Iterator[Site]:
    """A site at https://localhost:PORT until the block ends."""
    site = Site()
    certificate = certificate or issue("localhost", authority, names=[dns("localhost")], usages=[SERVER], **VALID)
    chain = folder / "server.pem"
    chain.write_text(certificate.key_pem + certificate.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)

    class Server(ThreadingHTTPServer):
        def get_request(self):
            # The handshake waits until the handler's thread reads, so that a client that hangs holds up nobody.
            plain, address = super().get_request()
            return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, request, client_address):
            return

    server = Server(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.port, site.ca_pem = server.server_address[1], authority.pem
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
