"""What the documents show is what happens: every block is run, compared or parsed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import NAMES, ROOT, Block, blocks
from tests.docs.running import Shell, alike, clean_environment, commands, matches

from keystead.config.dotenv import parse
from keystead.node.location import in_folder
from keystead.node.settings import load_settings

# Blocks that are shown and not run. Each has its reason beside it; more of them want a better reason.
SHOWN_ONLY = 1
PICTURES = {"", "text"}
RUN = {"python", "console", "toml", "dotenv", "json"}
_PRINTED = re.compile(r"^\s*print\(.*\)  # (.*)$", re.MULTILINE)


class Reader:
    """Somebody who follows one page from top to bottom, in one folder and one Python session."""

    def __init__(self, folder: Path, home: Path, module: types.ModuleType) -> None:
        self._folder, self._home, self._module = folder, home, module
        self._shell: Shell | None = None

    def follow(self, block: Block) -> None:
        """Do what a block shows; AssertionError where something else comes out."""
        getattr(self, f"_{block.language}")(block)

    def _python(self, block: Block) -> None:
        code = compile("\n" * (block.line - 1) + block.text, str(ROOT / block.page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, self._module.__dict__)
        shown = _PRINTED.findall(block.text)
        if shown:
            assert alike(printed.getvalue()) == alike("\n".join(shown)), f"{block} prints something else"

    def _console(self, block: Block) -> None:
        self._shell = self._shell or Shell(self._folder, self._home)
        for command, shown in commands(block.text):
            came, code = self._shell.run(command)
            assert matches(shown, came), f"{block}: $ {command}\n{came}\nis not what is shown:\n{shown}"
            assert (code != 0) == ("error: " in shown), f"{block}: $ {command}\nends with {code}\n{came}"

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.text)
        place = self._folder / "settings-of-a-page"
        place.mkdir(exist_ok=True)
        (place / "keystead.toml").write_text(block.text)
        load_settings(in_folder(place / ".keystead", {}, explicit=True))

    def _dotenv(self, block: Block) -> None:
        assert parse(block.text), f"{block} assigns nothing"

    def _json(self, block: Block) -> None:
        json.loads(block.text)

    def close(self) -> None:
        """End what was begun."""
        if self._shell is not None:
            self._shell.close()


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    folder, home = tmp_path / "shop", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if re.match(r"(KMS|KEYSTEAD)_|LOG_LEVEL$", name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    following = Reader(folder, home, module)
    yield following
    following.close()


@pytest.mark.parametrize("name", [name for name in NAMES if any(b.language in RUN for b in blocks(name))])
def test_following_a_page_gives_what_it_shows(name: str, reader: Reader) -> None:
    followed = [block for block in blocks(name) if block.language in RUN and not block.shown_only]
    for block in followed:
        reader.follow(block)
    assert followed or all(block.shown_only for block in blocks(name))


def test_every_block_says_what_it_is_and_nothing_to_run_hides_as_a_picture() -> None:
    every = [block for name in NAMES for block in blocks(name)]
    assert {block.language for block in every} <= RUN | PICTURES
    hidden = [
        str(block)
        for block in every
        if block.language in PICTURES and re.search(r"^(\$ |>>> |import |from \w+ import )", block.text, re.MULTILINE)
    ]
    assert hidden == []


def test_blocks_that_are_only_shown_are_few_and_give_a_reason() -> None:
    shown = [str(block) for name in NAMES for block in blocks(name) if block.shown_only]
    assert len(shown) == SHOWN_ONLY, shown


def test_a_wrong_output_a_failing_command_and_a_wrong_print_are_noticed(reader: Reader) -> None:
    def shown(language: str, text: str) -> Block:
        return Block("README.md", 1, language, text, "")

    reader.follow(shown("console", "$ echo one; echo two\none\n...\n$ cd ..\n"))
    reader.follow(shown("python", "print(1 + 1)  # 2\n"))
    for wrong in (
        shown("console", "$ echo one\ntwo\n"),
        shown("console", "$ false\n"),
        shown("console", "$ echo error: all is well\nerror: all is well\n"),
        shown("python", "print(1 + 1)  # 3\n"),
    ):
        with pytest.raises(AssertionError):
            reader.follow(wrong)


def test_a_readers_shell_has_no_setting_of_keysteads_and_this_environments_commands(tmp_path: Path) -> None:
    assert not [name for name in clean_environment(tmp_path) if name.startswith(("KMS_", "KEYSTEAD_"))]
    assert (Path(clean_environment(tmp_path)["PATH"].split(":")[0]) / "keystead").exists()
