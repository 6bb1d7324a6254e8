"""Answers: the one table of HTTP statuses, and how errors and refusals become problem documents."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, BinaryIO, Final, NamedTuple

from keystead import errors
from keystead.api.problems import TYPE, problem
from keystead.errors import KeysteadError

JSON_TYPE: Final = b"application/json"
FILE_TYPE: Final = b"application/octet-stream"
PROBLEM_TYPE: Final = b"application/problem+json"

# The first class that fits decides; more special ones stand before their bases.
STATUSES: Final[tuple[tuple[type[KeysteadError], int], ...]] = (
    (errors.AuthenticationFailed, 401),
    (errors.SessionEnded, 401),
    (errors.LockedOut, 429),
    (errors.Denied, 403),
    (errors.NotFound, 404),
    (errors.SecretExpired, 410),
    (errors.SecretDeleted, 410),
    (errors.Conflict, 409),
    (errors.UsageError, 400),
    (errors.ConfigurationError, 400),
    (errors.EnvelopeError, 400),
    (errors.DecryptionError, 422),
    (errors.BackupError, 422),
    (errors.DataError, 500),
    (errors.OutcomeUnknown, 500),
    (errors.OperatorError, 503),
)


class Refusal(NamedTuple):
    """A request that is turned away before any service hears of it."""

    status: int
    code: str
    title: str
    hint: str
    close: bool = False


MALFORMED: Final = Refusal(400, "KS1601", "The request is not well-formed HTTP", "send it again as RFC 9112 says", True)
BAD_TARGET: Final = Refusal(400, "KS1602", "The path has more than one reading", "send names as they are, unescaped")
BAD_BODY: Final = Refusal(
    400, "KS1603", "The body is not one JSON object", "send UTF-8, each member once, not too deep"
)
NO_ROUTE: Final = Refusal(404, "KS1604", "There is nothing at this path", "see /api/v1/openapi.json")
NO_METHOD: Final = Refusal(405, "KS1605", "This path does not take this method", "see the header Allow")
TOO_SLOW: Final = Refusal(408, "KS1606", "The request did not arrive in time", "send it without pauses", True)
TOO_LARGE: Final = Refusal(413, "KS1607", "The body is larger than the server takes", "see max_body_bytes", True)
NOT_JSON: Final = Refusal(415, "KS1608", "The body is not of the type application/json", "send Content-Type")
TOO_MANY: Final = Refusal(429, "KS1609", "Too many requests", "wait as long as Retry-After says")
LONG_HEADERS: Final = Refusal(431, "KS1610", "The headers are larger than the server takes", "send fewer", True)
NO_TOKEN: Final = Refusal(401, "KS1611", "An access token is needed", "send Authorization: Bearer TOKEN")
BUSY: Final = Refusal(503, "KS1612", "The server has too many connections", "try again in a moment", True)
DRAINING: Final = Refusal(503, "KS1613", "The server is stopping", "try again; another one answers", True)
FAILED: Final = Refusal(500, "KS1614", "The server failed in a way that it should not", "tell whoever runs it the id")
BAD_HOST: Final = Refusal(421, "KS1615", "The server does not answer under this host name", "see allowed_hosts")
BAD_PRECONDITION: Final = Refusal(400, "KS1616", "If-Match holds no version", 'send a version as an ETag, such as "3"')

REFUSALS: Final = (
    MALFORMED, BAD_TARGET, BAD_BODY, NO_ROUTE, NO_METHOD, TOO_SLOW, TOO_LARGE, NOT_JSON, TOO_MANY, LONG_HEADERS,
    NO_TOKEN, BUSY, DRAINING, FAILED, BAD_HOST, BAD_PRECONDITION,
)  # fmt: skip


class Answer(NamedTuple):
    """What goes back: a status, a body and its type, and further headers. `code` is that of a problem. An open `file`
    is sent in the body's place, and closed."""

    status: int
    body: bytes = b""
    kind: bytes = JSON_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False
    code: str = ""
    file: BinaryIO | None = None

    @property
    def length(self) -> int:
        """How many bytes the body has."""
        return len(self.body) if self.file is None else os.fstat(self.file.fileno()).st_size


def status_of(error: KeysteadError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def of_error(error: KeysteadError, request_id: str, *, precondition: bool = False) -> Answer:
    """The problem document of an error. With a `precondition` of the request, a version conflict is its failure."""
    status = 412 if precondition and isinstance(error, errors.VersionConflict) else status_of(error)
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, errors.LockedOut):
        headers.append((b"retry-after", b"%d" % max(1, error.retry_after_s)))
    elif isinstance(error, errors.StoreBusy):
        headers.append((b"retry-after", b"1"))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="keystead"'))
    told = document(status, problem(error), request_id)
    return Answer(status, told, PROBLEM_TYPE, tuple(headers), code=error.code)


def of_refusal(refusal: Refusal, request_id: str, *headers: tuple[bytes, bytes]) -> Answer:
    """The problem document of a refusal."""
    told = {"type": TYPE + refusal.code, "title": refusal.title, "code": refusal.code, "hint": refusal.hint}
    if refusal.status == 401:
        headers = (*headers, (b"www-authenticate", b'Bearer realm="keystead"'))
    if refusal.status in (429, 503) and not any(name == b"retry-after" for name, _ in headers):
        headers = (*headers, (b"retry-after", b"1"))
    body = document(refusal.status, told, request_id)
    return Answer(refusal.status, body, PROBLEM_TYPE, headers, refusal.close, refusal.code)


def document(status: int, told: Mapping[str, Any], request_id: str) -> bytes:
    """A problem document with its status and the request's id."""
    return to_json({**told, "status": status, "request_id": request_id})


def to_json(body: Mapping[str, Any]) -> bytes:
    """A body as compact JSON in UTF-8; text that has no UTF-8 form is escaped."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")


_REASONS: Final[Mapping[int, bytes]] = MappingProxyType(
    {
        200: b"OK", 201: b"Created", 204: b"No Content", 304: b"Not Modified", 400: b"Bad Request",
        401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed",
        408: b"Request Timeout", 409: b"Conflict", 410: b"Gone", 412: b"Precondition Failed",
        413: b"Content Too Large", 415: b"Unsupported Media Type", 421: b"Misdirected Request",
        422: b"Unprocessable Content", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
        500: b"Internal Server Error", 503: b"Service Unavailable",
    }
)  # fmt: skip
COMMON_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
_COMMON: Final = b"".join(b"%b: %b\r\n" % header for header in COMMON_HEADERS)


def head(answer: Answer, request_id: str, *, keep_alive: bool) -> bytes:
    """The status line and headers of an answer, for whoever writes to the socket itself."""
    more = b"".join(b"%b: %b\r\n" % header for header in answer.headers)
    closing = b"" if keep_alive and not answer.close else b"connection: close\r\n"
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b%b%b\r\n" % (
        answer.status,
        _REASONS[answer.status],
        answer.kind,
        answer.length,
        request_id.encode("ascii"),
        _COMMON,
        more,
        closing,
    )


def plain_head(length: int, request_id: str) -> bytes:
    """The same of a plain success on a connection that is kept."""
    return _PLAIN % (length, request_id.encode("ascii"))


_PLAIN: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
    + _COMMON
    + b"\r\n"
)
