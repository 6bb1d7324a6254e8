"""The `openssl` command line verifies, opens and agrees on what keystead makes, and keystead on what it makes."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from tests.crypto.conftest import material_of, pair_of

from keystead.crypto.asymmetric import check_material, generate, load_private, load_public, normal_material
from keystead.crypto.hmac_keys import HmacKey
from keystead.crypto.importing import unwrap_import, wrap_for_import
from keystead.crypto.types import ENCRYPTION, SIGNING, Algorithm, KeyType
from keystead.errors import DecryptionError

OPENSSL = shutil.which("openssl")
MESSAGE = b"the same message on both sides"


@cache
def version() -> tuple[int, int]:
    told = subprocess.run([OPENSSL, "version"], capture_output=True, text=True, check=False).stdout if OPENSSL else ""
    found = re.match(r"OpenSSL (\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


pytestmark = pytest.mark.skipif(
    version() < (3, 0), reason="no openssl 3 command line is installed, so no second implementation can be asked"
)
NEEDS_3_5 = pytest.mark.skipif(
    version() < (3, 5), reason=f"openssl {version()[0]}.{version()[1]} has no ML-DSA and no ML-KEM: 3.5 does"
)


@pytest.fixture
def openssl(tmp_path):
    """Run openssl in a folder with the key of a type as `key.der` and `pub.pem`, and other files by their content."""

    def run(*arguments: str, key_type: KeyType | None = None, ok: bool = True, **files: bytes) -> bytes:
        if key_type is not None:
            (tmp_path / "key.der").write_bytes(material_of(key_type))
            (tmp_path / "pub.pem").write_text(pair_of(key_type).public().pem)
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        done = subprocess.run([OPENSSL, *arguments], cwd=tmp_path, capture_output=True, check=False, timeout=60)
        assert (done.returncode == 0) is ok, done.stderr.decode()
        return done.stdout

    return run


PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
CLASSIC = [each for each in SIGNING if not each.startswith("ml-")]


def options(algorithm: Algorithm) -> tuple[str, ...]:
    return (f"-sha{algorithm[-3:]}", *(PSS if "pss" in algorithm else ()))


@pytest.mark.parametrize(
    ("key_type", "algorithm"),
    [(key_type, algorithm) for key_type in CLASSIC for algorithm in SIGNING[key_type] if key_type != KeyType.ED25519],
)
def test_signatures_cross_both_ways(openssl, key_type, algorithm):
    ours = pair_of(key_type).sign(MESSAGE, algorithm)
    check = ("dgst", *options(algorithm), "-verify", "pub.pem", "-signature", "sig")
    told = openssl(*check, "message", key_type=key_type, message=MESSAGE, sig=ours)
    assert told == b"Verified OK\n"
    openssl(*check, "message", message=MESSAGE + b"!", ok=False)
    sign = ("dgst", *options(algorithm), "-sign", "key.der", "-keyform", "DER", "message")
    theirs = openssl(*sign, message=MESSAGE)
    public = load_public(key_type, pair_of(key_type).public().der)
    assert public.verify(MESSAGE, theirs, algorithm)
    assert not public.verify(MESSAGE + b"!", theirs, algorithm)


def test_ed25519_signatures_cross_both_ways_and_are_the_same(openssl):
    ours = pair_of(KeyType.ED25519).sign(MESSAGE, Algorithm.ED25519)
    verify = ("pkeyutl", "-verify", "-rawin", "-in", "message", "-pubin", "-inkey", "pub.pem", "-sigfile", "sig")
    told = openssl(*verify, key_type=KeyType.ED25519, message=MESSAGE, sig=ours)
    assert b"Verified Successfully" in told
    sign = ("pkeyutl", "-sign", "-rawin", "-in", "message", "-inkey", "key.der", "-keyform", "DER")
    assert openssl(*sign) == ours


@pytest.mark.parametrize(
    ("key_type", "algorithm"), [(key_type, algorithm) for key_type in ENCRYPTION for algorithm in ENCRYPTION[key_type]]
)
@pytest.mark.parametrize("label", [b"", b"label"])
def test_rsa_ciphertexts_cross_both_ways(openssl, key_type, algorithm, label):
    name = "sha" + algorithm.rsplit("-", 1)[1]
    how = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{name}", "-pkeyopt", f"rsa_mgf1_md:{name}"]
    how += ["-pkeyopt", f"rsa_oaep_label:{label.hex()}"] if label else []
    ours = pair_of(key_type).public().encrypt(b"a data key", algorithm, label)
    opened = openssl(
        "pkeyutl",
        "-decrypt",
        "-inkey",
        "key.der",
        "-keyform",
        "DER",
        *how,
        "-in",
        "sealed",
        key_type=key_type,
        sealed=ours,
    )
    assert opened == b"a data key"
    theirs = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", "pub.pem", *how, "-in", "plain", plain=b"another")
    assert pair_of(key_type).decrypt(theirs, algorithm, label) == b"another"
    with pytest.raises(DecryptionError):
        pair_of(key_type).decrypt(theirs, algorithm, label + b"!")


@pytest.mark.parametrize("key_type", [KeyType.HMAC_SHA_256, KeyType.HMAC_SHA_384, KeyType.HMAC_SHA_512])
def test_macs_are_the_same(openssl, key_type):
    key = material_of(key_type)
    told = openssl(
        "dgst",
        f"-sha{key_type[-3:]}",
        "-mac",
        "HMAC",
        "-macopt",
        f"hexkey:{key.hex()}",
        "-binary",
        "message",
        message=MESSAGE,
    )
    assert told == HmacKey(key_type, key).mac(MESSAGE)
    assert HmacKey(key_type, key).verify(MESSAGE, told)


@pytest.mark.parametrize("key_type", [KeyType.ECDH_P256, KeyType.ECDH_P384, KeyType.ECDH_P521])
def test_both_agree_on_the_same_secret(openssl, key_type):
    peer = load_private(key_type, generate(key_type))
    told = openssl(
        "pkeyutl", "-derive", "-inkey", "key.der", "-keyform", "DER", "-peerkey", "peer.pem", "-out", "-",
        key_type=key_type, **{"peer.pem": peer.public().pem.encode()},
    )  # fmt: skip
    assert told == peer.agree(pair_of(key_type).public().der) == pair_of(key_type).agree(peer.public().der)


@pytest.mark.parametrize("key_type", [each for each in KeyType if each in CLASSIC or each.startswith("ecdh")])
def test_openssl_reads_every_key_and_writes_the_same_public_key(openssl, key_type):
    public = pair_of(key_type).public()
    read = ("pkey", "-in", "key.der", "-inform", "DER", "-pubout")
    assert openssl(*read, key_type=key_type).decode() == public.pem
    assert openssl("pkey", "-pubin", "-in", "pub.pem", "-outform", "DER") == public.der


@pytest.mark.parametrize(
    ("key_type", "how"),
    [
        (KeyType.ED25519, ["-algorithm", "ED25519"]),
        (KeyType.ECDSA_P256, ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        (KeyType.ECDSA_SECP256K1, ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]),
        (KeyType.ECDH_P521, ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
        (KeyType.RSA_2048, ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ],
)
def test_a_key_that_openssl_made_is_sound_material(openssl, key_type, how):
    made = openssl("genpkey", *how, "-outform", "DER")
    material = openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", "-in", "made", made=made)
    check_material(key_type, material)
    assert load_private(key_type, normal_material(key_type, material)).public().key_type is key_type


def test_openssl_unwraps_and_makes_an_import(openssl):
    """Two commands: RSA-OAEP for the AES key, then AES key wrap with padding."""
    oaep = ("-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256")
    wrap = ("enc", "-id-aes256-wrap-pad", "-iv", "A65959A6", "-in", "wrapped")
    private = pair_of(KeyType.RSA_4096)
    blob = wrap_for_import(private.public().der, material_of(KeyType.ED25519))
    key = openssl(
        "pkeyutl", "-decrypt", "-inkey", "key.der", "-keyform", "DER", *oaep, "-in", "first",
        key_type=KeyType.RSA_4096, first=blob[:512],
    )  # fmt: skip
    assert len(key) == 32
    assert openssl(*wrap, "-d", "-K", key.hex(), wrapped=blob[512:]) == material_of(KeyType.ED25519)
    own = bytes(range(32))
    encrypted = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", "pub.pem", *oaep, "-in", "own", own=own)
    wrapped = openssl(*wrap, "-K", own.hex(), wrapped=material_of(KeyType.ECDSA_P256))
    assert unwrap_import(private, encrypted + wrapped) == material_of(KeyType.ECDSA_P256)


@NEEDS_3_5
@pytest.mark.parametrize("key_type", [KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87])
def test_ml_dsa_signatures_cross_both_ways(openssl, key_type, tmp_path):
    private = pair_of(key_type)
    verify = ("pkeyutl", "-verify", "-rawin", "-in", "message", "-pubin", "-inkey", "pub.pem", "-sigfile", "sig")
    told = openssl(*verify, key_type=key_type, message=MESSAGE, sig=private.sign(MESSAGE, Algorithm.ML_DSA))
    assert b"Verified Successfully" in told
    openssl(
        "genpkey", "-algorithm", key_type.upper(), "-pkeyopt", f"hexseed:{material_of(key_type).hex()}", "-out", "k.pem"
    )
    theirs = openssl("pkeyutl", "-sign", "-rawin", "-in", "message", "-inkey", "k.pem")
    assert private.public().verify(MESSAGE, theirs, Algorithm.ML_DSA)


@NEEDS_3_5
@pytest.mark.parametrize("key_type", [KeyType.ML_KEM_768, KeyType.ML_KEM_1024])
def test_ml_kem_secrets_cross_both_ways(openssl, key_type, tmp_path):
    private = pair_of(key_type)
    openssl("pkeyutl", "-encap", "-pubin", "-inkey", "pub.pem", "-out", "ct", "-secret", "ss", key_type=key_type)
    assert private.decapsulate((tmp_path / "ct").read_bytes()) == (tmp_path / "ss").read_bytes()
    openssl(
        "genpkey", "-algorithm", key_type.upper(), "-pkeyopt", f"hexseed:{material_of(key_type).hex()}", "-out", "k.pem"
    )
    shared, ciphertext = private.public().encapsulate()
    openssl("pkeyutl", "-decap", "-inkey", "k.pem", "-in", "own", "-secret", "got", own=ciphertext)
    assert Path(tmp_path / "got").read_bytes() == shared
