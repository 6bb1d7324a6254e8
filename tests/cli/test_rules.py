"""What every command keeps to: where things are printed, exit codes, errors, JSON, help, no traceback."""

from __future__ import annotations

import inspect
import json
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, Commands, documents, environment

from keystead import errors
from keystead.cli.commands import ALIASES, HOMES
from keystead.cli.failures import EXIT_CODES, exit_code

VERBS = {
    "env": ["import"],
    "keys": ["list", "rotate", "destroy"],
    "slots": ["list", "add", "remove"],
    "audit": ["tail", "verify", "accept-rollback"],
    "sessions": ["list", "revoke"],
    "key": [
        "create",
        "list",
        "show",
        "configure",
        "rotate",
        "suspend",
        "resume",
        "deactivate",
        "mark-compromised",
        "cancel-destruction",
        "schedule-destruction",
        "destroy",
        "alias",
        "encrypt",
        "decrypt",
        "reencrypt",
        "owner",
        "sign",
        "verify",
        "mac",
        "data-key",
        "derive",
        "public",
        "import",
        "export",
        "backup",
        "restore",
        "wrap",
        "agree",
        "encapsulate",
        "decapsulate",
        "random",
        "digest",
        "batch",
    ],
    "policy": ["write", "read", "list", "remove", "test", "explain", "who-can"],
    "grant": ["create", "list", "show", "revoke", "retire"],
    "token": ["create", "lookup", "renew", "verify", "revoke", "list"],
    "user": ["create", "passwd", "enroll", "confirm", "unenroll", "list", "remove"],
    "role": ["create", "secret-id", "secret-ids", "list", "remove"],
}
ALL = [[noun] for noun in HOMES] + [[noun, verb] for noun, verbs in VERBS.items() for verb in verbs]
LEAVES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.KeysteadError)
    and not kind.__subclasses__()
]  # fmt: skip
KNOWN = {1, 2, 3, 4, 5, 6, 7, 8, 9, 75}


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help_that_says_what_it_does(bare: Commands, words: list[str]) -> None:
    shown = bare.good(*words, "--help")
    assert "Usage: keystead " + " ".join(words) in shown.text
    assert shown.err == ""
    usage, _, rest = shown.text.partition("\n\n")
    assert len(rest.strip().splitlines()[0]) > 10, usage


def test_help_lists_every_command_and_the_exit_codes(bare: Commands) -> None:
    text = bare.good("--help").text
    assert [name for name in HOMES if not re.search(rf"^  {name} +\S", text, re.MULTILINE)] == []
    assert all(str(code) in text for code in KNOWN)


@pytest.mark.parametrize("words", [[], *([noun] for noun in VERBS)], ids=" ".join)
def test_in_80_columns_help_says_in_whole_sentences_what_each_command_does(bare: Commands, words: list[str]) -> None:
    listed = bare.good(*words, "--help", env={"COLUMNS": "80"}).text.partition("Commands:\n")[2].partition("\n\n")[0]
    lines = listed.splitlines()
    assert len(lines) == len(VERBS[words[0]] if words else HOMES)
    assert [line for line in lines if not line.endswith(".") or line.endswith("..")] == []


def test_without_a_command_help_is_shown_as_a_mistake(bare: Commands) -> None:
    for words in ([], ["keys"], ["audit"]):
        done = bare(*words)
        assert (done.code, done.out) == (2, b"")
        assert "Usage:" in done.err


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_of_the_table(kind: type[errors.KeysteadError]) -> None:
    error = kind.__new__(kind)
    assert exit_code(error) in KNOWN
    special = [place for place, (base, _) in enumerate(EXIT_CODES) if issubclass(kind, base)]
    assert special == sorted(special)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2), (errors.SecretNotFound, 3), (errors.StoreNotFound, 3), (errors.Denied, 4),
        (errors.Sealed, 5), (errors.MasterKeyMissing, 5), (errors.WrongMasterKey, 5), (errors.VersionConflict, 6),
        (errors.DecryptionError, 7), (errors.IntegrityError, 7), (errors.RollbackDetected, 7), (errors.AuditBroken, 7),
        (errors.StoreUnavailable, 8), (errors.AuditUnavailable, 8), (errors.SecretExpired, 9), (errors.StoreBusy, 75),
        (errors.FileUnavailable, 1), (errors.SchemaTooNew, 1),
    ],
)  # fmt: skip
def test_the_exit_codes_are_those_that_were_promised(kind: type[errors.KeysteadError], code: int) -> None:
    assert exit_code(kind.__new__(kind)) == code


def test_an_error_says_what_and_what_next_with_its_code(ks: Commands) -> None:
    done = ks("get", "NOWHERE")
    assert (done.code, done.out) == (3, b"")
    lines = done.err.splitlines()
    assert lines[0] == "error: no secret NOWHERE"
    assert [line.split()[0] for line in lines[1:]] == ["next", "code"]
    assert lines[-1].split()[1] == "KS1101"


def test_an_error_with_json_is_one_document_on_stderr(ks: Commands) -> None:
    for words in (["get", "NOWHERE", "--json"], ["--json", "get", "NOWHERE"]):
        done = ks(*words)
        assert (done.code, done.out) == (3, b"")
        found = json.loads(done.err)
        assert (found["schema"], found["code"]) == ("keystead.error/1", "KS1101")
        assert set(found) == {"schema", "error", "why", "next", "code"}
    assert json.loads(ks("list", "--json", "--nonsense").err)["code"] == "KS1001"
    assert json.loads(ks("keys", "--json").err)["code"] == "KS1001"
    assert ks("run", "--nonsense", "--", "true", "--json").err.startswith("error:")


def test_with_json_what_is_said_on_stderr_is_documents_too(bare: Commands) -> None:
    key = bare.good("generate-master-key").text.strip().partition("=")[2]
    done = bare("-s", "app.db", "--json", "get", "NOWHERE", env={"KMS_MASTER_KEY": key})
    assert (done.code, done.out) == (3, b"")
    note, error = documents(done.err)
    assert (note["schema"], error["schema"]) == ("keystead.note/1", "keystead.error/1")
    assert "new store" in note["note"]


def test_ctrl_c_and_the_unexpected_are_told_as_json_where_that_is_wanted(ks: Commands) -> None:
    shown = ks.terminal("set", "A", "--json", answers=[("Value of A", "\x03")])
    assert shown.code == 130
    assert json.loads(shown.screen[shown.screen.index("{") :])["error"] == "stopped"
    broken = "import keystead.cli.main as m, keystead.cli.status as s; " + (
        "s.version.callback = lambda **_: 1 / 0; m.main(['version', '--json'])"
    )
    done = subprocess.run(
        [ks.argv()[0], "-c", broken], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stderr)["code"] == "KS0000"


def test_where_no_store_is_the_next_step_is_named(bare: Commands) -> None:
    done = bare("list")
    assert done.code == 3
    assert "keystead init" in done.err


def test_a_wrong_key_is_refused_by_fingerprints_and_nothing_is_written(ks: Commands) -> None:
    other = ks.good("generate-master-key").text.strip().partition("=")[2]
    before = (ks.store / "keystead.db").read_bytes()
    refused = ks("set", "A", input="x", env={"KMS_MASTER_KEY": other})
    assert refused.code == 5
    assert "KS3104" in refused.err
    assert len(re.findall(r"\b[0-9a-f]{8}\b", refused.err)) >= 2
    assert other not in refused.err
    assert (ks.store / "keystead.db").read_bytes() == before


def test_a_key_file_that_others_can_read_is_refused_with_the_command_that_helps(ks: Commands) -> None:
    (ks.store / "master.key").chmod(0o644)
    refused = ks("list")
    assert refused.code == 5
    assert "chmod 600" in refused.err


def test_a_store_elsewhere_is_named_before_or_behind_the_command(ks: Commands, tmp_path: Path) -> None:
    ks.good("set", "A", input="x")
    elsewhere = ks.elsewhere(tmp_path / "elsewhere")
    place = str(ks.store)
    assert elsewhere.good("-s", place, "get", "A").text == "x"
    assert elsewhere.good("get", "A", "--store", f"sqlite:///{place}/keystead.db").text == "x"
    assert elsewhere.good("get", "A", env={"KEYSTEAD_URL": place}).text == "x"
    below = ks.elsewhere(ks.folder / "below")
    assert below.good("get", "A").text == "x"
    assert elsewhere("get", "A").code == 3
    assert elsewhere("-s", "postgres://x", "get", "A").code == 2


def test_the_folder_that_init_was_given_names_its_store(bare: Commands) -> None:
    bare.good("init", "shop", "--no-recovery-kit")
    key = (bare.folder / "shop" / ".keystead" / "master.key").read_text().strip()
    # With a key given, a store that is named and missing would be made.
    bare.good("-s", "shop", "set", "A", input="x", env={"KMS_MASTER_KEY": key})
    assert bare.good("get", "A", env={"KEYSTEAD_URL": "sqlite:///shop/"}).text == "x"
    assert [path.name for path in (bare.folder / "shop").iterdir()] == [".keystead"]


def test_a_store_that_is_made_because_it_was_named_is_announced(bare: Commands) -> None:
    key = bare.good("generate-master-key").text.strip().partition("=")[2]
    done = bare.good("-s", "app.db", "set", "A", input="x", env={"KMS_MASTER_KEY": key})
    assert str(bare.folder / "app.db") in done.err
    assert "new store" in done.err
    again = bare.good("-s", "app.db", "get", "A", env={"KMS_MASTER_KEY": key})
    assert again.err == ""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["lst"], "list"),
        (["gt"], "get"),
        (["histroy"], "history"),
        (["keys", "lsit"], "keys list"),
        (["Set"], "set"),
        (["Get"], "get"),
        (["LIST"], "list"),
    ],
)
def test_a_mistyped_command_gets_the_closest_one_as_a_hint(bare: Commands, typed: list[str], meant: str) -> None:
    done = bare(*typed)
    assert done.code == 2
    assert f"did you mean keystead {meant}?" in done.err


def test_a_mistyped_option_gets_the_closest_one_and_is_not_repeated(ks: Commands) -> None:
    done = ks("set", "A", f"--tll={CANARY}", input="x")
    assert done.code == 2
    assert "--ttl" in done.err
    assert CANARY not in done.err


def test_a_mistake_is_told_with_the_help_of_its_own_command(ks: Commands) -> None:
    for words, hint in (
        (["set", "A", "--ttl"], "keystead set --help"),
        (["--quiet", "ls", "--after"], "keystead list --help"),
        (["audit", "tail", "--lines"], "keystead audit tail --help"),
        (["audit", "tail", "--lines", "x"], "keystead audit tail --help"),
        (["--store"], "keystead --help"),
        (["--version"], "keystead version"),
        (["-V"], "keystead version"),
    ):
        done = ks(*words)
        assert done.code == 2
        assert re.search(rf"^  next  (see )?{hint}$", done.err, re.MULTILINE), (words, done.err)
    assert "not a valid integer" in ks("audit", "tail", "--lines", "x").err
    assert "integer range" not in ks("audit", "tail", "--lines", "x").err
    assert "SLOT=FILE" in ks("rekey", "--master-key-file", "x").err


def test_an_error_holds_nothing_that_a_terminal_obeys(ks: Commands) -> None:
    for words in (["run", "--", "\033[31mred"], ["set", "A", "--from-file", "\033]0;title\007"], ["rm", "\033[A"]):
        done = ks(*words)
        assert done.code != 0
        assert "\033" not in done.err + done.text
        assert "\007" not in done.err


def test_where_nothing_fits_it_is_not_said_that_there_are_no_secrets(ks: Commands) -> None:
    assert "keystead set NAME" in ks.good("list").err
    ks.good("set", "A", input="x")
    for words in (["B"], ["--tag", "a=b"], ["--expired"], ["--after", "Z"], ["--deleted"]):
        assert ks.good("list", *words).err == "no such secrets\n"


def test_of_a_value_that_is_too_long_no_made_up_length_is_told(ks: Commands) -> None:
    for size, told in ((65_537, "65537"), (65_538, "has more"), (3_000_000, "has more")):
        done = ks("set", "A", input=b"x" * size)
        assert done.code == 2
        assert told in done.err
    ks.good("set", "A", input=b"x" * 65_536 + b"\n")


def test_in_a_folder_that_is_gone_the_error_says_so(ks: Commands) -> None:
    (ks.folder / "gone").mkdir()
    line = f"rmdir ../gone; {shlex.join(ks.argv('list'))}"
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=ks.folder / "gone", env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "is gone" in done.stderr) == (1, True)


@pytest.mark.parametrize("alias", ALIASES)
def test_what_people_type_by_habit_works(bare: Commands, alias: str) -> None:
    assert bare.good(alias, "--help").text.splitlines()[0].startswith("Usage: keystead ")
    assert ALIASES[alias] in HOMES


def test_a_kv_in_front_is_passed_over(ks: Commands) -> None:
    ks.good("kv", "put", "A", input="x")
    assert ks.good("kv", "get", "A").text == "x"
    refused = ks("kv", "put", "A", CANARY)
    assert refused.code == 2
    assert CANARY not in refused.err
    for words in (["kv"], ["kv", "kv", "get"], ["kv", "nonsense"]):
        done = ks(*words)
        assert done.code == 2
        assert "there is no command" in done.err


def test_every_answer_as_json_is_one_document_with_its_schema(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    for words in (
        ["list"], ["get", "A"], ["history", "A"], ["status"], ["version"], ["keys", "list"], ["keys", "rotate"],
        ["slots", "list"], ["slots", "add", "--key-file", "k"], ["audit", "tail"], ["audit", "verify"],
        ["sessions", "list"], ["generate-master-key"], ["init"], ["rm", "A", "--yes"], ["rm", "A", "--undo"],
        ["audit", "accept-rollback"], ["audit", "verify", "--without-key"],
    ):  # fmt: skip
        document = ks.good(*words, "--json").document
        assert re.fullmatch(r"keystead\.[a-z-]+/1", document["schema"]), words
    for words in (["set", "B"], ["rotate", "A"]):
        assert ks.good(*words, "--json", input="y").document["schema"] == f"keystead.{words[0]}/1"


def test_status_as_json_has_the_promised_names(ks: Commands) -> None:
    document = ks.good("status", "--json").document
    assert {
        "initialized", "master_key_present", "slots", "data_keys_count", "active_data_keys", "secrets_count",
        "expired_secrets_count", "oldest_data_key_age_ms", "rotation_due", "operations_by_session", "cache",
        "audit_head",
    } <= set(document)  # fmt: skip


def test_quiet_leaves_the_answer_and_verbose_tells_more(ks: Commands) -> None:
    assert ks.good("-q", "set", "A", input="x").err == ""
    assert ks.good("get", "A", "-q").text == "x"
    loud = ks.good("get", "A", "-v")
    assert loud.text == "x"
    assert "[INFO] kms_initialized" in loud.err
    assert "master.key" in loud.err


def test_the_log_level_is_honoured(ks: Commands) -> None:
    assert "[INFO] kms_initialized" in ks.good("list", env={"LOG_LEVEL": "info"}).err
    assert "[INFO]" not in ks.good("list", env={"LOG_LEVEL": "WARNING"}).err
    assert "[INFO]" not in ks.good("list", env={"LOG_LEVEL": "nonsense"}).err


def test_colours_are_for_terminals_that_show_them_and_people_who_want_them(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    assert "\033[" in ks.terminal("list").screen
    assert "\033[" in ks.terminal("get", "NOWHERE").screen
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\033[" not in ks.terminal("list", env=variables).screen
        assert "\033[" not in ks.terminal("get", "NOWHERE", env=variables).screen
    assert "\033[" not in ks.good("list").text + ks("get", "NOWHERE").err


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_fits_its_terminal(ks: Commands, width: int) -> None:
    ks.good("set", "a/very/long/name/of/a/secret/that/nobody/would/type", "--tag", f"note={'n' * 60}", input="x")
    shown = ks.terminal("list", width=width, env={"NO_COLOR": "1"})
    assert max(len(line) for line in shown.screen.splitlines()) <= width
    assert "VERSION" in shown.screen or width < 50


@pytest.mark.parametrize("noun", ["keys", "sessions"])
def test_what_the_next_command_needs_stands_whole_on_a_terminal_of_80_columns(ks: Commands, noun: str) -> None:
    ks.good("keys", "rotate")
    ids = [each["id"] for each in ks.good(noun, "list", "--json").document[noun]]
    assert ids
    shown = ks.terminal(noun, "list", width=80, env={"NO_COLOR": "1"})
    assert set(ids) <= set(shown.screen.split())
    assert max(len(line) for line in shown.screen.splitlines()) <= 80


def test_a_list_of_keys_stands_whole_on_a_terminal_of_80_columns(ks: Commands) -> None:
    ks.good("key", "create", "shop/orders", "--type", "chacha20-poly1305", "--rotation", "90d")
    ks.good("key", "create", "shop/box", "--type", "rsa-2048", "--usage", "encrypt")
    ks.good("key", "schedule-destruction", "shop/box", "--days", "7")
    screen = ks.terminal("key", "list", width=80, env={"NO_COLOR": "1"}).screen
    words = {"shop/orders", "chacha20-poly1305", "active", "rotated", "rsa-2048 encrypt", "suspended", "destroyed"}
    assert [word for word in words if word not in screen] == []
    assert "…" not in screen
    assert max(len(line) for line in screen.splitlines()) <= 80


def test_no_command_is_suggested_that_its_noun_does_not_have(ks: Commands) -> None:
    for verb in ("rmm", "delet", "remov"):
        assert not re.search(r"mean keystead key (rm|delete|remove)\?", ks("key", verb).err)
    assert "did you mean keystead policy remove?" in ks("policy", "remov").err


def test_a_table_that_is_wider_than_its_terminal_shows_all_of_it(ks: Commands) -> None:
    ks.good("key", "create", "payments-invoices")
    ks.good("grant", "create", "payments-invoices", "role:billing-service", "-o", "encrypt", "-o", "decrypt")
    for width in (40, 60, 80):
        lines = ks.terminal(
            "grant", "list", "payments-invoices", width=width, env={"NO_COLOR": "1"}
        ).screen.splitlines()
        starts = [found.start() for found in re.finditer(r"\S+", lines[0])]
        columns = ["".join(line[a:b].strip() for line in lines) for a, b in pairwise([*starts, None])]
        assert re.fullmatch(r"GRANTgrt_[0-9a-f]{32}", columns[0])
        assert columns[1:3] == ["KEYpayments-invoices", "GRANTEErole:billing-service"]
        assert columns[3].replace(" ", "") == "OPERATIONSdecrypt,encrypt"


def test_no_word_of_a_table_is_broken_that_need_not_be(ks: Commands) -> None:
    ks.good("role", "create", "billing-service")
    screen = ks.terminal("role", "list", width=80, env={"NO_COLOR": "1"}).screen
    assert re.search(r"billing-service  role_[0-9a-f]{32}  ", screen)
    assert re.search(r"  \d{4}-\d\d-\d\d\n +\d\d:\d\d:\d\dZ", screen)


def test_a_table_needs_no_sign_that_its_terminal_may_not_have(ks: Commands) -> None:
    ks.good("set", "a" * 100, "--tag", "who=Žofie", input="x")
    plain = ks.terminal("list", width=60, env={"PYTHONIOENCODING": "ascii"})
    assert plain.code == 0
    assert "a" * 100 in "".join(line[:48].split()[0] for line in plain.screen.splitlines()[1:] if line[0] == "a")
    assert ks.fresh("list", env={"PYTHONIOENCODING": "latin-1"}).code == 0


def test_a_reader_that_goes_away_ends_the_command_without_noise(ks: Commands) -> None:
    (ks.folder / "many.env").write_text("".join(f"NAME_{number}=value\n" for number in range(3_000)))
    ks.good("env", "import", "many.env")
    line = shlex.join(ks.argv("list"))
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=ks.folder, env=environment(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 141
    assert done.stderr == b""
    assert done.stdout.startswith(b"NAME_0\t")


@pytest.mark.parametrize("words", [["audit", "tail", "-f"], ["set", "A"]])
def test_ctrl_c_stops_with_one_word(ks: Commands, words: list[str]) -> None:
    shown = ks.terminal(*words, answers=[("audit_closed" if words[0] == "audit" else "Value of A", "\x03")])
    assert shown.code == 130
    assert "stopped" in shown.screen
    assert ks("get", "A").code == 3


def test_something_unexpected_is_told_in_three_lines(ks: Commands) -> None:
    broken = "import keystead.cli.main as m, keystead.cli.status as s; " + (
        "s.version.callback = lambda **_: 1 / 0; m.main(['version'])"
    )
    python = ks.argv()[0]
    for variables, lines in (({}, 3), ({"KEYSTEAD_DEBUG": "1"}, None)):
        done = subprocess.run(
            [python, "-c", broken],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        if lines:
            assert len(done.stderr.splitlines()) == lines
            assert "KEYSTEAD_DEBUG" in done.stderr
        else:
            assert "ZeroDivisionError" in done.stderr


def test_a_traceback_that_was_asked_for_shows_no_value(ks: Commands) -> None:
    ks.good("set", "A", input=CANARY)
    for words, data in ((["get", "A#9"], b""), (["set", "A", "--ttl", "x"], CANARY.encode()), (["set", "A B"], b"x")):
        done = subprocess.run(
            ks.argv(*words), input=data, cwd=ks.folder, env=environment(KEYSTEAD_DEBUG="1"), capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert b"Traceback" in done.stderr
        assert CANARY.encode() not in done.stderr + done.stdout


def test_no_command_shows_a_value_that_it_was_not_asked_for(ks: Commands) -> None:
    ks.good("set", "A", "--tag", "a=b", input=CANARY)
    ks.good("rotate", "A", input=CANARY + "2")
    sealed = ks.good("encrypt", input=CANARY).out
    said = ""
    for words, data in (
        (["list"], b""), (["list", "--json"], b""), (["history", "A"], b""), (["status", "-v"], b""),
        (["audit", "tail", "-n", "1000", "--json"], b""), (["audit", "verify"], b""), (["sessions", "list"], b""),
        (["keys", "list"], b""), (["slots", "list"], b""), (["set", "A B"], CANARY.encode()),
        (["set", "A", "--expected-version", "9"], CANARY.encode()), (["decrypt", "--aad", "x=y"], sealed),
        (["encrypt", "--format", "v9"], CANARY.encode()), (["get", "A#7"], b""), (["get", "A#pending"], b""),
    ):  # fmt: skip
        done = ks(*words, input=data)
        said += done.out.decode(errors="replace") + done.err
    windows = {CANARY[at : at + 8] for at in range(len(CANARY) - 7)}
    assert [window for window in windows if window in said] == []


def test_a_damaged_store_is_told_with_its_own_code(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    database = ks.store / "keystead.db"
    whole = database.read_bytes()
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.write_bytes(b"not a database at all" * 1000)
    assert ks("list").code == 8
    database.write_bytes(whole[: len(whole) // 2])
    assert ks("list").code in (7, 8)
    shutil.rmtree(ks.store)
    assert ks("list").code == 3


def test_an_edited_row_is_an_integrity_error(ks: Commands) -> None:
    import sqlite3

    ks.good("set", "A", input="x")
    with sqlite3.connect(ks.store / "keystead.db") as connection:
        connection.execute('UPDATE secrets SET tags = \'{"a":"b"}\'')
    connection.close()
    refused = ks("get", "A")
    assert refused.code == 7
    assert "KS2003" in refused.err


def test_get_needs_little_of_the_processor(ks: Commands) -> None:
    """The figure itself is the benchmark's; here it is compared, turn by turn, with the start of what it uses."""
    ks.good("set", "A", input="x")

    def used(*argv: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=ks.folder, env=environment(), capture_output=True, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    libraries = "import click, sqlite3, json, logging, cryptography.hazmat.primitives.ciphers.aead"
    turns = [(used(ks.argv()[0], "-c", libraries), used(*ks.argv("get", "A"))) for _ in range(5)]
    bare, get = (min(each) for each in zip(*turns, strict=True))
    assert get < 6 * bare, turns


def test_twenty_quick_calls_leave_one_chain(ks: Commands) -> None:
    for _ in range(20):
        ks.good("list")
    assert [path.name for path in (ks.store / "audit").iterdir() if path.is_dir()] == ["0001"]


def test_a_killed_command_leaves_a_store_that_goes_on(ks: Commands) -> None:
    for _ in range(3):
        process = ks.start("set", "A", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ks.good("set", "A", input="x")
    assert ks.good("audit", "verify", "--json").document["ok"] is True


def test_an_answer_that_goes_nowhere_is_an_error_and_a_change_without_one_is_none(ks: Commands) -> None:
    for words, code in (("set A", 0), ("status", 1), ("get A", 1), ("version", 1)):
        line = f"{shlex.join(ks.argv(*words.split()))} >&-"
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=ks.folder, env=environment(), input="x", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, "stdout is closed" in done.stderr) == (code, code == 1), words


def test_nobody_is_asked_to_confirm_what_cannot_be_done(ks: Commands) -> None:
    for words in (("rm", "NOWHERE"), ("rm", "--destroy", "NOWHERE#2")):
        done = ks(*words)
        assert (done.code, "no secret NOWHERE" in done.err) == (3, True)


def test_the_status_in_a_pipe_is_tab_separated(ks: Commands) -> None:
    lines = ks("status").text.splitlines()
    assert [line.partition("\t")[0] for line in lines[:3]] == ["store", "store id", "key slots"]


def test_init_says_that_it_wrote_no_kit_beside_a_store_that_is_there(ks: Commands) -> None:
    done = ks("init", "--recovery-file", "../another-kit")
    assert done.code == 0
    assert "no kit was written" in done.err
    assert not (ks.folder.parent / "another-kit").exists()
