"""Wycheproof's JSON Web Signature, Key and Crypto files, every test of them, against what reads signed tokens."""

import json
from collections import Counter
from pathlib import Path

import pytest

from keystead.access.methods.jws import parse_jws
from keystead.crypto.base64url import decode
from keystead.crypto.jwk import ALGORITHMS, load_jwk
from keystead.errors import AuthenticationFailed

DATA = Path(__file__).parent / "data" / "wycheproof"
# Good tokens that are refused on purpose, by their number in the file, and why.
SHARED_SECRET = "takes a shared secret"
OTHER_ALGORITHM = "the key is for another algorithm than the token names, or for one that does not exist"
NO_BASE64 = "has a sign that is none of base64url"
ENCRYPTED = "is encrypted"
ON_PURPOSE = {
    "json_web_signature": {
        **dict.fromkeys((1, 348, 352, 357, 358, 359, 376, 377), SHARED_SECRET),
        **dict.fromkeys((346, 347, 350, 351), OTHER_ALGORITHM),
        **dict.fromkeys((372, 373), NO_BASE64),
    },
    "json_web_key": dict.fromkeys((2, 13, 14, 15), SHARED_SECRET),
    "json_web_crypto": {**dict.fromkeys((1, 48), SHARED_SECRET), **dict.fromkeys((50, 67), ENCRYPTED)},
}
COUNTS = {
    "json_web_signature": {("valid", True): 32, ("valid", False): 14, ("invalid", False): 355},
    "json_web_key": {("valid", True): 1, ("valid", False): 4, ("invalid", False): 21},
    "json_web_crypto": {("valid", True): 2, ("valid", False): 4, ("invalid", False): 77},
}


def groups(name):
    document = json.loads((DATA / f"{name}_test.json").read_text())
    assert sum(len(group["tests"]) for group in document["testGroups"]) == document["numberOfTests"]
    return document["testGroups"]


def keys_of(group):
    given = group.get("public") or group["private"]
    keys = []
    for fields in given.get("keys", [given]):
        try:
            keys.append(load_jwk(fields))
        except ValueError:
            continue
    return keys


def is_accepted(token, keys):
    try:
        parse_jws(token, ALGORITHMS).require_signature(keys)
    except AuthenticationFailed:
        return False
    return True


@pytest.mark.parametrize("name", COUNTS)
def test_wycheproof_json_web_files_give_each_listed_verdict_but_what_is_refused_on_purpose(name):
    verdicts: Counter[tuple[str, bool]] = Counter()
    refused = set()
    for group in groups(name):
        keys = keys_of(group)
        for row in group["tests"]:
            accepted = is_accepted(row["jws"] if "jws" in row else row["jwe"], keys)
            verdicts[row["result"], accepted] += 1
            if row["result"] == "valid" and not accepted:
                refused.add(row["tcId"])
    assert verdicts == COUNTS[name]
    assert refused == set(ON_PURPOSE[name])


def test_of_the_keys_that_wycheproof_calls_unfit_none_is_read():
    read = [group["comment"] for group in groups("json_web_key") if keys_of(group)]
    # In the mixed set the shared secret is passed over and the elliptic key stays; of two called rs256 one is good.
    assert read == ["jws_mixedSymmetryKeyset", "rs256"]


def test_a_key_that_can_be_factored_is_refused_by_name_cve_2017_15361():
    roca = next(group for group in groups("json_web_key") if group["comment"] == "jws_rsa_roca_key")
    fields = {name: value for name, value in roca["public"]["keys"][0].items() if name in ("kty", "n", "e")}
    with pytest.raises(ValueError, match="CVE-2017-15361"):
        load_jwk(fields)


def test_wycheproof_base64_tokens_are_decoded_in_one_spelling_only():
    verdicts: Counter[tuple[str, bool]] = Counter()
    for row in next(group for group in groups("json_web_signature") if group["comment"] == "base64")["tests"]:
        try:
            assert len([decode(part) for part in row["jws"].split(".")]) == 3
            verdicts[row["result"], True] += 1
        except ValueError:
            verdicts[row["result"], False] += 1
    # Two of the invalid ones are, sign for sign, the first valid one: what was to be wrong with them was lost.
    assert verdicts == {("valid", True): 5, ("valid", False): 2, ("invalid", True): 2, ("invalid", False): 12}
