"""Tokens: what is taken, and every way in which one is not (T69 of the security notes, item by item)."""

import hmac
import json
import zlib
from typing import Any

import jwt as peer
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.issuing import ISSUER, NOW_MS, NOW_S, config, good_claims, jwk, private_key, sign, token

from keystead.access.methods.jws import MAX_TOKEN
from keystead.access.methods.jwt import verify_jwt
from keystead.access.methods.jwt_config import JwtConfig, JwtRole
from keystead.access.methods.key_set import KeySource
from keystead.access.methods.verified import Verified, check_binding
from keystead.crypto.base64url import decode, encode
from keystead.crypto.jwk import ALGORITHMS
from keystead.errors import AuthenticationFailed


def check(text: Any, conf: JwtConfig | None = None, *, now_ms: int = NOW_MS, keys: KeySource | None = None) -> Verified:
    conf = conf or config()
    return verify_jwt(conf, text, now_ms=now_ms, keys=keys or conf.static_keys())


def expect_refused(text: Any, reason: str, conf: JwtConfig | None = None, **how: Any) -> None:
    """It is refused for this reason, and with the words of every other refusal."""
    with pytest.raises(AuthenticationFailed) as refused:
        check(text, conf, **how)
    assert refused.value.reason_class == reason
    assert str(refused.value) == str(AuthenticationFailed())


class Unreached:
    """A source of keys that nothing may ask."""

    def keys(self, kid, now_ms):
        raise AssertionError("the keys were asked for")


# What is taken


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_of_each_algorithm_names_its_subject(algorithm):
    found = check(token(good_claims(), algorithm), config(algorithm))
    assert found == Verified(
        "jwt", "ada", ("readers",), (NOW_S + 630) * 1_000, claims=(("iss", ISSUER), ("sub", "ada"))
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_tokens_of_an_independent_library_are_taken(algorithm):
    pem = private_key(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made = peer.encode(good_claims(), pem.decode(), algorithm=algorithm, headers={"kid": "k1"})
    assert check(made, config(algorithm)).name == "ada"


def test_one_of_several_configured_audiences_is_enough_alone_and_in_a_list():
    conf = config(audiences=("keystead", "vault"))
    assert check(token(good_claims(aud="vault")), conf).name == "ada"
    assert check(token(good_claims(aud=["vault"])), conf).name == "ada"
    assert check(token(good_claims(aud=["vault", "keystead"])), conf).name == "ada"


def test_an_audience_that_is_allowed_beside_ours_does_not_stand_for_it():
    conf = config(other_audiences=("account",))
    assert check(token(good_claims(aud=["account", "keystead"])), conf).name == "ada"
    expect_refused(token(good_claims(aud="account")), "audience", conf)


def test_without_a_kid_the_one_key_that_fits_the_algorithm_is_used_and_of_two_none():
    bare = token(good_claims(), header={"alg": "ES256"})
    assert check(bare, config("ES256", "RS256")).name == "ada"
    twice = json.dumps({"keys": [jwk("ES256", "k1"), jwk("ES256", "k2")]})
    expect_refused(bare, "unknown-key", config(jwks=twice))


def test_what_a_header_says_of_keys_is_passed_over_where_a_known_key_signed():
    header = {
        "alg": "ES256",
        "kid": "k1",
        "jku": "https://evil.example/",
        "x5u": "https://evil.example/",
        "x5c": ["AA"],
    }
    assert check(token(good_claims(), header=header)).name == "ada"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_kinds_of_token_that_prove_who_logs_in_are_taken(kind):
    assert check(token(good_claims(), header={"alg": "ES256", "kid": "k1", "typ": kind})).name == "ada"


def test_names_groups_and_shown_claims_come_from_where_the_configuration_says():
    conf = config(
        name_claim="/who/mail", groups_claim="/realm_access/roles", shown_claims=("https://example.org/team", "n", "ok")
    )
    claims = good_claims(
        who={"mail": "ada@example.org"}, realm_access={"roles": ["admin", "dev", "dev"]}, n=3, ok=True, jti="t-1"
    )
    found = check(token({**claims, "https://example.org/team": "core"}), conf)
    assert found.name == "ada@example.org"
    assert found.groups == ("admin", "dev")
    assert dict(found.claims) == {
        "iss": ISSUER, "sub": "ada", "jti": "t-1", "https://example.org/team": "core", "n": "3", "ok": "true"
    }  # fmt: skip


def test_roles_add_their_policies_where_their_claims_hold_and_none_at_all_is_refused():
    roles = (
        JwtRole("admins", (("groups", ("admin",)),), ("operators", "readers")),
        JwtRole("ci", (("repository", ("org/app",)), ("protected", (True,))), ("deployers",)),
    )
    conf = config(roles=roles, policies=())
    assert check(token(good_claims(groups=["dev", "admin"])), conf).policies == ("operators", "readers")
    assert check(token(good_claims(repository="org/app", protected=True)), conf).policies == ("deployers",)
    for claims in (good_claims(), good_claims(groups="admins"), good_claims(repository="org/app", protected=1)):
        expect_refused(token(claims), "no-role", conf)


# Time


@pytest.mark.parametrize("leeway_ms", [0, 30_000, 300_000])
def test_a_token_lasts_to_the_last_millisecond_of_expiry_and_leeway_and_no_longer(leeway_ms):
    conf, made = config(leeway_ms=leeway_ms), token(good_claims(exp=NOW_S))
    end = NOW_MS + leeway_ms
    assert check(made, conf, now_ms=end - 1).expires_ms == end
    expect_refused(made, "expired", conf, now_ms=end)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_begins_at_its_first_millisecond_less_leeway(claim):
    made = token(good_claims(**{claim: NOW_S + 30}))
    assert check(made, now_ms=NOW_MS).name == "ada"
    expect_refused(made, "not-yet-valid", now_ms=NOW_MS - 1)


def test_a_clock_that_is_off_by_more_than_the_leeway_refuses_and_by_less_does_not():
    made = token(good_claims(iat=NOW_S, nbf=NOW_S, exp=NOW_S + 60))
    for skew_s, good in [(-31, False), (-30, True), (0, True), (89, True), (90, False)]:
        if good:
            assert check(made, now_ms=NOW_MS + skew_s * 1_000).name == "ada"
        else:
            with pytest.raises(AuthenticationFailed):
                check(made, now_ms=NOW_MS + skew_s * 1_000)


def test_a_maximum_age_counts_from_issue_and_ends_what_was_logged_in():
    conf = config(max_age_ms=60_000, leeway_ms=0)
    made = token(good_claims(iat=NOW_S))
    assert check(made, conf, now_ms=NOW_MS + 59_999).expires_ms == NOW_MS + 60_000
    expect_refused(made, "too-old", conf, now_ms=NOW_MS + 60_000)
    expect_refused(token(good_claims(iat=None)), "too-old", conf)


def test_fractions_of_a_second_are_dates_and_texts_truths_and_endless_ones_are_not():
    assert check(token(good_claims(exp=NOW_S + 0.5)), config(leeway_ms=0), now_ms=NOW_MS + 499).name == "ada"
    expect_refused(token(good_claims(exp=NOW_S + 0.5)), "expired", config(leeway_ms=0), now_ms=NOW_MS + 500)
    for wrong in (str(NOW_S + 60), True, [NOW_S + 60], -1, 10**15, 1e300):
        expect_refused(token(good_claims(exp=wrong)), "date")
        expect_refused(token(good_claims(nbf=wrong)), "date")
    for spelled in ("NaN", "Infinity", "1e999", "9" * 5_000):
        expect_refused(token(json.dumps(good_claims(exp=1)).replace('"exp": 1', f'"exp": {spelled}')), "form")


def test_a_token_without_an_expiry_is_refused():
    expect_refused(token(good_claims(exp=None)), "no-expiry")


# Advisories


@pytest.mark.parametrize(
    "audience",
    [None, "", "other", "keystead2", "Keystead", "key",
     " keystead", [], ["other"], ["other", "keystead"], [["keystead"]],
     {"keystead": 1}, ["keystead", 1], 1, True, "keystead,other", ["keystead", "keystead", "other"]],
)  # fmt: skip
def test_cve_2024_5798_an_audience_is_required_and_compared_whole_whatever_its_form(audience):
    expect_refused(token(good_claims(aud=audience)), "audience")


@pytest.mark.parametrize("encoding", ["pem", "der", "raw", "jwk"])
@pytest.mark.parametrize("named", ["RS256", "ES256", "EdDSA"])
def test_cve_2022_29217_a_public_key_is_never_taken_for_a_shared_secret(named, encoding):
    public = private_key(named).public_key()
    secrets = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "raw": public.public_bytes_raw() if named == "EdDSA" else b"",
        "jwk": json.dumps(jwk(named)).encode(),
    }
    for header in ({"alg": "HS256", "kid": "k1"}, {"alg": "HS256"}):
        message = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(good_claims()).encode())}"
        forged = f"{message}.{encode(hmac.digest(secrets[encoding], message.encode(), 'sha256'))}"
        expect_refused(forged, "algorithm", config(named))


def test_cve_2022_29217_no_algorithm_with_a_shared_secret_can_be_configured():
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name.lower() == "none"]


def test_cve_2023_6681_an_encrypted_token_costs_nothing_and_is_refused():
    bomb = zlib.compress(b"a" * 1_000_000)
    header = {"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2**31 - 1, "p2s": "AAAA", "zip": "DEF"}
    five = ".".join([encode(json.dumps(header).encode()), "", encode(bytes(12)), encode(bomb), encode(bytes(16))])
    expect_refused(five, "form", keys=Unreached())
    three = token(good_claims(), header=header)
    expect_refused(three, "header", keys=Unreached())


def test_cve_2025_49827_an_issuer_is_compared_whole_and_never_by_a_pattern():
    for issuer in (
        None,
        "",
        f"{ISSUER}/",
        ISSUER.upper(),
        f"{ISSUER}.evil.net",
        "https://loginXexample.org",
        [ISSUER],
        1,
    ):
        expect_refused(token(good_claims(iss=issuer)), "issuer", keys=Unreached())


@pytest.mark.parametrize("value", ["org/app2", "xorg/app", "ORG/APP", "org/*", ".*", ["org"], None, {"org/app": 1}])
def test_cve_2025_49831_bound_claims_are_compared_whole_and_never_by_a_pattern(value):
    conf = config(bound_claims=(("repository", ("org/app",)),))
    expect_refused(token(good_claims(repository=value)), "bound-claim", conf)
    assert check(token(good_claims(repository="org/app")), conf).name == "ada"
    literal = config(bound_claims=(("repository", (".*", "org/*")),))
    expect_refused(token(good_claims(repository="org/app")), "bound-claim", literal)


# T69, what is left of it, and headers that lie


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, "HS256", "es256", "ES256 ", "ES384", "RS256", 1, ["ES256"]]
)
def test_none_and_every_spelling_but_the_pinned_one_are_refused(alg):
    header = {"alg": alg, "kid": "k1"}
    expect_refused(token(good_claims(), header=header), "algorithm", keys=Unreached())
    head, body = encode(json.dumps(header).encode()), encode(json.dumps(good_claims()).encode())
    expect_refused(f"{head}.{body}.", "algorithm", keys=Unreached())


def test_a_key_verifies_only_the_algorithms_of_its_own_type_and_name():
    both = config("RS256", "PS256")
    assert check(token(good_claims(), "PS256", header={"alg": "PS256", "kid": "k2"}), both).name == "ada"
    expect_refused(token(good_claims(), "PS256", header={"alg": "PS256", "kid": "k1"}), "unknown-key", both)
    curves = config("ES256", "ES384")
    expect_refused(token(good_claims(), "ES256", header={"alg": "ES384", "kid": "k1"}), "unknown-key", curves)
    expect_refused(token(good_claims(), "ES256", header={"alg": "ES256", "kid": "k2"}), "unknown-key", curves)


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "k1' OR '1'='1",
        "k1; DROP TABLE keys",
        "K1",
        "k1 ",
        "k1\x00",
        "k2",
        "https://evil.example/k1",
    ],
)
def test_a_kid_only_chooses_among_known_keys_and_leads_to_no_file_query_or_address(kid):
    expect_refused(token(good_claims(), header={"alg": "ES256", "kid": kid}), "unknown-key")


@pytest.mark.parametrize("kid", ["", None, 1, ["k1"], {"k1": 1}, "k" * 257])
def test_a_kid_that_is_no_short_text_is_refused(kid):
    expect_refused(token(good_claims(), header={"alg": "ES256", "kid": kid}), "header", keys=Unreached())


def test_cve_2020_16250_and_16251_a_key_that_a_token_brings_along_is_not_trusted():
    mine = jwk("ES256", "k1", number=7)
    for name, value in (
        ("jwk", mine),
        ("jku", "https://evil.example/jwks"),
        ("x5u", "https://evil.example"),
        ("x5c", ["MII"]),
    ):
        header = {"alg": "ES256", "kid": "k1", name: value}
        expect_refused(token(good_claims(), header=header, number=7), "signature")


@pytest.mark.parametrize(
    "more",
    [{"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": True},
     {"cty": "JWT"}, {"cty": "application/jwt"}, {"zip": "DEF"}, {"enc": "A256GCM"}],
)  # fmt: skip
def test_a_header_that_changes_how_the_rest_is_read_is_refused(more):
    header = {"alg": "ES256", "kid": "k1", **more}
    expect_refused(token(good_claims(), header=header), "header", keys=Unreached())


@pytest.mark.parametrize(
    "kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE", "at+jwt ", "application/logout+jwt"]
)
def test_a_token_made_for_another_purpose_is_refused(kind):
    expect_refused(token(good_claims(), header={"alg": "ES256", "kid": "k1", "typ": kind}), "kind", keys=Unreached())


def test_a_nested_token_a_detached_and_an_unencoded_payload_are_refused():
    inner = token(good_claims())
    expect_refused(token(inner), "form")
    head, _, signature = inner.split(".")
    expect_refused(f"{head}..{signature}", "form", keys=Unreached())
    payload = json.dumps(good_claims(), separators=(",", ":"))
    head = encode(b'{"alg":"ES256","kid":"k1","b64":false,"crit":["b64"]}')
    plain = f"{head}.{payload}.{encode(sign('ES256', f'{head}.{payload}'.encode()))}"
    expect_refused(plain, "form", keys=Unreached())


def test_claims_and_header_fields_that_stand_twice_are_refused():
    good = json.dumps(good_claims())
    for more in ('"sub": "root"', '"aud": "keystead"', '"x": {"a": 1, "a": 2}', '"\\u0073ub": "root"'):
        expect_refused(token(f"{good[:-1]}, {more}}}"), "form", keys=Unreached())
    expect_refused(token(good_claims(), header='{"alg":"ES256","alg":"none","kid":"k1"}'), "form", keys=Unreached())


def test_a_token_of_a_mebibyte_is_refused_before_it_is_read():
    expect_refused(token(good_claims(filler="a" * (1 << 20))), "form", keys=Unreached())
    expect_refused("." * (1 << 20), "form", keys=Unreached())
    long = token(good_claims(filler="a" * 11_000))
    assert len(long) <= MAX_TOKEN
    assert check(long).name == "ada"


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        '"ada"',
        "1",
        "null",
        "",
        "{",
        "{} {}",
        "[" * 9_000,
        '{"a":' * 2_000,
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b'{"iss":"\xed\xa0\x80"}',
    ],
)
def test_claims_that_are_not_one_json_object_are_refused(body):
    expect_refused(token(body), "form", keys=Unreached())


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "a.b",
        "ä.b.c",
        "=.=.=",
        " a.b.c",
        None,
        b"a.b.c",
        1,
        ["a"],
        "e30.e30.",
        "\ud800.a.b",
    ],
)
def test_what_is_no_token_is_refused(text):
    with pytest.raises(AuthenticationFailed):
        check(text, keys=Unreached())


@pytest.mark.parametrize("change", ["{}=", "{}\n", " {}", "{}.", ".{}", "{}A", "{}%00"])
def test_a_second_spelling_of_a_good_token_is_refused(change):
    with pytest.raises(AuthenticationFailed):
        check(change.format(token(good_claims())))


@pytest.mark.parametrize(
    "name", [None, "", " ada", "ada ", "a\nb", "a\x00", "a\u202eb", "e\u0301", 7, True, ["ada"], {"a": 1}, "a" * 257]
)
def test_a_name_that_no_principal_can_have_is_refused(name):
    expect_refused(token(good_claims(sub=name)), "name")


@pytest.mark.parametrize("groups", [[1], [""], ["a\nb"], {"a": 1}, 7, ["a" * 257], ["g"] * 1_001])
def test_groups_that_are_no_texts_are_refused(groups):
    expect_refused(token(good_claims(groups=groups)), "groups", config(groups_claim="groups"))


def test_paths_to_claims_do_not_lead_through_lists_or_texts():
    for who in ([{"mail": "ada"}], "mail", None, {"mail": {"x": "ada"}}):
        expect_refused(token(good_claims(who=who)), "name", config(name_claim="/who/mail"))
    assert check(token(good_claims(**{"a/b": {"c~d": "ada"}})), config(name_claim="/a~1b/c~0d")).name == "ada"


# Any flip


GOOD = {algorithm: token(good_claims(), algorithm) for algorithm in ("ES256", "EdDSA", "RS256")}


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_any_other_sign_anywhere_in_a_token_is_refused_and_nothing_else_happens(algorithm, data):
    made = GOOD[algorithm]
    at = data.draw(st.integers(0, len(made) - 1))
    sign_there = data.draw(st.characters(max_codepoint=0x2FF) | st.sampled_from("ABab01-_.="))
    changed = made[:at] + sign_there + made[at + 1 :]
    if changed != made:
        with pytest.raises(AuthenticationFailed):
            check(changed, config(algorithm))


def test_each_flip_of_one_bit_in_a_token_is_refused():
    made, conf = GOOD["EdDSA"].encode(), config("EdDSA")
    keys = conf.static_keys()
    for at in range(len(made)):
        for bit in range(8):
            changed = bytearray(made)
            changed[at] ^= 1 << bit
            with pytest.raises(AuthenticationFailed):
                check(changed.decode("latin-1"), conf, keys=keys)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
SHAPES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=9), SCALARS, max_size=3)
SHAPED = config("EdDSA", groups_claim="groups", bound_claims=(("/realm_access/roles", ("x",)),))


@settings(deadline=None)
@given(SHAPES, st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "groups", "realm_access"]))
def test_a_claim_of_any_shape_gives_a_name_or_a_refusal(value, claim):
    claims = {**good_claims(realm_access={"roles": ["x"]}), claim: value}
    try:
        assert check(token(claims, "EdDSA"), SHAPED).name
    except AuthenticationFailed as refused:
        assert refused.reason_class


HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "x"]), SHAPES)


@settings(deadline=None)
@given(HEADERS)
def test_a_header_of_any_shape_gives_a_name_or_a_refusal(header):
    try:
        assert check(token(good_claims(), header={"alg": "ES256", "kid": "k1", **header})).name == "ada"
    except AuthenticationFailed as refused:
        assert refused.reason_class


def test_a_signature_with_a_leading_zero_more_is_refused():
    head, body, signature = token(good_claims()).split(".")
    raw = decode(signature)
    for longer in (raw[:32] + b"\0" + raw[32:], b"\0" + raw[:32] + b"\0" + raw[32:], raw + b"\0", raw[:-1], b""):
        expect_refused(f"{head}.{body}.{encode(longer)}", "signature")


def test_a_token_is_bound_to_nothing_and_a_renewal_needs_nothing():
    found = check(token(good_claims()))
    check_binding(found.binding, found)
    with pytest.raises(AuthenticationFailed):
        check_binding("x5t#S256:00", found)


# A second factor that the issuer saw


@pytest.mark.parametrize(
    ("taken", "claims", "shown"),
    [
        (("mfa",), {"amr": ["pwd", "mfa"], "auth_time": NOW_S - 60}, NOW_S - 60),
        (("mfa", "hwk"), {"amr": ["hwk"], "auth_time": NOW_S - 60.5}, NOW_S - 60.5),
        (("mfa",), {"amr": ["mfa"], "auth_time": NOW_S + 30}, NOW_S),  # the clocks differ
        ((), {"amr": ["mfa"], "auth_time": NOW_S - 60}, None),  # nobody said what counts
        ((), {"amr": ["mfa"], "auth_time": "soon"}, None),
        (("mfa",), {"amr": ["pwd", "otp"], "auth_time": NOW_S - 60}, None),
        (("mfa",), {"amr": ["MFA", "mfa ", "xmfa"], "auth_time": NOW_S - 60}, None),
        (("mfa",), {"amr": "mfa", "auth_time": NOW_S - 60}, None),
        (("mfa",), {"amr": [["mfa"], {"mfa": 1}, 1, None], "auth_time": NOW_S - 60}, None),
        (("mfa",), {"amr": ["mfa"]}, None),  # it is not known when
        (("mfa",), {"auth_time": NOW_S - 60}, None),
        (("mfa",), {}, None),
    ],
)
def test_a_second_factor_is_what_the_operator_takes_for_one_and_when_it_is_known(taken, claims, shown):
    found = check(token(good_claims(**claims)), config(second_factor_amr=taken))
    assert found.mfa_ms == (None if shown is None else int(shown * 1_000))


@pytest.mark.parametrize(
    ("when", "why"), [(NOW_S + 31, "not-yet-valid"), ("soon", "date"), (True, "date"), (-1, "date"), (1e12, "date")]
)
def test_a_second_factor_at_a_time_that_is_none_refuses_the_token(when, why):
    with pytest.raises(AuthenticationFailed) as caught:
        check(token(good_claims(amr=["mfa"], auth_time=when)), config(second_factor_amr=("mfa",)))
    assert caught.value.reason_class == why
