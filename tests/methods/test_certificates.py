"""Certificates of clients: whom they name, and each way in which one does not (T68 of the security notes)."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.authorities import (
    ANY,
    CLIENT,
    DAY,
    NOW,
    NOW_MS,
    SERVER,
    SPIFFE,
    Issued,
    dns,
    issue,
    key_usage,
    root,
    uri,
)

from keystead.access.methods.certificate_config import CertificateConfig, CertificateRole
from keystead.access.methods.certificates import verify_certificate
from keystead.access.methods.spiffe import is_pattern, is_spiffe_id, matches
from keystead.access.methods.verified import Verified, check_binding
from keystead.errors import AuthenticationFailed, ConfigurationError

ROOT = root()
MIDDLE = ROOT.authority(path_length=0)
LEAF = MIDDLE.client()
SECOND = timedelta(seconds=1)


def config(*trusted: Issued, **changed) -> CertificateConfig:
    given = {
        "trusted": "".join(each.pem for each in trusted or (ROOT,)),
        "spiffe_ids": (SPIFFE,),
        "policies": ("web",),
        **changed,
    }
    return CertificateConfig(**given)


def check(*chain: Issued, conf: CertificateConfig | None = None, now_ms: int = NOW_MS) -> Verified:
    return verify_certificate(conf or config(), [each.der for each in chain], now_ms=now_ms)


def expect_refused(*chain: Issued, reason: str, conf: CertificateConfig | None = None, now_ms: int = NOW_MS) -> None:
    """It is refused for this reason, and with the words of every other refusal."""
    with pytest.raises(AuthenticationFailed) as refused:
        check(*chain, conf=conf, now_ms=now_ms)
    assert refused.value.reason_class == reason
    assert str(refused.value) == str(AuthenticationFailed())


# What is taken


def test_a_client_below_a_trusted_authority_is_named_by_its_spiffe_id():
    found = check(LEAF, MIDDLE)
    fingerprint = LEAF.certificate.fingerprint(LEAF.certificate.signature_hash_algorithm).hex()
    assert found.method == "certificate"
    assert found.name == SPIFFE
    assert found.policies == ("web",)
    assert found.binding == f"x5t#S256:{fingerprint}"
    assert dict(found.claims) == {
        "serial": f"{LEAF.certificate.serial_number:x}", "issuer": "CN=intermediate", "fingerprint": fingerprint
    }  # fmt: skip


def test_an_intermediate_may_itself_be_what_is_trusted_and_others_may_be_sent_along():
    assert check(LEAF, conf=config(MIDDLE)).name == SPIFFE
    assert check(LEAF, root("stranger"), ROOT, MIDDLE).name == SPIFFE


def test_patterns_stand_for_one_segment_each_and_roles_add_policies():
    roles = (
        CertificateRole("shop", ("shop",), spiffe_ids=("spiffe://example.org/ns/shop/sa/*",)),
        CertificateRole("bank", ("bank",), spiffe_ids=("spiffe://example.org/ns/bank/sa/*",)),
    )
    conf = config(spiffe_ids=("spiffe://example.org/ns/*/sa/*",), policies=(), roles=roles)
    assert check(LEAF, MIDDLE, conf=conf).policies == ("shop",)
    expect_refused(MIDDLE.client(uri("spiffe://example.org/ns/x/sa/web")), MIDDLE, reason="no-role", conf=conf)


def test_dns_and_common_names_count_only_where_they_are_configured():
    client = MIDDLE.client(dns("web.example.org"), name="web")
    assert check(client, MIDDLE, conf=config(spiffe_ids=(), dns_names=("web.example.org",))).name == "web.example.org"
    assert check(client, MIDDLE, conf=config(spiffe_ids=(), dns_names=("*.example.org",))).name == "web.example.org"
    expect_refused(client, MIDDLE, reason="no-name")
    expect_refused(client, MIDDLE, reason="no-name", conf=config(spiffe_ids=(), common_names=("web",)))
    bare = issue("web", MIDDLE, usages=[CLIENT])
    assert check(bare, MIDDLE, conf=config(spiffe_ids=(), common_names=("web",))).name == "web"
    expect_refused(bare, MIDDLE, reason="no-name")
    expect_refused(bare, MIDDLE, reason="name-not-allowed", conf=config(common_names=("we",)))


def test_a_refused_name_never_falls_back_to_another_kind():
    conf = config(dns_names=("web.example.org",), common_names=("web",))
    other = MIDDLE.client(uri("spiffe://example.org/other"), dns("web.example.org"), name="web")
    expect_refused(other, MIDDLE, reason="name-not-allowed", conf=conf)
    expect_refused(MIDDLE.client(dns("x.example.org"), name="web"), MIDDLE, reason="name-not-allowed", conf=conf)


@pytest.mark.parametrize(
    "name", ["x.web.example.org", "example.org", "webXexample.org", "*.example.org", "xexample.org"]
)
def test_a_dns_pattern_stands_for_one_label_and_a_wildcard_certificate_for_no_client(name):
    client = MIDDLE.client(dns(name))
    with pytest.raises(AuthenticationFailed):
        check(client, MIDDLE, conf=config(spiffe_ids=(), dns_names=("*.example.org",)))


def test_of_two_allowed_names_none_is_chosen():
    client = MIDDLE.client(dns("a.example.org"), dns("b.example.org"))
    expect_refused(client, MIDDLE, reason="several-names", conf=config(spiffe_ids=(), dns_names=("*.example.org",)))
    assert check(client, MIDDLE, conf=config(spiffe_ids=(), dns_names=("b.example.org",))).name == "b.example.org"


# On T68, time


def test_t68_a_certificate_is_good_from_its_first_to_its_last_second():
    client = MIDDLE.client(begin=NOW, end=NOW + 60 * SECOND)
    assert check(client, MIDDLE, now_ms=NOW_MS).expires_ms == NOW_MS + 61_000
    assert check(client, MIDDLE, now_ms=NOW_MS + 60_999).name == SPIFFE
    expect_refused(client, MIDDLE, reason="chain", now_ms=NOW_MS + 61_000)
    expect_refused(client, MIDDLE, reason="chain", now_ms=NOW_MS - 1)


def test_t68_an_authority_that_is_over_or_has_not_begun_ends_what_is_below_it():
    short = ROOT.authority("short", end=NOW + 60 * SECOND)
    assert check(short.client(), short).expires_ms == NOW_MS + 61_000
    expect_refused(short.client(), short, reason="chain", now_ms=NOW_MS + 61_000)
    old, young = root(end=NOW - SECOND), root(begin=NOW + SECOND)
    for authority in (old, young):
        expect_refused(authority.client(), reason="chain", conf=config(authority))


@pytest.mark.parametrize("now_ms", [0, -1, -(10**15), 10**15, 2**63, 253_402_300_799_999])
def test_a_clock_far_off_refuses_and_does_nothing_else(now_ms):
    expect_refused(LEAF, MIDDLE, reason="chain", now_ms=now_ms)


# On T68, who issued it


def test_t68_another_authority_of_the_same_name_is_not_the_trusted_one():
    twin = root(ROOT.certificate.subject.rfc4514_string().removeprefix("CN="))
    assert twin.certificate.subject == ROOT.certificate.subject
    expect_refused(twin.client(), reason="chain")
    expect_refused(twin.client(), twin, reason="chain")
    expect_refused(twin.client(), ROOT, reason="chain")
    same_serial = root(serial=ROOT.certificate.serial_number)
    expect_refused(same_serial.client(), same_serial, reason="chain")


def test_cve_2024_2048_a_certificate_of_no_authority_cannot_be_trusted_and_is_no_issuer():
    pinned = issue("pinned", names=[uri(SPIFFE)], usages=[CLIENT])
    with pytest.raises(ConfigurationError) as refused:
        config(pinned)
    assert "not of an authority" in refused.value.problems["trusted"]
    # The attacker's certificate has the same names, serial number and key identifier as a good one.
    forged = issue(
        "client", issue_by(LEAF), names=[uri(SPIFFE)], usages=[CLIENT], serial=LEAF.certificate.serial_number,
        issuer_name=LEAF.certificate.issuer,
    )  # fmt: skip
    expect_refused(forged, MIDDLE, reason="chain")
    expect_refused(LEAF.client(), LEAF, MIDDLE, reason="chain")


def issue_by(victim: Issued) -> Issued:
    """An attacker's own self-signed copy of a certificate, all of it but the key."""
    return issue("client", names=[uri(SPIFFE)], usages=[CLIENT], serial=victim.certificate.serial_number)


@pytest.mark.parametrize(
    "how",
    [{"ca": False}, {"ca": True, "constraints": False}, {"ca": True, "usage": key_usage(signature=True, crls=True)}],
)
def test_what_may_not_issue_certificates_is_refused_as_trusted_and_in_between(how):
    with pytest.raises(ConfigurationError):
        config(issue("odd", **how))
    odd = issue("odd", ROOT, **how)
    expect_refused(odd.client(), odd, reason="chain")


def test_an_authority_may_have_no_more_below_it_than_it_says():
    lower = MIDDLE.authority("lower")
    expect_refused(lower.client(), lower, MIDDLE, reason="chain")


def test_a_chain_without_its_middle_out_of_bounds_or_unreadable_is_refused():
    expect_refused(LEAF, reason="chain")
    expect_refused(MIDDLE, LEAF, reason="chain")
    expect_refused(ROOT, reason="chain")
    expect_refused(reason="form")
    expect_refused(*[LEAF] * 9, reason="form")
    for wrong in (
        [b""], [b"x"], [LEAF.der + b"\x00"], [LEAF.der[:-1]], [LEAF.pem], [LEAF.der, b"\x30\x80"], ["x"], LEAF.der,
        [None], [LEAF.der + bytes(70_000)], LEAF.pem,
    ):  # fmt: skip
        with pytest.raises(AuthenticationFailed) as refused:
            verify_certificate(config(), wrong, now_ms=NOW_MS)
        assert refused.value.reason_class == "form"


# On T68, what it is for


@pytest.mark.parametrize("usages", [None, [SERVER], [ANY], [x509.ObjectIdentifier("1.2.3.4")]])
def test_t68_a_certificate_that_does_not_say_that_it_is_for_clients_is_refused(usages):
    with pytest.raises(AuthenticationFailed) as refused:
        check(MIDDLE.client(usages=usages), MIDDLE)
    assert refused.value.reason_class in ("purpose", "chain")
    assert check(MIDDLE.client(usages=[SERVER, CLIENT]), MIDDLE).name == SPIFFE


def test_an_authority_for_servers_only_issues_no_clients():
    servers = ROOT.authority("servers", usages=[SERVER])
    expect_refused(servers.client(), servers, reason="chain")


@pytest.mark.parametrize(
    "usage",
    [
        key_usage(crls=True),
        key_usage(signature=True, crls=True),
        key_usage(signature=True, certificates=True),
        key_usage(),
    ],
)
def test_a_leaf_that_cannot_sign_or_signs_for_others_is_refused(usage):
    with pytest.raises(AuthenticationFailed):
        check(MIDDLE.client(usage=usage), MIDDLE)


@pytest.mark.parametrize(
    "limit", [dns("other.org"), uri("other.org"), uri("example.org"), x509.DirectoryName(x509.Name([]))]
)
@pytest.mark.parametrize("critical", [True, False])
def test_t68_names_outside_of_an_authoritys_limits_are_refused_and_so_are_limits_that_nobody_checks(limit, critical):
    limited = ROOT.authority("limited", extensions=[(x509.NameConstraints([limit], None), critical)])
    with pytest.raises(AuthenticationFailed) as refused:
        check(limited.client(uri(SPIFFE), dns("web.example.org")), limited)
    assert refused.value.reason_class == "chain"
    rooted = root("limited root", extensions=[(x509.NameConstraints([limit], None), critical)])
    with pytest.raises(AuthenticationFailed):
        check(rooted.client(uri(SPIFFE), dns("web.example.org")), conf=config(rooted))


def test_names_within_an_authoritys_limits_are_taken_and_common_names_below_it_are_not():
    limited = ROOT.authority(
        "limited", extensions=[(x509.NameConstraints([dns("example.org")], [dns("x.example.org")]), True)]
    )
    conf = config(spiffe_ids=(), dns_names=("*.example.org",), common_names=("web",))
    assert check(limited.client(dns("web.example.org")), limited, conf=conf).name == "web.example.org"
    expect_refused(limited.client(dns("x.example.org")), limited, reason="chain", conf=conf)
    expect_refused(issue("web", limited, usages=[CLIENT]), limited, reason="no-name", conf=conf)


def test_a_critical_extension_that_nobody_knows_is_refused():
    unknown = [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]
    expect_refused(MIDDLE.client(extensions=unknown), MIDDLE, reason="chain")


# SPIFFE


def test_a_leaf_with_two_uris_or_one_that_is_no_id_is_refused():
    for names in (
        (uri(SPIFFE), uri("spiffe://example.org/other")), (uri(SPIFFE), uri("https://example.org/")),
        (uri(SPIFFE), uri(SPIFFE)),
        (uri("https://example.org/"),), (uri("spiffe://example.org"),), (uri(SPIFFE + "/"),), (uri(SPIFFE.upper()),),
    ):  # fmt: skip
        expect_refused(MIDDLE.client(*names), MIDDLE, reason="spiffe")
    assert check(MIDDLE.client(uri(SPIFFE), dns("web.example.org")), MIDDLE).name == SPIFFE


@pytest.mark.parametrize(
    "text",
    ["", "spiffe://", "spiffe:///x", "spiffe://a", "spiffe://a/", "spiffe://a//b", "spiffe://a/b/", "spiffe://a/./b",
     "spiffe://a/../b", "spiffe://a/b/..", "spiffe://a/.", "spiffe://A/b", "SPIFFE://a/b", "spiffe://a:1/b",
     "spiffe://u@a/b",
     "spiffe://a/b?c", "spiffe://a/b#c", "spiffe://a/%62", "spiffe://a/b c", "spiffe://a/ä", "spiffe://a/b\n",
     "spiffe://a/*",
     "spiffe://" + "a" * 256 + "/b", "spiffe://a/" + "b" * 2_048, "https://a/b"],
)  # fmt: skip
def test_what_is_no_spiffe_id_in_its_one_spelling_is_none(text):
    assert not is_spiffe_id(text)


def test_spiffe_ids_and_patterns_by_whole_segments():
    for good in ("spiffe://a/b", "spiffe://a.b-c_d/..e/f..", "spiffe://1/A-Z.0_9"):
        assert is_spiffe_id(good)
        assert matches(good, good)
    for pattern in ("spiffe://*/b", "spiffe://a/b*", "spiffe://a/**", "spiffe://a.*/b", "spiffe://a/.*"):
        assert not is_pattern(pattern)
    assert matches("spiffe://a/*/c", "spiffe://a/b/c")
    for other in ("spiffe://a/b/c/d", "spiffe://a/b", "spiffe://b/b/c", "spiffe://a/b/C", "spiffe://a/b/x"):
        assert not matches("spiffe://a/*/c", other)


# On T68, what was revoked


def crl_config(*crls: bytes, **changed) -> CertificateConfig:
    return config(intermediates=MIDDLE.pem, crls=crls, **changed)


def test_cve_2022_41316_a_revoked_certificate_is_refused_at_the_first_request_after_the_start():
    expect_refused(LEAF, MIDDLE, reason="revoked", conf=crl_config(MIDDLE.crl(LEAF)))
    assert check(MIDDLE.client(), MIDDLE, conf=crl_config(MIDDLE.crl(LEAF))).name == SPIFFE


def test_cve_2022_41316_a_list_that_cannot_be_used_is_told_when_it_is_configured_and_not_when_it_is_needed():
    other = root("other")
    sole = ROOT.authority("no lists", usage=key_usage(signature=True, certificates=True))
    indirect = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
    for wrong in (
        b"", b"x", LEAF.der, LEAF.pem.encode(), other.crl(LEAF), MIDDLE.crl(LEAF)[:-1], MIDDLE.crl(LEAF) + b"\x00",
        MIDDLE.crl(LEAF, key=other.key), MIDDLE.crl(extensions=[(x509.DeltaCRLIndicator(1), True)]),
        MIDDLE.crl(extensions=[(indirect, True)]), pem(MIDDLE.crl()) + pem(MIDDLE.crl()),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError) as refused:
            crl_config(wrong)
        assert list(refused.value.problems) == ["crls[0]"]
    with pytest.raises(ConfigurationError):
        config(intermediates=sole.pem, crls=(sole.crl(),))


def pem(crl: bytes) -> bytes:
    return x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM)


def test_a_list_in_pem_counts_as_one_in_der():
    expect_refused(LEAF, MIDDLE, reason="revoked", conf=crl_config(pem(MIDDLE.crl(LEAF))))


def test_with_lists_the_leafs_issuer_must_have_one_and_with_the_whole_chain_every_issuer():
    leaf, upper = MIDDLE.crl(), ROOT.crl()
    assert check(LEAF, MIDDLE, conf=crl_config(leaf)).name == SPIFFE
    expect_refused(LEAF, MIDDLE, reason="no-crl", conf=crl_config(upper))
    expect_refused(LEAF, MIDDLE, reason="no-crl", conf=crl_config(leaf, crl_check="chain"))
    assert check(LEAF, MIDDLE, conf=crl_config(leaf, upper, crl_check="chain")).name == SPIFFE
    expect_refused(LEAF, MIDDLE, reason="revoked", conf=crl_config(leaf, ROOT.crl(MIDDLE)))


def test_a_list_of_another_authority_of_the_same_name_says_nothing_of_this_one():
    twin = ROOT.authority("intermediate")
    conf = config(intermediates=twin.pem, crls=(twin.crl(LEAF),))
    expect_refused(LEAF, MIDDLE, reason="no-crl", conf=conf)
    # A serial number belongs to its issuer: a list that holds it for another revokes nothing.
    serial = LEAF.certificate.serial_number
    same = issue("x", ROOT, names=[uri(SPIFFE)], usages=[CLIENT], serial=serial)
    assert check(LEAF, MIDDLE, conf=crl_config(MIDDLE.crl(), ROOT.crl(same))).name == SPIFFE


def test_a_list_is_used_from_its_date_to_before_its_next_and_after_only_if_that_is_said():
    made = MIDDLE.crl(since=NOW, until=NOW + 60 * SECOND)
    assert check(LEAF, MIDDLE, conf=crl_config(made), now_ms=NOW_MS).name == SPIFFE
    assert check(LEAF, MIDDLE, conf=crl_config(made), now_ms=NOW_MS + 59_999).name == SPIFFE
    expect_refused(LEAF, MIDDLE, reason="crl-expired", conf=crl_config(made), now_ms=NOW_MS + 60_000)
    expect_refused(LEAF, MIDDLE, reason="no-crl", conf=crl_config(made), now_ms=NOW_MS - 1)
    late = crl_config(made, allow_expired_crls=True)
    assert check(LEAF, MIDDLE, conf=late, now_ms=NOW_MS + 60_000).name == SPIFFE
    old = crl_config(MIDDLE.crl(LEAF, until=NOW), allow_expired_crls=True)
    expect_refused(LEAF, MIDDLE, reason="revoked", conf=old, now_ms=NOW_MS + 1)


def test_of_several_lists_of_an_issuer_the_newest_that_has_begun_counts():
    held = MIDDLE.crl(LEAF, since=NOW - 2 * DAY)
    released = MIDDLE.crl(since=NOW)
    conf = crl_config(held, released)
    assert check(LEAF, MIDDLE, conf=conf).name == SPIFFE
    expect_refused(LEAF, MIDDLE, reason="revoked", conf=conf, now_ms=NOW_MS - 1_000)


# Renewal


def test_cve_2026_39388_a_renewal_with_another_certificate_of_the_same_name_is_refused():
    first = check(LEAF, MIDDLE)
    check_binding(first.binding, check(LEAF, MIDDLE))
    again = MIDDLE.client()
    same_key = MIDDLE.client(key=LEAF.key)
    for other in (again, same_key):
        assert check(other, MIDDLE).name == first.name
        with pytest.raises(AuthenticationFailed) as refused:
            check_binding(first.binding, check(other, MIDDLE))
        assert refused.value.reason_class == "binding"


# Any flip

NO_SERIAL = "ignore:Parsed a serial number which wasn't positive"  # one that is left in by the library for now
CONFIG = config(ROOT, dns_names=("*.example.org",))


@pytest.mark.filterwarnings(NO_SERIAL)
@pytest.mark.parametrize("which", [0, 1])
def test_each_flip_of_one_bit_in_a_certificate_of_the_chain_is_refused_and_nothing_else_happens(which):
    chain = [LEAF.der, MIDDLE.der]
    signed = 8 * len((LEAF, MIDDLE)[which].certificate.tbs_certificate_bytes)
    # One bit of each byte that is signed, and every bit of what stands around it.
    for at in [*range(0, signed, 7), *range(signed, 8 * len(chain[which]))]:
        changed = bytearray(chain[which])
        changed[at // 8] ^= 1 << at % 8
        given_chain = [*chain]
        given_chain[which] = bytes(changed)
        with pytest.raises(AuthenticationFailed):
            verify_certificate(CONFIG, given_chain, now_ms=NOW_MS)


@pytest.mark.filterwarnings(NO_SERIAL)
@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_change_in_a_certificate_is_refused_and_nothing_else_happens(data):
    der = data.draw(st.sampled_from([LEAF.der, MIDDLE.der]))
    at = data.draw(st.integers(0, len(der)))
    changed = der[:at] + data.draw(st.binary(max_size=3)) + der[at + data.draw(st.integers(0, 3)) :]
    if changed != der:
        chain = [changed, MIDDLE.der] if der == LEAF.der else [LEAF.der, changed]
        with pytest.raises(AuthenticationFailed):
            verify_certificate(CONFIG, chain, now_ms=NOW_MS)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=9))
def test_any_bytes_are_refused_and_nothing_else_happens(chain):
    with pytest.raises(AuthenticationFailed):
        verify_certificate(CONFIG, chain, now_ms=NOW_MS)


# Configuration


def problems(**changed):
    given_fields = {"trusted": ROOT.pem, "spiffe_ids": [SPIFFE], "policies": ["web"], **changed}
    with pytest.raises(ConfigurationError) as refused:
        CertificateConfig.from_json({name: value for name, value in given_fields.items() if value is not None})
    return list(refused.value.problems)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"trusted": None}, "trusted"), ({"trusted": ""}, "trusted"), ({"trusted": "x"}, "trusted"),
        ({"trusted": 1}, "trusted"), ({"trusted": LEAF.pem}, "trusted"),
        ({"trusted": ROOT.pem + ROOT.key_pem}, "trusted"),
        ({"trusted": ROOT.pem + LEAF.pem}, "trusted"), ({"intermediates": LEAF.pem}, "intermediates"),
        ({"intermediates": "x"}, "intermediates"), ({"spiffe_ids": []}, "spiffe_ids"),
        ({"spiffe_ids": SPIFFE}, "spiffe_ids"),
        ({"spiffe_ids": ["spiffe://*/x"]}, "spiffe_ids"), ({"spiffe_ids": [SPIFFE, SPIFFE]}, "spiffe_ids"),
        ({"dns_names": ["*"]}, "dns_names"), ({"dns_names": ["a.*"]}, "dns_names"),
        ({"dns_names": ["A.example"]}, "dns_names"),
        ({"common_names": [""]}, "common_names"), ({"policies": []}, "policies"),
        ({"policies": ["ROOT"]}, "policies"),
        ({"crls": "x"}, "crls"), ({"crls": [1]}, "crls"), ({"crls": ["?"]}, "crls"), ({"crls": ["AAAA"]}, "crls[0]"),
        ({"crl_check": "none"}, "crl_check"), ({"crl_check": "chain"}, "crls"),
        ({"allow_expired_crls": "false"}, "allow_expired_crls"), ({"allow_expired_crls": 1}, "allow_expired_crls"),
        ({"roles": [{"name": "x", "policies": ["p"]}]}, "roles[0]"), ({"roles": [[]]}, "roles[0]"),
        ({"roles": [{"name": "x", "policies": ["p"], "spiffe_ids": ["x"]}]}, "roles[0].spiffe_ids"),
        ({"roles": [{"name": "x", "policies": ["p"], "spiffe": ["x"]}]}, "roles[0].spiffe"), ({"trust": 1}, "trust"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(changed, field):
    assert problems(**changed) == [field]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["trusted", "intermediates", "dns_names", "crls", "crl_check", "roles"]), JSON))
def test_any_json_gives_a_configuration_or_named_problems(changed):
    try:
        good = {"trusted": ROOT.pem, "spiffe_ids": [SPIFFE], "policies": ["web"]}
        assert CertificateConfig.from_json({**good, **changed}).trust
    except ConfigurationError as refused:
        assert refused.problems


def test_a_configuration_survives_json():
    whole = CertificateConfig(
        trusted=ROOT.pem, intermediates=MIDDLE.pem, spiffe_ids=(SPIFFE,), dns_names=("*.example.org",),
        common_names=("web",), crls=(MIDDLE.crl(LEAF),), crl_check="chain", allow_expired_crls=True, policies=("p",),
        roles=(CertificateRole("r", ("q",), dns_names=("a.example.org",)),),
    )  # fmt: skip
    assert CertificateConfig.from_json(whole.to_json()) == whole
    assert config().to_json() == {"trusted": ROOT.pem, "spiffe_ids": [SPIFFE], "policies": ["web"]}
    in_pem = {**whole.to_json(), "crls": [pem(MIDDLE.crl(LEAF)).decode()]}
    assert CertificateConfig.from_json(in_pem).trust
