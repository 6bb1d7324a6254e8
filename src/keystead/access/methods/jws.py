"""Signed tokens in the compact form of RFC 7515, as far as they are taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from keystead.access.methods.strict_json import parse_object
from keystead.crypto.base64url import decode
from keystead.crypto.jwk import MAX_KID, PublicJwk
from keystead.errors import AuthenticationFailed

MAX_TOKEN: Final = 16 * 1024
"""Characters of a token, checked before anything in it is read."""

_PARTS: Final = 3
# What would change how the rest is read: critical extensions, an unencoded payload, a nested or an encrypted token.
_CHANGES_MEANING: Final = frozenset({"crit", "b64", "cty", "enc", "zip"})


class CompactJws(NamedTuple):
    """A token whose form is right and whose signature nobody has looked at."""

    algorithm: str
    kid: str
    kind: str
    payload: bytes
    signing_input: bytes
    signature: bytes

    def require_signature(self, keys: Sequence[PublicJwk]) -> None:
        """Nothing, if the one key among `keys` that fits the token's `kid` and algorithm has signed it.

        Raises:
            AuthenticationFailed: no key fits, more than one does, or the signature is not its own.
        """
        fitting = [key for key in keys if self.algorithm in key.algorithms and self.kid in ("", key.kid)]
        if len(fitting) != 1:
            raise AuthenticationFailed(reason_class="unknown-key")
        if not fitting[0].verifies(self.algorithm, self.signing_input, self.signature):
            raise AuthenticationFailed(reason_class="signature")


def parse_jws(token: str, algorithms: Sequence[str]) -> CompactJws:
    """The parts of a signed token (RFC 7515 section 7.1) whose header names one of `algorithms`.

    What a header says of keys (`jku`, `jwk`, `x5u`, `x5c`, `x5t`) is passed over: it is the token's own word. `kid` is
    kept as text to be compared with the names of known keys.

    Raises:
        AuthenticationFailed: it is longer than 16 KiB, is not three parts in base64url (so neither encrypted nor
            detached), its header is not a JSON object that can be read in one way only, names another algorithm or
            none, or has a field that changes how the rest is read.
    """
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise AuthenticationFailed(reason_class="form")
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise AuthenticationFailed(reason_class="form")
    try:
        head, payload, signature = map(decode, parts)
        header = parse_object(head)
    except ValueError:
        raise AuthenticationFailed(reason_class="form") from None
    kid, kind = header.get("kid", ""), header.get("typ", "")
    if not isinstance(kid, str) or len(kid) > MAX_KID or not isinstance(kind, str):
        raise AuthenticationFailed(reason_class="header")
    if "kid" in header and not kid:
        raise AuthenticationFailed(reason_class="header")
    if _CHANGES_MEANING & header.keys():
        raise AuthenticationFailed(reason_class="header")
    algorithm = _algorithm(header, algorithms)
    return CompactJws(algorithm, kid, kind, payload, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)


def _algorithm(header: dict[str, Any], algorithms: Sequence[str]) -> str:
    """The header's algorithm, spelled exactly as one of the pinned ones."""
    named = header.get("alg")
    if not isinstance(named, str) or named not in algorithms:
        raise AuthenticationFailed(reason_class="algorithm")
    return named
