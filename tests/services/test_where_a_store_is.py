"""Where a store is looked for, and what is said where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

import keystead
from keystead.errors import StoreNotFound


def test_without_a_store_the_error_tells_each_folder_that_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project" / "src"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("KEYSTEAD_URL", raising=False)
    with pytest.raises(StoreNotFound) as caught:
        keystead.connect()
    folders = (here, *here.parents)
    assert caught.value.looked_at == tuple(map(str, folders))
    assert caught.value.why == f"looked in {', '.join(map(str, folders))}"
    assert "keystead init" in caught.value.hint
    assert list(tmp_path.rglob(".keystead")) == []
