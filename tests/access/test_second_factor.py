"""The second factor: who needs one, that a code counts once everywhere, and that guessing it locks the name."""

from __future__ import annotations

import hmac
import sqlite3
import subprocess
import sys
from base64 import b32decode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.access.conftest import KEY, PASSWORD, Open, allow, records

from keystead.access.token_text import NewSecondFactor
from keystead.crypto.aad import bind
from keystead.crypto.mac import MacKey
from keystead.errors import (
    AlreadyExists,
    AuthenticationFailed,
    Denied,
    IdentityNotFound,
    IntegrityError,
    LockedOut,
    SessionEnded,
    UsageError,
)
from keystead.seal.root import identity_mac_key
from keystead.services.connection import Connection
from keystead.testing import ManualClock

STEP = 30_000
FRESH = {
    "version": 1,
    "statements": [
        {"id": "fresh", "effect": "allow", "actions": ["*"], "resources": ["**"], "conditions": {"mfa_age": "5m"}}
    ],
}


def code_at(made: NewSecondFactor, now_ms: int) -> str:
    """RFC 6238 once more, apart from the product's."""
    digest = hmac.digest(b32decode(made.reveal()), (now_ms // STEP).to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def wrong(code: str) -> str:
    """Another code, which is hardly one of a step beside."""
    return f"{(int(code) + 500_000) % 1_000_000:06}"


def enrolled(store: Connection, **how: Any) -> NewSecondFactor:
    """The confirmed second factor of a new user ada; its first code is used up."""
    users = store.kms.identities
    users.create_user("ada", PASSWORD, policies=["all"], **how)
    made = users.enroll_second_factor("ada")
    users.confirm_second_factor("ada", now(store, made))
    return made


def now(store: Connection, made: NewSecondFactor) -> str:
    return code_at(made, store.kms.node.clock.now_ms())


def login(store: Connection, code: str | None = None, password: str = PASSWORD) -> Any:
    return store.login("password", name="ada", password=password, **({} if code is None else {"code": code}))


def refused(store: Connection, code: str | None = None, password: str = PASSWORD) -> str:
    with pytest.raises((AuthenticationFailed, LockedOut)) as caught:
        login(store, code, password)
    return f"{type(caught.value).__name__}: {caught.value}"


def classes(store: Connection, event: str = "login_failed") -> list[Any]:
    return [record.detail["reason_class"] for record in records(store, event) if record.outcome == "failed"]


def test_a_user_with_a_second_factor_logs_in_by_both(store: Connection, clock: ManualClock) -> None:
    made = enrolled(store)
    clock.advance(STEP)
    token = login(store, now(store, made))
    with store.as_token(token) as ada:
        assert ada.kms.whoami().mfa_ms == clock.now_ms()
    (record,) = records(store, "login_succeeded")
    assert record.detail["second_factor"] == "totp"
    assert store.kms.identities.read_user("ada").second_factor_ms == clock.now_ms() - STEP


def test_a_password_alone_shows_no_second_factor(store: Connection) -> None:
    store.kms.identities.create_user("ada", PASSWORD)
    with store.as_token(login(store)) as ada:
        assert ada.kms.whoami().mfa_ms is None


def test_whether_password_or_code_was_wrong_is_told_to_the_log_only(
    store: Connection, clock: ManualClock, argon2: list[Any]
) -> None:
    made = enrolled(store)
    good = now(store, made)  # used up, by confirming
    argon2.clear()
    clock.advance(STEP)
    good, used = now(store, made), good
    answers = {
        refused(store, good, "wrong password"), refused(store, wrong(good)), refused(store), refused(store, used),
    }  # fmt: skip
    assert len(answers) == 1
    assert len(argon2) == 4
    assert classes(store) == ["wrong-password", "wrong-code", "no-code", "used-code"]


def test_a_wrong_password_uses_no_code_up(store: Connection, clock: ManualClock) -> None:
    made = enrolled(store)
    clock.advance(STEP)
    refused(store, now(store, made), "wrong password")
    assert login(store, now(store, made))


@pytest.mark.parametrize("spelled", ["{}{}", " {}{}", "{}{} ", "{} {}"])
def test_cve_2025_6014_and_55000_a_code_is_good_once_in_whatever_spelling(
    store: Connection, opened: Open, clock: ManualClock, spelled: str
) -> None:
    """Row 24: also in another process, after a restart, and for as long as its window lasts."""
    made = enrolled(store)
    clock.advance(STEP)
    code = now(store, made)
    again = spelled.format(code[:3], code[3:])
    assert login(store, again)
    other = opened()
    for each in (store, other):
        refused(each, code)
    store.close()
    clock.advance(STEP)
    refused(opened(), again)
    clock.advance(STEP)
    refused(other, code)
    assert set(classes(other)) == {"used-code", "wrong-code"}
    assert login(other, now(other, made))


def test_a_code_of_an_earlier_step_is_none_after_a_later_one(store: Connection, clock: ManualClock) -> None:
    made = enrolled(store)
    clock.advance(2 * STEP)
    ahead, here = code_at(made, clock.now_ms() + STEP), now(store, made)
    assert login(store, ahead)
    refused(store, here)
    assert classes(store) == ["used-code"]


def test_of_two_processes_with_one_code_exactly_one_logs_in(path: Path) -> None:
    """On a real clock, since both read it."""
    import keystead

    with keystead.connect(path, master_key=KEY) as store:
        users, node = store.kms.identities, store.kms.node
        users.create_user("ada", PASSWORD)
        made = users.enroll_second_factor("ada")
        users.confirm_second_factor("ada", code_at(made, node.clock.now_ms() - STEP))
        racing = (
            "import sys, keystead\n"
            "from keystead.errors import AuthenticationFailed\n"
            "with keystead.connect(sys.argv[1], master_key=sys.argv[2]) as store:\n"
            "    print('ready', flush=True); code = input()\n"
            "    try: store.login('password', name='ada', password=sys.argv[3], code=code); print('in')\n"
            "    except AuthenticationFailed: print('out')\n"
        )
        both = [
            subprocess.Popen(
                [sys.executable, "-c", racing, path, KEY, PASSWORD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for one in both:
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        code = code_at(made, node.clock.now_ms()) + "\n"
        assert sorted(one.communicate(code, timeout=60)[0] for one in both) == ["in\n", "out\n"]


def test_cve_2025_6015_and_55003_wrong_codes_and_wrong_passwords_lock_together(
    store: Connection, clock: ManualClock
) -> None:
    """Row 24: five tries of any of them, at a login, at confirming or within a session."""
    made = enrolled(allow(store))
    clock.advance(STEP)
    ada = store.as_token(login(store, now(store, made)))
    bad = wrong(now(store, made))
    refused(store, bad)
    refused(store, now(store, made), "wrong password")
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            ada.kms.verify_second_factor(bad)
    clock.advance(STEP)
    for attempt in (lambda: login(store, now(store, made)), lambda: ada.kms.verify_second_factor(now(store, made))):
        with pytest.raises(LockedOut) as caught:
            attempt()
        assert caught.value.retry_after_s == 870
    assert ada.kms.whoami().principal == "user:ada"
    assert classes(store, "second_factor_verified") == ["wrong-code"] * 3 + ["locked"]


def test_guesses_at_confirming_lock_too(store: Connection) -> None:
    users = store.kms.identities
    users.create_user("ada", PASSWORD)
    bad = wrong(now(store, users.enroll_second_factor("ada")))
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            users.confirm_second_factor("ada", bad)
    with pytest.raises(LockedOut):
        users.confirm_second_factor("ada", bad)
    assert users.read_user("ada").second_factor_ms is None


def test_who_must_have_one_does_not_log_in_without(store: Connection, clock: ManualClock) -> None:
    users = store.kms.identities
    assert users.create_user("ada", PASSWORD, require_second_factor=True).require_second_factor
    without = refused(store)
    made = users.enroll_second_factor("ada")
    assert {refused(store), refused(store, now(store, made))} == {without}
    assert classes(store) == ["no-second-factor"] * 3
    users.confirm_second_factor("ada", now(store, made))
    clock.advance(STEP)
    assert login(store, now(store, made))
    assert users.change_user("ada").require_second_factor
    users.remove_second_factor("ada")
    refused(store)
    assert not users.change_user("ada", require_second_factor=False).require_second_factor
    assert login(store)


def test_what_was_not_confirmed_is_asked_for_by_nobody_and_can_be_replaced(store: Connection) -> None:
    users = store.kms.identities
    users.create_user("ada", PASSWORD)
    first = users.enroll_second_factor("ada", require=False)
    assert login(store)
    second = users.enroll_second_factor("ada", require=True)
    assert users.read_user("ada").require_second_factor
    with pytest.raises(AuthenticationFailed):
        users.confirm_second_factor("ada", now(store, first))
    assert users.confirm_second_factor("ada", now(store, second)).second_factor_ms
    with pytest.raises(AlreadyExists):
        users.enroll_second_factor("ada")
    with pytest.raises(UsageError):
        users.confirm_second_factor("ada", now(store, second))


def test_a_code_where_there_is_no_second_factor_is_a_failure(store: Connection) -> None:
    store.kms.identities.create_user("ada", PASSWORD)
    refused(store, "123456")
    assert classes(store) == ["no-second-factor"]


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345a", "१२३४५६", "１２３４５６", "123\n456", "-12345", 123456, b"123456"]
)
def test_what_is_no_code_is_said_to_be_none_and_counts_as_no_try(store: Connection, code: Any) -> None:
    enrolled(store)
    for _ in range(6):
        with pytest.raises(UsageError) as caught:
            login(store, code)
        assert str(code) not in str(caught.value) or code == ""
    with pytest.raises(UsageError):
        store.kms.identities.confirm_second_factor("ada", code)
    assert store.kms.identities.read_user("ada").locked_until_ms is None


def test_nobody_without_an_account_has_a_second_factor(store: Connection) -> None:
    users = store.kms.identities
    for call in (
        users.enroll_second_factor,
        users.remove_second_factor,
        lambda name: users.confirm_second_factor(name, "123456"),
    ):
        with pytest.raises(IdentityNotFound):
            call("nobody")
        with pytest.raises(UsageError):
            call("No Body")
    users.create_user("ada", PASSWORD)
    with pytest.raises(IdentityNotFound):
        users.remove_second_factor("ada")


# A session that goes on


def test_a_code_makes_the_second_factor_of_a_session_fresh_everywhere(
    store: Connection, opened: Open, clock: ManualClock
) -> None:
    store.kms.policies.write("all", FRESH)
    made = enrolled(store)
    clock.advance(STEP)
    token = login(store, now(store, made))
    ada, elsewhere = store.as_token(token), opened().as_token(token)
    for there in (ada, elsewhere):
        there.kms.store_secret("app/a", "x")
    clock.advance(5 * 60_000 + 1)
    for there in (ada, elsewhere):
        with pytest.raises(Denied):
            there.kms.list_secrets()
    at = ada.kms.verify_second_factor(now(store, made))
    assert (at, ada.kms.whoami().mfa_ms) == (clock.now_ms(), clock.now_ms())
    assert ada.kms.list_secrets().items
    clock.advance(1_001)
    assert elsewhere.kms.list_secrets().items
    with store.as_token(token) as later:
        assert later.kms.whoami().mfa_ms == at
    with pytest.raises(AuthenticationFailed):
        ada.kms.verify_second_factor(code_at(made, at))
    clock.advance(5 * 60_000)
    with pytest.raises(Denied):
        ada.kms.list_secrets()


def test_a_second_factor_counts_for_its_token_and_for_no_child_that_was_there(
    store: Connection, clock: ManualClock
) -> None:
    made = enrolled(allow(store))
    clock.advance(STEP)
    logged_in = clock.now_ms()
    ada = store.as_token(login(store, now(store, made)))
    child = store.as_token(ada.kms.tokens.create())
    clock.advance(STEP)
    ada.kms.verify_second_factor(now(store, made))
    assert (child.kms.whoami().mfa_ms, ada.kms.whoami().mfa_ms) == (logged_in, clock.now_ms())


def test_who_did_not_log_in_as_a_user_shows_no_second_factor(store: Connection) -> None:
    made = enrolled(store)
    machine = store.as_token(store.kms.tokens.create(name="ada"))
    for kms in (store.kms, machine.kms):
        with pytest.raises(Denied):
            kms.verify_second_factor(now(store, made))


def test_a_session_without_a_second_factor_cannot_give_itself_one(store: Connection) -> None:
    """Else whoever has a stolen token would have a fresh second factor a moment later."""
    store.kms.identities.create_user("ada", PASSWORD)
    ada = store.as_token(login(store))
    with pytest.raises((Denied, IdentityNotFound)):
        ada.kms.identities.enroll_second_factor("ada")
    with pytest.raises(AuthenticationFailed):
        ada.kms.verify_second_factor("123456")
    assert classes(store, "second_factor_verified") == ["no-second-factor"]


# What is kept


def test_the_secret_is_shown_once_and_kept_encrypted(store: Connection, path: Path) -> None:
    made = enrolled(store)
    assert made.reveal() in made.reveal_uri()
    secret = b32decode(made.reveal())
    told = f"{made!r} {made} {store.kms.identities.read_user('ada')} {records(store)}"
    assert made.reveal() not in told and secret.hex() not in told
    store.close()
    for file in path.parent.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert secret not in held and made.reveal().encode() not in held


def test_no_edit_of_a_row_and_no_secret_of_another_user_lets_anybody_in(
    store: Connection, path: Path, clock: ManualClock
) -> None:
    made = enrolled(store)
    store.kms.identities.create_user("eve", PASSWORD)
    eve = store.kms.identities.enroll_second_factor("eve")
    store.kms.identities.confirm_second_factor("eve", now(store, eve))
    columns = ("factor_required", "factor", "factor_made_ms", "factor_confirmed_ms", "factor_step")
    clock.advance(STEP)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = {row[0]: row[1:] for row in connection.execute(f"SELECT name, {', '.join(columns)} FROM users")}
        edits = [(column, value) for column in columns for value in (0, None, 3, b"x", rows["eve"][1])]
        for column, value in edits:
            if value == rows["ada"][columns.index(column)] or (column == "factor_required" and value is None):
                continue
            connection.execute(f"UPDATE users SET {column} = ? WHERE name = 'ada'", (value,))
            for code in (None, now(store, made), now(store, eve)):
                with pytest.raises(IntegrityError):
                    login(store, code)
            connection.execute(
                f"UPDATE users SET {column} = ? WHERE name = 'ada'", (rows["ada"][columns.index(column)],)
            )
        connection.execute("UPDATE users SET factor_required=0, factor=NULL, factor_made_ms=NULL,"
                           " factor_confirmed_ms=NULL, factor_step=NULL WHERE name = 'ada'")  # fmt: skip
        with pytest.raises(IntegrityError):
            login(store)


def test_a_ciphertext_opens_for_its_user_and_time_only(store: Connection) -> None:
    """Beneath the MAC of the row, as the AAD has it."""
    from keystead.errors import DecryptionError

    enrolled(store)
    node = store.kms.node
    identities, rows = node.identities, node.identities._read_accounts()
    ada = rows.user("ada")
    assert ada is not None and ada.factor is not None and ada.factor_made_ms is not None
    binder = node.root.identity_binder()
    assert len(identities._open(ada.factor, binder.factor_aad("ada", ada.factor_made_ms))) == 20
    for name, at in (("eve", ada.factor_made_ms), ("ada", ada.factor_made_ms + 1)):
        with pytest.raises(DecryptionError):
            identities._open(ada.factor, binder.factor_aad(name, at))


def test_a_second_factor_goes_with_its_data_key_and_is_named_before(store: Connection, clock: ManualClock) -> None:
    made = enrolled(store)
    (former,) = store.kms.list_data_keys().items
    store.kms.rotate_data_key()
    clock.advance(STEP)
    assert login(store, now(store, made))
    assert store.kms.affected_by_destroying(former.id).second_factors == ["ada"]
    store.kms.destroy_data_key(former.id)
    clock.advance(STEP)
    refused(store, now(store, made))
    assert classes(store) == ["second-factor-lost"]
    store.kms.identities.remove_second_factor("ada")
    again = store.kms.identities.enroll_second_factor("ada")
    store.kms.identities.confirm_second_factor("ada", now(store, again))
    clock.advance(STEP)
    assert login(store, now(store, again))


def test_a_backup_and_a_rekey_keep_it(store: Connection, opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    import keystead

    made = enrolled(store)
    store.kms.rekey(store.kms.own_credential())
    store.kms.backup(tmp_path / "b.ksb", passphrase="a lantern over seven quiet harbours")
    with keystead.connect(tmp_path / "new.db", master_key=KEY, clock=clock) as other:
        other.kms.restore(tmp_path / "b.ksb", passphrase="a lantern over seven quiet harbours")
        refused(other, now(store, made))
        clock.advance(STEP)
        for each in (store, other):
            assert login(each, now(store, made))


def test_a_user_of_before_there_were_second_factors_logs_in(store: Connection, opened: Open, path: Path) -> None:
    """Its row is bound as it was then: the fields of that time under `user`."""
    store.kms.identities.create_user("ada", PASSWORD)
    root = store.kms.node.root
    store_id, mac = root.store_id, MacKey(identity_mac_key(root.integrity()))
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        row = connection.execute("SELECT name, salt, iterations, lanes, memory_kib, verifier, rules, created_ms,"
                                 " updated_ms, epoch, mac FROM users").fetchone()  # fmt: skip
        assert mac.mac(bind("user", store_id, *row[:10])) == row[10]
        for column in ("required", "made_ms", "confirmed_ms", "step"):
            connection.execute(f"ALTER TABLE users DROP COLUMN factor_{column}")
        connection.execute("ALTER TABLE users DROP COLUMN factor")
        connection.execute("DELETE FROM migrations WHERE number = 8")
        connection.execute("PRAGMA user_version = 7")
    assert login(opened())


def test_each_change_is_in_the_log(store: Connection) -> None:
    enrolled(store)
    store.kms.identities.remove_second_factor("ada")
    for event in ("second_factor_enrolled", "second_factor_confirmed", "second_factor_removed"):
        (record,) = records(store, event)
        assert (record.target, record.outcome) == ("user/ada", "success")


def test_a_token_that_another_process_has_ended_takes_no_second_factor(
    store: Connection, opened: Open, clock: ManualClock
) -> None:
    """Within the second in which this process has not heard of it; the code is not used up."""
    made = enrolled(store)
    clock.advance(STEP)
    token = login(store, now(store, made))
    ada = store.as_token(token)
    opened().kms.tokens.revoke(token.reveal())
    ahead = code_at(made, clock.now_ms() + STEP)
    with pytest.raises((Denied, SessionEnded)):
        ada.kms.verify_second_factor(ahead)
    assert login(store, ahead)


@pytest.mark.parametrize("said", ["false", "true", 0, 1, ""])
def test_what_is_no_truth_value_does_not_say_whether_one_is_required(store: Connection, said: Any) -> None:
    users = store.kms.identities
    users.create_user("ada", PASSWORD, require_second_factor=True)
    for call in (
        lambda: users.create_user("eve", PASSWORD, require_second_factor=said),
        lambda: users.change_user("ada", require_second_factor=said),
        lambda: users.enroll_second_factor("ada", require=said),
    ):
        with pytest.raises(UsageError):
            call()
    assert users.read_user("ada").require_second_factor
    with pytest.raises(IdentityNotFound):
        users.read_user("eve")
