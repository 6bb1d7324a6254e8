"""One bounded request over https, to an address that was looked at before it was connected to."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection, HTTPException
from threading import Timer
from typing import Final

from keystead.access.methods.url import Endpoint, may_connect, parse_url

Addresses = list[tuple[socket.AddressFamily, tuple[object, ...]]]
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
_CHUNK: Final = 16 * 1024
_OK: Final = 200


def get(url: str, *, ca_pem: str, private_networks: tuple[str, ...], timeout_ms: int, limit: int) -> bytes:
    """The body of a GET of `url`, at most `limit` bytes, `timeout_ms` at most from connecting to the last byte.

    No redirect is followed, no proxy and no setting of the environment used, nothing decompressed. The server's
    certificate is checked against `ca_pem`, or the system's authorities where that is "". The name is resolved once;
    every address that it has must be public or in `private_networks`, and the connection goes to one of these and not
    to what the name may mean a moment later.

    Raises:
        OSError: there is no such answer to be had; the message is for the log.
        ValueError: `url` is no https address.
    """
    endpoint = parse_url(url)
    context = _context(ca_pem)
    connection = _Connection(endpoint, _addresses(endpoint, private_networks), context, timeout_ms / 1_000)
    # A socket's own timeout begins anew with each byte that a slow server lets drip.
    deadline = Timer(timeout_ms / 1_000, connection.abort)
    deadline.daemon = True
    deadline.start()
    try:
        return _ask(connection, endpoint, limit)
    except HTTPException as error:
        raise OSError(f"{endpoint.authority} does not speak HTTP as it should: {type(error).__name__}") from None
    finally:
        deadline.cancel()
        connection.close()


def _ask(connection: _Connection, endpoint: Endpoint, limit: int) -> bytes:
    connection.request("GET", endpoint.path, headers=_HEADERS)
    with connection.getresponse() as response:
        if response.status != _OK:
            raise OSError(f"{endpoint.authority} answered {response.status}, and only 200 is taken")
        if response.getheader("Content-Encoding", "identity") != "identity":
            raise OSError(f"{endpoint.authority} sent a compressed answer, which was not asked for")
        body = bytearray()
        while chunk := response.read(min(_CHUNK, limit + 1 - len(body))):
            body += chunk
            if len(body) > limit:
                raise OSError(f"{endpoint.authority} sent more than {limit} bytes")
        if connection.aborted or (response.length or 0) > 0:
            raise OSError(f"{endpoint.authority} did not send the whole of its answer in time")
        return bytes(body)


def _addresses(endpoint: Endpoint, private_networks: tuple[str, ...]) -> Addresses:
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    refused = [address[0] for *_, address in found if not may_connect(str(address[0]), private_networks)]
    if refused or not found:
        raise OSError(f"{endpoint.host} has the address {refused[:1]}, which is neither public nor configured")
    return [(family, address) for family, _, _, _, address in found]


def _context(ca_pem: str) -> ssl.SSLContext:
    # Not `create_default_context`, which heeds SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    else:
        context.load_default_certs()
    return context


class _Connection(HTTPConnection):
    """A connection to one of the given addresses, with the server's name checked against its certificate."""

    def __init__(
        self,
        endpoint: Endpoint,
        addresses: Addresses,
        context: ssl.SSLContext,
        timeout: float,
    ) -> None:
        super().__init__(endpoint.host, endpoint.port, timeout=timeout)
        self._addresses = addresses
        self._context = context
        self._socket: socket.socket | None = None
        self.aborted = False

    def connect(self) -> None:
        problem: OSError = OSError("no address")
        for family, address in self._addresses:
            if self.aborted:
                break
            plain = socket.socket(family, socket.SOCK_STREAM)
            self._socket = plain
            try:
                plain.settimeout(self.timeout)
                plain.connect(address)
                self._greet(plain)
                return
            except OSError as error:
                plain.close()
                problem = error
        raise problem

    def _greet(self, plain: socket.socket) -> None:
        """The handshake, on a socket that `abort` knows, since a server can let that drip as well."""
        wrapped = self._context.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self._socket = self.sock = wrapped
        if self.aborted:
            raise OSError("not in time")
        wrapped.do_handshake()

    def abort(self) -> None:
        """End whatever is under way: reads and writes that wait give up at once."""
        self.aborted = True
        open_socket = self._socket
        if open_socket is not None:
            try:
                # Not the method of a TLS socket, after which reads would give what came over the wire as it is.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)
            except OSError:
                open_socket.close()
