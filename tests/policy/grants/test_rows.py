"""Rows of grants that somebody wrote who holds no key, and grants in backups."""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.backup.conftest import PASSPHRASE, derive_once  # noqa: F401 - a fixture
from tests.policy.grants.conftest import ADA, BOB, EVE, PROD, REFUSED, acting, edit, records, rows
from tests.services.conftest import BY_HAND, DAY_MS

import keystead
from keystead.errors import Denied, IntegrityError, KeyNotFound
from keystead.keys.named import grants as granting
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

COLUMNS = [field for field in granting.GrantRecord._fields if field != "grant_id"]


@pytest.mark.parametrize("column", COLUMNS)
def test_an_edited_row_decides_nothing_and_can_be_revoked(
    store: Connection, kms: KMSService, grants: GrantOperations, path: Path, column: str
) -> None:
    how: dict[str, Any] = {"name": "n", "retiring": BOB, "context_equals": PROD, "context_subset": PROD, "ttl": "1h"}
    for value in ("user:eve", b"x" * 32, 7, None):
        made = grants.create("orders", ADA, ["encrypt", "retire-grant"], **how)
        assert acting(store, ADA).keys.encrypt("orders", b"x", context=PROD)
        try:
            edit(path, f"UPDATE key_grants SET {column} = ?", value)
        except sqlite3.IntegrityError:
            continue
        kms.store_secret("a", "x")  # whoever keeps anything of the store looks again
        for who in (ADA, EVE, BOB):
            with pytest.raises(REFUSED):
                acting(store, who).keys.encrypt("orders", b"x", context=PROD)
            with pytest.raises(REFUSED):
                acting(store, who).grants.retire("orders", made.id)
        assert not kms.policies.who_can("key:encrypt", "key/orders").grants
        if column == "key_id":
            edit(path, "UPDATE key_grants SET key_id = ?", made.key_id)
        for look in (lambda made=made: grants.get("orders", made.id), lambda: grants.list("orders")):
            with pytest.raises(IntegrityError) if column != "key_id" else nullcontext():
                look()
        grants.revoke("orders", made.id)
        assert grants.list("orders").items == []


def test_a_row_of_another_key_store_or_id_decides_nothing(
    store: Connection,
    kms: KMSService,
    grants: GrantOperations,
    path: Path,
    tmp_path: Path,
    clock: ManualClock,
    key: str,
) -> None:
    grants.create("cards", ADA, ["encrypt"])
    orders, cards = kms.keys.read("orders").id, kms.keys.read("cards").id
    ((id_, *rest),) = rows(path)
    marks = ", ".join("?" * (len(rest) + 1))
    insert = f"INSERT INTO key_grants VALUES ({marks})"
    edit(path, insert, "grt_" + "0" * 32, *rest)
    edit(path, insert, "grt_" + "1" * 32, orders, *rest[1:])
    edit(path, "DELETE FROM key_grants WHERE grant_id = ?", id_)
    with keystead.connect(tmp_path / "other.db", master_key=key, clock=clock, settings=BY_HAND) as other:
        other.kms.keys.create("orders")
        other.kms.grants.create("orders", ADA, ["encrypt"])
    ((foreign, _, *rest),) = rows(tmp_path / "other.db")
    edit(path, insert, foreign, orders, *rest)
    edit(path, insert, id_, orders, *rest)
    kms.store_secret("a", "x")
    for name in ("orders", "cards"):
        with pytest.raises(REFUSED):
            acting(store, ADA).keys.encrypt(name, b"x")
    assert cards != orders
    assert not kms.audit.verify().ok


def test_keys_that_trade_their_ids_trade_no_grants(
    store: Connection, kms: KMSService, grants: GrantOperations, path: Path
) -> None:
    """Whose grants count is told by the key's head, which is checked: also while the key is in memory."""
    grants.create("cards", ADA, ["encrypt"])
    kms.keys.encrypt("orders", b"x")
    orders, cards = kms.keys.read("orders").id, kms.keys.read("cards").id
    for name, id_ in (("cards", "none"), ("orders", cards), ("cards", orders)):
        edit(path, "UPDATE named_keys SET key_id = ? WHERE name = ?", id_, name)
    kms.store_secret("a", "x")
    with pytest.raises((KeyNotFound, Denied, IntegrityError)):
        acting(store, ADA).keys.encrypt("orders", b"x")


def test_a_revoked_row_that_was_put_back_is_found_by_comparing_the_store_with_its_log(
    kms: KMSService, grants: GrantOperations, path: Path
) -> None:
    made = grants.create("orders", ADA, ["encrypt"])
    (old,) = rows(path)
    assert kms.audit.verify().ok
    grants.revoke("orders", made.id)
    assert kms.audit.verify().ok
    edit(path, f"INSERT INTO key_grants VALUES ({', '.join('?' * len(old))})", *old)
    (problem,) = kms.audit.verify().problems
    assert f"grant/{made.id} is in the store again" in problem.what


def test_grants_come_through_a_backup_and_a_rekey(
    store: Connection,
    kms: KMSService,
    grants: GrantOperations,
    tmp_path: Path,
    derive_once: None,  # noqa: F811
) -> None:
    made = grants.create("orders", ADA, ["encrypt"], context_subset=PROD, name="app")
    kms.rekey(kms.own_credential())
    assert acting(store, ADA).keys.encrypt("orders", b"x", context=PROD)
    kms.backup(tmp_path / "b.ksb", passphrase=PASSPHRASE)
    key = keystead.generate_master_key()
    with keystead.connect(tmp_path / "new.db", master_key=key, settings=BY_HAND) as fresh:
        fresh.kms.restore(tmp_path / "b.ksb", passphrase=PASSPHRASE)
        assert fresh.kms.grants.list("orders").items == [made]
        assert acting(fresh, ADA).keys.encrypt("orders", b"x", context=PROD)
        assert fresh.kms.audit.verify().ok


def test_a_row_of_an_odd_id_is_removed_once_when_its_time_is_over(
    store: Connection, kms: KMSService, grants: GrantOperations, path: Path, clock: ManualClock
) -> None:
    for principal in (ADA, BOB):
        grants.create("orders", principal, ["encrypt"], ttl="1h")
    edit(path, "UPDATE key_grants SET grant_id = CAST(grant_id AS BLOB) WHERE grantee = ?", BOB)
    clock.advance(2 * DAY_MS)
    for _ in range(2):
        kms.node.maintain()
    assert rows(path) == []
    assert len([record for record in records(store, "grant_ended") if record.target.startswith("grant/")]) == 2
