"""The list in docs/attacks.md: each number once, each file there, and each number in the names of its tests."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "attacks.md").read_text("utf-8")
ROWS = re.findall(r"(?m)^\| (T\d+) \| [^|]+ \|([^|]*)\|([^|]*)\|$", PAGE)


def files_of(cell: str) -> list[str]:
    """The paths in a cell; one without a folder lies beside the one before it."""
    found: list[str] = []
    for name in re.findall(r"`((?:tests/)?[\w/]+(?:\.py|/))`", cell):
        found.append(name if "/" in name else f"{found[-1].rpartition('/')[0]}/{name}")
    return found


def test_each_number_has_a_row_and_each_row_files_that_are_there() -> None:
    assert [number for number, _, _ in ROWS] == [f"T{number}" for number in range(41, 76)]
    for _, server, process in ROWS:
        for name in (*files_of(server), *files_of(process)):
            assert (ROOT / name).exists(), name


def test_each_attack_on_a_server_has_its_number_in_the_name_of_a_test_of_each_file() -> None:
    for number, server, _ in ROWS:
        files = files_of(server)
        assert files or "not a server's" in server, number
        for name in files:
            text = (ROOT / name).read_text("utf-8")
            assert re.search(rf"def test_(t\d+_and_)*{number.lower()}_", text), (number, name)
