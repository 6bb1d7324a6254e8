"""Sets of public keys (RFC 7517 section 5), and where a verifier takes them from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from keystead.access.methods.strict_json import parse_object
from keystead.crypto.jwk import PublicJwk, load_jwk

MAX_KEYS: Final = 100
MAX_BODY: Final = 256 * 1024


class KeySource(Protocol):
    """Where a verifier takes its keys from: the configuration, or an issuer's own address."""

    def keys(self, kid: str, now_ms: int) -> Sequence[PublicJwk]:
        """The issuer's keys. `kid` ("" for none) only tells whether they may have changed: nothing is looked up by it.

        Raises:
            AuthenticationFailed: there are none to be had now.
        """


class StaticKeys(NamedTuple):
    """Keys that stand in the configuration."""

    fixed: tuple[PublicJwk, ...]

    def keys(self, kid: str, now_ms: int) -> Sequence[PublicJwk]:  # noqa: ARG002 - the Protocol's
        return self.fixed


def parse_key_set(data: bytes, *, strict: bool) -> tuple[PublicJwk, ...]:
    """The keys of a JSON Web Key Set of at most 256 KiB and 100 keys.

    `strict` refuses a set with any key that cannot be used; otherwise such keys are passed over (RFC 7517 section 5),
    since issuers publish keys for encryption and of newer types beside.

    Raises:
        ValueError: it is no set, holds more than 100 keys, none that can be used, or two under one `kid`, where nobody
            could say which is meant.
    """
    if len(data) > MAX_BODY:
        raise ValueError("is longer than 256 KiB")
    listed = parse_object(data).get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"has no list of at most {MAX_KEYS} keys")
    found: list[PublicJwk] = []
    for number, fields in enumerate(listed):
        try:
            if not isinstance(fields, dict):
                raise ValueError("is no object")
            found.append(load_jwk(fields))
        except ValueError as problem:
            if strict:
                raise ValueError(f"keys[{number}]: {problem}") from None
    if not found:
        raise ValueError("has no key that can be used")
    named = [key.kid for key in found]
    if len(set(named)) != len(named):
        raise ValueError("has two keys under one kid")
    return tuple(found)
