"""Private material: what is made is sound, and what is not sound of its type is refused by name and never shown."""

import re
from math import gcd

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.conftest import PAIRS, material_of, pair_of

from keystead.crypto.asymmetric import check_material, generate, load_private, load_public, normal_material
from keystead.crypto.rsa_keys import problem_of_private
from keystead.crypto.types import MATERIAL_LENGTH, KeyType
from keystead.errors import UsageError

PKCS8 = [each for each in KeyType if each not in MATERIAL_LENGTH]


def pkcs8(private, encryption=NoEncryption()) -> bytes:  # noqa: B008 - a value without state
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, encryption)


def small_key(p: int, q: int, d: int, e: int = 65_537) -> bytes:
    """An RSA key of these numbers as PKCS#8, consistent or not."""
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, p * q)
    )
    return pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))


@pytest.mark.parametrize("key_type", KeyType)
def test_what_is_made_is_sound_fresh_and_in_its_normal_form(key_type):
    material = material_of(key_type)
    assert normal_material(key_type, material) == material
    if key_type in (KeyType.RSA_3072, KeyType.RSA_4096):
        return  # the smallest one is made by the same two lines
    made = generate(key_type)
    assert type(made) is bytearray
    assert made not in (material, generate(key_type))
    assert abs(len(made) - len(material)) < 8
    check_material(key_type, made)


@pytest.mark.parametrize("key_type", [KeyType.RSA_3072, KeyType.RSA_4096])
def test_a_longer_rsa_key_that_is_made_has_its_size_and_the_usual_exponent(key_type):
    numbers = load_private(key_type, generate(key_type))._private.private_numbers()
    assert numbers.public_numbers.n.bit_length() == int(key_type[4:])
    assert numbers.public_numbers.e == 65_537
    assert problem_of_private(key_type, numbers) is None


@pytest.mark.parametrize("key_type", PAIRS)
def test_the_key_pair_of_some_material_is_the_same_each_time(key_type):
    assert load_private(key_type, bytearray(material_of(key_type))).public().der == pair_of(key_type).public().der


@pytest.mark.parametrize("key_type", KeyType)
def test_material_of_one_type_is_none_of_another(key_type):
    fits = []
    for other in KeyType:
        try:
            check_material(other, material_of(key_type))
        except UsageError as refused:
            assert other.value in str(refused)
        else:
            # Random bytes may be anything of their length, a PKCS#8 of 48 bytes too.
            fits += [other] if key_type in MATERIAL_LENGTH or other not in MATERIAL_LENGTH else []
    if key_type in PKCS8:
        same_curve = {each for each in PKCS8 if key_type.startswith("ec") and each.endswith(key_type[-5:])}
        assert set(fits) == same_curve | {key_type}
    else:
        assert set(fits) == {each for each, length in MATERIAL_LENGTH.items() if length == MATERIAL_LENGTH[key_type]}


@pytest.mark.parametrize("key_type", sorted(MATERIAL_LENGTH))
def test_random_material_has_one_length_and_is_not_one_byte_repeated(key_type):
    length = MATERIAL_LENGTH[key_type]
    for wrong in (0, 1, length - 1, length + 1, 2 * length):
        with pytest.raises(UsageError, match=f"is {wrong} bytes and not {length}"):
            check_material(key_type, bytes(range(1, 1 + wrong)))
    for byte in (0, 1, 0x41, 0xFF):
        with pytest.raises(UsageError, match="one byte repeated"):
            check_material(key_type, bytes((byte,)) * length)
    check_material(key_type, bytes(length - 1) + b"\x01")


@pytest.mark.parametrize("key_type", sorted(set(MATERIAL_LENGTH) - set(PAIRS)))
def test_symmetric_types_have_no_key_pair(key_type):
    with pytest.raises(UsageError, match="no public half"):
        load_private(key_type, material_of(key_type))


@pytest.mark.parametrize("key_type", KeyType)
@pytest.mark.parametrize("value", [None, "text", 7, ["x"], memoryview(b"x" * 32)])
def test_material_must_be_bytes(key_type, value):
    with pytest.raises(UsageError, match="must be bytes"):
        check_material(key_type, value)


@pytest.mark.parametrize("key_type", PKCS8)
def test_another_wrapping_than_plain_pkcs8_is_refused(key_type):
    material = material_of(key_type)
    private = pair_of(key_type)._private
    others = [
        pkcs8(private, BestAvailableEncryption(b"passphrase")),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        material + b"\0",
        material[:-1],
        b"",
        bytes(len(material)),
        b"\x30" * len(material),
        bytes(20_000),
    ]
    if key_type is not KeyType.ED25519:
        others.append(private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    for other in others:
        with pytest.raises(UsageError, match=r"PKCS#8 in DER|whole and consistent"):
            check_material(key_type, other)
        with pytest.raises(UsageError, match=r"PKCS#8 in DER|whole and consistent"):
            load_private(key_type, other)


def test_a_key_on_another_curve_is_refused_by_name():
    for made, name in (
        (ec.SECP256K1(), "secp256k1"),
        (ec.SECP384R1(), "secp384r1"),
        (ec.BrainpoolP256R1(), "brainpool"),
    ):
        with pytest.raises(UsageError, match=f"is on the curve {name}"):
            check_material(KeyType.ECDSA_P256, pkcs8(ec.generate_private_key(made)))


def test_keys_of_other_kinds_are_refused():
    for made in (x25519.X25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()):
        with pytest.raises(UsageError, match="another type"):
            check_material(KeyType.ECDSA_P256, pkcs8(made))
    with pytest.raises(UsageError, match="another type"):
        check_material(KeyType.ED25519, pkcs8(x25519.X25519PrivateKey.generate()))


def test_keys_that_the_library_trips_over_are_refused_in_words():
    """An Ed448 key of 32 bytes is an internal error to it."""
    ed448 = bytes.fromhex("302e020100300506032b657104220420") + bytes(range(32))
    for key_type in PKCS8:
        with pytest.raises(UsageError):
            check_material(key_type, ed448)
        for oid in ("6e", "6f", "70", "71"):
            with pytest.raises(UsageError):
                load_public(key_type, bytes.fromhex(f"3029300506032b65{oid}032000") + bytes(range(31)))


def test_a_curve_key_whose_public_half_is_of_another_is_refused():
    mine, other = material_of(KeyType.ECDSA_P256), bytes(generate(KeyType.ECDSA_P256))
    assert mine[-65] == other[-65] == 4
    with pytest.raises(UsageError, match="whole and consistent"):
        check_material(KeyType.ECDSA_P256, mine[:-64] + other[-64:])


def test_a_curve_key_of_zero_or_beyond_the_order_is_refused():
    mine = material_of(KeyType.ECDSA_P256)
    at = mine.index(b"\x04\x20") + 2
    for scalar in (bytes(32), b"\xff" * 32):
        with pytest.raises(UsageError):
            check_material(KeyType.ECDSA_P256, mine[:at] + scalar + mine[at + 32 :])


def test_rsa_keys_of_another_size_or_exponent_are_refused_by_name():
    with pytest.raises(UsageError, match="has 1024 bits"):
        check_material(KeyType.RSA_2048, small_key(*primes(1024, 65_537)))
    with pytest.raises(UsageError, match="has 2048 bits"):
        check_material(KeyType.RSA_3072, material_of(KeyType.RSA_2048))
    numbers = pair_of(KeyType.RSA_2048)._private.private_numbers()
    phi = (numbers.p - 1) * (numbers.q - 1)
    tried = [each for each in (3, 5, 17, 257, 641, (1 << 64) + 13, (1 << 64) + 37) if gcd(each, phi) == 1]
    assert min(tried) < 65_537 < max(tried)
    for exponent in tried:
        d = pow(exponent, -1, phi)
        with pytest.raises(UsageError, match="public exponent"):
            check_material(KeyType.RSA_2048, small_key(numbers.p, numbers.q, d, exponent))


def primes(bits: int, e: int) -> tuple[int, int, int]:
    """The primes of a fresh key, and the private exponent that goes with e."""
    numbers = rsa.generate_private_key(65_537, bits).private_numbers()
    return numbers.p, numbers.q, pow(e, -1, (numbers.p - 1) * (numbers.q - 1))


def test_an_inconsistent_rsa_key_is_refused():
    numbers = pair_of(KeyType.RSA_2048)._private.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    for changed in (small_key(p, q, d + 2), small_key(p, q + 2, d), small_key(p - 2, q, d)):
        with pytest.raises(UsageError):
            check_material(KeyType.RSA_2048, changed)


def test_rsa_keys_that_can_be_broken_by_their_shape_are_refused():
    """Fermat's method finds primes that stand together, and Wiener's a short private exponent (FIPS 186-5, A.1.1)."""
    numbers = pair_of(KeyType.RSA_2048)._private.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    assert shape(p, q, d) is None
    assert "too close together" in shape(p, p + (1 << 900), d)
    assert shape(p, p - (1 << 1020) if p > 3 << 1021 else p + (1 << 1020), d) is None
    assert "not half as long" in shape(p << 1, q >> 1, d)
    assert "too small" in shape(p, q, 1 << 1000)


def shape(p: int, q: int, d: int) -> str | None:
    return problem_of_private(
        KeyType.RSA_2048, rsa.RSAPrivateNumbers(p, q, d, 3, 3, 3, rsa.RSAPublicNumbers(65_537, p * q))
    )


def test_a_key_that_is_marked_for_pss_only_is_refused():
    """Its parameters restrict it, and would be lost."""
    plain, marked = bytes.fromhex("06092a864886f70d0101010500"), bytes.fromhex("06092a864886f70d01010a0500")
    material = material_of(KeyType.RSA_2048)
    assert plain in material
    with pytest.raises(UsageError):
        check_material(KeyType.RSA_2048, material.replace(plain, marked))
    with pytest.raises(UsageError):
        check_material(KeyType.RSA_2048, material.replace(plain + b"\x04", b"\x06\x09" + plain[2:-2] + b"\x04"))


def test_material_that_leaves_out_the_public_half_gets_its_normal_form():
    whole = material_of(KeyType.ECDSA_P256)
    at = whole.index(b"\x04\x20") + 2
    inner = b"\x02\x01\x01\x04\x20" + whole[at : at + 32]
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    body = b"\x02\x01\x00" + algorithm + b"\x04\x27\x30\x25" + inner
    bare = b"\x30" + bytes((len(body),)) + body
    assert bare != whole
    assert normal_material(KeyType.ECDSA_P256, bare) == whole
    assert load_private(KeyType.ECDSA_P256, bare).public().der == pair_of(KeyType.ECDSA_P256).public().der


@pytest.mark.parametrize("key_type", KeyType)
def test_no_refusal_shows_any_of_the_material(key_type):
    for other in set(KeyType) - {key_type}:
        material = material_of(other)
        try:
            check_material(key_type, material)
        except UsageError as refused:
            told = f"{refused!r} {refused} {refused.__context__!r}"
            shown = {material[at : at + 4].hex() for at in range(len(material) - 4)}
            assert not [part for part in re.findall(r"[0-9a-f]{8}", told) if part in shown]


@given(key_type=st.sampled_from(list(KeyType)), garbage=st.binary(max_size=300), cut=st.integers(0, 140))
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_in_words_or_is_sound(key_type, garbage, cut):
    for material in (garbage, material_of(key_type)[:cut] + garbage):
        try:
            check_material(key_type, material)
        except UsageError:
            continue
        assert key_type in MATERIAL_LENGTH or load_private(key_type, material)


@given(key_type=st.sampled_from([each for each in PKCS8 if each.startswith("e")]), bit=st.integers(0, 8 * 130))
@settings(max_examples=200, deadline=None)
def test_damaged_material_is_refused_in_words_or_is_another_key(key_type, bit):
    changed = bytearray(material_of(key_type))
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    try:
        found = normal_material(key_type, bytes(changed))
    except UsageError:
        return
    assert key_type is KeyType.ED25519 or found == material_of(key_type)
