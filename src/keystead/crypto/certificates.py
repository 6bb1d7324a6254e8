"""Certificates of clients: a path to a trusted authority, what the leaf says, and lists of what was revoked (RFC 5280).

The path is built and checked by `cryptography.x509.verification`. What that leaves open is checked here: that a leaf is
for clients, that no authority's constraint goes unheeded, and that nothing on the path was revoked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from keystead.errors import AuthenticationFailed

MAX_CHAIN: Final = 8
MAX_CERTIFICATE: Final = 64 * 1024
MAX_CRL: Final = 16 * 1024 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The last millisecond of the year 9999, which `datetime` ends with.
_LAST_MS: Final = 253_402_300_799_999
_HEEDED: Final = (x509.DNSName, x509.IPAddress, x509.RFC822Name)
_UNREADABLE: Final = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
    x509.InvalidVersion, x509.AttributeNotFound,
)  # fmt: skip
Issuer = tuple[bytes, bytes]
"""A name and a public key, both in DER: one alone may belong to two authorities."""


class Leaf(NamedTuple):
    """What the certificate of a client says, once its path was found good.

    `fingerprint` is the SHA-256 of its DER form in hex; `expires_ms` the first millisecond at which some certificate
    of the path is no longer valid. `constrained` tells that an authority of the path limits the names below it.
    """

    fingerprint: str
    serial: str
    issuer: str
    expires_ms: int
    uris: tuple[str, ...]
    dns_names: tuple[str, ...]
    common_names: tuple[str, ...]
    may_sign: bool
    constrained: bool


class Trust:
    """Authorities, and what they revoked; all of it is read and checked here, before any certificate is looked at.

    `trusted` and `intermediates` are certificates in PEM, `crls` lists in PEM or DER, each signed by one of them. With
    lists, the leaf's issuer must have one that is current; with `whole_chain` every issuer of the path; with
    `allow_expired_crls` a list is used after its next update too.

    Raises:
        ValueError: its arguments are what is wrong, as the field's name and the problem.
    """

    __slots__ = ("_allow_expired", "_crls", "_store", "_whole_chain")

    def __init__(
        self,
        trusted: str,
        intermediates: str = "",
        crls: Sequence[bytes] = (),
        *,
        whole_chain: bool = False,
        allow_expired_crls: bool = False,
    ) -> None:
        roots = _authorities("trusted", trusted)
        others = _authorities("intermediates", intermediates) if intermediates else []
        self._store = Store(roots)
        self._crls = _revocations(crls, [*roots, *others])
        self._whole_chain = whole_chain
        self._allow_expired = allow_expired_crls

    def verify(self, chain: Sequence[bytes], now_ms: int) -> Leaf:
        """What the first certificate of `chain` says, if the others lead from it to a trusted authority at `now_ms`.

        `chain` is 1 to 8 certificates in DER as a client sent them, its own first, the others in any order.

        Raises:
            AuthenticationFailed: it cannot be read, does not lead there, is not for clients, or was revoked.
        """
        try:
            certificates = _certificates(chain)
            now = _EPOCH + timedelta(seconds=min(max(now_ms, 0), _LAST_MS) // 1_000)
            path = _verifier(self._store, now).verify(certificates[0], certificates[1:]).chain
            _check_purpose(path[0])
            constrained = _check_constraints(path)
            self._check_revoked(path, now)
            return _leaf(path, constrained)
        except VerificationError:
            raise AuthenticationFailed(reason_class="chain") from None
        except _UNREADABLE:
            raise AuthenticationFailed(reason_class="form") from None

    def _check_revoked(self, path: list[x509.Certificate], now: datetime) -> None:
        if not self._crls:
            return
        for number, (certificate, issuer) in enumerate(pairwise(path)):
            known = self._crls.get(_identity(issuer), [])
            begun = [crl for crl in known if crl.last_update_utc <= now]
            if not begun:
                if number == 0 or self._whole_chain or known:
                    raise AuthenticationFailed(reason_class="no-crl")
                continue
            newest = max(begun, key=lambda crl: crl.last_update_utc)
            if newest.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                raise AuthenticationFailed(reason_class="revoked")
            # RFC 5280 gives the next list's date in whole seconds, and this one ends with that second's begin.
            if not self._allow_expired and (newest.next_update_utc is None or newest.next_update_utc <= now):
                raise AuthenticationFailed(reason_class="crl-expired")


def _verifier(store: Store, now: datetime) -> ClientVerifier:
    # A leaf may lack other names, since an operator can allow common names; it may not lack a purpose: _check_purpose.
    leaf = ExtensionPolicy.webpki_defaults_ee().may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    builder = PolicyBuilder().store(store).time(now.replace(tzinfo=None)).max_chain_depth(MAX_CHAIN)
    builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
    return builder.build_client_verifier()


def _certificates(chain: Sequence[bytes]) -> list[x509.Certificate]:
    if isinstance(chain, bytes | str) or not 1 <= len(chain) <= MAX_CHAIN:
        raise ValueError("not a chain")
    if not all(isinstance(der, bytes) and len(der) <= MAX_CERTIFICATE for der in chain):
        raise ValueError("not certificates")
    certificates = [x509.load_der_x509_certificate(der) for der in chain]
    # A signature fills its bit string. Where it ends in zero bits, the library takes them for unused ones too, and one
    # certificate would have several spellings and fingerprints.
    if not all(der.endswith(b"\0" + each.signature) for der, each in zip(chain, certificates, strict=True)):
        raise ValueError("a signature that is no whole number of bytes")
    return certificates


def _check_purpose(leaf: x509.Certificate) -> None:
    """It must say that it is for clients; to say nothing, or anything at all, is not enough."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        signs = leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        raise AuthenticationFailed(reason_class="purpose") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages or not signs:
        raise AuthenticationFailed(reason_class="purpose")


def _check_constraints(path: list[x509.Certificate]) -> bool:
    """Whether an authority of the path limits names; one whose limits are of a form that nobody checks is refused."""
    constrained = False
    for authority in path[1:]:
        try:
            limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            continue
        constrained = True
        trees = (*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ()))
        if not all(isinstance(tree, _HEEDED) for tree in trees):
            raise AuthenticationFailed(reason_class="chain")
    return constrained


def _leaf(path: list[x509.Certificate], constrained: bool) -> Leaf:
    leaf = path[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    last = min(certificate.not_valid_after_utc for certificate in path)
    return Leaf(
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        serial=f"{leaf.serial_number:x}",
        issuer=leaf.issuer.rfc4514_string(),
        expires_ms=((last - _EPOCH) // timedelta(seconds=1) + 1) * 1_000,
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        common_names=tuple(str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)),
        may_sign=usage.key_cert_sign or usage.crl_sign,
        constrained=constrained,
    )


def _authorities(field: str, pem: str) -> list[x509.Certificate]:
    """The certificates in a text, each of which may issue others (CVE-2024-2048: a pinned one that may not is none)."""
    if "PRIVATE KEY" in pem:
        raise ValueError(field, "holds a private key; only certificates belong here")
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        good = all(map(_may_issue, found))
    except _UNREADABLE:
        raise ValueError(field, "must be certificates in PEM") from None
    if not good:
        raise ValueError(field, "holds a certificate that is not of an authority, so nothing can be trusted by it")
    return found


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return False


def _identity(certificate: x509.Certificate) -> Issuer:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.subject.public_bytes(), key


def _revocations(
    given: Sequence[bytes], authorities: list[x509.Certificate]
) -> dict[Issuer, list[x509.CertificateRevocationList]]:
    found: dict[Issuer, list[x509.CertificateRevocationList]] = {}
    for number, data in enumerate(given):
        field = f"crls[{number}]"
        try:
            crl = _load_crl(data)
            partial = {ExtensionOID.ISSUING_DISTRIBUTION_POINT, ExtensionOID.DELTA_CRL_INDICATOR}
            unheeded = any(extension.critical or extension.oid in partial for extension in crl.extensions)
            issuers = {_identity(authority) for authority in authorities if _has_signed(authority, crl)}
        except _UNREADABLE:
            raise ValueError(field, "must be one certificate revocation list, in PEM or base64 of DER") from None
        if unheeded or crl.next_update_utc is None:
            raise ValueError(field, "is a partial or indirect list, or has no date of the next one")
        if not issuers:
            raise ValueError(field, "is signed by none of the authorities in trusted and intermediates")
        for issuer in issuers:
            found.setdefault(issuer, []).append(crl)
    return found


def _load_crl(data: bytes) -> x509.CertificateRevocationList:
    if len(data) > MAX_CRL or data.count(b"-----BEGIN ") > 1:
        raise ValueError("not one list")
    return x509.load_pem_x509_crl(data) if b"-----BEGIN " in data else x509.load_der_x509_crl(data)


def _has_signed(authority: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    if authority.subject != crl.issuer:
        return False
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        return usage.crl_sign and crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except x509.ExtensionNotFound:
        return False


def ends_at(pem: bytes) -> datetime:
    """Until when the first certificate in a PEM text is valid.

    Raises:
        ValueError: there is none.
    """
    return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc
