"""The example application over real HTTP, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from examples.tour.web import EXAMPLES, Answer, WebApplication

import keystead
from keystead.audit.report import ChainStatus
from keystead.audit.verify import verify

JWT_SECRET = "the jwt secret of the tests, never printed"
DATABASE_URI = "sqlite:///users.db"
PASSWORD = "correct horse battery"
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
CLAIMS = {"iss": "keystead-example", "aud": "keystead-example/api"}


def environment(folder: Path, master_key: str) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("KMS_", "KEYSTEAD_"))}
    for name in ("JWT_SECRET", "DATABASE_URI", "MONGODB_URI", "APP_NAME"):
        clean.pop(name, None)
    return clean | {"KMS_MASTER_KEY": master_key, "KEYSTEAD_URL": str(folder / "app.db")}


def store(folder: Path, **values: str) -> dict[str, str]:
    """The environment in which the application finds a new store with these secrets."""
    master_key = keystead.generate_master_key()
    with keystead.connect(folder / "app.db", master_key=master_key) as opened:
        opened.kms.store_secrets(values)
    return environment(folder, master_key)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebApplication]:
    folder = tmp_path_factory.mktemp("web")
    with WebApplication(folder, store(folder, JWT_SECRET=JWT_SECRET, DATABASE_URI=DATABASE_URI)) as application:
        yield application


def login(web: WebApplication, name: str) -> tuple[str, str]:
    """A user of this name and an access token, registered if need be."""
    account = {"name": name, "password": PASSWORD}
    web.call("POST", "/users", account)
    token = web.call("POST", "/login", account).body["access_token"]
    return jwt.decode(token, options={"verify_signature": False})["sub"], token


def forge(secret: str = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    now = datetime.now(UTC)
    whole = {"sub": "user_1", "iat": now, "exp": now + timedelta(minutes=5)} | CLAIMS | claims
    return jwt.encode({name: claim for name, claim in whole.items() if claim is not None}, secret, algorithm=algorithm)


def test_the_store_its_secrets_and_the_configuration_are_ready_before_the_first_route(web: WebApplication) -> None:
    lines = web.output().splitlines()
    order = [
        next(number for number, line in enumerate(lines) if line.startswith(start))
        for start in (
            "[INFO] kms_initialized",
            "[INFO] secrets_manager_initialized",
            "[INFO] configuration_loaded",
            "INFO:     Application startup complete",
        )
    ]
    assert order == sorted(order)


def test_a_user_registers_logs_in_and_gets_back_the_mnemonic(web: WebApplication) -> None:
    assert web.call("POST", "/users", {"name": "ada", "password": PASSWORD}).status == 201
    token = web.call("POST", "/login", {"name": "ada", "password": PASSWORD}).body["access_token"]
    assert web.call("GET", "/mnemonic", access_token=token).status == 404
    assert web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, token) == Answer(204, None)
    assert web.call("GET", "/mnemonic", access_token=token) == Answer(200, {"mnemonic": WORDS})


def test_a_name_is_taken_once(web: WebApplication) -> None:
    account = {"name": "once", "password": PASSWORD}
    assert web.call("POST", "/users", account).status == 201
    assert web.call("POST", "/users", account).status == 409


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(web: WebApplication) -> None:
    login(web, "grace")
    wrong = web.call("POST", "/login", {"name": "grace", "password": PASSWORD + "!"})
    unknown = web.call("POST", "/login", {"name": "nobody", "password": PASSWORD})
    assert wrong.status == 401
    assert wrong == unknown


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "not.a.jwt",
        forge(secret="another secret of thirty-two bytes or more"),
        forge(exp=datetime.now(UTC) - timedelta(seconds=5)),
        forge(exp=None),
        forge(sub=None),
        forge(aud="another application"),
        forge(aud=None),
        forge(iss="another issuer"),
        forge(algorithm="none", secret=""),
        forge(algorithm="HS384", secret=JWT_SECRET + " made longer"),
        forge()[:-4] + "AAAA",
    ],
    ids=[
        "none at all", "empty", "no JWT", "another key", "expired", "without an end", "without a user",
        "another audience", "no audience", "another issuer", "unsigned", "another algorithm", "cut signature",
    ],
)  # fmt: skip
def test_an_access_token_that_is_not_ours_is_refused(web: WebApplication, token: str | None) -> None:
    for method, body in (("GET", None), ("PUT", {"mnemonic": WORDS})):
        assert web.call(method, "/mnemonic", body, token).status == 401


def test_a_token_of_ours_for_a_user_who_is_gone_keeps_nothing(web: WebApplication) -> None:
    assert web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, forge()).status == 404
    assert web.call("GET", "/mnemonic", access_token=forge()).status == 404


def database(web: WebApplication) -> sqlite3.Connection:
    return sqlite3.connect(web.log.parent / "users.db", isolation_level=None)


def test_an_envelope_moved_to_another_user_is_refused(web: WebApplication) -> None:
    alice, alices = login(web, "alice")
    mallory, mallorys = login(web, "mallory")
    assert web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, alices).status == 204
    users = database(web)
    users.execute(
        "UPDATE users SET mnemonic = (SELECT mnemonic FROM users WHERE id = ?) WHERE id = ?", (alice, mallory)
    )
    refused = web.call("GET", "/mnemonic", access_token=mallorys)
    assert refused.status == 403
    assert WORDS[:8] not in json.dumps(refused.body)
    assert web.call("GET", "/mnemonic", access_token=alices).body == {"mnemonic": WORDS}


def test_an_envelope_that_was_damaged_is_refused(web: WebApplication) -> None:
    user, token = login(web, "heidi")
    web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, token)
    users = database(web)
    (text,) = users.execute("SELECT mnemonic FROM users WHERE id = ?", (user,)).fetchone()
    for damaged in (
        "{}",
        "no JSON",
        json.dumps(json.loads(text) | {"keyId": "default-1"}),
        text.replace('"tag": "', '"tag": "A'),
    ):
        users.execute("UPDATE users SET mnemonic = ? WHERE id = ?", (damaged, user))
        assert web.call("GET", "/mnemonic", access_token=token).status == 403


def test_what_is_sent_wrongly_is_not_repeated(web: WebApplication) -> None:
    for path, body in (("/users", {"name": "UPPER", "password": PASSWORD}), ("/login", {"password": PASSWORD})):
        refused = web.call("POST", path, body)
        assert refused.status == 422
        assert PASSWORD[:8] not in json.dumps(refused.body)


def test_the_status_tells_figures_and_no_value(web: WebApplication) -> None:
    user, token = login(web, "ada")
    web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, token)
    answer = web.call("GET", "/status")
    assert answer.status == 200
    assert answer.body["initialized"] is True
    assert answer.body["secrets_count"] == 2
    assert answer.body["active_data_keys"] == 1
    assert answer.body["settings_from"]["jwt_secret"] == "secrets"
    assert answer.body["public"] == {"app_name": "keystead example"}
    text = json.dumps(answer.body)
    assert not [held for held in (JWT_SECRET, DATABASE_URI, WORDS, PASSWORD, user) if held in text]


def test_neither_the_log_nor_the_database_holds_what_is_secret(web: WebApplication) -> None:
    _, token = login(web, "ada")
    web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, token)
    web.call("GET", "/mnemonic", access_token=token)
    held = web.log.read_bytes() + b"".join(path.read_bytes() for path in web.log.parent.glob("users.db*"))
    for secret in (JWT_SECRET, WORDS, PASSWORD):
        assert not [secret[at : at + 8] for at in range(len(secret) - 7) if secret[at : at + 8].encode() in held]
    assert (web.log.parent / "users.db").stat().st_mode & 0o777 == 0o600


def start(folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_app.app:app", "--port", "0"]
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


def test_a_start_without_a_required_secret_fails_and_names_it(tmp_path: Path) -> None:
    code, said = start(tmp_path, store(tmp_path, JWT_SECRET=JWT_SECRET))
    assert code not in (0, -signal.SIGTERM)
    assert "the application cannot start: Settings cannot be loaded" in said
    assert "DATABASE_URI is set" not in said and "neither DATABASE_URI nor" in said
    assert "Application startup complete" not in said
    assert not (tmp_path / "users.db").exists()


def test_a_start_with_a_secret_that_is_too_weak_fails_without_showing_it(tmp_path: Path) -> None:
    code, said = start(tmp_path, store(tmp_path, JWT_SECRET="far-too-short", DATABASE_URI=DATABASE_URI))
    assert code not in (0, -signal.SIGTERM)
    assert "jwt_secret: shorter than 32 bytes" in said
    assert "far-too-" not in said
    assert not (tmp_path / "users.db").exists()


def test_a_start_without_a_store_fails_and_says_what_is_next(tmp_path: Path) -> None:
    variables = environment(tmp_path, keystead.generate_master_key())
    del variables["KMS_MASTER_KEY"]
    code, said = start(tmp_path, variables)
    assert code not in (0, -signal.SIGTERM)
    assert "the application cannot start: there is no store at" in said
    assert "keystead init" in said


def test_sigterm_ends_it_in_order_and_closes_the_audit_log(tmp_path: Path) -> None:
    variables = store(tmp_path, JWT_SECRET=JWT_SECRET, DATABASE_URI=DATABASE_URI)
    with WebApplication(tmp_path, variables) as web:
        assert web.call("GET", "/status").status == 200
        assert web.stop() in (0, -signal.SIGTERM)
        assert "Application shutdown complete" in web.output()
    report = verify(tmp_path / "app.db.audit")
    assert report.ok
    assert {chain.status for chain in report.chains} == {ChainStatus.CLOSED}


def test_what_its_page_says_to_type_works(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the page calls it with curl")
    page = (EXAMPLES / "fastapi_app" / "__init__.py").read_text("utf-8")
    typed = [line.removeprefix("    ") for line in page.splitlines() if line.startswith("    ")]
    starts = next(at for at, line in enumerate(typed) if "uvicorn" in line)
    logged_in = next(at for at, line in enumerate(typed) if "ACCESS_TOKEN" in line)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    variables = environment(tmp_path, "")
    del variables["KMS_MASTER_KEY"], variables["KEYSTEAD_URL"]

    def shell(*lines: str) -> str:
        command = ["sh", "-ec", "\n".join(lines)]
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # On a terminal `init` shows the recovery kit; here is none.
    shell(*(line.replace("keystead init", "keystead init --no-recovery-kit") for line in typed[:starts]))
    assert typed[starts] == "python -m uvicorn --app-dir examples fastapi_app.app:app"
    with WebApplication(tmp_path, variables) as web:
        calls = [line.replace("localhost:8000", f"127.0.0.1:{web.port}") for line in typed[starts + 1 :]]
        calls = [line.replace("curl", "curl --fail --silent --noproxy '*'", 1) for line in calls]
        before, after = calls[: logged_in - starts - 1], calls[logged_in - starts - 1 :]
        token = re.findall(r'"access_token":"([^"]+)"', shell(*before))[0]
        told = shell(before[0], *(line.replace("ACCESS_TOKEN", token) for line in after))
    assert '"legal winner thank"' in told
    assert '"users":1' in told
