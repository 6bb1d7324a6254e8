"""What a few operations answer beyond what their method gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from keystead.access.token_text import AccessToken
from keystead.api.endpoint import Body
from keystead.api.reading import shape_of
from keystead.api.shapes import BYTES, Schema
from keystead.api.structures import Secret
from keystead.secrets.names import choose
from keystead.server.callers import Caller

_SECRET: Final = Secret()
_TOKEN: Final = shape_of(AccessToken)


def _encrypted(caller: Caller, arguments: dict[str, Any]) -> Body:
    """The ciphertext, and the version of the key that made it."""
    made, version = caller.kms.keys._use().encrypt_numbered(**arguments)
    return {"ciphertext": BYTES.encode(made), "key_version": version}


def _secret(caller: Caller, arguments: dict[str, Any]) -> Body:
    """The value through the cache. The server's own environment never answers for a secret."""
    name, version, label = arguments["name"], arguments.get("version"), arguments.get("label")
    found = caller.secrets._find(choose(name, version, label))
    left = None if found.until_ms is None else max(0, found.until_ms - caller.node.clock.now_ms())
    return {**_SECRET.encode(found.value), "expires_in_ms": left}


def _logged_in(_caller: Any, arguments: dict[str, Any]) -> Body:
    """The access token of a login."""
    body: Body = _TOKEN.encode(arguments["token"])
    return body


ADDED: Final[Mapping[str, Mapping[str, Schema]]] = MappingProxyType(
    {
        "keys.encrypt": {"key_version": {"type": "integer"}},
        "kms.get_secret": {"expires_in_ms": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    }
)
"""Members of the answer that the result of the method has not, by the operation's id."""
BODIES: Final[Mapping[str, Callable[[Any, dict[str, Any]], Body]]] = MappingProxyType(
    {"keys.encrypt": _encrypted, "kms.get_secret": _secret, "login": _logged_in}
)
