"""encrypt and decrypt: every format through pipes, streams through files."""

from __future__ import annotations

import base64
import json
import os
import stat

import pytest
from tests.cli.conftest import CANARY, Commands

FORMATS = ["v1", "v2", "v2-text", "stream"]
DATA = CANARY.encode() + b"\0\xff\n"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("bound", [[], ["--aad", "user=7", "--aad", "kind=note"], ["--aad-text", "user 7"]])
def test_what_was_encrypted_is_decrypted_to_the_byte(ks: Commands, form: str, bound: list[str]) -> None:
    sealed = ks.good("encrypt", "--format", form, *bound, input=DATA).out
    assert CANARY.encode() not in sealed
    assert ks.good("decrypt", *bound, input=sealed).out == DATA


@pytest.mark.parametrize("form", FORMATS)
def test_another_aad_opens_nothing(ks: Commands, form: str) -> None:
    sealed = ks.good("encrypt", "--format", form, "--aad", "user=7", input=DATA).out
    for wrong in (["--aad", "user=8"], ["--aad-text", "user=7"], *([] if form == "v1" else [[]])):
        refused = ks("decrypt", *wrong, input=sealed)
        assert (refused.code, refused.out) == (7, b"")


@pytest.mark.parametrize("form", FORMATS)
def test_a_changed_byte_opens_nothing(ks: Commands, form: str) -> None:
    sealed = bytearray(ks.good("encrypt", "--format", form, input=DATA).out)
    place = len(sealed) - 30 if form != "v1" else sealed.index(b'"ciphertext": "') + 16
    sealed[place] = ord("A") if sealed[place] != ord("A") else ord("B")
    refused = ks("decrypt", input=bytes(sealed))
    assert (refused.code, refused.out) == (7, b"")


@pytest.mark.parametrize(
    ("form", "field"), [("v1", "envelope"), ("v2", "ciphertext_base64"), ("v2-text", "ciphertext")]
)
@pytest.mark.parametrize(("data", "plain"), [(CANARY.encode(), "plaintext"), (DATA, "plaintext_base64")])
def test_as_json_a_ciphertext_and_a_plaintext_are_documents(
    ks: Commands, form: str, field: str, data: bytes, plain: str
) -> None:
    key = ks.good("keys", "list", "--json").document["keys"][0]["id"]
    made = ks.good("encrypt", "--format", form, "--aad", "user=7", "--json", input=data).document
    assert set(made) == {"schema", "format", "data_key", field}
    assert (made["schema"], made["format"], made["data_key"]) == ("keystead.encrypt/1", form, key)
    sealed = made[field]
    if field.endswith("base64"):
        sealed = base64.b64decode(sealed)
    elif form == "v1":
        sealed = json.dumps(sealed)
    opened = ks.good("decrypt", "--aad", "user=7", "--json", input=sealed).document
    assert set(opened) == {"schema", "format", "data_key", plain}
    assert (opened["schema"], opened["format"], opened["data_key"]) == ("keystead.decrypt/1", form, key)
    text = opened[plain]
    assert (base64.b64decode(text) if plain.endswith("base64") else text.encode()) == data
    refused = ks("decrypt", "--aad", "user=8", "--json", input=sealed)
    assert (refused.code, refused.out, json.loads(refused.err)["code"]) == (7, b"", "KS2002")


def test_as_json_a_stream_goes_to_a_file_which_the_document_tells_of(ks: Commands) -> None:
    key = ks.good("keys", "list", "--json").document["keys"][0]["id"]
    made = ks.good("encrypt", "--out", "sealed", "--json", input=DATA).document
    told = {"format": "stream", "data_key": key, "file": str(ks.folder / "sealed"), "bytes": len(DATA)}
    assert made == {"schema": "keystead.encrypt/1", **told}
    sealed = (ks.folder / "sealed").read_bytes()
    for words, data in ((["--in", "sealed"], b""), ([], sealed)):
        opened = ks.good("decrypt", *words, "--out", "back", "--json", input=data).document
        assert opened == {"schema": "keystead.decrypt/1", **told, "file": str(ks.folder / "back")}
        assert (ks.folder / "back").read_bytes() == DATA
    for words, data in ((["encrypt", "--format", "stream"], DATA), (["decrypt"], sealed)):
        refused = ks(*words, "--json", input=data)
        assert (refused.code, refused.out) == (2, b"")
        assert "--out" in json.loads(refused.err)["next"]


def test_a_dash_names_stdin_and_stdout(ks: Commands) -> None:
    sealed = ks.good("encrypt", "--in", "-", "--out", "-", input=DATA).out
    assert sealed.startswith(b"ks\x81\x01")
    assert ks.good("decrypt", "--in", "-", "--out", "-", input=sealed).out == DATA
    assert list(ks.folder.glob("-*")) == []
    assert ks("decrypt", "--in", "-", input=ks.good("encrypt", input=DATA).out).code == 2


def test_what_is_no_file_is_not_written_to_and_the_hint_is_for_a_command_line(ks: Commands) -> None:
    (ks.folder / "folder").mkdir()
    sealed = ks.good("encrypt", "--format", "stream", input=DATA).out
    for target in ("folder", "/dev/null", "."):
        for words, data in ((["encrypt"], DATA), (["decrypt"], sealed)):
            refused = ks(*words, "--out", target, input=data)
            assert (refused.code, refused.out) == (2, b"")
            assert "goes to stdout" in refused.err


def test_the_default_is_text_that_can_be_pasted(ks: Commands) -> None:
    sealed = ks.good("encrypt", input=DATA).text
    assert sealed.startswith("ks2_")
    assert sealed.isascii()
    assert sealed.count("\n") == 1


def test_an_envelope_is_json_of_version_one(ks: Commands) -> None:
    envelope = json.loads(ks.good("encrypt", "--format", "v1", input=DATA).out)
    assert (envelope["v"], envelope["alg"]) == (1, "aes-256-gcm")


def test_files_of_any_size_are_streams_and_appear_whole(ks: Commands) -> None:
    data = os.urandom(3_000_000)
    (ks.folder / "plain").write_bytes(data)
    ks.good("encrypt", "--in", "plain", "--out", "sealed", "--aad", "a=b", umask=0)
    assert stat.S_IMODE((ks.folder / "sealed").stat().st_mode) == 0o600
    ks.good("decrypt", "--in", "sealed", "--out", "back", "--aad", "a=b")
    assert (ks.folder / "back").read_bytes() == data
    (ks.folder / "cut").write_bytes((ks.folder / "sealed").read_bytes()[:-1])
    assert ks("decrypt", "--in", "cut", "--out", "never", "--aad", "a=b").code == 7
    assert not (ks.folder / "never").exists()
    assert ks("encrypt", "--in", "nowhere", "--out", "x").code == 1


def test_a_file_goes_through_a_pipe_either_way(ks: Commands) -> None:
    data = os.urandom(300_000)
    (ks.folder / "plain").write_bytes(data)
    sealed = ks.good("encrypt", "--in", "plain").out
    ks.good("decrypt", "--out", "back", input=sealed)
    assert (ks.folder / "back").read_bytes() == data
    ks.good("encrypt", "--out", "sealed", input=data)
    assert ks.good("decrypt", "--in", "sealed").out == data


def test_of_a_cut_stream_only_verified_parts_come_out_and_the_code_tells(ks: Commands) -> None:
    data = os.urandom(300_000)
    sealed = ks.good("encrypt", "--format", "stream", input=data).out
    cut = ks("decrypt", input=sealed[:200_000])
    assert cut.code == 7
    assert len(cut.out) < 200_000
    assert data.startswith(cut.out)


@pytest.mark.parametrize(
    "junk", [b"", b"x", b"ks", b"{}", b"[1]", b"ks2_", b"ks2_\xff\xfe", b"{" * 100_000, b"\0" * 200]
)
def test_junk_is_refused_in_words(ks: Commands, junk: bytes) -> None:
    refused = ks("decrypt", input=junk)
    assert (refused.code, refused.out) == (7, b"")
    assert "KS200" in refused.err


def test_contradicting_options_are_usage_errors(ks: Commands) -> None:
    (ks.folder / "f").write_bytes(b"x")
    for words in (
        ["encrypt", "--aad", "a=b", "--aad-text", "c"],
        ["encrypt", "--aad", "ab"],
        ["encrypt", "--aad", "a=b", "--aad", "a=c"],
        ["encrypt", "--format", "v1", "--in", "f"],
        ["encrypt", "--format", "v3"],
        ["decrypt", "--in", "f"],
    ):
        assert ks(*words, input="x").code == 2


def test_a_closed_stdin_or_stdout_is_an_error_in_words(ks: Commands) -> None:
    import shlex
    import subprocess

    from tests.cli.conftest import environment

    line = shlex.join(ks.argv("encrypt"))
    for redirection in ("<&-", ">&- </dev/null", ">/dev/full </dev/null"):
        done = subprocess.run(
            ["sh", "-c", f"{line} {redirection}"],
            cwd=ks.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (1, 2), redirection
        assert done.stderr.startswith("error:"), redirection
        assert "Traceback" not in done.stderr
