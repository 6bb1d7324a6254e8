"""Certificates of clients, as TLS proved that they hold the key of (RFC 5280; SPIFFE X.509-SVID)."""

from __future__ import annotations

from collections.abc import Sequence

from keystead.access.methods.certificate_config import CertificateConfig, CertificateRole
from keystead.access.methods.spiffe import is_spiffe_id, matches
from keystead.access.methods.verified import Verified, policies_of, verified
from keystead.crypto.certificates import Leaf
from keystead.crypto.possession import certificates_in, fingerprint
from keystead.errors import AuthenticationFailed


def verify_certificate(config: CertificateConfig, chain_der: Sequence[bytes], *, now_ms: int) -> Verified:
    """Whom a client's certificate names, if it leads to a trusted authority at `now_ms` and is allowed in.

    `chain_der` is what the client sent, its own certificate first; that it holds the key is what TLS has shown. Which
    kind of name decides is fixed by what the certificate has, so that a refused one never falls back to another: its
    URI where SPIFFE ids are configured, else its DNS names, else its common name. `binding` of the answer is the
    certificate's SHA-256, for `check_binding` at a renewal (CVE-2026-39388).

    Raises:
        AuthenticationFailed: anything is not as it must be; only `reason_class` says what.
    """
    leaf = config.trust.verify(chain_der, now_ms)
    kind, name = _name(config, leaf)
    roles = ((_allows(role, kind, name), role.policies) for role in config.roles)
    return verified(
        "certificate",
        name,
        policies_of(config.policies, roles),
        leaf.expires_ms,
        claims=(("serial", leaf.serial), ("issuer", leaf.issuer), ("fingerprint", leaf.fingerprint)),
        binding=_bound_to(leaf.fingerprint),
    )


def chain_of(given: Sequence[bytes] | bytes | str) -> Sequence[bytes]:
    """A chain in DER, if it is given so, or in PEM as files hold it, the client's own certificate first.

    Raises:
        AuthenticationFailed: a text or bytes without certificates in PEM; a chain that is none is found out later.
    """
    if isinstance(given, str):
        given = given.encode("ascii", "replace")
    if isinstance(given, bytes):
        try:
            return certificates_in(given)
        except ValueError:
            raise AuthenticationFailed(reason_class="form") from None
    return given if isinstance(given, list | tuple) else ()


def binding_of(chain: Sequence[bytes] | bytes | str) -> str:
    """What the access tokens of a client with this chain are bound to. Raises AuthenticationFailed."""
    found = chain_of(chain)
    if not found or not isinstance(found[0], bytes):
        raise AuthenticationFailed(reason_class="form")
    return _bound_to(fingerprint(found[0]))


def _bound_to(sha256: str) -> str:
    return f"x5t#S256:{sha256}"


def _name(config: CertificateConfig, leaf: Leaf) -> tuple[str, str]:
    """The one name of a leaf that decides, and the list that it stands in."""
    if config.spiffe_ids and leaf.uris:
        return "spiffe_ids", _the_one(config, "spiffe_ids", _spiffe_ids(leaf))
    if config.dns_names and leaf.dns_names:
        return "dns_names", _the_one(config, "dns_names", leaf.dns_names)
    # Authorities limit alternative names and not common ones, which therefore count only where nothing else is said.
    if config.common_names and not (leaf.uris or leaf.dns_names or leaf.constrained) and len(leaf.common_names) == 1:
        return "common_names", _the_one(config, "common_names", leaf.common_names)
    raise AuthenticationFailed(reason_class="no-name")


def _spiffe_ids(leaf: Leaf) -> tuple[str, ...]:
    """The id of an X.509-SVID: its only URI, in a certificate that signs no others."""
    if len(leaf.uris) != 1 or not is_spiffe_id(leaf.uris[0]) or leaf.may_sign:
        raise AuthenticationFailed(reason_class="spiffe")
    return leaf.uris


def _the_one(config: CertificateConfig, kind: str, names: Sequence[str]) -> str:
    allowed = {name for name in names if _allows(config, kind, name)}
    if len(allowed) != 1:
        raise AuthenticationFailed(reason_class="name-not-allowed" if not allowed else "several-names")
    return allowed.pop()


def _allows(lists: CertificateConfig | CertificateRole, kind: str, name: str) -> bool:
    patterns: tuple[str, ...] = getattr(lists, kind)
    if kind == "spiffe_ids":
        return any(matches(pattern, name) for pattern in patterns)
    if kind == "dns_names":
        # A certificate may itself be for `*.example.org`, which is the name of no client.
        below = f"*.{name.partition('.')[2]}"
        return "*" not in name and (name in patterns or below in patterns)
    return name in patterns
