"""One-time codes against the published vectors of RFC 4226 and RFC 6238, and the edges of their window."""

from __future__ import annotations

from base64 import b32decode
from urllib.parse import parse_qs, urlsplit

import pytest

from keystead.crypto.one_time_code import SECRET_LENGTH, matching_step, new_secret, otpauth_uri, text_of

SECRET = b"12345678901234567890"  # of both documents
# RFC 4226, appendix D: the codes of the counters 0 to 9.
COUNTED = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
# RFC 6238, appendix B, SHA-1: seconds, and the code of eight digits, whose last six are the code of six.
TIMED = {
    59: "94287082", 1_111_111_109: "07081804", 1_111_111_111: "14050471", 1_234_567_890: "89005924",
    2_000_000_000: "69279037", 20_000_000_000: "65353130",
}  # fmt: skip


@pytest.mark.parametrize(("counter", "code"), list(enumerate(COUNTED)))
def test_the_codes_of_rfc_4226(counter: int, code: str) -> None:
    assert matching_step(SECRET, code, counter * 30_000) == counter


@pytest.mark.parametrize(("seconds", "code"), TIMED.items())
def test_the_codes_of_rfc_6238(seconds: int, code: str) -> None:
    assert matching_step(bytearray(SECRET), code[2:], seconds * 1_000) == seconds // 30


def test_a_code_is_good_in_its_step_and_in_one_before_and_behind_to_the_millisecond() -> None:
    code = COUNTED[5]
    for now_ms, found in ((119_999, None), (120_000, 5), (150_000, 5), (209_999, 5), (210_000, None)):
        assert matching_step(SECRET, code, now_ms) == found


def test_at_the_beginning_of_time_there_is_no_step_before() -> None:
    assert matching_step(SECRET, COUNTED[1], 0) == 1
    assert matching_step(SECRET, "000000", 0) is None


def test_a_secret_is_random_and_as_long_as_the_hash() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {SECRET_LENGTH}


def test_the_uri_says_what_apps_need() -> None:
    uri = urlsplit(otpauth_uri(SECRET, "ada@example.org"))
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/keystead:ada%40example.org")
    assert parse_qs(uri.query) == {
        "secret": [text_of(SECRET)], "issuer": ["keystead"], "algorithm": ["SHA1"], "digits": ["6"], "period": ["30"],
    }  # fmt: skip
    assert b32decode(text_of(SECRET)) == SECRET
