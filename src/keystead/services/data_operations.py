"""Encrypting and decrypting a caller's data: envelopes v1, compact ciphertexts v2, streams."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, Literal, overload

from keystead.crypto.aad import AAD
from keystead.crypto.compact import TEXT_PREFIX, from_text, to_text
from keystead.crypto.envelope import Envelope, parse
from keystead.errors import UsageError
from keystead.gate import WouldWait
from keystead.keys.stream import decrypt_stream, encrypt_stream
from keystead.services.session_face import SessionFace

Format = Literal["v1", "v2"]


class DataOperations(SessionFace):
    """The data methods of `KMSService`."""

    def encrypt(self, data: bytes, *, aad: AAD = None) -> bytes:
        """A compact ciphertext v2 of `data`, bound to `aad`. It is 88 bytes longer than the data.

        Raises:
            UsageError: data that is not bytes, or an AAD of another kind than bytes, text or a mapping of texts.
            SessionEnded, Denied, AuditUnavailable: nothing was encrypted.
        """
        return self._use.encrypt(data, aad)

    def decrypt(self, blob: bytes, *, aad: AAD = None) -> bytes:
        """The plaintext of a compact ciphertext v2; `aad` must be the one given at encryption.

        Raises:
            EnvelopeError: the form is wrong; `field` names the part.
            DecryptionError: it does not authenticate; nothing tells why.
            KeyStateError: its data key was destroyed, or may not decrypt.
        """
        return self._use.decrypt(blob, aad)

    def encrypt_many(self, items: Iterable[bytes], *, aad: AAD = None) -> list[bytes]:
        """A compact ciphertext of each item, all bound to the same `aad`."""
        encrypt = self.encrypt
        return [encrypt(item, aad=aad) for item in items]

    def decrypt_many(self, blobs: Iterable[bytes], *, aad: AAD = None) -> list[bytes]:
        """The plaintext of each compact ciphertext; the first that fails ends it."""
        decrypt = self.decrypt
        return [decrypt(blob, aad=aad) for blob in blobs]

    def encrypt_data(self, plaintext: str | bytes, *, aad: AAD = None) -> Envelope:
        """An envelope v1 of text or bytes, as a dict that `json.dumps` takes.

        Raises:
            KeyExhausted: no message is left under the data key, and the store cannot be asked for more.
            UsageError, SessionEnded, Denied, AuditUnavailable.
        """
        return self._use.seal_envelope(_as_bytes(plaintext), aad)

    @overload
    def decrypt_data(
        self,
        envelope: Mapping[str, Any] | str | bytes,
        *,
        aad: AAD = None,
        encoding: str = "utf-8",
        require_aad: bool = False,
    ) -> str: ...

    @overload
    def decrypt_data(
        self, envelope: Mapping[str, Any] | str | bytes, *, aad: AAD = None, encoding: None, require_aad: bool = False
    ) -> bytes: ...

    def decrypt_data(
        self,
        envelope: Mapping[str, Any] | str | bytes,
        *,
        aad: AAD = None,
        encoding: str | None = "utf-8",
        require_aad: bool = False,
    ) -> str | bytes:
        """The plaintext of an envelope v1, given as mapping or JSON text; `encoding=None` gives bytes.

        With `aad=None` the envelope's own AAD is accepted and the use recorded as unchecked; `require_aad=True` refuses
        that. Any other AAD, `""` included, must be the one given at encryption.

        Raises:
            EnvelopeError: the form is wrong; `field` names the field.
            DecryptionError: it does not authenticate; nothing tells why.
            DataKeyNotFound: the envelope was made by another store.
            UsageError: an AAD is required and missing, or the plaintext is not text of that encoding.
        """
        return _decoded(self._use.open_envelope(envelope, aad, require_aad=require_aad), encoding)

    # What `keystead.aio` asks first: the answer, or WOULD_WAIT.

    def _try_encrypt(self, data: bytes, *, aad: AAD = None) -> bytes | WouldWait:
        return self._use.try_encrypt(data, aad)

    def _try_decrypt(self, blob: bytes, *, aad: AAD = None) -> bytes | WouldWait:
        return self._use.try_decrypt(blob, aad)

    def _try_encrypt_data(self, plaintext: str | bytes, *, aad: AAD = None) -> Envelope | WouldWait:
        return self._use.try_seal_envelope(_as_bytes(plaintext), aad)

    def _try_decrypt_data(
        self,
        envelope: Mapping[str, Any] | str | bytes,
        *,
        aad: AAD = None,
        encoding: str | None = "utf-8",
        require_aad: bool = False,
    ) -> str | bytes | WouldWait:
        plaintext = self._use.try_open_envelope(envelope, aad, require_aad=require_aad)
        return plaintext if isinstance(plaintext, WouldWait) else _decoded(plaintext, encoding)

    def reencrypt(self, x: bytes | str | Mapping[str, Any], *, aad: AAD = None, to: Format | None = None) -> Any:
        """The same plaintext under the active data key, in the format of `x` unless `to` names one.

        `x` is a compact ciphertext (bytes, or its text form, which the answer then has too) or an envelope (mapping, or
        JSON text; the answer is a dict). An envelope whose AAD is not told stays bound to the one it has.

        Raises:
            The errors of `decrypt` and `decrypt_data`; UsageError for another `to`.
        """
        if to not in (None, "v1", "v2"):
            raise UsageError("to must be v1 or v2")
        as_text = isinstance(x, str) and x.startswith(TEXT_PREFIX)
        if isinstance(x, str) and as_text:
            x = from_text(x)
        is_compact = isinstance(x, bytes) and not x.lstrip().startswith(b"{")
        plaintext = self._use.decrypt(x, aad) if is_compact else self._use.open_envelope(x, aad)  # type: ignore[arg-type]
        if aad is None and not is_compact:
            aad = parse(x)[4]
        if (to or ("v2" if is_compact else "v1")) == "v2":
            blob = self._use.encrypt(plaintext, aad)
            return to_text(blob) if as_text else blob
        return self._use.seal_envelope(plaintext, aad)

    def encrypt_stream(
        self, source: str | os.PathLike[str] | BinaryIO, target: str | os.PathLike[str] | BinaryIO, *, aad: AAD = None
    ) -> int:
        """Encrypt a file of any size in constant memory; how many bytes were read.

        `source` and `target` are paths or binary file objects. A path is written whole or not at all.

        Raises:
            UsageError, FileUnavailable, SessionEnded, Denied.
        """
        return encrypt_stream(self._node.gate, self._node.ring, self._session, (source, target), aad)

    def decrypt_stream(
        self, source: str | os.PathLike[str] | BinaryIO, target: str | os.PathLike[str] | BinaryIO, *, aad: AAD = None
    ) -> int:
        """Decrypt what `encrypt_stream` wrote; how many bytes were written.

        To a path nothing is left of a failed decryption; to a file object only verified chunks are written, and the
        error comes at the end where the end is missing.

        Raises:
            EnvelopeError, DecryptionError, KeyStateError, FileUnavailable.
        """
        return decrypt_stream(self._node.gate, self._node.ring, self._session, (source, target), aad)


def _as_bytes(plaintext: str | bytes) -> bytes:
    if isinstance(plaintext, bytes):
        return plaintext
    if not isinstance(plaintext, str):
        raise UsageError("plaintext must be text or bytes")
    try:
        return plaintext.encode()
    except UnicodeEncodeError:
        pass  # raised below, outside: the error of the codec holds the plaintext
    raise UsageError("the plaintext is no text that UTF-8 can hold", hint="encrypt it as bytes")


def _decoded(plaintext: bytes, encoding: str | None) -> str | bytes:
    if encoding is None:
        return plaintext
    try:
        return plaintext.decode(encoding)
    except (UnicodeError, LookupError):
        pass  # raised below, outside: the error of the codec holds the plaintext
    raise UsageError(f"the plaintext is not {encoding} text", hint="pass encoding=None for bytes")
