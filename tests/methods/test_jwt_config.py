"""Configurations of issuers: what is taken, what is told of a wrong field, and that they survive JSON."""

import dataclasses
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.issuing import ISSUER, b64_number, config, jwk

from keystead.access.methods.jwt_config import JwtConfig, JwtRole
from keystead.access.methods.key_set import MAX_BODY, parse_key_set
from keystead.access.methods.url import may_connect, parse_url
from keystead.errors import ConfigurationError

KEYS = {"keys": [jwk("ES256")]}
GIVEN = {
    "issuer": ISSUER,
    "audiences": ["keystead"],
    "algorithms": ["ES256"],
    "jwks": KEYS,
    "policies": ["readers"],
}


def problems(**changed):
    given = {name: value for name, value in {**GIVEN, **changed}.items() if value is not None}
    with pytest.raises(ConfigurationError) as refused:
        JwtConfig.from_json(given)
    return refused.value.problems


def test_a_configuration_survives_json_and_defaults_are_left_out():
    whole = JwtConfig(
        issuer=ISSUER, audiences=("a", "b"), algorithms=("RS256", "ES256"), discovery=True, other_audiences=("c",),
        bound_claims=(("team", ("x", 3, True)), ("/a/b", ("y",))), name_claim="email", groups_claim="groups",
        shown_claims=("tid",), second_factor_amr=("mfa",), policies=("p",),
        roles=(JwtRole("r", (("g", ("1",)),), ("q", "s.t")),),
        leeway_ms=0, max_age_ms=90_000, ca_pem="-----BEGIN CERTIFICATE-----", jwks_hosts=("keys.example.org:8443",),
        private_networks=("10.1.0.0/16", "::1/128"), cache_ms=60_000, grace_ms=0, timeout_ms=1_500,
    )  # fmt: skip
    told = json.loads(json.dumps(whole.to_json()))
    assert JwtConfig.from_json(told) == whole
    assert told["max_age"] == "1m30s"
    assert JwtConfig.from_json(GIVEN).to_json() == GIVEN
    assert {field.name.removesuffix("_ms") for field in dataclasses.fields(JwtConfig)} == {*told, "jwks", "jwks_url"}


@pytest.mark.parametrize("name", ["issuer", "audiences", "algorithms"])
def test_what_must_be_said_is_named_when_it_is_missing(name):
    assert problems(**{name: None}) == {name: "is required"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"issuer": ""}, "issuer"), ({"issuer": 1}, "issuer"),
        ({"audiences": []}, "audiences"), ({"audiences": "keystead"}, "audiences"),
        ({"audiences": [""]}, "audiences"),
        ({"audiences": ["a", "a"]}, "audiences"), ({"audiences": [["a"]]}, "audiences"),
        ({"algorithms": []}, "algorithms"), ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["HS256"]}, "algorithms"), ({"algorithms": ["ES256", "HS512"]}, "algorithms"),
        ({"algorithms": ["es256"]}, "algorithms"), ({"algorithms": ["ES256K"]}, "algorithms"),
        ({"jwks": None}, "jwks"), ({"discovery": True}, "jwks"), ({"jwks_url": "https://a.example/"}, "jwks"),
        ({"jwks": {"keys": b""}}, "jwks"),
        ({"jwks": []}, "jwks"), ({"jwks": {"keys": []}}, "jwks"), ({"jwks": {"keys": [{}]}}, "jwks"),
        ({"jwks": {"keys": [jwk("ES256"), jwk("RS256")]}}, "jwks"),
        ({"jwks": {"keys": [jwk("ES256", d="AA")]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}, "jwks"),
        ({"jwks": None, "jwks_url": "http://a.example/"}, "jwks_url"),
        ({"jwks": None, "jwks_url": "file:///etc/passwd"}, "jwks_url"),
        ({"jwks": None, "discovery": True, "issuer": "http://a.example"}, "issuer"),
        ({"bound_claims": {"a": []}}, "bound_claims.a"), ({"bound_claims": {"a": 1.5}}, "bound_claims.a"),
        ({"bound_claims": {"a": {"b": 1}}}, "bound_claims.a"), ({"bound_claims": ["a"]}, "bound_claims"),
        ({"bound_claims": {"": "x"}}, "bound_claims"),
        ({"name_claim": ""}, "name_claim"), ({"groups_claim": 1}, "groups_claim"),
        ({"shown_claims": "a"}, "shown_claims"),
        ({"policies": []}, "policies"), ({"policies": ["Root"]}, "policies"), ({"policies": [" root"]}, "policies"),
        ({"roles": {"a": 1}}, "roles"), ({"roles": [1]}, "roles[0]"), ({"roles": [{"nme": "x"}]}, "roles[0].nme"),
        ({"roles": [{"name": "", "bound_claims": {"a": "b"}, "policies": ["p"]}]}, "roles[0].name"),
        ({"roles": [{"name": "x", "bound_claims": {}, "policies": ["p"]}]}, "roles[0].bound_claims"),
        ({"roles": [{"name": "x", "bound_claims": {"a": "b"}, "policies": ["P"]}]}, "roles[0].policies"),
        ({"leeway": "6m"}, "leeway"), ({"leeway": 30}, "leeway"), ({"leeway": "-1s"}, "leeway"),
        ({"max_age": "366d"}, "max_age"), ({"cache": "1s"}, "cache"), ({"grace": "8d"}, "grace"),
        ({"timeout": "1m"}, "timeout"),
        ({"ca_pem": "x"}, "ca_pem"), ({"jwks_hosts": ["a/b"]}, "jwks_hosts"),
        ({"jwks_hosts": ["*.example"]}, "jwks_hosts"),
        ({"private_networks": ["10.0.0.1/8"]}, "private_networks"),
        ({"private_networks": ["all"]}, "private_networks"),
        ({"audience": ["a"]}, "audience"), ({"leeway_ms": 5}, "leeway_ms"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(changed, field):
    assert list(problems(**changed)) == [field]


def test_all_wrong_fields_are_told_at_once_and_no_value_is():
    told = problems(issuer="", audiences=["SECRET", "SECRET"], leeway="6m", name_claim="")
    assert sorted(told) == ["audiences", "issuer", "leeway", "name_claim"]
    assert "SECRET" not in str(told)


@pytest.mark.parametrize("given", [None, [], "x", 1, {1: 2}])
def test_what_is_no_object_is_told_so(given):
    with pytest.raises(ConfigurationError):
        JwtConfig.from_json(given)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
NAMES = sorted({field.name.removesuffix("_ms") for field in dataclasses.fields(JwtConfig)})


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1, max_size=3))
def test_any_json_gives_a_configuration_or_named_problems(changed):
    try:
        assert JwtConfig.from_json({**GIVEN, **changed})
    except ConfigurationError as refused:
        assert refused.problems


# Key sets


def dumped(*keys, **more):
    return json.dumps({"keys": list(keys), **more}).encode()


def test_keys_of_other_types_and_uses_are_passed_over_in_what_is_fetched_and_refused_in_what_is_written():
    others = [
        {"kty": "oct", "k": "AA"},
        jwk("RS256", "enc", use="enc"),
        {"kty": "AKP"},
        jwk("ES256", "x", alg="ES256K"),
        1,
    ]
    listed = dumped(*others, jwk("ES256", "good"), more=1)
    assert [key.kid for key in parse_key_set(listed, strict=False)] == ["good"]
    with pytest.raises(ValueError, match=r"keys\[0\]"):
        parse_key_set(listed, strict=True)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[],"keys":[]}', dumped(*[{}] * 101),
     dumped(jwk("ES256", "a"), jwk("ES384", "a")), dumped({"kty": "oct", "k": "AA"}), b" " * (MAX_BODY + 1)],
)  # fmt: skip
def test_a_set_that_is_none_too_long_without_a_usable_key_or_with_two_of_one_name_is_refused(data):
    with pytest.raises(ValueError):
        parse_key_set(data, strict=False)


def rsa_fields(n, e=65_537):
    return {"kty": "RSA", "n": b64_number(n), "e": b64_number(e)}


def test_rsa_keys_that_are_short_long_even_or_of_a_small_exponent_are_refused():
    good = rsa.generate_private_key(65_537, 2_048).public_key().public_numbers().n
    assert parse_key_set(dumped(rsa_fields(good)), strict=True)
    short = rsa.generate_private_key(65_537, 1_024).public_key().public_numbers().n
    for fields in (
        rsa_fields(short), rsa_fields(good, 3), rsa_fields(good, 1), rsa_fields(good, 65_536), rsa_fields(good, 65_538),
        rsa_fields(good + 1),
        rsa_fields(good, (1 << 32) + 1), rsa_fields((1 << 16_383) + 1), {**rsa_fields(good), "n": "A" * 3_000},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            parse_key_set(dumped(fields), strict=True)


@pytest.mark.parametrize(
    "change",
    [{"x": jwk("ES256", number=3)["x"]}, {"crv": "P-384"}, {"crv": "secp256k1"}, {"crv": ["P-256"]}, {"y": ""},
     {"y": None},
     {"x": jwk("ES256")["x"] + "="}, {"x": jwk("ES256")["x"] + "AA"}, {"kty": "OKP"}, {"alg": "ES384"},
     {"alg": "HS256"},
     {"alg": 1}, {"use": "enc"}, {"use": None}, {"key_ops": ["sign"]}, {"key_ops": "verify"}, {"kid": 1},
     {"kid": "k" * 257}],
)  # fmt: skip
def test_elliptic_keys_off_their_curve_or_of_another_use_or_form_are_refused(change):
    with pytest.raises(ValueError):
        parse_key_set(dumped({**jwk("ES256"), **change}), strict=True)


# Addresses


@pytest.mark.parametrize(
    "url",
    ["", "http://a.example/", "HTTPS://a.example/", "https:/a.example/", "https://a.example:0/",
     "https://a.example:65536/",
     "https://user@a.example/", "https://user:pw@a.example/", "https://a.example/#x",
     "https://a.example\\@evil.example/",
     "https://A.example/", "https://a..example/", "https://-a.example/", "https://a.example./", "https://2130706433/",
     "https://0x7f000001/", "https://127.1/", "https://0177.0.0.1/", "https://a.example/\r\nHost: b",
     "https://a.example/ x",
     "https://[::1/", "https://[0:0:0:0:0:0:0:1]/", "https://[fe80::1%25eth0]/", "https://ä.example/",
     "https://a_b.example/",
     "https://", "https:///x", "file:///etc/passwd", "gopher://a.example/", "https://a.example:443:443/", None, 1],
)  # fmt: skip
def test_addresses_that_some_reader_takes_for_another_host_are_refused(url):
    with pytest.raises(ValueError):
        parse_url(url)


def test_addresses_are_read_into_host_port_and_path():
    assert parse_url("https://a.example") == ("a.example", 443, "/")
    assert parse_url("https://a.example:8443/x/y?z=1") == ("a.example", 8443, "/x/y?z=1")
    assert parse_url("https://[2001:db8::1]:8443/").authority == "[2001:db8::1]:8443"
    assert parse_url("https://192.0.2.1/").authority == "192.0.2.1"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
     "100.64.0.1",
     "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1",
     "fe80::1%eth0", "fc00::1",
     "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1",
     "64:ff9b:1::a00:1",
     "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:db8::1", "::ffff:0:10.0.0.1", "", "localhost"],
)  # fmt: skip
def test_t72_addresses_of_this_machine_and_of_private_networks_are_refused_in_every_form(address):
    assert not may_connect(address, ())


def test_t72_public_addresses_and_those_that_the_operator_names_are_taken():
    for address in ("1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"):
        assert may_connect(address, ())
    assert may_connect("10.1.2.3", ("10.1.0.0/16",))
    assert may_connect("::ffff:10.1.2.3", ("10.1.0.0/16",))
    assert may_connect("::1", ("::1/128",))
    assert not may_connect("10.2.2.3", ("10.1.0.0/16",))
    assert not may_connect("127.0.0.1", ("::1/128",))


def test_the_configuration_of_other_tests_is_good():
    assert config().to_json()["issuer"] == ISSUER


@pytest.mark.parametrize("said", ["true", "false", "insecure", "", 1, 0, None])
def test_cve_2014_7144_and_2015_1852_what_is_no_truth_value_is_taken_for_none(said):
    """Beside row 42: a text that says no was taken for yes, since it is a text."""
    given = {**GIVEN, "discovery": said}
    given.pop("jwks", None)
    with pytest.raises(ConfigurationError) as wrong:
        JwtConfig.from_json(given)
    assert "discovery" in wrong.value.problems
