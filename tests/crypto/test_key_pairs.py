"""Key pairs of every type: what each does, how it refuses what it does not, and what no change gets past."""

import copy
import pickle
from hashlib import new as new_hash
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.conftest import PAIRS, material_of, pair_of

from keystead.crypto.asymmetric import generate, load_private, load_public
from keystead.crypto.ecdsa_signature import der_to_raw, raw_to_der
from keystead.crypto.types import DIGEST_LENGTH, ENCRYPTION, SIGNING, Algorithm, KeyType
from keystead.errors import DecryptionError, UsageError

SIGNERS = [(key_type, algorithm) for key_type, algorithms in SIGNING.items() for algorithm in algorithms]
# One of each primitive, where a campaign over all would only take longer.
FEW_SIGNERS = [
    (KeyType.ED25519, Algorithm.ED25519),
    (KeyType.ECDSA_P256, Algorithm.ECDSA_SHA_256),
    (KeyType.ECDSA_P521, Algorithm.ECDSA_SHA_512),
    (KeyType.ECDSA_SECP256K1, Algorithm.ECDSA_SHA_256),
    (KeyType.RSA_2048, Algorithm.RSASSA_PSS_SHA_256),
    (KeyType.RSA_2048, Algorithm.RSASSA_PKCS1_V1_5_SHA_512),
    (KeyType.ML_DSA_44, Algorithm.ML_DSA),
]
ECDSA = [KeyType.ECDSA_P256, KeyType.ECDSA_P384, KeyType.ECDSA_P521, KeyType.ECDSA_SECP256K1]
ECDH = [KeyType.ECDH_P256, KeyType.ECDH_P384, KeyType.ECDH_P521]
KEM = [KeyType.ML_KEM_768, KeyType.ML_KEM_1024]
RSA = [KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_the_tables_of_algorithms_name_every_algorithm_and_the_curves_have_one_each():
    assert {algorithm for _, algorithm in SIGNERS} | {each for row in ENCRYPTION.values() for each in row} == set(
        Algorithm
    )
    assert {key_type: SIGNING[key_type] for key_type in ECDSA} == {
        KeyType.ECDSA_P256: (Algorithm.ECDSA_SHA_256,),
        KeyType.ECDSA_P384: (Algorithm.ECDSA_SHA_384,),
        KeyType.ECDSA_P521: (Algorithm.ECDSA_SHA_512,),
        KeyType.ECDSA_SECP256K1: (Algorithm.ECDSA_SHA_256,),
    }
    for key_type in RSA:
        assert SIGNING[key_type][0] is Algorithm.RSASSA_PSS_SHA_256
        assert ENCRYPTION[key_type][0] is Algorithm.RSAES_OAEP_SHA_256
    assert len(PAIRS) == 16
    assert len(KeyType) == 22


@pytest.mark.parametrize(("key_type", "algorithm"), SIGNERS)
def test_a_signature_verifies_for_its_message_key_and_algorithm_alone(key_type, algorithm):
    private = pair_of(key_type)
    public = load_public(key_type, private.public().der)
    signature = private.sign(b"message", algorithm)
    assert public.verify(b"message", signature, algorithm)
    assert not public.verify(b"Message", signature, algorithm)
    assert not public.verify(b"message", signature + b"\0", algorithm)
    assert not public.verify(b"message", signature[:-1], algorithm)
    assert not public.verify(b"message", b"", algorithm)
    for other in set(SIGNING[key_type]) - {algorithm}:
        assert not public.verify(b"message", signature, other)


@pytest.mark.parametrize("algorithm", sorted(DIGEST_LENGTH))
def test_a_digest_is_signed_as_its_message_is(algorithm):
    key_type = next(each for each, algorithms in SIGNING.items() if algorithm in algorithms)
    private, message = pair_of(key_type), b"a longer message"
    digest = new_hash(f"sha{algorithm[-3:]}", message).digest()
    assert len(digest) == DIGEST_LENGTH[algorithm]
    signature = private.sign(digest, algorithm, prehashed=True)
    assert private.public().verify(message, signature, algorithm)
    assert private.public().verify(digest, private.sign(message, algorithm), algorithm, prehashed=True)
    for wrong in (digest[:-1], digest + b"\0", b"", message):
        with pytest.raises(UsageError, match="digest"):
            private.sign(wrong, algorithm, prehashed=True)
        with pytest.raises(UsageError, match="digest"):
            private.public().verify(wrong, signature, algorithm, prehashed=True)


@pytest.mark.parametrize(
    ("key_type", "algorithm"), [(KeyType.ED25519, Algorithm.ED25519), (KeyType.ML_DSA_65, Algorithm.ML_DSA)]
)
def test_what_signs_messages_only_takes_no_digest(key_type, algorithm):
    with pytest.raises(UsageError, match="not digests"):
        pair_of(key_type).sign(bytes(32), algorithm, prehashed=True)
    with pytest.raises(UsageError, match="not digests"):
        pair_of(key_type).public().verify(bytes(32), bytes(64), algorithm, prehashed=True)


@pytest.mark.parametrize(("key_type", "algorithm"), list(product(SIGNING, Algorithm)))
def test_no_type_signs_by_an_algorithm_that_its_table_does_not_name(key_type, algorithm):
    private = pair_of(key_type)
    if algorithm in SIGNING[key_type]:
        assert private.public().verify(b"", private.sign(b"", algorithm), algorithm)
        return
    with pytest.raises(UsageError, match="does not sign by") as refused:
        private.sign(b"", algorithm)
    assert SIGNING[key_type][0].value in refused.value.hint
    with pytest.raises(UsageError, match="does not sign by"):
        private.public().verify(b"", b"", algorithm)


@pytest.mark.parametrize("algorithm", [None, "", "rsassa-pss-sha-1", 7, b"ed25519", "x" * 10_000])
def test_an_algorithm_that_is_none_is_refused_and_not_repeated_at_length(algorithm):
    for ask in (
        lambda: pair_of(KeyType.RSA_2048).sign(b"", algorithm),
        lambda: pair_of(KeyType.RSA_2048).decrypt(b"", algorithm),
        lambda: pair_of(KeyType.RSA_2048).public().encrypt(b"", algorithm),
    ):
        with pytest.raises(UsageError) as refused:
            ask()
        assert len(str(refused.value)) < 500


DOES = {
    "sign": set(SIGNING),
    "verify": set(SIGNING),
    "decrypt": set(ENCRYPTION),
    "encrypt": set(ENCRYPTION),
    "agree": set(ECDH),
    "decapsulate": set(KEM),
    "encapsulate": set(KEM),
    "raw": {KeyType.ED25519, KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87, *KEM},
}


@pytest.mark.parametrize("key_type", PAIRS)
def test_each_type_refuses_what_it_does_not_do_in_words(key_type):
    private = pair_of(key_type)
    public = private.public()
    asks = {
        "sign": lambda: private.sign(b"", Algorithm.ED25519),
        "verify": lambda: public.verify(b"", b"", Algorithm.ED25519),
        "decrypt": lambda: private.decrypt(b"", Algorithm.RSAES_OAEP_SHA_256),
        "encrypt": lambda: public.encrypt(b"", Algorithm.RSAES_OAEP_SHA_256),
        "agree": lambda: private.agree(b""),
        "decapsulate": lambda: private.decapsulate(b""),
        "encapsulate": public.encapsulate,
        "raw": lambda: public.raw,
    }
    assert set(asks) == set(DOES)
    for what, ask in asks.items():
        if key_type not in DOES[what]:
            with pytest.raises(UsageError, match=key_type):
                ask()


@pytest.mark.parametrize("key_type", PAIRS)
def test_a_public_key_has_one_spelling_and_is_of_its_type_alone(key_type):
    public = pair_of(key_type).public()
    again = load_public(key_type, public.der)
    assert (again.der, again.pem, again.key_type) == (public.der, public.pem, key_type)
    assert public.pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    taken = []
    for other in PAIRS:
        try:
            load_public(other, public.der)
        except UsageError:
            continue
        taken.append(other)
    # The bytes of a curve's key do not say whether it signs or agrees.
    same_curve = [each for each in PAIRS if key_type.startswith("ec") and each.endswith(key_type[-5:])]
    assert taken == (same_curve or [key_type])


@pytest.mark.parametrize("key_type", PAIRS)
@pytest.mark.parametrize(
    "value", [None, "", "MCowBQYDK2VwAyEA", bytearray(44), b"", bytes(44), b"\x30" * 100, bytes(20_000)]
)
def test_what_is_no_public_key_is_refused_in_words(key_type, value):
    with pytest.raises(UsageError, match="public key"):
        load_public(key_type, value)


@pytest.mark.parametrize("key_type", PAIRS)
def test_a_public_key_with_anything_behind_it_is_refused(key_type):
    der = pair_of(key_type).public().der
    for changed in (der + b"\0", der[:-1], b"\x30\x82\0" + der[1:]):
        with pytest.raises(UsageError):
            load_public(key_type, changed)


@pytest.mark.parametrize("key_type", [KeyType.ECDSA_P256, KeyType.ECDH_P256])
def test_compressed_and_foreign_points_are_refused(key_type):
    der = pair_of(key_type).public().der
    start, x, y = der[:-65], der[-64:-32], der[-32:]
    compressed = b"\x30\x39" + start[2:23] + b"\x03\x22\0" + bytes((2 + (y[-1] & 1),)) + x
    off_curve = start + b"\x04" + x + flipped(y, 0)
    beyond = start + b"\x04" + b"\xff" * 32 + y
    at_infinity = start[:1] + b"\x19" + start[2:23] + b"\x03\x02\0\0"
    for changed in (compressed, off_curve, beyond, at_infinity):
        with pytest.raises(UsageError, match="not a public key"):
            load_public(key_type, changed)


ED_START = bytes.fromhex("302a300506032b6570032100")
SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("raw", SMALL_ORDER)
def test_an_ed25519_public_key_of_small_order_or_another_spelling_is_refused(raw):
    with pytest.raises(UsageError, match="small order"):
        load_public(KeyType.ED25519, ED_START + bytes.fromhex(raw))


@pytest.mark.parametrize("key_type", PAIRS)
def test_a_private_key_shows_nothing_and_is_neither_pickled_nor_copied(key_type):
    private = pair_of(key_type)
    assert repr(private) == f"<{key_type.value} private key>"
    for ask in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            ask(private)


@pytest.mark.parametrize(("key_type", "algorithm"), [(each, way) for each in RSA for way in ENCRYPTION[each]])
def test_oaep_takes_up_to_its_limit_and_names_it(key_type, algorithm):
    private = pair_of(key_type)
    public = private.public()
    limit = int(key_type[-4:]) // 8 - 2 - 2 * (32 if algorithm.endswith("256") else 20)
    for plaintext in (b"", b"x" * limit):
        sealed = public.encrypt(plaintext, algorithm, b"label")
        assert len(sealed) == int(key_type[-4:]) // 8
        assert private.decrypt(sealed, algorithm, b"label") == plaintext
    with pytest.raises(UsageError, match=f"at most {limit} bytes"):
        public.encrypt(b"x" * (limit + 1), algorithm)


def test_every_way_to_fail_oaep_is_one_identical_error():
    private = pair_of(KeyType.RSA_2048)
    sealed = private.public().encrypt(b"key", Algorithm.RSAES_OAEP_SHA_256, b"label")
    attempts = [
        (sealed, Algorithm.RSAES_OAEP_SHA_256, b""),
        (sealed, Algorithm.RSAES_OAEP_SHA_256, b"Label"),
        (sealed, Algorithm.RSAES_OAEP_SHA_1, b"label"),
        (sealed[:-1], Algorithm.RSAES_OAEP_SHA_256, b"label"),
        (sealed + b"\0", Algorithm.RSAES_OAEP_SHA_256, b"label"),
        (b"", Algorithm.RSAES_OAEP_SHA_256, b"label"),
        (bytes(256), Algorithm.RSAES_OAEP_SHA_256, b"label"),
        (b"\xff" * 256, Algorithm.RSAES_OAEP_SHA_256, b"label"),
        (
            pair_of(KeyType.RSA_3072).public().encrypt(b"k", Algorithm.RSAES_OAEP_SHA_256),
            Algorithm.RSAES_OAEP_SHA_256,
            b"",
        ),
    ]
    for ciphertext, algorithm, label in attempts:
        with pytest.raises(DecryptionError) as refused:
            private.decrypt(ciphertext, algorithm, label)
        assert str(refused.value) == str(DecryptionError())
        assert refused.value.__context__ is None


@pytest.mark.parametrize("key_type", ECDH)
def test_both_sides_of_an_agreement_meet_and_only_keys_of_one_curve_do(key_type):
    one, other = pair_of(key_type), load_private(key_type, generate(key_type))
    shared = one.agree(other.public().der)
    assert shared == other.agree(one.public().der)
    assert len(shared) == {"p256": 32, "p384": 48, "p521": 66}[key_type[-4:]]
    for foreign in set(PAIRS) - {key_type, KeyType(key_type.replace("ecdh", "ecdsa"))}:
        with pytest.raises(UsageError, match="curve"):
            one.agree(pair_of(foreign).public().der)
    for garbage in (b"", bytes(91), flipped(other.public().der, -1)):
        with pytest.raises(UsageError):
            one.agree(garbage)


@pytest.mark.parametrize("key_type", KEM)
def test_an_encapsulated_secret_arrives_and_a_changed_ciphertext_gives_another(key_type):
    private = pair_of(key_type)
    shared, ciphertext = private.public().encapsulate()
    assert private.decapsulate(ciphertext) == shared
    assert len(shared) == 32
    changed = {private.decapsulate(flipped(ciphertext, bit)) for bit in range(0, 8 * len(ciphertext), 997)}
    assert shared not in changed
    assert len({shared} | {private.public().encapsulate()[0] for _ in range(5)}) == 6
    for wrong in (b"", ciphertext[:-1], ciphertext + b"\0"):
        with pytest.raises(DecryptionError):
            private.decapsulate(wrong)


@given(signer=st.sampled_from(FEW_SIGNERS), message=st.binary(max_size=200), bit=st.integers(0, 1 << 20))
@settings(max_examples=150, deadline=None)
def test_no_flip_of_one_bit_of_signature_or_message_verifies(signer, message, bit):
    key_type, algorithm = signer
    private = pair_of(key_type)
    public, signature = private.public(), private.sign(message, algorithm)
    assert public.verify(message, signature, algorithm)
    assert not public.verify(message, flipped(signature, bit), algorithm)
    if message:
        assert not public.verify(flipped(message, bit), signature, algorithm)


@given(plaintext=st.binary(max_size=190), label=st.binary(max_size=20), bit=st.integers(0, 2047))
@settings(max_examples=60, deadline=None)
def test_no_flip_of_one_bit_of_an_oaep_ciphertext_opens(plaintext, label, bit):
    private = pair_of(KeyType.RSA_2048)
    sealed = private.public().encrypt(plaintext, Algorithm.RSAES_OAEP_SHA_256, label)
    assert private.decrypt(sealed, Algorithm.RSAES_OAEP_SHA_256, label) == plaintext
    with pytest.raises(DecryptionError):
        private.decrypt(flipped(sealed, bit), Algorithm.RSAES_OAEP_SHA_256, label)


@given(key_type=st.sampled_from(ECDSA), message=st.binary(max_size=50), signature=st.binary(max_size=150))
@settings(max_examples=150, deadline=None)
def test_the_two_spellings_of_a_signature_lead_to_each_other_and_take_nothing_else(key_type, message, signature):
    private, algorithm = pair_of(key_type), SIGNING[key_type][0]
    der = private.sign(message, algorithm)
    raw = der_to_raw(key_type, der)
    assert len(raw) == {KeyType.ECDSA_P384: 96, KeyType.ECDSA_P521: 132}.get(key_type, 64)
    assert raw_to_der(key_type, raw) == der
    for ask in (der_to_raw, raw_to_der):
        try:
            made = ask(key_type, signature)
        except UsageError:
            continue
        assert (raw_to_der if ask is der_to_raw else der_to_raw)(key_type, made) == signature


def test_only_ecdsa_has_two_spellings_of_a_signature():
    for ask in (der_to_raw, raw_to_der):
        with pytest.raises(UsageError, match="ECDSA"):
            ask(KeyType.ED25519, bytes(64))
    with pytest.raises(UsageError, match="64 bytes, not 63"):
        raw_to_der(KeyType.ECDSA_P256, bytes(63))


@given(
    key_type=st.sampled_from(PAIRS), der=st.binary(max_size=400), cut=st.integers(0, 200), bit=st.integers(0, 1 << 16)
)
@settings(max_examples=300, deadline=None)
def test_garbage_and_damaged_public_keys_are_refused_or_are_another_key(key_type, der, cut, bit):
    good = pair_of(key_type).public().der
    for given_der in (der, good[:cut] + der, flipped(good, bit)):
        try:
            loaded = load_public(key_type, given_der)
        except UsageError:
            continue
        assert loaded.der == given_der


def test_material_of_the_pairs_is_of_the_written_length():
    assert [len(material_of(each)) for each in (KeyType.ED25519, KeyType.ML_DSA_87, KeyType.ML_KEM_1024)] == [
        48,
        32,
        64,
    ]
