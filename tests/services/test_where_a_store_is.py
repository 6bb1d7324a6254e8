"""Where a store is looked for, and what is said where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

import keystead
from keystead.errors import MasterKeyMissing, StoreNotFound


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


@pytest.mark.parametrize("url", [".keystead", "app.db", "data"])
def test_key_and_settings_are_looked_for_beside_the_store_and_nowhere_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, url: str
) -> None:
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    monkeypatch.chdir(project)
    for name in ("KMS_MASTER_KEY", "KMS_MASTER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    keystead.connect(url, master_key=key).close()
    for folder, grace in ((tmp_path, "1h"), (project, "2h")):
        with pytest.raises(MasterKeyMissing) as caught:
            keystead.connect(url)
        assert f"{project / '.env'}: no such file" in caught.value.looked_at
        (folder / ".env").write_text(f"KMS_MASTER_KEY={key}\n")
        (folder / ".env").chmod(0o600)
        (folder / "keystead.toml").write_text(f'rotation_grace = "{grace}"\n')
    with keystead.connect(url) as store:
        assert store.kms.node.settings.rotation_grace_ms == 7_200_000
        assert f"the key was found in {project / '.env'}" in store.kms.notices
