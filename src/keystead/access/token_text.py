"""The text of an access token or a secret id: what a caller shows, and what a scanner recognizes.

`ks_<kind>_<random>_<check>`: a kind of three letters, 32 random bytes in 43 base62 digits, and the CRC-32 of all before
it in 6. The check tells a typing mistake from a text of ours, without asking a store; it proves nothing.
"""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from typing import Final, NoReturn

from keystead.access.accounts import SecretIdInfo
from keystead.access.tokens import TokenInfo
from keystead.crypto.material import random_bytes
from keystead.errors import AuthenticationFailed

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BYTES: Final = 32
_RANDOM_DIGITS: Final = 43
_CHECK_DIGITS: Final = 6
_FORM: Final = re.compile(r"(ks_([a-z]{3})_([0-9A-Za-z]{43}))_([0-9A-Za-z]{6})", re.ASCII)


class Kind(StrEnum):
    """Whom a text is for: a service, a person, or a role that logs in with it."""

    SERVICE = "svc"
    PERSON = "usr"
    SECRET_ID = "sid"


def mint(kind: Kind) -> tuple[str, bytes]:
    """A fresh text of this kind, and the 32 random bytes in it."""
    random = random_bytes(_RANDOM_BYTES)
    body = f"ks_{kind.value}_{_base62(int.from_bytes(random, 'big'), _RANDOM_DIGITS)}"
    return f"{body}_{_check(body)}", random


def parse(text: object, *kinds: Kind) -> bytes:
    """The 32 random bytes of a text of one of these kinds.

    Raises:
        AuthenticationFailed: it is anything else. It does not say what is wrong.
    """
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in {kind.value for kind in kinds} or _check(match[1]) != match[4]:
        raise refused()
    number = 0
    for digit in match[3]:
        number = number * 62 + _DIGITS.index(digit)
    if number >= 1 << (8 * _RANDOM_BYTES):
        raise refused()
    return number.to_bytes(_RANDOM_BYTES, "big")


def is_well_formed(text: str) -> bool:
    """Whether a text is one that keystead could have given out, by its form and its check digits alone."""
    try:
        parse(text, *Kind)
    except AuthenticationFailed:
        return False
    return True


def refused() -> AuthenticationFailed:
    """The one answer to every credential that proves nothing."""
    return AuthenticationFailed(
        "authentication failed", hint="check the name and the credential, or ask for a new one where it may have ended"
    )


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_DIGITS)


def _base62(number: int, digits: int) -> str:
    found = []
    for _ in range(digits):
        number, digit = divmod(number, 62)
        found.append(_DIGITS[digit])
    return "".join(reversed(found))


class _Shown:
    """A text that is given out once: it prints nothing, and refuses pickle and copy."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. It is not kept anywhere else."""
        return self._text

    def __reduce__(self) -> NoReturn:
        raise TypeError("what proves who somebody is, is not pickled or copied")


class AccessToken(_Shown):
    """An access token, as `login` and `kms.tokens.create` give it out, and what is known of it in `info`."""

    __slots__ = ("info",)

    def __init__(self, text: str, info: TokenInfo) -> None:
        super().__init__(text)
        self.info = info

    @property
    def accessor(self) -> str:
        """What names the token where it is listed, looked up and revoked; it proves nothing."""
        return self.info.accessor

    def __repr__(self) -> str:
        return f"<access token {self.info.accessor} of {self.info.principal}: use .reveal()>"


class NewSecondFactor(_Shown):
    """The secret of a second factor in base32, as it is given out once, for the user `name`."""

    __slots__ = ("_uri", "name")

    def __init__(self, text: str, uri: str, name: str) -> None:
        super().__init__(text)
        self._uri = uri
        self.name = name

    def reveal_uri(self) -> str:
        """The same as `otpauth://totp/...`, which apps read out of a QR code."""
        return self._uri

    def __repr__(self) -> str:
        return f"<second factor of user {self.name}: use .reveal() or .reveal_uri()>"


class NewSecretId(_Shown):
    """A secret id, as it is given out once, and what is known of it in `info`."""

    __slots__ = ("info",)

    def __init__(self, text: str, info: SecretIdInfo) -> None:
        super().__init__(text)
        self.info = info

    @property
    def accessor(self) -> str:
        """What names the secret id where it is listed, looked up and destroyed; it proves nothing."""
        return self.info.accessor

    def __repr__(self) -> str:
        return f"<secret id {self.info.accessor} of role {self.info.role}: use .reveal()>"
