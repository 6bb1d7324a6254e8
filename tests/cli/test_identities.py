"""login, logout, whoami, token, user, role: who acts, and where what proves it lies."""

from __future__ import annotations

import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cli.conftest import Commands
from tests.leaks.scenes import code_of
from tests.methods import issuing
from tests.methods.authorities import SPIFFE, root
from tests.methods.serving import VALID

from keystead.cli.kept_token import Kept, KeptToken

WORDS = "correct horse battery"
FAST = "password_iterations = 2\npassword_lanes = 1\npassword_memory_kib = 19456\n"


@pytest.fixture
def state(ks: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the token of a login is kept, in a store whose passwords are cheap."""
    (ks.folder / "keystead.toml").write_text(FAST)
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder / "keystead"


def kept(state: Path) -> Path:
    (path,) = state.iterdir()
    return path


def test_a_person_logs_in_acts_and_logs_out(ks: Commands, state: Path) -> None:
    ks.good("set", "A", input="x")
    made = ks.good("user", "create", "ada", "--policy", "reader", "--ttl", "1h", input=WORDS + "\n")
    assert "keystead login ada" in made.err
    done = ks.good("login", "ada", input=WORDS + "\n")
    assert done.out == b"" and "logged in as user:ada until" in done.err
    assert stat.S_IMODE(kept(state).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    me = ks.good("whoami", "--json").document
    assert (me["principal"], me["method"], me["policies"]) == ("user:ada", "password", ["reader"])
    refused = ks("set", "A", input="y")
    assert refused.code in (3, 4)
    assert "as    user:ada" in refused.err
    token = kept(state).read_text().strip()
    assert ks.good("logout").err == "logged out\n"
    assert list(state.iterdir()) == []
    assert ks("whoami", env={"KEYSTEAD_TOKEN": token}).code == 4
    assert ks.good("whoami", "--json").document["principal"].startswith("local:")
    assert ks.good("logout").err == "nobody was logged in\n"


def test_a_wrong_password_is_refused_without_a_word_of_why(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    texts = {ks("login", name, input=word).err for name, word in (("ada", "wrong"), ("eve", WORDS), ("Ada", WORDS))}
    assert len(texts) == 1 and "KS1203" in texts.pop()
    for _ in range(4):
        ks("login", "ada", input="wrong")
    locked = ks("login", "ada", input=WORDS)
    assert locked.code == 4 and "KS1204" in locked.err
    ks.good("user", "passwd", "ada", input=WORDS)
    ks.good("login", "ada", input=WORDS)


def test_the_password_is_asked_for_unseen(ks: Commands, state: Path) -> None:
    made = ks.terminal(
        "user", "create", "ada", answers=[("Password of ada", WORDS), ("epeat", WORDS)],
        env={"XDG_STATE_HOME": str(state.parent)},
    )  # fmt: skip
    assert made.code == 0
    done = ks.terminal("login", "ada", answers=[("Password of ada", WORDS)], env={"XDG_STATE_HOME": str(state.parent)})
    assert done.code == 0
    assert WORDS not in made.screen + done.screen


def test_a_second_factor_from_enrolling_to_a_code_within_a_login(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", "--policy", "reader", "--require-second-factor", input=WORDS)
    assert ks("login", "ada", input=WORDS).code == 4
    enrolled = ks.good("user", "enroll", "ada", "--json").document
    assert enrolled["secret"] in enrolled["uri"] and enrolled["uri"].startswith("otpauth://totp/keystead:ada?")
    ks.good("user", "confirm", "ada", input=code_of(enrolled["secret"]))
    assert "yes" in ks.good("user", "list").text
    ahead = code_of(enrolled["secret"], 1)
    assert ks("login", "ada", input=f"{WORDS}\n").code == 4
    ks.good("login", "ada", "--code", input=f"{WORDS}\n{ahead}\n")
    first = ks.good("whoami", "--json").document["mfa_ms"]
    assert ks("token", "verify", input=ahead).code == 4
    assert "second factor" in ks.good("whoami").text
    owner = {"XDG_STATE_HOME": "/nowhere"}
    ks.good("user", "unenroll", "ada", "--yes", env=owner)
    secret = ks.good("user", "enroll", "ada", "--json", env=owner).document["secret"]
    ks.good("user", "confirm", "ada", input=code_of(secret), env=owner)
    assert ks.good("token", "verify", "--json", input=code_of(secret, 1)).document["mfa_ms"] > first
    assert ks.good("whoami", "--json").document["mfa_ms"] > first
    for words in (("token", "verify", "123456"), ("login", "ada", "--code", "123456"), ("user", "confirm", "ada", "1")):
        assert ks(*words, input="x").code == 2, "a code is never taken from the command line"
    assert ks("login", "--method", "token", "--code", input="x").code == 2


def test_a_code_is_asked_for_unseen(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    secret = ks.good("user", "enroll", "ada", "--json").document["secret"]
    ks.good("user", "confirm", "ada", input=code_of(secret))
    code = code_of(secret, 1)
    answers = [("Password of ada", WORDS), ("Code of the second factor", code)]
    done = ks.terminal("login", "ada", "--code", answers=answers, env={"XDG_STATE_HOME": str(state.parent)})
    assert done.code == 0
    assert code not in done.screen


def test_what_proves_somebody_is_never_taken_from_the_command_line(ks: Commands, state: Path) -> None:
    token = ks.good("token", "create").text.strip()
    for words in (("lookup",), ("revoke",), ("renew",)):
        refused = ks("token", *words, token)
        assert refused.code == 2 and token not in refused.err
    assert ks("login", "ada", WORDS).code == 2
    assert ks("login", "--method", "token", token, input="x").code == 2
    assert ks("login", input=WORDS).code == 2
    assert ks("login", "ada").code == 2
    assert ks("login", "ada", input=b"\xff\xfe").code == 2
    assert ks.good("token", "lookup", "-", "--json", input=token).document["ended"] is None


def test_the_variable_goes_before_what_is_kept_and_errors_name_who_acted(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    ks.good("login", "ada", input=WORDS)
    other = ks.good("token", "create", "--name", "deploy", "--policy", "p", env={"XDG_STATE_HOME": "/nowhere"})
    env = {"KEYSTEAD_TOKEN": other.text.strip()}
    assert ks.good("whoami", "--json", env=env).document["principal"] == "token:deploy"
    refused = ks("list", "--json", env=env)
    assert refused.code == 4 and '"as": "token:deploy"' in refused.err
    assert "token:deploy" in ks("list", env=env).err
    bad = ks("list", env={"KEYSTEAD_TOKEN": "ks_svc_nonsense"})
    assert bad.code == 4 and "KEYSTEAD_TOKEN" in bad.err and "nonsense" not in bad.err
    assert "goes before" in ks.good("login", "ada", input=WORDS, env=env).err


def test_a_token_that_ended_says_how_to_go_on(ks: Commands, state: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    ks.good("login", "ada", input=WORDS)
    accessor = ks.good("whoami", "--json").document["accessor"]
    token = kept(state).read_text()
    kept(state).unlink()
    assert "1 access token ended" in ks.good("token", "revoke", accessor).err
    path = state / "token"
    path.write_text(token)
    (folder,) = (state,)
    path.rename(folder / f"token-{_store_id(ks)}")
    kept(state).chmod(0o600)
    ended = ks("list")
    assert ended.code == 4 and "keystead logout" in ended.err
    assert ks.good("logout").err == "logged out\n"
    ks.good("list")


def _store_id(ks: Commands) -> str:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(ks.store / "keystead.db")) as connection:
        return bytes(connection.execute("SELECT store_id FROM store").fetchone()[0]).hex()


@pytest.mark.parametrize("how", ["wide", "link"])
def test_a_kept_token_that_others_could_reach_is_refused(ks: Commands, state: Path, how: str) -> None:
    ks.good("user", "create", "ada", input=WORDS)
    ks.good("login", "ada", input=WORDS)
    path = kept(state)
    if how == "wide":
        path.chmod(0o640)
    else:
        path.rename(state.parent / "elsewhere")
        path.symlink_to(state.parent / "elsewhere")
    refused = ks("list")
    assert refused.code == 5
    assert ("chmod 600" if how == "wide" else "symbolic link") in refused.err
    assert "ks_usr_" not in refused.err
    ks.good("login", "ada", input=WORDS)
    assert not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o600


RING = """
import json, os, pathlib
PATH = pathlib.Path({path!r})
class Backend: priority = 5
def get_keyring(): return Backend()
def _all(): return json.loads(PATH.read_text()) if PATH.exists() else {{}}
def get_password(service, name):
    if "LOCKED" in os.environ: raise RuntimeError("locked")
    return _all().get(service + name)
def set_password(service, name, text): PATH.write_text(json.dumps({{**_all(), service + name: text}}))
def delete_password(service, name): PATH.write_text("{{}}")
"""


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A folder with a package keyring that keeps all in the file `ring.json` beside it."""
    package = tmp_path / "packages"
    package.mkdir()
    (package / "keyring.py").write_text(RING.format(path=str(tmp_path / "ring.json")))
    return package


def test_the_keyring_keeps_it_where_one_works(ks: Commands, state: Path, tmp_path: Path, ring: Path) -> None:
    ks.good("user", "create", "ada", input=WORDS)

    def fresh(*words: str, data: bytes = b"") -> str:
        done = ks.fresh(*words, input=data, env={"PYTHONPATH": str(ring), "XDG_STATE_HOME": str(state.parent)})
        assert done.code == 0, done.err
        return done.out.decode() + done.err

    assert "is in the keyring" in fresh("login", "ada", data=WORDS.encode())
    assert kept(state).read_bytes() == b"keyring\n"
    assert "ks_usr_" in (tmp_path / "ring.json").read_text()
    assert "user:ada" in fresh("whoami")
    assert "logged out" in fresh("logout")
    assert (tmp_path / "ring.json").read_text() == "{}" and list(state.iterdir()) == []


@pytest.mark.parametrize("how", ["locked", "removed", "emptied"])
def test_who_logged_in_never_acts_as_the_owner_since_a_keyring_gives_nothing(
    ks: Commands, state: Path, tmp_path: Path, ring: Path, how: str
) -> None:
    """As from a job without a desktop session."""
    ks.good("user", "create", "ada", input=WORDS)
    env = {"PYTHONPATH": str(ring), "XDG_STATE_HOME": str(state.parent)}
    assert ks.fresh("login", "ada", input=WORDS.encode(), env=env).code == 0
    if how == "emptied":
        (tmp_path / "ring.json").write_text("{}")
    without = {**env, **({"LOCKED": "1"} if how == "locked" else {"PYTHONPATH": ""} if how == "removed" else {})}
    for words in (("whoami",), ("list",)):
        done = ks.fresh(*words, env=without)
        assert done.code == 5, (done.code, done.out, done.err)
        assert "keystead logout" in done.err and "Traceback" not in done.err
        assert b"local:" not in done.out
    assert ks.fresh("logout", env=without).code == 0
    assert b"local:" in ks.fresh("whoami", env=without).out


def test_who_logs_in_again_is_logged_in_all_the_while(state: Path) -> None:
    """Else a command that comes between the old token and the new one would act as the owner."""
    kept = KeptToken("a-store")
    kept.write(Kept("ks_usr_first"))
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [kept.write(Kept(f"ks_usr_{number}")) for number in range(50)])
        while not writing.done():
            assert kept.read() is not None
    assert kept.read() == Kept("ks_usr_49")
    assert [path.name for path in state.iterdir()] == ["token-a-store"]


def test_a_machine_logs_in_to_a_role(ks: Commands, state: Path) -> None:
    role_id = ks.good("role", "create", "ci", "--policy", "deploy", "--secret-id-uses", "2").text.strip()
    secret = ks.good("role", "secret-id", "ci", "--meta", "host=b7").text.strip()
    token = ks.good("login", "--method", "role", role_id, "--print", input=secret).text.strip()
    assert not state.exists()
    me = ks.good("whoami", "--json", env={"KEYSTEAD_TOKEN": token}).document
    assert (me["principal"], me["method"]) == ("role:ci", "role")
    (listed,) = ks.good("role", "secret-ids", "ci", "--json").document["secret_ids"]
    assert listed["uses_left"] == 1
    assert ks("role", "secret-ids", "ci", "--destroy", secret).code == 2
    assert ks.good("role", "secret-ids", "ci", "--destroy", listed["accessor"]).out == b""
    assert ks("login", "--method", "role", role_id, input=secret).code == 4
    assert ks.good("role", "list").text.startswith(f"ci\t{role_id}\tdeploy\t")
    assert ks("role", "remove", "ci").code == 2
    ks.good("role", "rm", "ci", "--yes")
    assert ks("whoami", env={"KEYSTEAD_TOKEN": token}).code == 4


def test_tokens_are_made_listed_renewed_and_revoked_by_their_accessors(ks: Commands, state: Path) -> None:
    made = ks.good(
        "token", "create", "--name", "x", "--policy", "b", "--policy", "a", "--ttl", "1h", "--uses", "3",
        "--network", "10.0.0.0/8", "--meta", "team=shop", "--json",
    ).document  # fmt: skip
    assert (made["policies"], made["uses_left"], made["networks"]) == (["a", "b"], 3, ["10.0.0.0/8"])
    listed = ks.good("token", "list").text.splitlines()
    assert [line.split("\t")[:3] for line in listed] == [[made["accessor"], "token:x", "token"]]
    renewed = ks.good("token", "renew", made["accessor"], "--increment", "2h", "--json").document
    assert renewed["expires_ms"] > made["expires_ms"] and "token" not in renewed
    assert made["token"] not in ks.good("token", "lookup", made["accessor"]).text
    assert ks("token", "revoke").code == 2
    assert ks("token", "revoke", made["accessor"], "--principal", "token:x").code == 2
    assert ks.good("token", "revoke", "--principal", "token:x", "--json").document["revoked"] == 1
    assert "token-revoked" in ks.good("token", "list").text
    assert ks("token", "lookup", "acc_" + "0" * 32).code == 3
    once = ks.good("token", "create", "--not-renewable").text.strip()
    assert ks("token", "renew", env={"KEYSTEAD_TOKEN": once}).code == 2
    assert ks.good("token", "revoke", "-", input=once).err == "1 access token ended\n"


def test_users_are_listed_and_removed(ks: Commands, state: Path) -> None:
    for name in ("eve", "ada"):
        ks.good("user", "create", name, input=WORDS)
    assert [line.split("\t")[0] for line in ks.good("user", "list").text.splitlines()] == ["ada", "eve"]
    assert ks("user", "create", "ada", input=WORDS).code == 6
    assert ks("user", "create", "Ada", input=WORDS).code == 2
    assert ks("user", "create", "bob", input="short").code == 2
    assert ks("user", "remove", "ada").code == 2
    assert ks("user", "rm", "nobody", "--yes").code == 3
    ks.good("user", "rm", "ada", "--yes")
    assert [user["name"] for user in ks.good("user", "list", "--json").document["users"]] == ["eve"]


def test_logging_in_by_a_token_keeps_that_and_logging_out_may_leave_it_valid(ks: Commands, state: Path) -> None:
    token = ks.good("token", "create", "--name", "x").text.strip()
    ks.good("login", "--method", "token", input=token)
    assert kept(state).read_text().strip() == token
    ks.good("logout", "--keep")
    assert ks.good("whoami", "--json", env={"KEYSTEAD_TOKEN": token}).document["principal"] == "token:x"
    assert ks("login", "--method", "token", input=token[:-1]).code == 4


def issuers_token(**changed: object) -> str:
    now = int(time.time())
    return issuing.token(issuing.good_claims(iat=now, nbf=None, exp=now + 600, **changed))


def test_who_has_an_issuers_token_logs_in_with_it_on_stdin(ks: Commands, state: Path) -> None:
    config = json.dumps(issuing.config().to_json())
    assert ks.good("auth", "write", "github", "--kind", "jwt", "-", input=config).err.endswith("is at version 1\n")
    (ks.folder / "github.json").write_text(ks.good("auth", "read", "github").text)
    ks.good("auth", "write", "github", "--kind", "jwt", "github.json", "--expected-version", "1")
    assert ks.good("auth", "list", "--json").document["auth_methods"][0]["version"] == 2
    shown = issuers_token()
    ks.good("login", "--method", "jwt", "--name", "github", input=shown + "\n")
    assert ks.good("whoami", "--json").document["principal"] == "jwt:github/ada"
    for words in (("--name", "nowhere"), ("--name", "GitHub")):
        refused = ks("login", "--method", "jwt", *words, input=shown)
        assert refused.code == 4 and "KS1203" in refused.err and shown not in refused.err
    for words in ((), ("ada", "--name", "github"), ("--name", "github", "--cert", "x")):
        assert ks("login", "--method", "jwt", *words, input=shown).code == 2
    ks.good("logout")
    ks.good("login", "--method", "jwt", "--name", "github", input=shown)
    assert ks("auth", "remove", "github", "--yes").code in (3, 4)
    ks.good("logout")
    ks.good("login", "--method", "jwt", "--name", "github", input=shown)
    kept(state).rename(state.parent / "aside")
    assert ks.good("auth", "remove", "github", "--yes").err.endswith("access tokens that ended: 1\n")
    (state.parent / "aside").rename(state / f"token-{ks.good('status', '--json').document['store_id']}")
    assert "the access token of the last login is not accepted" in ks("whoami").err


def test_who_has_a_certificate_and_its_key_logs_in_and_each_command_looks_at_both(ks: Commands, state: Path) -> None:
    authority = root(**VALID)
    client, other = authority.client(**VALID), authority.client(**VALID)
    config = {"trusted": authority.pem, "spiffe_ids": [SPIFFE], "policies": ["mesh"]}
    ks.good("auth", "write", "mesh", "--kind", "certificate", "-", input=json.dumps(config))
    for name, text in (
        ("c.pem", client.pem),
        ("c.key", client.key_pem),
        ("o.pem", other.pem),
        ("o.key", other.key_pem),
    ):
        (ks.folder / name).write_text(text)
        (ks.folder / name).chmod(0o600)
    how = ("login", "--method", "certificate", "--name", "mesh")
    wrong = ks(*how, "--cert", "c.pem", "--key", "o.key")
    assert wrong.code == 2 and "is not the key of the certificate" in wrong.err
    assert client.key_pem.splitlines()[1] not in wrong.err
    assert ks(*how, "--cert", "c.key", "--key", "c.key").code == 2
    assert ks(*how, "--cert", "nowhere", "--key", "c.key").code == 1
    assert ks(*how, "--cert", "c.pem", "--key", "nowhere").code == 1
    assert ks(*how, "--cert", "c.pem").code == 2
    (ks.folder / "c.key").chmod(0o644)
    assert "chmod 600" in ks(*how, "--cert", "c.pem", "--key", "c.key").err
    (ks.folder / "c.key").chmod(0o600)
    ks.good(*how, "--cert", "c.pem", "--key", "c.key")
    assert ks.good("whoami", "--json").document["principal"] == f"certificate:mesh/{SPIFFE}"
    ks.good("token", "renew")
    for name in ("pem", "key"):
        (ks.folder / f"o.{name}").rename(ks.folder / f"c.{name}")
    assert "is not accepted" in ks("whoami").err
    (ks.folder / "c.key").unlink()
    assert ks("whoami").code == 1
    assert ks.good("logout", "--json").document["revoked"] == 1
