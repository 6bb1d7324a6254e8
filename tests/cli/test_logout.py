"""logout, and what becomes of an access token that cannot be kept, or not be read where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Commands

from keystead.cli.kept_token import KeptToken

WORDS = "correct horse battery"
FAST = "password_iterations = 2\npassword_lanes = 1\npassword_memory_kib = 19456\n"


@pytest.fixture
def state(ks: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the token of a login is kept, in a store whose passwords are cheap."""
    (ks.folder / "keystead.toml").write_text(FAST)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "keystead"


def kept(state: Path) -> Path:
    (path,) = state.iterdir()
    return path


def live(ks: Commands) -> list[str]:
    found = ks.good("token", "list", "--json").document["tokens"]
    return [each["accessor"] for each in found if each["ended"] is None]


def test_logout_ends_the_token_of_a_file_that_others_could_read(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    ks.good("login", "ada", input=WORDS)
    kept(state).chmod(0o644)
    assert ks.good("logout", "--json").document == {
        "schema": "keystead.logout/1",
        "was_logged_in": True,
        "revoked": 1,
    }
    assert live(ks) == [] and list(state.iterdir()) == []


def test_logout_says_so_where_it_cannot_end_the_token(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    ks.good("login", "ada", input=WORDS)
    path = kept(state)
    path.write_bytes(b"x" * 20_000)
    told = ks.good("logout").err
    assert told.startswith("logged out\n") and "could not be read" in told
    path.mkdir()
    refused = ks("logout")
    assert (refused.code, str(path) in refused.err) == (1, True)


def test_a_login_that_cannot_be_kept_leaves_no_token_behind(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    state.parent.write_text("in the way")
    refused = ks("login", "ada", input=WORDS)
    assert refused.code == 1 and str(state) in refused.err
    assert live(ks) == []
    assert ks.good("logout").err == "nobody was logged in\n"


def test_who_has_no_home_is_nobody_who_logged_in(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user the system does not know."""

    def gone() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", gone)
    assert KeptToken("a-store-that-nobody-has").read() is None


@pytest.mark.parametrize("held", [b"", b"\n", b"\xff", None])
def test_a_file_that_holds_no_token_makes_nobody_the_owner(ks: Commands, tmp_path: Path, held: bytes | None) -> None:
    """As one that was truncated on a full disk, or is written a moment later."""
    path = tmp_path / "token"
    if held is not None:
        path.write_bytes(held)
    env = {"KEYSTEAD_TOKEN_FILE": str(path)}
    refused = ks("whoami", env=env)
    assert refused.code == 1 and str(path) in refused.err and "KEYSTEAD_TOKEN_FILE" in refused.err
    path.write_text("ks_svc_nonsense")
    assert "of KEYSTEAD_TOKEN_FILE is not accepted" in ks("whoami", env=env).err


@pytest.mark.parametrize("variable", ["KEYSTEAD_TOKEN", "KEYSTEAD_TOKEN_FILE"])
def test_an_empty_variable_for_a_token_makes_nobody_the_owner(ks: Commands, tmp_path: Path, variable: str) -> None:
    """As in a job whose secret was renamed."""
    refused = ks("whoami", env={variable: ""})
    assert refused.code == 2 and f"{variable} is set, and empty" in refused.err
    if variable == "KEYSTEAD_TOKEN":
        (tmp_path / "token").write_text("ks_svc_nonsense")
        both = ks("whoami", env={variable: "", "KEYSTEAD_TOKEN_FILE": str(tmp_path / "token")})
        assert "of KEYSTEAD_TOKEN_FILE is not accepted" in both.err
