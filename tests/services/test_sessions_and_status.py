"""Sessions, the status, events, opening and closing."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import BY_HAND, DAY_MS, Open, recorded

import keystead
from keystead.access.principal import Principal
from keystead.audit.record import Event
from keystead.errors import ConfigurationError, Denied, KeysteadError, Sealed, SecretNotFound, SessionEnded, UsageError
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.services.secrets_manager import SecretsManager
from keystead.testing import ManualClock

# Sessions


def test_each_opened_service_has_a_session_with_id_principal_and_start_and_needs_no_write_for_it(
    opened: Open, clock: ManualClock, path: Path
) -> None:
    one = opened(principal="ada").kms
    before = path.read_bytes()
    clock.advance(5)
    second = KMSService.on(one.node, principal="bob")
    assert path.read_bytes() == before
    sessions = {session.id: session for session in one.sessions().items}
    assert set(sessions) == {one.session_id, second.session_id}
    assert [(s.principal, s.ended) for s in sessions.values()] == [("local:ada", False), ("local:bob", False)]
    assert sessions[second.session_id].started_ms - sessions[one.session_id].started_ms == 5
    assert one.session_id.startswith("ses_")


def test_the_principal_is_the_operating_system_user_unless_named(kms: KMSService) -> None:
    import getpass

    assert kms.sessions().items[0].principal == f"local:{getpass.getuser()}"


def test_operations_are_counted_by_session(kms: KMSService) -> None:
    second = KMSService.on(kms.node)
    before = kms.get_status().operations_by_session
    for _ in range(10):
        second.encrypt(b"x")
    second.store_secret("API_KEY", "x")
    after = kms.get_status().operations_by_session
    assert after[second.session_id] - before[second.session_id] == 11
    assert {session.id: session.operations for session in kms.sessions().items}[second.session_id] >= 11


def test_a_session_that_was_revoked_here_can_do_nothing_at_once_and_others_can(kms: KMSService) -> None:
    second = KMSService.on(kms.node)
    manager = SecretsManager(second)
    kms.store_secret("API_KEY", "x")
    for _ in range(3):
        manager.get_secret("API_KEY")
        second.encrypt(b"x")
    kms.revoke_session(second.session_id)
    for call in (
        lambda: manager.get_secret("API_KEY"),
        lambda: second.encrypt(b"x"),
        lambda: second.encrypt_data("x"),
        second.get_status,
        second.sessions,
        lambda: second.revoke_session(kms.session_id),
        second.rotate_data_key,
        lambda: second.rekey({}),
        lambda: second.store_secret("API_KEY", "y"),
        lambda: second.on_event("secret_stored", print),
        second.audit.public_key,
        manager.clear_cache,
        manager.get_status,
    ):
        with pytest.raises(SessionEnded):
            call()
    assert kms.node.cache.size()[0] == 1
    assert kms.get_secret("API_KEY").reveal() == "x"
    assert [session.ended for session in kms.sessions().items] == [False, True]
    assert kms.get_status().sessions_count == 1


def test_a_session_that_has_ended_hears_of_its_own_attempts_only(kms: KMSService) -> None:
    second = KMSService.on(kms.node)
    heard: list[tuple[str, str]] = []
    second.on_event(list(Event), lambda facts: heard.append((facts["event"], facts["session"])))
    kms.store_secret("API_KEY", "x")
    assert ("secret_stored", kms.session_id) in heard
    kms.revoke_session(second.session_id)
    heard.clear()
    with pytest.raises(SessionEnded):
        second.get_secret("API_KEY")
    kms.rotate_secret("API_KEY", "y")
    assert heard == [("access_denied", second.session_id)]
    assert not any(kms.node.recorder._callbacks.values())


REVOKING = """
import sys, keystead
with keystead.connect(sys.argv[1], master_key=sys.argv[2]) as store:
    store.kms.revoke_session(sys.argv[3])
print("revoked", flush=True)
"""


def test_a_revocation_by_another_process_is_seen_within_one_second(opened: Open, path: Path, key: str) -> None:
    store = opened(clock=None)
    store.kms.store_secret("API_KEY", "x")
    process = subprocess.Popen(
        [sys.executable, "-c", REVOKING, str(path), key, store.kms.session_id], stdout=subprocess.PIPE
    )
    while process.poll() is None:
        with suppress(SessionEnded):
            store.secrets.get_secret("API_KEY")
            store.kms.encrypt(b"x")
    assert process.communicate()[0] == b"revoked\n"
    seconds = time.monotonic()
    while time.monotonic() - seconds < 1.0:
        with suppress(SessionEnded):
            store.secrets.get_secret("API_KEY")
            store.kms.encrypt(b"x")
        time.sleep(0.01)
    for call in (lambda: store.secrets.get_secret("API_KEY"), lambda: store.kms.encrypt(b"x")):
        with pytest.raises(SessionEnded):
            call()


def test_what_has_not_the_form_of_a_sessions_id_is_refused(kms: KMSService) -> None:
    for nonsense in ("", "ses_", "ses_" + "0" * 31, None, "ses_" + "g" * 32):
        with pytest.raises(UsageError, match="session"):
            kms.revoke_session(nonsense)  # type: ignore[arg-type]
    kms.revoke_session("ses_" + "0" * 32)
    assert kms.get_status().sessions_count == 1


def test_a_principal_that_no_statement_allows_is_denied_and_that_is_recorded(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    events = recorded(kms)
    stranger = KMSService.on(kms.node)
    stranger._bound = kms.node.open_session(Principal("remote", "eve"))
    with pytest.raises(SecretNotFound, match="no secret API_KEY") as refused:
        stranger.get_secret("API_KEY")
    assert refused.value.refused
    with pytest.raises(Denied, match="remote:eve may not secret:list"):
        stranger.list_secrets()
    assert ("access_denied", "secret/API_KEY", "denied") in events


def test_a_refused_name_is_answered_by_no_default_and_by_no_variable(
    kms: KMSService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "from the environment")
    stranger = KMSService.on(kms.node)
    stranger._bound = kms.node.open_session(Principal("remote", "eve"))
    with pytest.raises(SecretNotFound):
        SecretsManager(stranger).get_secret("API_KEY", default="a default")


def test_the_attempts_of_an_ended_session_are_recorded(kms: KMSService) -> None:
    second = KMSService.on(kms.node)
    kms.revoke_session(second.session_id)
    events = recorded(kms)
    with pytest.raises(SessionEnded):
        second.get_secret("API_KEY")
    assert ("access_denied", "secret/API_KEY", "denied") in events


# Opening and closing


def test_nothing_works_before_initialize_and_after_close(opened: Open, path: Path, key: str) -> None:
    opened().close()
    kms = KMSService(path, master_key=key)
    manager = SecretsManager(kms)
    calls: list[Any] = [
        lambda: kms.encrypt(b"x"),
        lambda: kms.encrypt_data("x"),
        lambda: kms.get_secret("API_KEY"),
        kms.list_secrets,
        kms.slots.list,
        lambda: manager.get_secret("API_KEY"),
        lambda: kms.session_id,
        lambda: kms.notices,
    ]
    for call in calls:
        with pytest.raises(Sealed, match="initialize"):
            call()
    assert kms.get_status().initialized is False
    assert manager.get_status().initialized is False
    assert kms.initialize() is kms
    session = kms.session_id
    assert kms.initialize().session_id == session
    kms.store_secret("API_KEY", "x")
    kms.encrypt(b"x")
    for _ in range(3):
        manager.get_secret("API_KEY")
    kms.close()
    kms.close()
    for call in calls[:-2]:
        with pytest.raises(SessionEnded):
            call()


def test_closing_forgets_keys_and_values_and_a_closed_service_can_be_opened_anew(opened: Open) -> None:
    store = opened()
    store.kms.store_secret("API_KEY", "x")
    for _ in range(3):
        store.secrets.get_secret("API_KEY")
    node = store.kms.node
    materials = list(node.ring._materials.values())
    root = node.root.root()
    assert materials
    store.close()
    assert all(material.forgotten for material in materials)
    assert root.forgotten
    assert node.cache.size() == (0, 0)
    assert store.secrets._hot == {}
    first = store.kms._session.id
    store.kms.initialize()
    assert store.kms.session_id != first
    assert store.secrets.get_secret("API_KEY").reveal() == "x"


def test_closing_a_service_on_a_shared_node_ends_that_session_only(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    with KMSService.on(kms.node) as second:
        manager = SecretsManager(second)
        for _ in range(3):
            assert manager.get_secret("API_KEY").reveal() == "x"
        second.encrypt(b"x")
    for call in (lambda: manager.get_secret("API_KEY"), lambda: second.encrypt(b"x"), second.get_status):
        with pytest.raises(SessionEnded):
            call()
    assert kms.get_secret("API_KEY").reveal() == "x"
    with pytest.raises(UsageError, match="shared"):
        KMSService.on(kms.node).restore("x", passphrase="x")


def test_after_closing_no_file_of_the_store_is_open(opened: Open, path: Path) -> None:
    store = opened(clock=None)
    store.kms.store_secret("API_KEY", "x")
    store.secrets.get_secret("API_KEY")
    store.close()
    with pytest.raises(SessionEnded):
        store.kms.encrypt(b"x")
    held = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [name for name in held if str(path.parent) in name] == []


# Status


def test_the_status_has_its_names_as_an_object_and_as_json(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    status = kms.get_status()
    assert {
        "initialized", "master_key_present", "slots", "data_keys_count", "active_data_keys", "secrets_count",
        "expired_secrets_count", "oldest_data_key_age_ms", "rotation_due", "operations_by_session", "cache",
        "audit_head", "sessions_count", "store", "store_id", "schema", "store_answers", "notices", "session",
    } <= set(status.as_dict())  # fmt: skip
    assert json.loads(status.to_json()) == json.loads(json.dumps(status.as_dict()))
    assert (status.initialized, status.master_key_present, status.secrets_count) == (True, True, 1)
    assert (status.data_keys_count, status.active_data_keys, len(status.slots)) == (1, 1, 1)
    assert status.store == str(kms.node.location.database)
    assert set(status.audit_head) == {"chain", "count", "hash"}


def test_the_status_tells_the_oldest_keys_age_and_how_many_there_are(kms: KMSService, clock: ManualClock) -> None:
    clock.advance(1000)
    kms.rotate_data_key()
    clock.advance(500)
    status = kms.get_status()
    assert (status.data_keys_count, status.active_data_keys, status.oldest_data_key_age_ms) == (2, 1, 1500)
    kms.destroy_data_key(kms.list_data_keys().items[0].id)
    status = kms.get_status()
    assert (status.data_keys_count, status.oldest_data_key_age_ms) == (2, 500)


def test_no_status_holds_a_value(opened: Open) -> None:
    store = opened()
    store.secrets.initialize(env={"JWT_SECRET": "canary-canary", "REDIS_URL": "canary-canary"}, names=["JWT_SECRET"])
    store.secrets.get_secret("JWT_SECRET")
    store.secrets.get_secret("REDIS_URL")
    told = store.kms.get_status().to_json() + store.secrets.get_status().to_json() + repr(store.kms.get_status())
    assert "canary" not in told


def test_threads_that_initialize_at_once_open_the_store_once(
    path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.services import kms as module

    opened, real = [], module.open_node

    def slowly(how: Any) -> Any:
        opened.append(how)
        time.sleep(0.05)
        return real(how)

    monkeypatch.setattr(module, "open_node", slowly)
    kms = KMSService(path, master_key=key)
    threads = [threading.Thread(target=kms.initialize) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kms.close()
    assert len(opened) == 1


# Events


def test_a_callback_comes_after_the_record_and_ends_when_told(kms: KMSService) -> None:
    audit = kms.node.location.audit
    seen: list[dict[str, Any]] = []

    def written(facts: dict[str, Any]) -> None:
        assert b"secret/API_KEY" in b"".join(file.read_bytes() for file in audit.rglob("*.jsonl"))
        seen.append(facts)

    end = kms.on_event("secret_stored", written)
    info = kms.store_secret("API_KEY", "canary-canary")
    assert len(seen) == 1
    assert seen[0]["event"] == "secret_stored"
    assert (seen[0]["target"], seen[0]["outcome"], seen[0]["session"]) == ("secret/API_KEY", "success", kms.session_id)
    assert seen[0]["detail"]["version"] == info.version
    assert "canary" not in repr(seen)
    end()
    end()
    kms.store_secret("API_KEY", "x")
    assert len(seen) == 1


def test_a_callback_that_fails_changes_nothing(kms: KMSService, caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    def failing(facts: dict[str, Any]) -> None:
        raise RuntimeError("not mine")

    kms.on_event(["secret_stored", "secret_retrieved"], failing)
    kms.on_event("secret_stored", lambda facts: seen.append(facts["event"]))
    assert kms.store_secret("API_KEY", "x").version == 1
    assert kms.get_secret("API_KEY").reveal() == "x"
    assert seen == ["secret_stored"]
    assert "callback" in caplog.text


def test_a_callback_for_an_event_that_is_not_there_is_refused(kms: KMSService) -> None:
    with pytest.raises(UsageError, match="secret_stolen"):
        kms.on_event(["secret_stored", "secret_stolen"], lambda facts: None)


def test_a_callback_may_use_the_service(kms: KMSService) -> None:
    read = []
    kms.on_event("secret_rotated", lambda facts: read.append(kms.get_secret("API_KEY").reveal()))
    kms.store_secret("API_KEY", "x")
    kms.rotate_secret("API_KEY", "y")
    assert read == ["y"]


@pytest.mark.parametrize("event", ["cache_hit", "cache_miss", "data_encrypted", "data_decrypted", "uses_counted"])
def test_a_callback_on_a_counted_event_is_called_once_a_period_and_may_use_the_service(
    store: Connection, event: str
) -> None:
    kms, seen = store.kms, []
    kms.store_secret("API_KEY", "x")

    def use(facts: dict[str, Any] | None = None) -> None:
        seen.append(facts)
        for _ in range(3):
            store.secrets.get_secret("API_KEY")
            kms.decrypt(kms.encrypt(b"x"))
            kms.decrypt_data(kms.encrypt_data("x"))

    kms.on_event(event, use)
    use()
    kms.node.counts.flush()
    called = [facts for facts in seen if facts]
    assert {(facts["event"], facts["outcome"], facts["session"]) for facts in called} == {
        (event, "success", kms.session_id)
    }
    assert 1 <= len(called) <= 5


def test_a_setting_records_each_use_in_the_place_of_counts(opened: Open) -> None:
    store = opened(settings=replace(BY_HAND, record_each_use=True))
    kms, events = store.kms, recorded(store.kms)
    kms.store_secret("API_KEY", "x")
    for _ in range(5):
        store.secrets.get_secret("API_KEY")
        kms.decrypt(kms.encrypt(b"x"))
        kms.decrypt_data(kms.encrypt_data("x"))
    kms.node.counts.flush()
    names = Counter(event for event, _, _ in events)
    assert (names["cache_hit"], names["data_encrypted"], names["data_decrypted"]) == (4, 10, 10)
    assert names["uses_counted"] == 0
    assert store.secrets.get_status().hits == 4
    records = [item.record for item in kms.audit.tail(100) if item.record.event == "data_encrypted"]
    assert len(records) == 10
    assert all("uses" not in record.detail for record in records)


def test_where_each_use_is_recorded_a_batch_has_records_that_say_how_many_uses_there_were(opened: Open) -> None:
    kms = opened(settings=replace(BY_HAND, record_each_use=True)).kms
    events = recorded(kms)
    kms.keys.create("orders")
    kms.keys.create("sums", type="hmac-sha-256")
    for operation, name, items, event in (
        ("encrypt", "orders", [{"data": b"x"}] * 1_000, "key_encrypted"),
        ("mac", "sums", [{"message": b"x"}] * 999 + [{"message": "no bytes"}], "key_mac_made"),
    ):
        answers = kms.keys.batch(operation, name, items)
        done = sum(answer.error is None for answer in answers)
        records = [item.record for item in kms.audit.tail(2_000) if item.record.event == event]
        assert sum(int(record.detail.get("uses", 1)) for record in records) == done >= 999
        assert len(records) < 20
        assert [name for name, _, _ in events].count(event) == len(records)
        assert kms.node.counts.total(event=event) == done


def test_a_callback_on_a_reading_may_read_the_same_secret(store: Connection) -> None:
    kms, read = store.kms, []

    def again(facts: dict[str, Any]) -> None:
        if len(read) < 3:
            read.append(None)
            read.append(store.secrets.get_secret("API_KEY").reveal())

    kms.on_event(["secret_retrieved", "cache_hit"], again)
    kms.store_secret("API_KEY", "x")
    thread = threading.Thread(target=store.secrets.get_secret, args=("API_KEY",), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert "x" in read


def test_the_log_of_a_start_has_its_three_lines(path: Path, key: str, caplog: pytest.LogCaptureFixture) -> None:
    from dataclasses import dataclass

    @dataclass
    class App:
        name: str = "app"

    caplog.set_level(logging.INFO, "keystead")
    with keystead.connect(path, master_key=key) as store:
        store.secrets.initialize(env={})
        assert store.config(App, env={}).name == "app"
    names = [record.getMessage().split()[0] for record in caplog.records if record.levelno == logging.INFO]
    wanted = ["kms_initialized", "secrets_manager_initialized", "configuration_loaded"]
    assert [name for name in names if name in wanted] == wanted


def test_an_error_of_every_kind_has_a_next_step_or_a_reason(kms: KMSService) -> None:
    for call in (
        lambda: kms.get_secret("API_KEY"),
        lambda: kms.decrypt(b"x" * 100),
        lambda: kms.store_secret("", "x"),
        lambda: kms.destroy_data_key("x"),
        lambda: kms.slots.remove("nothing"),
    ):
        with pytest.raises(KeysteadError) as raised:
            call()
        assert raised.value.code.startswith("KS")
        assert raised.value.message


def test_settings_stand_in_a_file_beside_the_store(path: Path, key: str) -> None:
    (path.parent / "keystead.toml").write_text('rotation_grace = "0s"\nimport_names = ["ONLY"]\n')
    with keystead.connect(path, master_key=key) as store:
        report = store.secrets.initialize(env={"ONLY": "x", "JWT_SECRET": "y"})
        assert report.imported == ["ONLY"]
        store.kms.rotate_secret("ONLY", "z")
        assert store.kms.list_secrets().items[0].previous is None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_settings_in_code_have_the_names_and_lengths_of_the_file(opened: Open, clock: ManualClock) -> None:
    kms = opened(settings=keystead.Settings.of(rotation_grace="5m", sweep_interval=timedelta(days=9))).kms
    assert kms.node.settings == replace(keystead.Settings(), rotation_grace_ms=300_000, sweep_interval_ms=9 * DAY_MS)
    assert keystead.Settings.of(import_names=("A",), freshness="0s").import_names == ("A",)
    with pytest.raises(ConfigurationError) as caught:
        keystead.Settings.of(rotation_grace=300, rotation_grace_ms=300_000, sweeping="1m")
    assert set(caught.value.problems) == {"rotation_grace", "rotation_grace_ms", "sweeping"}


def test_the_status_has_the_hits_of_the_cache_beside_its_misses(opened: Open) -> None:
    store = opened()
    store.kms.store_secret("API_KEY", "x")
    for _ in range(5):
        store.secrets.get_secret("API_KEY")
    cache = store.kms.get_status().cache
    assert (cache["hits"], cache["misses"]) == (4, 1)


def test_services_that_come_and_go_on_an_open_node_leave_nothing_that_grows(kms: KMSService) -> None:
    for _ in range(1200):
        service = KMSService.on(kms.node)
        service.close()
    assert len(kms.node.sessions) <= 1001
    assert len(kms.node.periods._eager) <= 2
    assert kms.session_id in kms.node.sessions
    assert kms.decrypt(kms.encrypt(b"x")) == b"x"
