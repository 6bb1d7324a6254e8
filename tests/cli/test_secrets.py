"""set, get, list, history, rotate, rm."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, Commands


def test_what_was_set_is_printed_by_get_and_nothing_else_is(ks: Commands) -> None:
    ks.good("set", "API_KEY", input=CANARY + "\n")
    got = ks.good("get", "API_KEY")
    assert (got.out, got.err) == (CANARY.encode(), "")


def test_one_newline_at_the_end_of_the_input_is_dropped_and_no_more(ks: Commands) -> None:
    ks.good("set", "A", input="two\n\n")
    ks.good("set", "B", "--keep-newline", input="one\n")
    ks.good("set", "C", input="dos\r\n")
    assert [ks.good("get", name).out for name in "ABC"] == [b"two\n", b"one\n", b"dos\r"]


def test_a_value_on_the_command_line_is_refused_and_both_ways_that_work_are_named(ks: Commands) -> None:
    refused = ks("set", "API_KEY", CANARY)
    assert refused.code == 2
    assert "prompt" in refused.err
    assert "stdin" in refused.err
    assert CANARY not in refused.err
    assert ks("get", "API_KEY").code == 3


def test_name_equals_value_is_refused_without_repeating_the_value(ks: Commands) -> None:
    for words in (["API_KEY", "=", CANARY], [f"API_KEY={CANARY}:x"], ["--value", CANARY], ["API_KEY", f"--{CANARY}"]):
        refused = ks("set", *words, input="x")
        assert refused.code == 2
        assert CANARY not in refused.err


def test_a_value_comes_from_a_file(ks: Commands) -> None:
    (ks.folder / "token").write_text(CANARY + "\n")
    ks.good("set", "TOKEN", "--from-file", "token")
    assert ks.good("get", "TOKEN").text == CANARY
    ks.good("set", "TOKEN", "--from-file", "-", input="piped")
    assert ks.good("get", "TOKEN").text == "piped"
    missing = ks("set", "TOKEN", "--from-file", "nowhere")
    assert missing.code == 1
    assert str(ks.folder / "nowhere") in missing.err


def test_bytes_are_kept_as_they_are(ks: Commands) -> None:
    data = bytes(range(256)) + b"\n"
    refused = ks("set", "BLOB", input=data)
    assert refused.code == 2
    assert "--bytes" in refused.err
    ks.good("set", "BLOB", "--bytes", input=data)
    assert ks.good("get", "BLOB").out == data
    document = ks.good("get", "BLOB", "--json").document
    assert base64.b64decode(document["value_base64"]) == data


def test_an_empty_value_is_refused(ks: Commands) -> None:
    assert ks("set", "A", input="").code == 2
    assert ks("set", "A", input="\n").code == 2


def test_a_value_over_64_kib_is_refused_whole(ks: Commands) -> None:
    ks.good("set", "BIG", input="x" * 65_536 + "\n")
    assert len(ks.good("get", "BIG").out) == 65_536
    assert ks("set", "BIGGER", input="x" * 65_537).code == 2
    assert ks("set", "BIGGER", input="x" * 10_000_000).code == 2


def test_a_value_is_asked_for_twice_on_a_terminal_and_never_shown(ks: Commands) -> None:
    shown = ks.terminal("set", "TYPED", answers=[("Value of TYPED", CANARY), ("epeat", CANARY)])
    assert shown.code == 0
    assert CANARY not in shown.screen
    assert ks.good("get", "TYPED").text == CANARY


def test_what_is_typed_in_another_encoding_is_refused_in_words(ks: Commands) -> None:
    shown = ks.terminal("set", "A", answers=[("Value of A", b"caf\xe9")], env={"LC_ALL": "C.UTF-8"})
    assert shown.code == 2
    assert "encoding of this terminal" in shown.screen
    assert "xe9" not in shown.screen
    assert ks("get", "A").code == 3


def test_get_on_a_terminal_says_that_the_value_is_in_the_scrollback(ks: Commands) -> None:
    ks.good("set", "A", input="shown")
    shown = ks.terminal("get", "A")
    assert "shown\n" in shown.screen
    assert "scrollback" in shown.screen


def test_get_says_nothing_on_the_terminal_while_its_output_goes_to_a_pipe(ks: Commands) -> None:
    ks.good("set", "A", input="piped")
    reading, writing = os.pipe()
    shown = ks.terminal("get", "A", stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"piped"
    assert "scrollback" not in shown.screen


def test_a_rule_makes_values_at_set_and_at_rotation(ks: Commands) -> None:
    ks.good("set", "MADE", "--generate", "hex:64")
    first = ks.good("get", "MADE").text
    ks.good("rotate", "MADE")
    second = ks.good("get", "MADE").text
    assert len(first) == len(second) == 64
    assert first != second
    assert ks.good("get", "MADE#previous").text == first
    assert ks("set", "MADE", "--generate", "dice:6").code == 2
    assert ks("set", "MADE", "--generate", "hex:64", "--from-file", "-", input="x").code == 2


def test_rotation_takes_a_value_from_stdin_or_a_file_where_there_is_no_rule(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    ks.good("rotate", "A", input="two\n")
    (ks.folder / "new").write_text("three")
    ks.good("rotate", "A", "--from-file", "new")
    assert [ks.good("get", f"A#{n}").text for n in (1, 2, 3)] == ["one", "two", "three"]
    assert ks("rotate", "A", CANARY).code == 2
    assert ks("rotate", "A").code == 2
    assert ks("rotate", "NOWHERE", input="x").code == 3


def test_rotation_asks_on_a_terminal_where_there_is_no_rule(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    shown = ks.terminal("rotate", "A", answers=[("New value of A", CANARY), ("epeat", CANARY)])
    assert shown.code == 0
    assert CANARY not in shown.screen
    assert ks.good("get", "A").text == CANARY


def test_rotation_of_a_compromised_value_leaves_no_previous(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    ks.good("rotate", "A", "--compromised", input="two")
    assert ks("get", "A#previous").code == 3
    ks.good("rotate", "A", "--grace", "1h", input="three")
    assert ks.good("get", "A#previous").text == "two"
    assert ks("rotate", "A", "--grace", "1h", "--compromised", input="four").code == 2


def test_only_the_expected_version_is_replaced(ks: Commands) -> None:
    ks.good("set", "A", "--expected-version", "0", input="one")
    conflict = ks("set", "A", "--expected-version", "0", input="two")
    assert conflict.code == 6
    assert "KS1301" in conflict.err
    ks.good("set", "A", "--expected-version", "1", input="two")
    assert ks.good("get", "A").text == "two"


def test_list_shows_names_and_never_values(ks: Commands) -> None:
    for name in ("db/primary", "db/replica", "mail/token"):
        ks.good("set", name, "--tag", "team=core" if "db" in name else "team=mail", input=CANARY)
    piped = ks.good("list")
    assert [line.split("\t")[0] for line in piped.text.splitlines()] == ["db/primary", "db/replica", "mail/token"]
    assert [line.split("\t")[0] for line in ks.good("list", "db/").text.splitlines()] == ["db/primary", "db/replica"]
    assert ks.good("list", "--tag", "team=mail").text.startswith("mail/token\t")
    document = ks.good("list", "--json").document
    assert document["schema"] == "keystead.list/1"
    assert [item["name"] for item in document["secrets"]] == ["db/primary", "db/replica", "mail/token"]
    shown = ks.terminal("list")
    assert "NAME" in shown.screen
    for text in (piped.text, str(document), shown.screen):
        assert CANARY not in text


def test_list_goes_through_all_pages_unless_a_limit_is_given(ks: Commands) -> None:
    text = "".join(f"NAME_{number:04d}=value{number}\n" for number in range(1_050))
    (ks.folder / "many.env").write_text(text)
    ks.good("env", "import", "many.env")
    assert len(ks.good("list").text.splitlines()) == 1_050
    limited = ks.good("list", "--limit", "3", "--json").document
    assert [item["name"] for item in limited["secrets"]] == ["NAME_0000", "NAME_0001", "NAME_0002"]
    assert limited["next"] == "NAME_0002"
    assert ks("list", "--limit", "0").code == 2


def test_deleted_secrets_are_listed_apart_and_come_back(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    ks.good("rm", "A", "--yes")
    assert ks("get", "A").code == 3
    assert ks.good("list").text == ""
    assert ks.good("list", "--deleted").text.startswith("A\t")
    ks.good("rm", "A", "--undo")
    assert ks.good("get", "A").text == "one"


def test_a_destroyed_secret_does_not_come_back(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    ks.good("rm", "A", "--destroy", "--yes")
    assert ks("rm", "A", "--undo").code == 3
    assert ks("get", "A").code == 3


def test_one_version_is_destroyed_by_its_number(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    ks.good("set", "A", input="two")
    ks.good("rm", "A#1", "--destroy", "--yes")
    assert ks("get", "A#1").code == 3
    assert ks.good("get", "A").text == "two"
    assert ks("rm", "A#2", "--yes").code == 2
    assert ks("rm", "A#current", "--destroy", "--yes").code == 2


def test_removing_asks_for_the_name_on_a_terminal(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    wrong = ks.terminal("rm", "A", answers=[("A", "B")])
    assert wrong.code == 2
    assert ks.good("get", "A").text == "one"
    right = ks.terminal("rm", "A", answers=[("Type", "A")])
    assert right.code == 0
    assert ks("get", "A").code == 3


def test_removing_without_a_terminal_needs_yes(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    for words in (["rm", "A"], ["rm", "A", "--destroy"]):
        refused = ks(*words, input="A\n")
        assert refused.code == 2
        assert "--yes" in refused.err
    assert ks.good("get", "A").text == "one"


def test_history_shows_each_version_with_its_labels(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    ks.good("rotate", "A", input="two")
    lines = [line.split("\t") for line in ks.good("history", "A").text.splitlines()]
    assert [line[:2] for line in lines] == [["1", "previous"], ["2", "current"]]
    document = ks.good("history", "A", "--json").document
    assert [item["labels"] for item in document["versions"]] == [["previous"], ["current"]]
    assert ks("history", "NOWHERE").code == 3


def test_a_secret_whose_ttl_is_over_is_expired_to_get(ks: Commands) -> None:
    ks.good("set", "SHORT", "--ttl", "1ms", input="one")
    expired = ks("get", "SHORT")
    assert expired.code == 9
    assert "KS1401" in expired.err
    assert ks.good("list", "--expired").text.startswith("SHORT\t")
    assert ks("set", "SHORT", "--ttl", "90", input="one").code == 2


def test_ttl_and_tags_are_kept_by_the_next_set_and_dropped_when_told(ks: Commands) -> None:
    ks.good("set", "A", "--ttl", "90d", "--tag", "a=b", input="one")
    ks.good("set", "A", input="two")
    kept = ks.good("list", "--json").document["secrets"][0]
    assert (kept["ttl_ms"], kept["tags"]) == (90 * 86_400_000, {"a": "b"})
    ks.good("set", "A", "--ttl", "none", input="three")
    assert ks.good("list", "--json").document["secrets"][0]["ttl_ms"] is None


def test_get_with_json_adds_what_is_known_of_the_version(ks: Commands) -> None:
    ks.good("set", "A", "--ttl", "1d", "--tag", "a=b", input=CANARY)
    document = ks.good("get", "A", "--json").document
    assert document["schema"] == "keystead.get/1"
    assert (document["name"], document["version"], document["value"]) == ("A", 1, CANARY)
    assert document["tags"] == {"a": "b"}
    assert document["expires_ms"] > document["created_ms"]


@pytest.mark.parametrize("words", [["set", "A"], ["rotate", "A"]])
def test_a_value_stands_in_no_process_listing_while_it_is_stored(ks: Commands, words: list[str]) -> None:
    if words[0] == "rotate":
        ks.good("set", "A", input="before")
    process = ks.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(CANARY.encode())
    process.stdin.flush()
    listing = b""
    for name in ("cmdline", "environ"):
        listing += (Path("/proc") / str(process.pid) / name).read_bytes()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert CANARY.encode() not in listing + out + err
