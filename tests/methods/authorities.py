"""Certificate authorities made on the fly, which can also issue every wrong certificate and list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 9, 21, 12, 0, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1_000
DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
SPIFFE = "spiffe://example.org/ns/shop/sa/web"


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def dns(text: str) -> x509.GeneralName:
    return x509.DNSName(text)


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def key_usage(*, signature: bool = False, certificates: bool = False, crls: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(signature, False, False, False, False, certificates, crls, False, False)


@dataclass
class Issued:
    """A certificate and its key, which may issue others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def authority(self, name: str = "intermediate", **how: Any) -> Issued:
        return issue(name, self, ca=True, usages=how.pop("usages", None), **how)

    def client(self, *names: x509.GeneralName, name: str = "client", **how: Any) -> Issued:
        """A client's certificate, by default for SPIFFE."""
        return issue(name, self, names=names or (uri(SPIFFE),), usages=how.pop("usages", [CLIENT]), **how)

    def crl(
        self, *revoked: Issued, since: datetime = NOW - DAY, until: datetime | None = NOW + DAY, **how: Any
    ) -> bytes:
        """A list in DER of what is revoked."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject).last_update(since)
        builder = builder.next_update(until or NOW + DAY)
        for extension, critical in how.get("extensions", ()):
            builder = builder.add_extension(extension, critical)
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(since).build())
        return builder.sign(how.get("key", self.key), hashes.SHA256()).public_bytes(Encoding.DER)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    ca: bool = False,
    names: Sequence[x509.GeneralName] = (),
    usages: Sequence[x509.ObjectIdentifier] | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    usage: x509.KeyUsage | None = None,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    serial: int | None = None,
    path_length: int | None = None,
    constraints: bool = True,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer_name: x509.Name | None = None,
) -> Issued:
    """A certificate as told, signed by `issuer` or by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else key
    by = issuer_name or (issuer.certificate.subject if issuer else subject(name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(usage or key_usage(signature=not ca, certificates=ca, crls=ca), True)
    )
    if constraints:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), not name)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def root(name: str = "root", **how: Any) -> Issued:
    return issue(name, ca=True, **how)
