"""Random bytes and the holder of key material."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NoReturn

KEY_LENGTH = 32


def random_bytes(length: int) -> bytes:
    """`length` bytes from the operating system's generator; an error of that generator is not caught."""
    return os.urandom(length)


random_nonce: Final[Callable[[int], bytes]] = getattr(os, "getrandom", os.urandom)
"""At most 256 bytes of the same generator, for hot paths: the system call without a wrapper, where there is one."""


class KeyMaterial:
    """32 bytes of key in a buffer that can be overwritten. It prints nothing and refuses pickle and copy.

    `material` is copied; a bytearray that is handed over should be zeroed by its owner.
    """

    __slots__ = ("_buffer",)

    def __init__(self, material: bytes | bytearray) -> None:
        if len(material) != KEY_LENGTH:
            raise ValueError(f"key material must be {KEY_LENGTH} bytes, not {len(material)}")
        self._buffer = bytearray(material)

    @classmethod
    def generate(cls) -> KeyMaterial:
        """Fresh random key material."""
        return cls(random_bytes(KEY_LENGTH))

    def view(self) -> bytearray:
        """The live buffer, for a cipher or a derivation; never kept, never converted to bytes."""
        if not self._buffer:
            raise ValueError("this key material was forgotten")
        return self._buffer

    def forget(self) -> None:
        """Overwrite the bytes; further use raises ValueError."""
        zero(self._buffer)
        del self._buffer[:]

    @property
    def forgotten(self) -> bool:
        """Whether `forget` was called."""
        return not self._buffer

    def __repr__(self) -> str:
        return "<key material>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("key material is not pickled or copied")


def zero(buffer: bytearray) -> None:
    """Overwrite a buffer in place."""
    # Assigning as many bytes as there are keeps the buffer where it is, so nothing is left behind.
    buffer[:] = bytes(len(buffer))
