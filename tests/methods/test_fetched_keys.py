"""Keys that are fetched: over real TLS from a server on this machine, within bounds, cached, and asked for anew."""

import json
import os
import socket
import threading
from contextlib import suppress

import pytest
from tests.methods.authorities import SERVER, dns, issue, root
from tests.methods.issuing import ISSUER, NOW_MS, good_claims, jwk, token
from tests.methods.serving import LOCAL, VALID, serving

from keystead.access.methods.fetched_keys import ASK_AGAIN_MS, FetchedKeys, key_source
from keystead.access.methods.https import get
from keystead.access.methods.jwt import verify_jwt
from keystead.access.methods.jwt_config import DISCOVERY_PATH, JwtConfig
from keystead.access.methods.key_set import MAX_BODY, StaticKeys
from keystead.errors import AuthenticationFailed

KEYS = {"keys": [jwk("ES256")]}


@pytest.fixture(scope="module")
def authority():
    return root("test authority", **VALID)


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("site"), authority) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(request):
    if "site" in request.fixturenames:
        running = request.getfixturevalue("site")
        for held in (running.answers, running.chunks, running.asked, running.headers):
            held.clear()


def fetch(site, path="/jwks", **changed):
    given = {"ca_pem": site.ca_pem, "private_networks": LOCAL, "timeout_ms": 5_000, "limit": MAX_BODY, **changed}
    return get(f"{site.url}{path}", **given)


def configured(site, **changed):
    given = {
        "issuer": ISSUER,
        "audiences": ("keystead",),
        "algorithms": ("ES256",),
        "policies": ("readers",),
        "jwks_url": f"{site.url}/jwks",
        "ca_pem": site.ca_pem,
        "private_networks": LOCAL,
        **changed,
    }
    return JwtConfig(**given)


def discovering(site, **changed):
    return configured(site, jwks_url="", discovery=True, issuer=site.url, **changed)


def login(config, keys, now_ms=NOW_MS, **claims):
    return verify_jwt(config, token(good_claims(iss=config.issuer, **claims)), now_ms=now_ms, keys=keys).name


def expect_no_keys(keys, now_ms=NOW_MS):
    with pytest.raises(AuthenticationFailed) as refused:
        keys.keys("k1", now_ms)
    assert refused.value.reason_class == "keys-unavailable"


# Over the wire


def test_a_token_is_checked_with_keys_from_the_configured_address(site):
    site.put("/jwks", KEYS)
    config = configured(site)
    keys = key_source(config)
    assert [login(config, keys) for _ in range(3)] == ["ada"] * 3
    assert site.asked == ["/jwks"]
    assert site.headers[0]["Accept-Encoding"] == "identity"
    assert site.headers[0]["Host"] == f"localhost:{site.port}"


def test_discovery_leads_to_the_keys_of_the_issuer_itself(site):
    site.put(DISCOVERY_PATH, {"issuer": site.url, "jwks_uri": f"{site.url}/keys"})
    site.put("/keys", KEYS)
    config = discovering(site)
    assert login(config, key_source(config)) == "ada"
    assert site.asked == [DISCOVERY_PATH, "/keys"]


@pytest.mark.parametrize("issuer", ["https://evil.example", "{}/", "", None, ["{}"]])
def test_a_discovery_document_of_another_issuer_is_not_followed(site, issuer):
    told = issuer.format(site.url) if isinstance(issuer, str) else issuer
    site.put(DISCOVERY_PATH, {"issuer": told, "jwks_uri": f"{site.url}/keys"})
    site.put("/keys", KEYS)
    keys = key_source(discovering(site))
    expect_no_keys(keys)
    assert site.asked == [DISCOVERY_PATH]
    assert "another issuer" in keys.problem


@pytest.mark.parametrize(
    "uri",
    ["https://evil.example/keys", "http://localhost/keys", "https://localhost/keys", "file:///etc/passwd", "", None],
)
def test_a_discovery_document_leads_to_no_host_or_port_that_is_not_configured(site, uri):
    site.put(DISCOVERY_PATH, {"issuer": site.url, "jwks_uri": uri})
    keys = key_source(discovering(site))
    expect_no_keys(keys)
    assert keys.problem


def test_a_discovery_document_may_lead_to_a_host_that_is_configured(site):
    config = discovering(site, jwks_hosts=(f"127.0.0.1:{site.port}", "keys.example.org"))
    asked = []

    def answer(url):
        asked.append(url)
        told = {"issuer": site.url, "jwks_uri": "https://keys.example.org/jwks"}
        return json.dumps(told if url.endswith(DISCOVERY_PATH) else KEYS).encode()

    assert login(config, FetchedKeys(config, answer)) == "ada"
    assert asked == [f"{site.url}{DISCOVERY_PATH}", "https://keys.example.org/jwks"]


def test_t72_an_address_of_this_machine_is_refused_unless_it_is_configured(site):
    site.put("/jwks", KEYS)
    for networks in ((), ("10.0.0.0/8",), ("::1/128",)):
        with pytest.raises(OSError, match="neither public nor configured"):
            fetch(site, private_networks=networks)
    assert site.asked == []
    assert json.loads(fetch(site)) == KEYS


def test_t72_a_name_with_one_private_address_among_public_ones_is_refused(site, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("1.1.1.1", "169.254.169.254")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_how: found)
    with pytest.raises(OSError, match=r"169\.254"):
        get("https://keys.example.org/", ca_pem="", private_networks=(), timeout_ms=1_000, limit=9)


def test_t72_the_address_that_was_looked_at_is_the_one_connected_to(authority, tmp_path, monkeypatch):
    named = issue("keys.example.org", authority, names=[dns("keys.example.org")], usages=[SERVER], **VALID)
    with serving(tmp_path, authority, named) as site:
        site.put("/jwks", KEYS)
        asked = []

        def resolve(host, port, **_how):
            asked.append(host)
            # A name that means this machine once, and something else whenever it is asked for again.
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if len(asked) == 1 else "192.0.2.1", port))
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"https://keys.example.org:{site.port}/jwks"
        body = get(url, ca_pem=site.ca_pem, private_networks=LOCAL, timeout_ms=5_000, limit=MAX_BODY)
        assert json.loads(body) == KEYS
        assert asked == ["keys.example.org"]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 307, 308, 304, 401, 404, 500])
def test_a_redirect_and_every_answer_but_200_is_refused(site, status):
    site.put("/jwks", KEYS, status, Location=f"{site.url}/other")
    site.put("/other", KEYS)
    with pytest.raises(OSError, match=str(status)):
        fetch(site)
    assert site.asked == ["/jwks"]


def test_a_body_that_is_too_long_is_not_read_to_its_end(site):
    site.put("/jwks", b" " * (MAX_BODY + 1))
    with pytest.raises(OSError, match="more than"):
        fetch(site)
    site.put("/jwks", b" " * MAX_BODY)
    assert len(fetch(site)) == MAX_BODY

    def endless():
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        while not site.closing.is_set():
            yield b"4000\r\n" + b" " * 0x4000 + b"\r\n"

    site.chunks["/jwks"] = endless()
    with pytest.raises(OSError, match="more than"):
        fetch(site)


def test_a_compressed_body_is_refused(site):
    site.put("/jwks", KEYS, 200, **{"Content-Encoding": "gzip"})
    with pytest.raises(OSError, match="compressed"):
        fetch(site)


def dripping(site, begin):
    yield begin
    while not site.closing.wait(0.02):
        yield b" "


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"",
    ],
)
def test_a_server_that_lets_bytes_drip_is_given_up_in_time(site, begin):
    site.chunks["/jwks"] = dripping(site, begin)
    with pytest.raises(OSError):
        fetch(site, timeout_ms=300)


def test_a_server_that_never_answers_the_handshake_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(OSError):
            get(url, ca_pem="", private_networks=LOCAL, timeout_ms=200, limit=9)


def test_a_server_that_lets_its_handshake_drip_is_given_up_in_time():
    closing = threading.Event()

    def drip(listening):
        peer, _ = listening.accept()
        with peer, suppress(OSError):
            peer.sendall(b"\x16\x03\x03\x40\x00")
            while not closing.wait(0.02):
                peer.sendall(b"\x02")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving_thread = threading.Thread(target=drip, args=(listening,))
        serving_thread.start()
        with pytest.raises(OSError):
            get(
                f"https://127.0.0.1:{listening.getsockname()[1]}/",
                ca_pem="",
                private_networks=LOCAL,
                timeout_ms=300,
                limit=9,
            )
        closing.set()
        serving_thread.join()


@pytest.mark.parametrize(
    "raw",
    [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", b"HTTP/1.1 abc\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 99_999 + b"\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b""],
)  # fmt: skip
def test_an_answer_that_is_no_http_or_is_cut_off_is_refused(site, raw):
    site.chunks["/jwks"] = iter([raw])
    with pytest.raises(OSError):
        fetch(site)


def test_a_server_whose_certificate_is_another_authoritys_another_names_or_old_is_refused(authority, tmp_path):
    old = {"begin": VALID["begin"] - (VALID["end"] - VALID["begin"]), "end": VALID["begin"]}
    wrong = [
        issue("localhost", root("other", **VALID), names=[dns("localhost")], usages=[SERVER], **VALID),
        issue("localhost", authority, names=[dns("other.example")], usages=[SERVER], **VALID),
        issue("localhost", authority, names=[dns("localhost")], usages=[SERVER], **old),
    ]
    for number, certificate in enumerate(wrong):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving(folder, authority, certificate) as site:
            site.put("/jwks", KEYS)
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                fetch(site)
            assert site.asked == []


def test_the_systems_authorities_are_asked_where_none_is_configured(site):
    site.put("/jwks", KEYS)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(site, ca_pem="")


def test_no_proxy_and_no_key_log_of_the_environment_is_used(site, monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    site.put("/jwks", KEYS)
    assert json.loads(fetch(site)) == KEYS
    assert not (tmp_path / "keys.log").exists()


# The cache, by an injected clock


class Issuer:
    """Stands in for the network: what it serves, whether it is up, how often it was asked."""

    def __init__(self, *keys):
        self.keys, self.up, self.asked = list(keys), True, 0

    def __call__(self, url):
        self.asked += 1
        if not self.up:
            raise OSError("down")
        return json.dumps({"keys": self.keys}).encode()


@pytest.fixture
def issuer():
    return Issuer(jwk("ES256", "k1"))


@pytest.fixture
def keys(issuer):
    return FetchedKeys(_remote(), issuer)


def _remote(**changed):
    return JwtConfig(
        issuer=ISSUER, audiences=("keystead",), algorithms=("ES256",), jwks_url="https://login.example.org/jwks",
        policies=("readers",), cache_ms=600_000, grace_ms=3_600_000, **changed,
    )  # fmt: skip


def names(keys, kid="k1", now_ms=NOW_MS):
    return [key.kid for key in keys.keys(kid, now_ms)]


def test_keys_are_asked_for_when_first_needed_and_again_when_their_time_is_over(keys, issuer):
    assert issuer.asked == 0
    for after_ms, asked in [(0, 1), (599_999, 1), (600_000, 2), (1_199_999, 2), (1_200_000, 3)]:
        assert names(keys, now_ms=NOW_MS + after_ms) == ["k1"]
        assert issuer.asked == asked


def test_an_unknown_kid_has_the_issuer_asked_at_most_once_a_minute(keys, issuer):
    assert names(keys) == ["k1"]
    issuer.keys.append(jwk("ES256", "k2", number=2))
    for after_ms in (0, 1, ASK_AGAIN_MS - 1):
        assert names(keys, "k2", NOW_MS + after_ms) == ["k1"]
    assert issuer.asked == 1
    assert names(keys, "k2", NOW_MS + ASK_AGAIN_MS) == ["k1", "k2"]
    for number in range(1_000):
        names(keys, f"stranger-{number}", NOW_MS + 2 * ASK_AGAIN_MS - 1)
    assert issuer.asked == 2


def test_tokens_of_strangers_do_not_cause_a_request(keys, issuer):
    config = _remote()
    for claims in (good_claims(iss="https://evil.example"), good_claims()):
        for header in ({"alg": "none", "kid": "x"}, {"alg": "ES256", "kid": "x"}):
            if claims["iss"] != ISSUER or header["alg"] == "none":
                with pytest.raises(AuthenticationFailed):
                    verify_jwt(config, token(claims, header=header), now_ms=NOW_MS, keys=keys)
    assert issuer.asked == 0


def test_a_key_that_the_issuer_took_back_is_no_longer_used(keys, issuer):
    assert names(keys) == ["k1"]
    issuer.keys[:] = [jwk("ES256", "k2", number=2)]
    assert names(keys, "k2", NOW_MS + ASK_AGAIN_MS) == ["k2"]


def test_while_the_issuer_is_away_its_keys_serve_for_cache_and_grace_and_no_longer(keys, issuer):
    assert names(keys) == ["k1"]
    issuer.up = False
    end = NOW_MS + 600_000 + 3_600_000
    assert names(keys, now_ms=NOW_MS + 600_000) == ["k1"]
    assert keys.problem == "down"
    assert names(keys, now_ms=end - 1) == ["k1"]
    expect_no_keys(keys, end)
    issuer.up = True
    expect_no_keys(keys, end)
    assert names(keys, now_ms=end + ASK_AGAIN_MS) == ["k1"]
    assert keys.problem == ""


def test_an_issuer_that_is_away_from_the_start_is_asked_once_a_minute(keys, issuer):
    issuer.up = False
    for _ in range(100):
        expect_no_keys(keys)
    assert issuer.asked == 1
    issuer.up = True
    expect_no_keys(keys, NOW_MS + ASK_AGAIN_MS - 1)
    assert names(keys, now_ms=NOW_MS + ASK_AGAIN_MS) == ["k1"]


@pytest.mark.parametrize("wrong", [[], [{"kty": "oct", "k": "AA"}], [jwk("ES256", "a"), jwk("ES384", "a")]])
def test_a_set_that_is_of_no_use_does_not_take_the_place_of_a_good_one(keys, issuer, wrong):
    assert names(keys) == ["k1"]
    issuer.keys[:] = wrong
    assert names(keys, "a", NOW_MS + ASK_AGAIN_MS) == ["k1"]
    assert keys.problem


def test_who_comes_while_another_asks_is_served_what_is_there(issuer):
    asking, go_on = threading.Event(), threading.Event()

    def slow(url):
        if issuer.asked:
            asking.set()
            assert go_on.wait(10)
        return issuer(url)

    keys = FetchedKeys(_remote(), slow)
    assert names(keys) == ["k1"]
    other = threading.Thread(target=names, args=(keys, "k1", NOW_MS + 600_000))
    other.start()
    assert asking.wait(10)
    assert names(keys, now_ms=NOW_MS + 600_000) == ["k1"]
    assert issuer.asked == 1
    go_on.set()
    other.join()
    assert issuer.asked == 2


def test_a_child_that_was_forked_while_its_parent_asked_asks_by_itself(issuer):
    children = []

    def ask_and_fork(url):
        if not children and not issuer.asked:
            children.append(os.fork())
            if children == [0]:
                # The child: the thread that asks is not there, and what it held stays held.
                asking = threading.Thread(target=lambda: os._exit(names(keys) != ["k1"]), daemon=True)
                asking.start()
                asking.join(10)
                os._exit(2)
        return issuer(url)

    keys = FetchedKeys(_remote(), ask_and_fork)
    assert names(keys) == ["k1"]
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


def test_keys_in_the_configuration_need_no_network():
    given = {"issuer": ISSUER, "audiences": ["a"], "algorithms": ["ES256"], "jwks": KEYS, "policies": ["p"]}
    config = JwtConfig.from_json(given)
    source = key_source(config, Issuer())
    assert isinstance(source, StaticKeys)
    assert [key.kid for key in source.keys("other", NOW_MS)] == ["k1"]
