"""The operations that are answered on the event loop: no store, no other thread, or else WOULD_WAIT.

Each takes the caller, the name in the path and the members of the body, and gives the answer's body as it is sent, or
the whole answer where it has headers of its own.
Whatever is out of the ordinary gives WOULD_WAIT: the ordinary way meets it again, says what it is and records it.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from keystead.api.shapes import from_base64
from keystead.gate import WOULD_WAIT, WouldWait
from keystead.server.answers import Answer
from keystead.server.callers import Caller
from keystead.services.data_operations import DataOperations

_TEXTS: Final = {str}
Body = dict[str, Any]
Attempt = Callable[[Caller, str, Body], bytes | Answer | WouldWait]
SHORT: Final = 16_384
"""Characters of base64 that are worked on here; what is longer would keep other callers waiting."""


def _is_context(context: Any) -> bool:
    if type(context) is dict:
        return set(map(type, context.values())) <= _TEXTS
    return context is None or type(context) is str


def _short(text: Any) -> bytes | None:
    """The bytes of a short base64 text; None for anything else."""
    if type(text) is not str or len(text) > SHORT:
        return None
    try:
        return from_base64(text)
    except ValueError:
        return None


def encrypt(caller: Caller, name: str, body: Body) -> bytes | WouldWait:
    """`POST /keys/NAME:encrypt`"""
    context = body.get("context")
    data = _short(body.get("plaintext"))
    if data is None or len(body) != 1 + ("context" in body) or not _is_context(context):
        return WOULD_WAIT
    bound = caller.sealing.get(name)
    made = caller.keys["encrypt"](name, data, context=context)
    if isinstance(made, WouldWait) or bound is None or caller.sealing.get(name) is not bound:
        return WOULD_WAIT
    return b'{"ciphertext":"%b","key_version":%d}' % (b2a_base64(made, newline=False), bound.version)


def decrypt(caller: Caller, name: str, body: Body) -> bytes | WouldWait:
    """`POST /keys/NAME:decrypt`"""
    context = body.get("context")
    blob = _short(body.get("ciphertext"))
    if blob is None or len(body) != 1 + ("context" in body) or not _is_context(context):
        return WOULD_WAIT
    data = caller.keys["decrypt"](name, blob, context=context)
    if isinstance(data, WouldWait):
        return data
    return b'{"plaintext":"%b"}' % b2a_base64(data, newline=False)


def mac(caller: Caller, name: str, body: Body) -> bytes | WouldWait:
    """`POST /keys/NAME:mac`"""
    message = _short(body.get("message"))
    if message is None or len(body) != 1:
        return WOULD_WAIT
    made = caller.keys["mac"](name, message)
    if isinstance(made, WouldWait):
        return made
    return b'{"mac":"%b","key_version":%d}' % (b2a_base64(made[0], newline=False), made[1])


def verify_mac(caller: Caller, name: str, body: Body) -> bytes | WouldWait:
    """`POST /keys/NAME:verify-mac`"""
    return _verified(caller, "verify_mac", name, body, "mac")


def sign(caller: Caller, name: str, body: Body) -> bytes | WouldWait:
    """`POST /keys/NAME:sign`"""
    message = _short(body.get("message"))
    if message is None or len(body) != 1:
        return WOULD_WAIT
    made = caller.keys["sign"](name, message)
    if isinstance(made, WouldWait):
        return WOULD_WAIT
    signature = b2a_base64(made[0], newline=False)
    return b'{"signature":"%b","key_version":%d,"algorithm":"%b"}' % (signature, made[1], made[2].encode("ascii"))


def verify(caller: Caller, name: str, body: Body) -> bytes | WouldWait:
    """`POST /keys/NAME:verify`"""
    return _verified(caller, "verify", name, body, "signature")


def _verified(caller: Caller, operation: str, name: str, body: Body, proof: str) -> bytes | WouldWait:
    message, shown = _short(body.get("message")), _short(body.get(proof))
    if message is None or shown is None or len(body) != 2:
        return WOULD_WAIT
    good: bool | WouldWait = caller.keys[operation](name, message, shown)
    if isinstance(good, WouldWait):
        return good
    return b'{"valid":true}' if good else b'{"valid":false}'


def encrypt_data(caller: Caller, _name: str, body: Body) -> bytes | WouldWait:
    """`POST /data:encrypt`"""
    aad, data = body.get("aad"), _short(body.get("plaintext"))
    if data is None or len(body) != 1 + ("aad" in body) or not _is_context(aad):
        return WOULD_WAIT
    made = DataOperations._try_encrypt(caller.kms, data, aad=aad)
    return WOULD_WAIT if isinstance(made, WouldWait) else b'{"ciphertext":"%b"}' % b2a_base64(made, newline=False)


def decrypt_data(caller: Caller, _name: str, body: Body) -> bytes | WouldWait:
    """`POST /data:decrypt`"""
    aad, blob = body.get("aad"), _short(body.get("ciphertext"))
    if blob is None or len(body) != 1 + ("aad" in body) or not _is_context(aad):
        return WOULD_WAIT
    data = DataOperations._try_decrypt(caller.kms, blob, aad=aad)
    return WOULD_WAIT if isinstance(data, WouldWait) else b'{"plaintext":"%b"}' % b2a_base64(data, newline=False)


def get_secret(caller: Caller, name: str, _body: Body) -> Answer | WouldWait:
    """`GET /secrets/NAME`"""
    found = caller.secrets._try_find(name)
    if isinstance(found, WouldWait):
        return WOULD_WAIT
    secret, expires_ms = found
    value = secret.reveal()
    if isinstance(value, str):
        told = b'"value":%b' % json.dumps(value).encode("ascii")
    else:
        told = b'"value_base64":"%b"' % b2a_base64(value, newline=False)
    until = b"null" if expires_ms is None else b"%d" % max(0, expires_ms - caller.node.clock.now_ms())
    body = b'{"name":"%b","version":%d,%b,"expires_in_ms":%b}' % (name.encode("ascii"), secret.version, told, until)
    return Answer(200, body, headers=((b"etag", b'"%d"' % secret.version),))


HOT: Final[Mapping[str, Attempt]] = MappingProxyType(
    {
        "keys.encrypt": encrypt,
        "keys.decrypt": decrypt,
        "keys.mac": mac,
        "keys.verify_mac": verify_mac,
        "keys.sign": sign,
        "keys.verify": verify,
        "kms.encrypt": encrypt_data,
        "kms.decrypt": decrypt_data,
        "kms.get_secret": get_secret,
    }
)
"""By the operation's id."""
