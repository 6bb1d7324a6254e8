"""Requests to one server: connections that are kept, retries of what is safe to retry, the errors of the services."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

from keystead.access.methods.strict_json import parse_object
from keystead.api.endpoint import Endpoint
from keystead.api.operations import PREFIX
from keystead.api.problems import read_problem
from keystead.crypto.material import random_bytes
from keystead.errors import (
    AuthenticationFailed,
    FileUnavailable,
    KeysteadError,
    ServerUnavailable,
    StoreBusy,
    UsageError,
)

MAX_ANSWER: Final = 64 * 1_048_576
MAX_PROBLEM: Final = 1_048_576
_PART: Final = 262_144
_LONGEST_PAUSE: Final = 5.0
_PAUSES: Final = (0.05, 0.2, 0.8)
_KEPT: Final = 16
_NO_SERVER: Final = "not the url of a server"
_SERVER_HINT: Final = "give https://host or https://host:port"
_AGAIN: Final = frozenset((408, 429, 503))


class Certificates(NamedTuple):
    """Files of PEM: the `authorities` that vouch for the server (None: those of the system), and the client's own
    `certificate` with its `key`."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Answered(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Connections to one server. Thread-safe; a forked child makes its own.

    `url` is `https://host[:port]`, or `http://` to a server on this machine. `timeout_s` bounds each wait for the
    server.

    Raises:
        UsageError: another url, or plain HTTP to another machine. FileUnavailable: a certificate cannot be used.
    """

    def __init__(self, url: str, *, certificates: Certificates = Certificates(), timeout_s: float = 30.0) -> None:  # noqa: B008 - immutable
        parts, port = _parts(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(_NO_SERVER, hint=_SERVER_HINT)
        if parts.path not in ("", "/") or parts.username or parts.password:
            raise UsageError("the url of a server has neither a path nor a user", hint="give https://host:port")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise UsageError("secrets would cross the network in the clear", hint="use https:// to another machine")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname, port
        self._timeout_s = timeout_s
        self._tls = _context(certificates) if parts.scheme == "https" else None
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=_KEPT)
        self._pid = os.getpid()
        self._waits = threading.Event()

    def call(self, endpoint: Endpoint, arguments: Mapping[str, Any], token: str | None) -> Any:
        """What an operation gives.

        Raises:
            What the method raises on a store, and ServerUnavailable.
        """
        path, query, body = endpoint.request(arguments)
        target = f"{path}?{urlencode(query, errors='surrogatepass')}" if query else path
        answered = self.send(endpoint.operation.verb, target, None if endpoint.in_query else body, token)
        try:
            found = parse_object(answered.body) if answered.body else None
            return endpoint.value(found, arguments)
        except (ValueError, KeyError, TypeError):
            pass
        raise ServerUnavailable(f"{self.url} gave an answer that is none", hint="check that it is a keystead server")

    def send(self, method: str, target: str, body: Mapping[str, Any] | None, token: str | None) -> Answered:
        """A request, sent again where that is safe and may help; the answer, if it is a success.

        Each write carries an Idempotency-Key, so that the server does once what it is asked twice.

        Raises:
            The error of the problem document that the server answered with, or ServerUnavailable.
        """
        headers = {"accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode("ascii")
            headers["content-type"] = "application/json"
        if token is not None:
            headers["authorization"] = _bearer(token)
        if method != "GET":
            headers["idempotency-key"] = random_bytes(16).hex()
        for pause in _PAUSES:
            try:
                answered = self._once(method, target, data, headers)
            except ssl.SSLCertVerificationError as error:
                raise self._unreachable(error) from None
            except (OSError, http.client.HTTPException):
                self._waits.wait(pause)
                continue
            if answered.status not in _AGAIN:
                return self._succeeded(answered)
            self._waits.wait(max(pause, _asked_pause(answered)))
        try:
            answered = self._once(method, target, data, headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        return self._succeeded(answered)

    def fetch(
        self, target: str, body: Mapping[str, Any], token: str | None, put: Callable[[bytes], None], *, wait_s: float
    ) -> Mapping[str, str]:
        """Ask once by POST for a file, and `put` its parts as they come; the headers of the answer.

        The first part is waited for as long as `wait_s`.

        Raises:
            The error of the problem document that the server answered with. ServerUnavailable, also where the answer
            is shorter than it says.
        """
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = _bearer(token)
        data = json.dumps(body, separators=(",", ":")).encode("ascii")
        try:
            connection = self._new()
            with closing(connection):
                sock = connection.sock
                sock.settimeout(wait_s)
                connection.request("POST", target, body=data, headers=headers)
                response = connection.getresponse()
                told = {name.lower(): text for name, text in response.getheaders()}
                if response.status >= 300:
                    raise self._error(Answered(response.status, told, response.read(MAX_PROBLEM)))
                sock.settimeout(self._timeout_s)
                left = int(told["content-length"]) if told.get("content-length", "").isdecimal() else -1
                while left > 0 and (part := response.read(min(_PART, left))):
                    left -= len(part)
                    put(part)
                if left:
                    raise http.client.HTTPException("the answer was cut")
                return told
        except KeysteadError:
            raise  # some of which are OSErrors too
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _once(self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]) -> Answered:
        connection, kept = self._connection()
        try:
            try:
                connection.request(method, target, body=data, headers=dict(headers))
                response = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                if not kept:
                    raise
                # The server closed what was kept open, before it read anything of this request.
                connection.close()
                connection = self._new()
                connection.request(method, target, body=data, headers=dict(headers))
                response = connection.getresponse()
            body = response.read(MAX_ANSWER + 1)
            if len(body) > MAX_ANSWER:
                raise http.client.HTTPException("an answer without end")
        except BaseException:
            connection.close()
            raise
        found = Answered(response.status, {name.lower(): text for name, text in response.getheaders()}, body)
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return found

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        if self._pid != os.getpid():
            self._pid, self._idle = os.getpid(), deque(maxlen=_KEPT)
        try:
            return self._idle.pop(), True
        except IndexError:
            return self._new(), False

    def _new(self) -> http.client.HTTPConnection:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _succeeded(self, answered: Answered) -> Answered:
        if answered.status < 300:
            return answered
        raise self._error(answered)

    def _error(self, answered: Answered) -> KeysteadError:
        try:
            document = parse_object(answered.body)
        except ValueError:
            return ServerUnavailable(
                f"{self.url} answered {answered.status}", hint="check that it is a keystead server"
            )
        try:
            return read_problem(document)
        except ValueError:
            pass
        title, hint = str(document.get("title", "")), str(document.get("hint", ""))
        if answered.status in _AGAIN:
            return StoreBusy(f"{self.url}: {title}", hint=hint)
        return UsageError(f"{self.url}: {title}", hint=hint)

    def _unreachable(self, error: OSError | http.client.HTTPException) -> ServerUnavailable:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ServerUnavailable(
                f"{self.url} does not prove to be who it says",
                why=error.verify_message,
                hint="check the name, or give the authority that vouches for it",
            )
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ServerUnavailable(f"cannot reach {self.url}", why=why, hint="check the url, and that the server runs")

    def close(self) -> None:
        """Close what is kept open."""
        while self._idle:
            self._idle.pop().close()


def _parts(url: str) -> tuple[SplitResult, int | None]:
    """A url and its port; what no resolver or connection would take is refused here, where it can be told."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        if not any(letter.isspace() for letter in url):
            return parts, parts.port
    except ValueError:
        pass  # UnicodeError is one
    raise UsageError(_NO_SERVER, hint=_SERVER_HINT)


def _bearer(token: str) -> str:
    """The header that shows an access token. What no token holds would break the header, and is not quoted."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise AuthenticationFailed(reason_class="form")
    return f"Bearer {token}"


def _context(certificates: Certificates) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=certificates.authorities)
    except OSError as error:
        raise _unusable("cannot read the authorities in", certificates.authorities, error) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificates.certificate is not None:
        try:
            context.load_cert_chain(certificates.certificate, certificates.key, password=b"")
        except OSError as error:
            raise _unusable("cannot use the client certificate", certificates.certificate, error) from None
    return context


def _unusable(what: str, file: Path | None, error: OSError) -> FileUnavailable:
    why = error.strerror
    if isinstance(error, ssl.SSLError):
        why = error.reason or "no PEM of that kind, or a key that is encrypted"
    return FileUnavailable(f"{what} {file}", why=why or "", hint="name a file of PEM that this user can read")


def _asked_pause(answered: Answered) -> float:
    """For how many seconds the server asks to be left alone, within bounds."""
    text = answered.headers.get("retry-after", "")
    return min(_LONGEST_PAUSE, float(text)) if text.isascii() and text.isdigit() else 0.0


def target_of(path: str) -> str:
    """The target of a path below the prefix."""
    return PREFIX + path
