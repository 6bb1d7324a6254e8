"""`keystead key`: named keys from the command line, and what they make read by OpenSSL's command."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import stat
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, Commands

DATA = CANARY.encode() + b"\0\xff\n"
PHRASE = "correct horse battery staple"


def test_a_key_is_made_shown_listed_and_used(ks: Commands) -> None:
    ks.good("key", "create", "orders", "--rotation", "90d", "--tag", "env=prod", "--description", "Card numbers")
    shown = ks.good("key", "show", "orders", "--json").document
    assert (shown["type"], shown["tags"], shown["versions"][0]["state"]) == ("aes-256-gcm", {"env": "prod"}, "active")
    assert "Card numbers" in ks.good("key", "show", "orders").text
    assert ks.good("key", "list").text.split("\t")[0] == "orders"
    sealed = ks.good("key", "encrypt", "orders", "--context", "user=ada", input=DATA).text
    assert sealed.startswith("ks2_")
    ks.good("key", "rotate", "orders")
    assert ks.good("key", "decrypt", "orders", "--context", "user=ada", input=sealed).out == DATA
    refused = ks("key", "decrypt", "orders", "--context", "user=eve", input=sealed)
    assert (refused.code, refused.out) == (7, b"")
    again = ks.good("key", "reencrypt", "orders", "--context", "user=ada", input=sealed).text
    ks.good("key", "configure", "orders", "--min-encrypt", "2", "--min-decrypt", "2")
    assert ks.good("key", "decrypt", "orders", "--context", "user=ada", input=again).out == DATA
    assert ks("key", "decrypt", "orders", "--context", "user=ada", input=sealed).code == 6


def test_a_key_is_suspended_resumed_and_destroyed_only_when_that_is_typed(ks: Commands) -> None:
    ks.good("key", "create", "orders")
    ks.good("key", "suspend", "orders")
    assert ks("key", "encrypt", "orders", input=b"x").code == 6
    ks.good("key", "resume", "orders")
    ks.good("key", "encrypt", "orders", input=b"x")
    assert ks("key", "destroy", "orders", "--yes").code == 6
    assert "destroyed at" in ks.good("key", "schedule-destruction", "orders", "--days", "7").err
    ks.good("key", "cancel-destruction", "orders")
    assert ks("key", "destroy", "orders").code == 2
    ks.good("key", "destroy", "orders", "--yes")
    assert ks("key", "resume", "orders").code == 6


def test_an_alias_is_set_and_taken_away(ks: Commands) -> None:
    ks.good("key", "create", "orders-2026")
    ks.good("key", "alias", "orders", "orders-2026")
    sealed = ks.good("key", "encrypt", "orders", input=DATA).text
    assert ks.good("key", "decrypt", "orders-2026", input=sealed).out == DATA
    ks.good("key", "alias", "orders", "--remove")
    assert ks("key", "encrypt", "orders", input=b"x").code == 3
    assert ks("key", "alias", "orders").code == 2


def test_a_mac_and_a_signature_verify_and_wrong_ones_exit_with_7(ks: Commands) -> None:
    ks.good("key", "create", "mac", "--type", "hmac-sha-256")
    code = ks.good("key", "mac", "mac", input=DATA).text.strip()
    ks.good("key", "verify", "mac", code, "--mac", input=DATA)
    assert ks("key", "verify", "mac", code, "--mac", input=DATA + b"x").code == 7
    ks.good("key", "create", "signer", "--type", "ed25519")
    made = ks.good("key", "sign", "signer", "--json", input=DATA).document
    ks.good("key", "verify", "signer", made["value"], input=DATA)
    assert ks("key", "verify", "signer", made["value"], "--json", input=b"other").document["valid"] is False
    assert ks("key", "verify", "signer", "not base64!", input=DATA).code == 2
    assert ks("key", "encrypt", "signer", input=DATA).code == 2


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_openssl_verifies_what_was_signed_and_encrypts_what_is_decrypted(ks: Commands) -> None:
    ks.good("key", "create", "signer", "--type", "ecdsa-p256")
    ks.good("key", "create", "box", "--type", "rsa-2048", "--usage", "encrypt")
    for name in ("signer", "box"):
        (ks.folder / f"{name}.pem").write_bytes(ks.good("key", "public", name).out)
    (ks.folder / "message").write_bytes(DATA)
    (ks.folder / "signature").write_bytes(b64decode(ks.good("key", "sign", "signer", input=DATA).out))
    verify = ["openssl", "dgst", "-sha256", "-verify", "signer.pem", "-signature", "signature", "message"]
    assert b"OK" in subprocess.run(verify, cwd=ks.folder, capture_output=True, check=True).stdout
    oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"]
    encrypt = ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", "box.pem", "-in", "message", *oaep]
    block = subprocess.run(encrypt, cwd=ks.folder, capture_output=True, check=True).stdout
    assert ks.good("key", "decrypt", "box", input=b64encode(block)).out == DATA


def test_two_sides_come_to_one_secret(ks: Commands) -> None:
    for name in ("mine", "theirs"):
        ks.good("key", "create", name, "--type", "ecdh-p256")
        (ks.folder / f"{name}.pem").write_bytes(ks.good("key", "public", name).out)
    subprocess.run(["openssl", "pkey", "-pubin", "-in", "theirs.pem", "-outform", "DER", "-out", "theirs.der"],
                   cwd=ks.folder, check=True)  # fmt: skip
    agreed = {
        ks.good("key", "agree", name, peer).text
        for name, peer in (("mine", "theirs.pem"), ("mine", "theirs.der"), ("theirs", "mine.pem"))
    }
    assert len(agreed) == 1
    (ks.folder / "none.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    assert ks("key", "agree", "mine", "none.pem").code == 2
    ks.good("key", "create", "kem", "--type", "ml-kem-768")
    made = ks.good("key", "encapsulate", "kem").document
    assert ks.good("key", "decapsulate", "kem", input=made["ciphertext"]).text.strip() == made["secret"]
    assert ks("key", "decapsulate", "kem", input=b"?").code == 2


def test_random_bytes_and_hashes_need_no_key(ks: Commands) -> None:
    one, two = (b64decode(ks.good("key", "random").text) for _ in range(2))
    assert len(one) == len(two) == 32
    assert one != two
    assert len(b64decode(ks.good("key", "random", "1024", "--json").document["value"])) == 1024
    assert ks("key", "random", "1025").code == 2
    summed = subprocess.run(["openssl", "dgst", "-sha3-384", "-r"], input=DATA, capture_output=True, check=True).stdout
    assert ks.good("key", "digest", "--algorithm", "sha3-384", input=DATA).out.split() == summed.split()[:1]
    assert ks("key", "digest", "--algorithm", "md5", input=DATA).code == 2


def test_a_ciphertext_tells_its_key_and_moves_to_another_context(ks: Commands) -> None:
    ks.good("key", "create", "orders")
    ks.good("key", "create", "box", "--type", "rsa-2048", "--usage", "encrypt")
    block = ks.good("key", "encrypt", "box", "--algorithm", "rsaes-oaep-sha-1", input=DATA).text
    assert ks("key", "owner", input=block).code == 7
    moved = ks.good(
        "key", "reencrypt", "box", "--to", "orders", "--algorithm", "rsaes-oaep-sha-1",
        "--to-context", "user=ada", input=block,
    ).text  # fmt: skip
    assert ks.good("key", "owner", input=moved).text == "orders\n"
    assert ks.good("key", "owner", "--json", input=moved).document["name"] == "orders"
    assert ks.good("key", "decrypt", "orders", "--context", "user=ada", input=moved).out == DATA


def test_a_batch_answers_each_line_in_its_place(ks: Commands) -> None:
    ks.good("key", "create", "orders")
    ks.good("key", "create", "codes", "--type", "hmac-sha-256")
    lines = [{"data": b64encode(DATA).decode(), "context": {"user": "ada"}}, {"data": "?"}, {}, {"data": ""}]
    sent = "\n".join([*map(json.dumps, lines), "{oops", '{"data": "YQ==", "data": "Yg=="}'])
    done = ks("key", "batch", "encrypt", "orders", input=sent)
    answers = [json.loads(line) for line in done.text.splitlines()]
    assert done.code == 1
    assert ["value" in answer for answer in answers] == [True, False, False, True, False, False]
    assert {answer.get("code") for answer in answers} == {None, "KS1001"}
    back = json.dumps({"blob": answers[0]["value"], "context": {"user": "ada"}})
    opened = ks.good("key", "batch", "decrypt", "orders", "--json", input=back).document["items"]
    assert b64decode(opened[0]["value"]) == DATA
    [mac] = ks.good("key", "batch", "mac", "codes", "--json", input=json.dumps({"message": ""})).document["items"]
    checked = json.dumps({"message": "", "tag": mac["value"]["mac"]})
    assert ks.good("key", "batch", "verify-mac", "codes", input=checked).text == '{"value": true}\n'
    [key] = ks.good("key", "batch", "generate-data-key", "orders", "--json", input="{}").document["items"]
    sealed = json.dumps({"blob": key["value"]["ciphertext"]})
    [plain] = ks.good("key", "batch", "decrypt", "orders", "--json", input=sealed).document["items"]
    assert plain["value"] == key["value"]["plaintext"]
    for sent in ("", "{}\n" * 1001):
        assert ks("key", "batch", "encrypt", "orders", input=sent).code == 2


def test_a_signature_is_base64_whatever_it_begins_with() -> None:
    """One in sixteen million begins as a ciphertext does, and was printed as one."""
    from keystead.cli.context import Context
    from keystead.cli.key_use import answer

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        answer(Context(), "signature/1", b"ks\x02" + bytes(61))
    assert b64decode(printed.getvalue(), validate=False) == b"ks\x02" + bytes(61)


def test_a_data_key_comes_with_its_encrypted_form(ks: Commands) -> None:
    ks.good("key", "create", "orders")
    made = ks.good("key", "data-key", "orders", "--context", "table=cards").document
    opened = ks.good("key", "decrypt", "orders", "--context", "table=cards", input=made["ciphertext"]).out
    assert opened == b64decode(made["plaintext"])
    assert "plaintext" not in ks.good("key", "data-key", "orders", "--without-plaintext").document
    assert "public" in ks.good("key", "data-key", "orders", "--pair", "ed25519").document
    derived = [ks.good("key", "derive", "orders", "--context", f"user={user}").text for user in ("ada", "ada", "eve")]
    assert derived[0] == derived[1] != derived[2]


def test_a_key_is_imported_exported_backed_up_and_restored(ks: Commands, tmp_path: Path) -> None:
    material = bytes(range(32))
    ks.good("key", "create", "wrapping", "--type", "rsa-4096", "--usage", "import")
    (ks.folder / "wrapping.pem").write_bytes(ks.good("key", "public", "wrapping").out)
    wrapped = ks.good("key", "wrap", "wrapping.pem", input=material).out
    ks.good("key", "import", "byok", "--wrapping-key", "wrapping", "--exportable", input=wrapped)
    ks.good("key", "export", "byok", "--out", "byok.bin")
    written = ks.folder / "byok.bin"
    assert (written.read_bytes(), stat.S_IMODE(written.stat().st_mode)) == (material, 0o600)
    assert ks("key", "export", "byok", "--out", "byok.bin").code == 6
    sealed = ks.good("key", "encrypt", "byok", input=DATA).text
    ks.good("key", "backup", "byok", "byok.key", "--passphrase-file", "-", input=PHRASE)
    there = ks.elsewhere(tmp_path / "there")
    there.good("init", "--no-recovery-kit")
    there.good("key", "restore", str(ks.folder / "byok.key"), "--passphrase-file", "-", input=PHRASE)
    assert there.good("key", "decrypt", "byok", input=sealed).out == DATA
    assert ks("key", "import", "no", "--wrapping-key", "wrapping", input=wrapped[:-1]).code == 7


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["key", "create", "a//b"], 2),
        (["key", "create", "a", "--type", "des"], 2),
        (["key", "create", "a", "--type", "ed25519", "--usage", "encrypt"], 2),
        (["key", "create", "a", "--rotation", "90"], 2),
        (["key", "show", "nothing"], 3),
        (["key", "rotate", "nothing"], 3),
        (["key", "schedule-destruction", "nothing", "--days", "3"], 2),
        (["key", "wrap", "nothing.pem"], 1),
        (["key", "restore", "nothing", "--passphrase-file", "-"], 1),
        (["key", "crate", "a"], 2),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_what_next(ks: Commands, words: list[str], code: int) -> None:
    done = ks(*words, "--json") if words[1] != "crate" else ks(*words)
    assert (done.code, done.out) == (code, b"")
    assert "next" in done.err
    if words[1] != "crate":
        assert json.loads(done.err)["schema"] == "keystead.error/1"


@pytest.mark.parametrize("command", ["export", "backup"])
def test_no_key_leaves_the_store_for_a_file_that_cannot_be_written(ks: Commands, tmp_path: Path, command: str) -> None:
    ks.good("key", "create", "taken", "--exportable")
    phrase = tmp_path / "phrase"
    phrase.write_text(PHRASE)
    phrase.chmod(0o600)
    (tmp_path / "dangling").symlink_to("nowhere")
    for name, code in (("no/folder", 1), ("dangling", 6), ("phrase", 6)):
        path = tmp_path / name
        how = ("--out", str(path)) if command == "export" else (str(path), "--passphrase-file", str(phrase))
        refused = ks("key", command, "taken", *how)
        assert refused.code == code and str(path) in refused.err
    assert phrase.read_text() == PHRASE
    told = ks.good("audit", "tail").text
    assert "key_created" in told and "key_exported" not in told and "key_backed_up" not in told
