"""`kms.tokens` and acting by a token: what it may, when it ends, and that it ends everywhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.access.conftest import KEY, Open, allow, records

import keystead
from keystead.access.principal import Principal
from keystead.access.session import Authentication
from keystead.access.token_text import mint
from keystead.access.tokens import Holder, TokenRules
from keystead.errors import (
    AuthenticationFailed,
    Denied,
    IdentityNotFound,
    IntegrityError,
    SessionEnded,
    UsageError,
)
from keystead.services.connection import Connection
from keystead.testing import ManualClock


def test_a_token_acts_as_who_it_was_made_for_with_its_policies(store: Connection) -> None:
    token = store.kms.tokens.create(["read", "all"], name="deploy", ttl="1h", meta={"team": "shop"})
    with store.as_token(token, source="192.0.2.7") as there:
        me = there.kms.whoami()
        assert (me.principal, me.method, me.policies, me.accessor, me.source) == (
            "token:deploy", "token", ("all", "read"), token.accessor, "192.0.2.7",
        )  # fmt: skip
        assert me.expires_ms == token.info.expires_ms
        assert there.kms.tokens.lookup() == token.info
    assert store.kms.whoami().principal.startswith("local:")
    assert store.kms.tokens.lookup(token.reveal()) == store.kms.tokens.lookup_accessor(token.accessor) == token.info
    assert token.info.meta == {"team": "shop"}


def test_a_token_may_nothing_that_no_policy_allows_but_look_at_itself(store: Connection) -> None:
    other = store.kms.tokens.create(name="other")
    with store.as_token(store.kms.tokens.create(name="x")) as there:
        for refused in (
            lambda: there.kms.store_secret("A", "x"),
            there.kms.tokens.list,
            there.kms.tokens.create,
            lambda: there.kms.tokens.revoke_principal("token:other"),
            there.kms.identities.list_users,
        ):
            with pytest.raises((Denied, LookupError)):
                refused()
        for hidden in (
            lambda: there.kms.tokens.lookup(other.reveal()),
            lambda: there.kms.tokens.lookup_accessor(other.accessor),
            lambda: there.kms.tokens.renew_accessor(other.accessor),
            lambda: there.kms.tokens.revoke_accessor(other.accessor),
            lambda: there.kms.identities.read_user("ada"),
        ):
            with pytest.raises(IdentityNotFound) as caught:
                hidden()
            assert caught.value.refused
        assert there.kms.tokens.renew().accessor == there.kms.whoami().accessor
    assert store.kms.tokens.lookup_accessor(other.accessor).ended is None


def test_cve_2026_40264_and_45808_and_55774_no_verb_reaches_another_token_by_any_of_its_names(free: Connection) -> None:
    """Rows 19: each verb by each name that a token has, as nobody and as the wrong principal."""
    tokens = free.kms.tokens
    target = tokens.create(["a"], name="target")
    for policies in ((), ("a",), ("b",)):
        with free.as_token(tokens.create(policies, name="eve")) as eve:
            reach = eve.kms.tokens
            tries: list[tuple[Any, ...]] = [
                *((verb, target.reveal()) for verb in (reach.lookup, reach.renew, reach.revoke)),
                (reach.lookup_accessor, target.accessor),
                (reach.renew_accessor, target.accessor),
                (reach.revoke_accessor, target.accessor),
                (partial(reach.revoke_accessor, keep_children=True), target.accessor),
                (reach.revoke_principal, "token:target"),
                (reach.list,),
                (partial(reach.list, principal="token:target"),),
                (partial(eve.login, "token", token=target.accessor),),
                (eve.as_token, target.accessor),
            ]
            for call, *names in tries:
                with pytest.raises((Denied, IdentityNotFound, AuthenticationFailed)):
                    call(*names)
    assert tokens.lookup_accessor(target.accessor) == target.info


def test_a_child_inherits_and_ends_with_its_parent(free: Connection) -> None:
    parent = free.kms.tokens.create(["all", "b"], name="p", ttl="1h", networks=["10.0.0.0/8"])
    with free.as_token(parent, source="10.0.0.1") as there:
        child = there.kms.tokens.create(["b"], ttl="8h")
        same = there.kms.tokens.create()
        with pytest.raises(Denied):
            there.kms.tokens.create(["c"])
        with pytest.raises(Denied):
            there.kms.tokens.create(networks=["192.0.2.0/24"])
        for owners in ({"name": "admin"}, {"orphan": True}):
            with pytest.raises(Denied):
                there.kms.tokens.create(**owners)  # type: ignore[arg-type]
    assert (child.info.principal, child.info.parent, child.info.policies) == ("token:p", parent.accessor, ("b",))
    assert same.info.policies == ("all", "b") and child.info.networks == ("10.0.0.0/8",)
    assert child.info.expires_ms == parent.info.expires_ms
    assert free.kms.tokens.revoke(parent.reveal()) == 3
    with pytest.raises(AuthenticationFailed):
        free.as_token(child, source="10.0.0.1")


def test_a_token_with_a_number_of_uses_makes_no_other(free: Connection) -> None:
    with free.as_token(free.kms.tokens.create(["all"], name="x", uses=5)) as there, pytest.raises(Denied):
        there.kms.tokens.create(["all"])


def test_revoking_ends_the_sessions_of_all_who_descend_at_once(free: Connection) -> None:
    parent = free.as_token(free.kms.tokens.create(["all"], name="p"))
    child = free.as_token(parent.kms.tokens.create())
    grandchild = free.as_token(child.kms.tokens.create())
    orphan = free.as_token(free.kms.tokens.create(["all"], name="o"))
    for face in (parent, child, grandchild, orphan):
        face.kms.encrypt(b"x")
    assert child.kms.tokens.revoke() == 2
    for face in (child, grandchild):
        with pytest.raises(SessionEnded):
            face.kms.encrypt(b"x")
    parent.kms.encrypt(b"x")
    assert free.kms.tokens.revoke_principal("token:p") == 1
    with pytest.raises(SessionEnded):
        parent.kms.encrypt(b"x")
    orphan.kms.encrypt(b"x")


def test_children_go_on_without_their_parent_where_the_owner_says_so(free: Connection) -> None:
    parent = free.kms.tokens.create(["all"], name="p")
    with free.as_token(parent) as there:
        child = there.kms.tokens.create()
        with pytest.raises(Denied):
            there.kms.tokens.revoke(keep_children=True)
    assert free.kms.tokens.revoke_accessor(parent.accessor, keep_children=True) == 1
    assert free.kms.tokens.lookup(child.reveal()).parent is None
    free.as_token(child).close()


def test_another_process_sees_a_revocation_within_a_second(opened: Open, clock: ManualClock) -> None:
    here, there = allow(opened()), allow(opened())
    token = here.kms.tokens.create(["all"], name="x")
    acting = there.as_token(token)
    assert acting.kms.encrypt(b"x")
    here.kms.tokens.revoke_accessor(token.accessor)
    clock.advance(1_000)
    with pytest.raises(SessionEnded):
        acting.kms.encrypt(b"x")
    with pytest.raises(AuthenticationFailed):
        there.as_token(token)


def test_another_process_sees_a_renewal_too(opened: Open, clock: ManualClock) -> None:
    here, there = allow(opened()), allow(opened())
    token = here.kms.tokens.create(["all"], name="x", ttl="1m")
    acting = there.as_token(token)
    clock.advance(30_000)
    assert here.kms.tokens.renew(token.reveal()).expires_ms == clock.now_ms() + 60_000
    clock.advance(30_000)
    acting.kms.encrypt(b"x")
    clock.advance(29_999)
    acting.kms.encrypt(b"x")
    clock.advance(1)
    with pytest.raises(SessionEnded):
        acting.kms.encrypt(b"x")


@pytest.mark.parametrize("ms", [-1, 0, 1])
def test_t30_the_last_millisecond_of_a_token_counts_and_the_next_does_not(
    free: Connection, clock: ManualClock, ms: int
) -> None:
    token = free.kms.tokens.create(["all"], name="x", ttl="1h", max_ttl="1h")
    acting = free.as_token(token)
    clock.advance(3_600_000 + ms)
    if ms < 0:
        assert acting.kms.tokens.renew().expires_ms == token.info.expires_ms
        acting.kms.encrypt(b"x")
        free.as_token(token).close()
        return
    for refused in (lambda: acting.kms.encrypt(b"x"), acting.kms.tokens.renew):
        with pytest.raises(SessionEnded):
            refused()
    with pytest.raises(AuthenticationFailed):
        free.as_token(token)
    with pytest.raises(Denied):
        free.kms.tokens.renew_accessor(token.accessor)


@pytest.mark.parametrize("ttl", ["0s", "-1s", 2**63, 1.5, "1", 60, True, "101y"])
def test_t30_a_length_that_is_none_is_refused(store: Connection, ttl: object) -> None:
    for field in ("ttl", "max_ttl", "period"):
        with pytest.raises(UsageError):
            store.kms.tokens.create(name="x", **{field: ttl})  # type: ignore[arg-type]
    token = store.kms.tokens.create(name="x")
    with pytest.raises(UsageError):
        store.kms.tokens.renew_accessor(token.accessor, increment=ttl)  # type: ignore[arg-type]


def test_a_wall_clock_that_is_set_back_gives_no_token_more_time(free: Connection, clock: ManualClock) -> None:
    acting = free.as_token(free.kms.tokens.create(["all"], name="x", ttl="1h"))
    clock.jump(3_599_999)
    acting.kms.encrypt(b"x")
    clock.jump(-3_599_999)
    clock.advance(3_599_999)
    acting.kms.encrypt(b"x")
    clock.advance(1)
    with pytest.raises(SessionEnded):
        acting.kms.encrypt(b"x")


def test_each_operation_takes_a_use_before_it_is_done_also_a_refused_one(free: Connection) -> None:
    token = free.kms.tokens.create(["all"], name="x", uses=4)
    acting = free.as_token(token)
    left = lambda: free.kms.tokens.lookup_accessor(token.accessor).uses_left  # noqa: E731
    assert left() == 4
    sealed = acting.kms.encrypt(b"x")
    assert (acting.kms.encrypt(b"y") != sealed, left()) == (True, 2)
    assert acting.kms.decrypt(sealed) == b"x"
    with pytest.raises(LookupError):
        acting.kms.get_secret("NOWHERE")
    assert left() == 0
    with pytest.raises(SessionEnded):
        acting.kms.encrypt(b"x")
    with pytest.raises(AuthenticationFailed):
        free.as_token(token)
    assert records(free, "access_denied")[-1].detail["reason_class"] == "token-used-up"


def test_a_cached_read_of_a_counted_token_takes_a_use_each(free: Connection) -> None:
    free.kms.store_secret("A", "x")
    acting = free.as_token(free.kms.tokens.create(["all"], name="x", uses=3))
    for _ in range(3):
        assert acting.secrets.get_secret("A").reveal() == "x"
    with pytest.raises(SessionEnded):
        acting.secrets.get_secret("A")


def test_a_tree_of_ten_thousand_ends_in_one_transaction_wide_and_deep(store: Connection) -> None:
    register, node = store.kms.node.identities.register, store.kms.node
    binder = register.binder()
    root = store.kms.tokens.create(["all"], name="root")
    with node.write() as transaction:
        rows = register.rows(transaction)
        (parent,) = rows.by_accessors([root.accessor])
        last, made = parent.accessor, []
        for number in range(10_000):
            accessor = f"acc_{number:032x}"
            # A chain of 5,000, and 5,000 side by side below its end.
            above = last if number < 5_000 else f"acc_{4_999:032x}"
            row = parent._replace(hash=number.to_bytes(32, "big"), accessor=accessor, parent=above, epoch=0)
            made.append(binder.sealed(row))
            last = accessor
        rows.put(made)
    assert store.kms.tokens.revoke(root.reveal()) == 10_001
    assert [row for row in register.read_rows().tree([root.accessor]) if row.revoked_ms is None] == []
    (record,) = records(store, "token_revoked")
    assert record.detail["tokens"] == 10_001


def test_tokens_are_listed_in_pages_without_what_authenticates(store: Connection, path: Path) -> None:
    made = [store.kms.tokens.create(name=f"n{number}") for number in range(7)]
    page = store.kms.tokens.list(limit=3)
    found = list(page.items)
    while page.next is not None:
        page = store.kms.tokens.list(limit=3, after=page.next)
        found += page.items
    assert [each.accessor for each in found] == sorted(token.accessor for token in made)
    assert [each.accessor for each in store.kms.tokens.list(principal="token:n3").items] == [made[3].accessor]
    for wrong in ({"limit": 0}, {"limit": 1_001}, {"after": "x"}, {"after": made[0].reveal()}):
        with pytest.raises(UsageError):
            store.kms.tokens.list(**wrong)  # type: ignore[arg-type]


def test_what_ended_is_kept_for_a_day_and_then_removed(opened: Open, clock: ManualClock) -> None:
    store = opened()
    gone = store.kms.tokens.create(name="gone")
    kept = store.kms.tokens.create(name="kept", ttl="30d")
    short = store.kms.tokens.create(name="short", ttl="1h")
    store.kms.tokens.revoke_accessor(gone.accessor)
    clock.advance(86_400_000)
    store.kms.node.maintain()
    assert store.kms.tokens.lookup_accessor(gone.accessor).ended == "token-revoked"
    clock.advance(1)
    store.kms.node.maintain()
    with pytest.raises(IdentityNotFound):
        store.kms.tokens.lookup_accessor(gone.accessor)
    assert store.kms.tokens.lookup_accessor(short.accessor).ended == "token-expired"
    clock.advance(3_600_000)
    store.kms.node.maintain()
    assert [each.accessor for each in store.kms.tokens.list().items] == [kept.accessor]


def test_nothing_is_removed_by_a_clock_that_jumped(store: Connection, clock: ManualClock) -> None:
    token = store.kms.tokens.create(name="x")
    clock.jump(400 * 86_400_000)
    store.kms.node.maintain()
    assert store.kms.tokens.lookup_accessor(token.accessor).accessor == token.accessor


def test_t65_the_database_alone_holds_nothing_that_logs_in(store: Connection, path: Path) -> None:
    token = store.kms.tokens.create(name="x")
    text = token.reveal()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM access_tokens").fetchall()
    dump = repr(rows).encode() + b"".join(part for row in rows for part in row if isinstance(part, bytes))
    from keystead.access.token_text import Kind, parse
    from keystead.crypto.mac import sha256

    random = parse(text, Kind.SERVICE)
    for trace in (text[7:50].encode(), random, sha256(random), sha256(text.encode()), random.hex().encode()):
        assert trace not in dump
    for other in (token.accessor, rows[0][0].hex(), mint(Kind.SERVICE)[0]):
        with pytest.raises(AuthenticationFailed):
            store.as_token(other)


COLUMNS = [
    "hash", "accessor", "parent", "principal", "method", "policies", "meta", "networks", "binding", "created_ms",
    "ttl_ms", "expires_ms", "max_ms", "period_ms", "renewable", "uses_left", "mfa_ms", "revoked_ms", "epoch", "mac",
]  # fmt: skip


def test_an_edited_row_proves_nothing_and_keeps_no_other_from_its_end(free: Connection, path: Path) -> None:
    parent = free.kms.tokens.create(["all"], name="p")
    with free.as_token(parent) as there:
        child = there.kms.tokens.create()
        sibling = there.kms.tokens.create()
    alike = {"policies": '["root"]', "accessor": "acc_" + "0" * 32, "hash": b"x" * 32, "mac": b"x" * 32}
    marks = ", ".join("?" * len(COLUMNS))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (row,) = connection.execute("SELECT * FROM access_tokens WHERE accessor = ?", (child.accessor,)).fetchall()
        for place, column in enumerate(COLUMNS):
            for value in (None, "x", -1, 1.5, alike.get(column, 7), b"\x00x"):
                edited = (*row[:place], value, *row[place + 1 :])
                if edited == row:
                    continue
                connection.execute(
                    "DELETE FROM access_tokens WHERE accessor NOT IN (?, ?)", (parent.accessor, sibling.accessor)
                )
                with suppress(sqlite3.IntegrityError):
                    connection.execute(f"INSERT INTO access_tokens VALUES ({marks})", edited)
                with pytest.raises((AuthenticationFailed, IntegrityError)):
                    free.as_token(child)
        connection.execute("DELETE FROM access_tokens WHERE mac = ?", (b"\x00x",))
        connection.execute(f"INSERT INTO access_tokens VALUES ({marks})", row)
        free.as_token(child).close()
        connection.execute("UPDATE access_tokens SET meta = x'00' WHERE accessor = ?", (child.accessor,))
    free.kms.tokens.revoke_accessor(parent.accessor)
    for token in (child, sibling, parent):
        with pytest.raises((AuthenticationFailed, IntegrityError)):
            free.as_token(token)


def test_a_row_of_another_token_or_store_does_not_serve(free: Connection, path: Path, tmp_path: Path) -> None:
    strong, weak = free.kms.tokens.create(["all"], name="strong"), free.kms.tokens.create(name="weak")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        hashes = dict(connection.execute("SELECT accessor, hash FROM access_tokens"))
        connection.execute("DELETE FROM access_tokens WHERE accessor = ?", (weak.accessor,))
        connection.execute(
            "UPDATE access_tokens SET hash = ? WHERE accessor = ?", (hashes[weak.accessor], strong.accessor)
        )
    for token in (weak, strong):
        with pytest.raises(AuthenticationFailed):
            free.as_token(token)
    with keystead.connect(tmp_path / "other.db", master_key=KEY) as other:
        foreign = other.kms.tokens.create(["all"], name="x")
        with pytest.raises(AuthenticationFailed):
            free.as_token(foreign)


def test_sessions_tell_by_what_they_act_and_can_be_ended(free: Connection) -> None:
    token = free.kms.tokens.create(["all"], name="x", ttl="1h")
    acting = free.as_token(token)
    (shown,) = [each for each in free.kms.sessions().items if each.principal == "token:x"]
    assert (shown.method, shown.accessor, shown.expires_ms) == ("token", token.accessor, token.info.expires_ms)
    free.kms.revoke_session(shown.id)
    with pytest.raises(SessionEnded):
        acting.kms.whoami()


def test_cve_2024_8365_and_0831_failures_tell_their_class_and_source_and_no_token(
    free: Connection, clock: ManualClock
) -> None:
    token = free.kms.tokens.create(["all"], name="x", networks=["10.0.0.0/8"], ttl="1m")
    wrong = mint(keystead.access.token_text.Kind.SERVICE)[0]
    for shown, source in ((token, "192.0.2.7"), (token, None), (wrong, "192.0.2.8"), ("nonsense", "192.0.2.9")):
        with pytest.raises(AuthenticationFailed):
            free.as_token(shown, source=source)
    told = [(r.target, r.detail["reason_class"], r.detail.get("source")) for r in records(free, "login_failed")]
    assert told == [
        (f"token/{token.accessor}", "wrong-source", "192.0.2.7"),
        (f"token/{token.accessor}", "wrong-source", None),
        ("token/*", "unknown-token", "192.0.2.8"),
        ("token/*", "malformed", "192.0.2.9"),
    ]
    with pytest.raises(UsageError):
        free.as_token(token, source="10.0.0.1, 192.0.2.7")
    log = b"".join(file.read_bytes() for file in free.kms.node.location.audit.rglob("*") if file.is_file())
    for text in (token.reveal(), wrong):
        assert text.encode() not in log and text.split("_")[2].encode() not in log


def test_a_text_that_is_no_token_leaves_a_record_whatever_was_to_be_done_with_it(free: Connection) -> None:
    free.kms.identities.create_role("ci")
    tokens = free.kms.tokens
    for call in (
        tokens.lookup,
        tokens.renew,
        tokens.revoke,
        lambda text: free.kms.identities.lookup_secret_id("ci", text),
    ):
        before = len(records(free))
        with pytest.raises(AuthenticationFailed):
            call("nonsense")
        (record,) = records(free)[before:]
        assert (record.outcome, record.detail["reason_class"]) == ("failed", "malformed")
        assert "nonsense" not in str(record)


def test_a_bound_token_needs_what_it_is_bound_to_for_every_session_and_so_for_renewing(free: Connection) -> None:
    """Row 13: renewing needs a session, and a session needs the certificate."""
    node, kms = free.kms.node, free.kms
    with node.gate.change(kms._session, "token:create", "token/*", "token_created") as change:
        holder = Holder("user:ada", "certificate", binding="sha256:aa")
        token = node.identities.register.issue(
            change, holder, TokenRules(("all",)), keystead.access.token_text.Kind.PERSON
        )
    with free.as_token(token, binding="sha256:aa") as there:
        assert there.kms.tokens.renew() and there.kms.tokens.create().info.principal == "user:ada"
    for binding in ("", "sha256:ab"):
        with pytest.raises(AuthenticationFailed):
            free.as_token(token, binding=binding)


def test_only_who_opened_the_store_is_its_owner(free: Connection) -> None:
    from keystead.access.register import is_owner
    from keystead.access.session import Session

    proved = Authentication("token", ("all",), accessor="acc_" + "0" * 32)
    assert is_owner(free.kms._session)
    assert not is_owner(Session.start(Principal("local", "ada"), 0, proved))
    assert not is_owner(Session.start(Principal("token", "local"), 0, Authentication()))
