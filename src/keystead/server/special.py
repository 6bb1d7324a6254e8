"""What a few operations answer beyond what their method gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from keystead.access.token_text import AccessToken
from keystead.access.tokens import TokenInfo
from keystead.api.endpoint import Body
from keystead.api.reading import shape_of
from keystead.api.shapes import BYTES, Schema
from keystead.api.structures import Secret
from keystead.node.backup import BackupReport
from keystead.secrets.names import choose
from keystead.server.answers import FILE_TYPE, Answer, to_json
from keystead.server.callers import Caller
from keystead.services.login import WhoAmI

_SECRET: Final = Secret()
_TOKEN: Final = shape_of(AccessToken)
_INFO: Final = shape_of(TokenInfo)
_WHO: Final = shape_of(WhoAmI)
_REPORT: Final = shape_of(BackupReport)
_LEFT: Final[Schema] = {"anyOf": [{"type": "integer"}, {"type": "null"}]}


def _encrypted(caller: Caller, arguments: dict[str, Any]) -> Body:
    """The ciphertext, and the version of the key that made it."""
    made, version = caller.kms.keys._use().encrypt_numbered(**arguments)
    return {"ciphertext": BYTES.encode(made), "key_version": version}


def _secret(caller: Caller, arguments: dict[str, Any]) -> Body:
    """The value through the cache. The server's own environment never answers for a secret."""
    name, version, label = arguments["name"], arguments.get("version"), arguments.get("label")
    found = caller.secrets._find(choose(name, version, label))
    return {**_SECRET.encode(found.value), "expires_in_ms": _left(caller, found.until_ms)}


def _who(caller: Caller, arguments: dict[str, Any]) -> Body:
    """Who acts, how long that lasts yet, and whether a renewal may make it last longer."""
    found = caller.kms.whoami(**arguments)
    return {
        **_WHO.encode(found),
        "expires_in_ms": _left(caller, found.expires_ms),
        "renewable": caller.node.identities.register.is_renewable(caller.session),
    }


def _renewed(caller: Caller, arguments: dict[str, Any]) -> Body:
    """What is known of a renewed token, and how long it lasts yet."""
    found = caller.kms.tokens.renew(**arguments)
    return {**_INFO.encode(found), "expires_in_ms": _left(caller, found.expires_ms)}


def _left(caller: Caller, until_ms: int | None) -> int | None:
    return None if until_ms is None else max(0, until_ms - caller.node.clock.now_ms())


def _backup(caller: Caller, arguments: dict[str, Any]) -> Answer:
    """A backup that was made for this request, and is gone once it was sent."""
    file, report = caller.kms._backup_to_send(**arguments)
    told = to_json(_REPORT.encode(report))
    return Answer(200, kind=FILE_TYPE, headers=((b"keystead-report", told),), file=file)


def _logged_in(_caller: Any, arguments: dict[str, Any]) -> Body:
    """The access token of a login."""
    body: Body = _TOKEN.encode(arguments["token"])
    return body


ADDED: Final[Mapping[str, Mapping[str, Schema]]] = MappingProxyType(
    {
        "keys.encrypt": {"key_version": {"type": "integer"}},
        "kms.get_secret": {"expires_in_ms": _LEFT},
        "kms.whoami": {"expires_in_ms": _LEFT, "renewable": {"type": "boolean"}},
        "tokens.renew": {"expires_in_ms": _LEFT},
    }
)
"""Members of the answer that the result of the method has not, by the operation's id."""
BODIES: Final[Mapping[str, Callable[[Any, dict[str, Any]], Body | Answer]]] = MappingProxyType(
    {
        "keys.encrypt": _encrypted,
        "kms.get_secret": _secret,
        "kms.whoami": _who,
        "kms.backup": _backup,
        "tokens.renew": _renewed,
        "login": _logged_in,
    }
)
