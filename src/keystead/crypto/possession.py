"""Certificates as files hold them, and whether a private key is theirs."""

from __future__ import annotations

import hashlib
import re
from binascii import a2b_base64
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from keystead.crypto.certificates import MAX_CERTIFICATE, MAX_CHAIN
from keystead.crypto.material import random_bytes

MAX_PEM: Final = 2 * MAX_CHAIN * MAX_CERTIFICATE
_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
_PURPOSE: Final = b"keystead proof of possession\0"


def certificates_in(pem: bytes) -> list[bytes]:
    """The certificates in a PEM file, in DER and in its order; other blocks are passed over.

    Raises:
        ValueError: there is none, or the file is longer than 1 MiB.
    """
    blocks = _BLOCK.findall(pem) if len(pem) <= MAX_PEM else []
    if not blocks:
        raise ValueError("holds no certificate in PEM")
    return [a2b_base64(b"".join(block.split()), strict_mode=True) for block in blocks]


def fingerprint(der: bytes) -> str:
    """The SHA-256 of a certificate in hex."""
    return hashlib.sha256(der).hexdigest()


def is_key_of(der: bytes, key_pem: bytes) -> bool:
    """Whether a private key in PEM, without a passphrase, belongs to a certificate: it signs what was never signed."""
    try:
        public: Any = x509.load_der_x509_certificate(der).public_key()
        private: Any = load_pem_private_key(key_pem, None)
        how: tuple[Any, ...] = ()
        if isinstance(public, ec.EllipticCurvePublicKey):
            how = (ec.ECDSA(hashes.SHA256()),)
        elif isinstance(public, rsa.RSAPublicKey):
            how = (padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashes.SHA256())
        nonce = _PURPOSE + random_bytes(32)
        public.verify(private.sign(nonce, *how), nonce, *how)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm, InvalidSignature):
        return False  # of another type, of another certificate, or unreadable
    return True
