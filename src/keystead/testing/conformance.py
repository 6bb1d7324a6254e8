"""Conformance suites for the seams that others may fill."""

from __future__ import annotations

from collections.abc import Callable

from keystead.crypto.mac import same
from keystead.crypto.material import KeyMaterial
from keystead.errors import DecryptionError
from keystead.seal.provider import RootKeyProvider

_AAD = b"keystead conformance"


def check_root_key_provider(
    make_provider: Callable[[], RootKeyProvider],
    *,
    reopen: Callable[[RootKeyProvider], RootKeyProvider] | None = None,
) -> None:
    """Hold a root-key provider to its promises.

    `make_provider` gives, at each call, a provider with another credential. `reopen`, where it is given, makes the
    provider anew from the credential and the metadata of the one it is handed, as another process would.

    Raises:
        AssertionError: a promise is not kept; the message says which.
    """
    provider, other = make_provider(), make_provider()
    key = KeyMaterial.generate()
    wrapped = provider.wrap(key, _AAD)
    _check_description(provider)
    _check_round_trips(provider, key, wrapped)
    if reopen is not None:
        _require(_opens(reopen(provider), wrapped, _AAD, key), "a provider made anew from its metadata unwraps")
    for name, aad in (("another AAD", _AAD + b"!"), ("no AAD", b""), ("a shorter AAD", _AAD[:-1])):
        _require(_refused(provider, wrapped, aad), f"{name} is refused by DecryptionError")
    _require(_refused(other, wrapped, _AAD), "another credential is refused by DecryptionError")
    for name, changed in _tamperings(wrapped):
        _require(_refused(provider, changed, _AAD), f"a wrapping with {name} is refused by DecryptionError")
    _require(_opens(provider, wrapped, _AAD, key), "the untouched wrapping still unwraps after all refusals")


def _check_description(provider: RootKeyProvider) -> None:
    _require(isinstance(provider.kind, str) and 1 <= len(provider.kind) <= 64, "kind is 1 to 64 characters of text")
    first, second = provider.metadata(), provider.metadata()
    plain = all(type(name) is str and type(value) in (str, int) for name, value in first.items())
    _require(plain, "metadata is a mapping of text to text or whole numbers")
    _require(dict(first) == dict(second), "metadata is the same at each call")


def _check_round_trips(provider: RootKeyProvider, key: KeyMaterial, wrapped: bytes) -> None:
    _require(isinstance(wrapped, bytes) and bytes(key.view()) not in wrapped, "a wrapping is bytes without the key")
    _require(_opens(provider, wrapped, _AAD, key), "what was wrapped unwraps")
    again = provider.wrap(key, _AAD)
    _require(again != wrapped, "two wrappings of one key differ")
    _require(_opens(provider, again, _AAD, key), "the second wrapping unwraps too")
    _require(_opens(provider, provider.wrap(key, b""), b"", key), "an empty AAD is an AAD")


def _tamperings(wrapped: bytes) -> list[tuple[str, bytes]]:
    changed = [("nothing in it", b""), ("a byte added", wrapped + b"\x00"), ("a byte cut off", wrapped[:-1])]
    middle = len(wrapped) // 2
    for name, place in (
        ("its first byte changed", 0),
        ("a middle byte changed", middle),
        ("its last byte changed", -1),
    ):
        flipped = bytearray(wrapped)
        flipped[place] ^= 1
        changed.append((name, bytes(flipped)))
    return changed


def _opens(provider: RootKeyProvider, wrapped: bytes, aad: bytes, key: KeyMaterial) -> bool:
    return same(bytes(provider.unwrap(wrapped, aad).view()), bytes(key.view()))


def _refused(provider: RootKeyProvider, wrapped: bytes, aad: bytes) -> bool:
    try:
        provider.unwrap(wrapped, aad)
    except DecryptionError:
        return True
    return False


def _require(kept: bool, promise: str) -> None:
    if not kept:
        raise AssertionError(f"the root-key provider breaks a promise: {promise}")
