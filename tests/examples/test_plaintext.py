"""The search that shows that no plaintext is in a file: it finds each way of writing one, and nothing else."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from examples.tour.plaintext import WINDOW, search, search_apart
from hypothesis import given, settings
from hypothesis import strategies as st

VALUE = "mongodb://shop:correct-horse@db.example.net/shop ünïcödé"
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "hex": lambda data: data.hex().encode(),
    "upper hex": lambda data: data.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, len(VALUE.encode()) - WINDOW), before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_eight_bytes_of_a_value_are_found_in_each_way_of_writing_them(
    tmp_path_factory: pytest.TempPathFactory, way: str, start: int, before: bytes, after: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / f"window-{way}"
    part = VALUE.encode()[start : start + WINDOW]
    file.write_bytes(b"..." + WAYS[way](before + part + after) + b"...")
    assert search({"URI": VALUE}, [file]).found == {str(file): ["URI"]}


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "random").write_bytes(os.urandom(200_000))
    (tmp_path / "seven").write_bytes(b"mongodb:" + b"." + b"correct" + b"." + b"horse@")
    findings = search({"OTHER": VALUE.replace("mongodb:", "")}, [tmp_path])
    assert (findings.files, findings.found) == (2, {})
    assert findings.bytes == 200_000 + 23


def test_a_process_of_its_own_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"connecting to {VALUE}\n", "utf-8")
    values = {"URI": VALUE, "OTHER": "entirely different"}
    assert search_apart(values, tmp_path) == search(values, [tmp_path])
    assert search_apart(values, tmp_path).names == {"URI"}


def test_a_value_too_short_to_mean_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fewer than 8 bytes"):
        search({"SHORT": "1234567"}, [tmp_path])
