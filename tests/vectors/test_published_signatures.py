"""Published signature vectors through `load_public` and `verify`; every kind counted, what is not offered too."""

from collections import Counter

import pytest
from tests.vectors.conftest import raw, wycheproof

from keystead.crypto.asymmetric import load_private, load_public
from keystead.crypto.ecdsa_signature import der_to_raw, raw_to_der
from keystead.crypto.types import Algorithm, KeyType
from keystead.errors import UsageError

CURVES = [
    ("ecdsa_secp256r1_sha256", KeyType.ECDSA_P256, Algorithm.ECDSA_SHA_256),
    ("ecdsa_secp384r1_sha384", KeyType.ECDSA_P384, Algorithm.ECDSA_SHA_384),
    ("ecdsa_secp521r1_sha512", KeyType.ECDSA_P521, Algorithm.ECDSA_SHA_512),
]


@pytest.mark.parametrize(("name", "key_type", "algorithm"), CURVES)
def test_wycheproof_ecdsa_signatures_in_der_give_each_listed_verdict(name, key_type, algorithm):
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof(name):
        public = load_public(key_type, bytes.fromhex(group["publicKeyDer"]))
        message, signature = raw(row, "msg", "sig")
        good = public.verify(message, signature, algorithm)
        assert good == (row["result"] == "valid"), row["tcId"]
        if good:
            assert raw_to_der(key_type, der_to_raw(key_type, signature)) == signature
        verdicts[row["result"]] += 1
    valid = {KeyType.ECDSA_P256: 174, KeyType.ECDSA_P384: 194, KeyType.ECDSA_P521: 232}[key_type]
    assert verdicts == {"valid": valid, "invalid": 310}


@pytest.mark.parametrize(("name", "key_type", "algorithm"), CURVES)
def test_wycheproof_ecdsa_signatures_of_fixed_length_give_each_listed_verdict(name, key_type, algorithm):
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof(f"{name}_p1363"):
        public = load_public(key_type, bytes.fromhex(group["publicKeyDer"]))
        message, signature = raw(row, "msg", "sig")
        try:
            good = public.verify(message, raw_to_der(key_type, signature), algorithm)
        except UsageError:
            verdicts["another length"] += 1
            good = False
        assert good == (row["result"] == "valid"), row["tcId"]
        verdicts[row["result"]] += 1
    valid, invalid, other = {
        KeyType.ECDSA_P256: (173, 89, 21),
        KeyType.ECDSA_P384: (193, 87, 19),
        KeyType.ECDSA_P521: (231, 87, 14),
    }[key_type]
    assert verdicts == {"valid": valid, "invalid": invalid, "another length": other}


def test_wycheproof_ed25519_signatures_give_each_listed_verdict():
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof("ed25519"):
        public = load_public(KeyType.ED25519, bytes.fromhex(group["publicKeyDer"]))
        assert public.raw.hex() == group["publicKey"]["pk"]
        assert public.verify(*raw(row, "msg", "sig"), Algorithm.ED25519) == (row["result"] == "valid"), row["tcId"]
        verdicts[row["result"]] += 1
    assert verdicts == {"valid": 88, "invalid": 63}


@pytest.mark.parametrize(
    ("name", "key_type", "algorithm", "valid", "invalid"),
    [
        ("rsa_pss_2048_sha256_mgf1_32", KeyType.RSA_2048, Algorithm.RSASSA_PSS_SHA_256, 63, 45),
        ("rsa_pss_3072_sha256_mgf1_32", KeyType.RSA_3072, Algorithm.RSASSA_PSS_SHA_256, 63, 45),
        ("rsa_pss_4096_sha256_mgf1_32", KeyType.RSA_4096, Algorithm.RSASSA_PSS_SHA_256, 63, 45),
        ("rsa_pss_4096_sha512_mgf1_64", KeyType.RSA_4096, Algorithm.RSASSA_PSS_SHA_512, 132, 47),
    ],
)
def test_wycheproof_pss_signatures_give_each_listed_verdict(name, key_type, algorithm, valid, invalid):
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof(name):
        public = load_public(key_type, bytes.fromhex(group["publicKeyDer"]))
        assert public.verify(*raw(row, "msg", "sig"), algorithm) == (row["result"] == "valid"), row["tcId"]
        verdicts[row["result"]] += 1
    assert verdicts == {"valid": valid, "invalid": invalid}


PSS = {
    "SHA-256": (Algorithm.RSASSA_PSS_SHA_256, 32),
    "SHA-384": (Algorithm.RSASSA_PSS_SHA_384, 48),
    "SHA-512": (Algorithm.RSASSA_PSS_SHA_512, 64),
}


def test_wycheproof_pss_signatures_with_other_parameters_than_the_types_are_refused_although_valid():
    """150 valid signatures: our three parameter sets verify, another salt or MGF1 hash is no signature of ours.

    A signature by SHA-1 or SHA-224 has no algorithm to ask for, so it is tried under the three that there are.
    """
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof("rsa_pss_misc"):
        public = load_public(KeyType.RSA_2048, bytes.fromhex(group["publicKeyDer"]))
        message, signature = raw(row, "msg", "sig")
        taken = [algorithm for algorithm, _ in PSS.values() if public.verify(message, signature, algorithm)]
        algorithm, salt = PSS.get(group["sha"], (None, None))
        if algorithm is None:
            assert taken == []
            verdicts["hash not offered"] += 1
        elif group["mgfSha"] == group["sha"] and group["sLen"] == salt:
            assert taken == [algorithm]
            verdicts["verified"] += 1
        else:
            assert taken == []
            verdicts["other parameters refused"] += 1
    assert verdicts == {"verified": 3, "other parameters refused": 87, "hash not offered": 60}


def test_wycheproof_pkcs1_signatures_give_each_listed_verdict():
    """The one acceptable signature leaves out a NULL, and is refused; keys with the exponent 3 are no keys of ours."""
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof("rsa_signature_2048_sha256"):
        der = bytes.fromhex(group["publicKeyDer"])
        if group["publicKey"]["publicExponent"] == "03":
            with pytest.raises(UsageError, match="exponent"):
                load_public(KeyType.RSA_2048, der)
            verdicts["exponent 3 refused"] += 1
            continue
        good = load_public(KeyType.RSA_2048, der).verify(*raw(row, "msg", "sig"), Algorithm.RSASSA_PKCS1_V1_5_SHA_256)
        assert good == (row["result"] == "valid"), row["tcId"]
        verdicts[row["result"]] += 1
    assert verdicts == {"valid": 7, "invalid": 249, "acceptable": 1, "exponent 3 refused": 2}


def test_wycheproof_ml_dsa_signatures_give_each_listed_verdict():
    """We sign with the empty context of FIPS 204 only, so a signature with another is none of ours."""
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof("mldsa_65_verify"):
        message, signature = raw(row, "msg", "sig")
        if row["flags"] == ["IncorrectPublicKeyLength"]:
            with pytest.raises(UsageError, match="not a public key"):
                load_public(KeyType.ML_DSA_65, bytes.fromhex(group["publicKeyDer"]))
            verdicts["public key refused"] += 1
            continue
        public = load_public(KeyType.ML_DSA_65, bytes.fromhex(group["publicKeyDer"]))
        assert public.raw.hex() == group["publicKey"]
        good = public.verify(message, signature, Algorithm.ML_DSA)
        if row.get("ctx"):
            assert not good
            verdicts["with a context, refused"] += 1
        else:
            assert good == (row["result"] == "valid"), row["tcId"]
            verdicts[row["result"]] += 1
    assert verdicts == {"valid": 77, "invalid": 122, "public key refused": 4, "with a context, refused": 7}


def test_wycheproof_ml_dsa_seeds_give_the_listed_public_keys_and_signatures_of_them():
    """Ours are hedged, so the listed signatures, which are not, are verified and not made again.

    Rows that give no message (the digest mu is signed directly) or a context have nothing that our API offers.
    """
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof("mldsa_65_sign_seed"):
        seed = bytes.fromhex(group["privateSeed"])
        if row["flags"] == ["IncorrectPrivateKeyLength"]:
            with pytest.raises(UsageError, match="32 bytes"):
                load_private(KeyType.ML_DSA_65, seed)
            verdicts["seed refused"] += 1
            continue
        private = load_private(KeyType.ML_DSA_65, seed)
        assert private.public().raw.hex() == group["publicKey"]
        if "msg" not in row:
            verdicts["no message"] += 1
        elif row.get("ctx"):
            verdicts["with a context"] += 1
        else:
            assert row["result"] == "valid"
            message, signature = raw(row, "msg", "sig")
            assert private.public().verify(message, signature, Algorithm.ML_DSA)
            own = private.sign(message, Algorithm.ML_DSA)
            assert own != signature
            assert private.public().verify(message, own, Algorithm.ML_DSA)
            verdicts["signed"] += 1
    assert verdicts == {"signed": 81, "no message": 17, "with a context": 4, "seed refused": 3}
