"""run: it becomes the child, and hands on what was asked for and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, Commands, documents

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def handed_on(ks: Commands, *words: str, **how: object) -> dict[str, str]:
    found = json.loads(ks.good("run", *words, "--", sys.executable, "-c", SHOW, **how).out)
    assert isinstance(found, dict)
    return found


def test_the_child_has_the_secrets_in_its_environment(ks: Commands) -> None:
    ks.good("set", "api-key", input=CANARY)
    ks.good("set", "db/password", input="two words\nand a line")
    found = handed_on(ks)
    assert found["API_KEY"] == CANARY
    assert found["DB_PASSWORD"] == "two words\nand a line"


def test_with_json_stdout_is_the_childs_and_what_keystead_says_is_documents(ks: Commands) -> None:
    done = ks.good("run", "--json", "--", "sh", "-c", "echo out")
    assert done.out == b"out\n"
    assert [each["schema"] for each in documents(done.err)] == ["keystead.note/1"]
    for program, code in (("nowhere-to-be-found", 127), ("/", 126)):
        refused = ks("run", "--json", "--quiet", "--", program)
        assert (refused.code, refused.out) == (code, b"")
        assert program in json.loads(refused.err)["error"]
    refused = ks("run", "--only", "NOWHERE", "--json", "--", "true")
    assert (refused.code, json.loads(refused.err)["code"]) == (3, "KS1101")


def test_the_childs_output_is_all_there_is(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    done = ks.good("run", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.out, done.err) == (b"out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 2, 7, 255])
def test_the_exit_code_is_the_childs(ks: Commands, code: int) -> None:
    assert ks("run", "--", "sh", "-c", f"exit {code}").code == code


def test_the_process_is_the_child(ks: Commands) -> None:
    process = ks.start("run", "--", "sh", "-c", "echo $$", stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_a_signal_reaches_the_child_and_ends_it(ks: Commands, number: signal.Signals) -> None:
    process = ks.start("run", "--", "sh", "-c", "echo ready; exec sleep 60", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(timeout=60) == -number
    process.stdout.close()


def test_a_child_that_handles_a_signal_ends_as_it_likes(ks: Commands) -> None:
    code = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    process = ks.start("run", "--", "sh", "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(timeout=60) == 7
    process.stdout.close()


def test_a_child_whose_reader_is_gone_ends_by_its_signal(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    process = ks.start("run", "--", "sh", "-c", "exec yes", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


def test_the_child_has_the_terminal_and_its_colours(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    code = "import sys; print(sys.stdout.isatty(), '\\033[31mred\\033[0m')"
    shown = ks.terminal("run", "--", sys.executable, "-c", code)
    assert shown.screen == "True \033[31mred\033[0m\n"


def test_what_opens_the_store_is_not_handed_on(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    found = handed_on(
        ks,
        env={
            "KMS_MASTER_KEY_FILE": str(ks.store / "master.key"),
            "KEYSTEAD_URL": str(ks.store),
            "KMS_PASSPHRASE_FD": "9",
            "OTHER": "kept",
        },
    )
    assert found["OTHER"] == "kept"
    assert [name for name in found if name.startswith(("KMS_", "KEYSTEAD_"))] == []


def test_the_childs_environment_is_not_the_parents_nor_its_argv(ks: Commands) -> None:
    ks.good("set", "A", input=CANARY)
    found = ks.good("run", "--", "sh", "-c", f"tr '\\0' ' ' < /proc/self/cmdline; cat /proc/{os.getpid()}/environ")
    assert CANARY not in found.text


def test_only_what_is_named_is_handed_on(ks: Commands) -> None:
    for name in ("A", "B", "C"):
        ks.good("set", name, input=f"value-{name}")
    found = handed_on(ks, "--only", "A, C")
    assert (found["A"], found.get("B"), found["C"]) == ("value-A", None, "value-C")
    assert ks("run", "--only", "A,NOWHERE", "--", "true").code == 3
    assert ks("run", "--only", "", "--", "true").code == 2


def test_a_prefix_chooses_a_folder_of_names_and_leaves_their_variables(ks: Commands) -> None:
    for name in ("prod/db/password", "prod/token", "production", "test/token"):
        ks.good("set", name, input=name)
    found = handed_on(ks, "prod")
    assert (found["DB_PASSWORD"], found["TOKEN"]) == ("prod/db/password", "prod/token")
    assert "PRODUCTION" not in found
    assert handed_on(ks, "prod/", "--prefix", "X_")["X_TOKEN"] == "prod/token"
    assert handed_on(ks, "prod", "--whole-names")["PROD_TOKEN"] == "prod/token"
    only = handed_on(ks, "prod", "--only", "token")
    assert (only["TOKEN"], only.get("DB_PASSWORD")) == ("prod/token", None)


def test_a_prefix_that_no_variable_begins_with_is_refused(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    for before in ("1", "A=", "a b", "-", "é"):
        assert ks("run", "--prefix", before, "--", "true").code == 2


def test_two_secrets_of_one_variable_are_an_error_and_nothing_runs(ks: Commands) -> None:
    ks.good("set", "db-password", input="x")
    ks.good("set", "db/password", input="y")
    refused = ks("run", "--", "touch", "ran")
    assert refused.code == 6
    assert "DB_PASSWORD" in refused.err
    assert not (ks.folder / "ran").exists()


def test_expired_secrets_are_left_out_with_a_word(ks: Commands) -> None:
    ks.good("set", "OLD", "--ttl", "1ms", input="x")
    ks.good("set", "NEW", input="y")
    done = ks.good("run", "--", sys.executable, "-c", SHOW)
    assert "OLD" not in json.loads(done.out)
    assert "OLD" in done.err
    assert ks("run", "--only", "OLD", "--", "true").code == 9


def test_secrets_that_went_with_their_data_key_are_listed_as_destroyed_and_left_out_with_a_word(ks: Commands) -> None:
    ks.good("set", "GONE", input="x")
    old = ks.good("keys", "list", "--json").document["keys"][0]["id"]
    ks.good("keys", "rotate")
    ks.good("set", "NEW", input="y")
    ks.good("keys", "destroy", old, "--yes")
    assert [line.split("\t")[0::3] for line in ks.good("list").text.splitlines()] == [
        ["GONE", "destroyed"],
        ["NEW", "live"],
    ]
    done = ks.good("run", "--", sys.executable, "-c", SHOW)
    assert "GONE" not in json.loads(done.out)
    assert "GONE" in done.err
    refused = ks("run", "--only", "GONE", "--", "true")
    assert refused.code == 3
    assert "keystead set GONE" in refused.err
    ks.good("set", "GONE", input="new")
    assert ks.good("list", "GONE").text.split("\t")[3] == "live"


def test_bytes_that_no_variable_can_hold_are_an_error(ks: Commands) -> None:
    ks.good("set", "BLOB", "--bytes", input=b"a\0b")
    refused = ks("run", "--", "true")
    assert refused.code == 2
    assert "BLOB" in refused.err


def test_without_two_dashes_the_first_word_begins_the_command(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    assert ks.good("run", "sh", "-c", 'echo "$A $1"', "-", "--json").text == "x --json\n"
    assert ks.good("exec", "sh", "-c", "echo $A").text == "x\n"


def test_what_stands_behind_the_dashes_is_the_childs_alone(ks: Commands) -> None:
    done = ks.good("run", "--", "echo", "--json", "--only", "--", "-s")
    assert done.text == "--json --only -- -s\n"


def test_a_command_that_is_not_there_or_cannot_run_ends_as_in_a_shell(ks: Commands) -> None:
    missing = ks("run", "--", "no-such-program-here")
    assert (missing.code, "no such program" in missing.err) == (127, True)
    (ks.folder / "data").write_text("x")
    assert ks("run", "--", "./data").code == 126
    assert ks("run", "--").code == 2
    assert ks("run").code == 2
    assert ks("run", "a", "b", "--", "true").code == 2


def test_an_argument_that_holds_a_value_gets_a_hint(ks: Commands) -> None:
    ks.good("set", "TOKEN", input=CANARY)
    done = ks.good("run", "--", "true", f"--token={CANARY}")
    assert "argument" in done.err
    assert CANARY not in done.err
    assert ks.good("run", "--", "true", "--token").err == ""


def test_nothing_of_a_locked_store_is_run(ks: Commands) -> None:
    (ks.store / "master.key").unlink()
    assert ks("run", "--", "touch", "ran").code == 5
    assert not (ks.folder / "ran").exists()


def test_no_descriptor_of_the_store_reaches_the_child(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    done = ks.good("run", "--", sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))")
    # the fourth is the listing's own
    assert done.text == "['0', '1', '2', '3']\n"


def test_the_audit_log_is_closed_before_the_child_begins(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    process = ks.start("run", "--", "sh", "-c", "echo ready; exec sleep 60", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        report = ks.good("audit", "verify", "--without-key", "--json").document
        assert [chain["status"] for chain in report["chains"]] == ["closed"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_ctrl_c_at_a_terminal_ends_the_child(ks: Commands) -> None:
    shown = ks.terminal("run", "--", "sh", "-c", "echo ready; exec sleep 60", answers=[("ready", "\x03")])
    assert shown.code == -signal.SIGINT


def test_a_value_in_memory_is_gone_with_the_process_that_read_it(ks: Commands) -> None:
    """exec replaces the whole image: what is left is the environment that was asked for."""
    ks.good("set", "A", input=CANARY)
    process = ks.start("run", "--only", "A", "--", "sleep", "60")
    place, held = Path(f"/proc/{process.pid}"), b""
    deadline = time.monotonic() + 60
    # In the midst of an exec the name is the new one already, and the environment is not there yet.
    while not held and time.monotonic() < deadline:
        time.sleep(0.02)
        held = (place / "environ").read_bytes() if (place / "comm").read_text() == "sleep\n" else b""
    process.kill()
    process.wait()
    assert held.count(CANARY.encode()) == 1
