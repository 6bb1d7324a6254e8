"""Secrets at rest through KMSService: versions, labels, rules, deletion, listing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.services.conftest import DAY_MS, Open, recorded

from keystead.errors import (
    IntegrityError,
    NameCollision,
    SecretDeleted,
    SecretNotFound,
    UsageError,
    VersionConflict,
)
from keystead.secrets.names import environment_names
from keystead.secrets.value import SecretValue
from keystead.services.kms import KMSService
from keystead.services.secrets_manager import SecretsManager
from keystead.testing import ManualClock

# Values


@pytest.mark.parametrize("value", ["s3cret", "ü\u0000\n", b"\xff\x00", b"text", "x" * 65_536, b"\x00" * 65_536])
def test_text_comes_back_as_text_and_bytes_as_bytes(kms: KMSService, value: str | bytes) -> None:
    kms.store_secret("API_KEY", value)
    read = kms.get_secret("API_KEY")
    assert type(read) is SecretValue
    assert (read.reveal(), type(read.reveal())) == (value, type(value))
    assert (read.name, read.version) == ("API_KEY", 1)
    assert repr(read) == "<secret API_KEY#1: use .reveal()>"


@pytest.mark.parametrize("value", ["x" * 65_537, b"x" * 65_537, "ü" * 32_769, "", b"", 5, bytearray(b"x"), "\ud800"])
def test_a_value_that_is_empty_too_long_or_of_another_kind_is_refused(kms: KMSService, value: object) -> None:
    with pytest.raises(UsageError) as refused:
        kms.store_secret("API_KEY", value)  # type: ignore[arg-type]
    assert "xxxx" not in str(refused.value)
    assert kms.list_secrets().items == []


def test_a_value_that_was_read_can_be_stored_again(kms: KMSService) -> None:
    kms.store_secret("A", b"\x01")
    kms.store_secret("B", kms.get_secret("A"))
    assert kms.get_secret("B").reveal() == b"\x01"


@pytest.mark.parametrize("name", ["", "a b", "a//b", "/a", "a/", "../a", "ä", "a" * 513, None, 5])
def test_a_name_of_another_form_is_refused_everywhere(kms: KMSService, name: object) -> None:
    calls = [
        lambda: kms.store_secret(name, "x"),  # type: ignore[arg-type]
        lambda: kms.get_secret(name),  # type: ignore[arg-type]
        lambda: kms.rotate_secret(name, "x"),  # type: ignore[arg-type]
        lambda: kms.delete_secret(name),  # type: ignore[arg-type]
        lambda: kms.undelete_secret(name),  # type: ignore[arg-type]
        lambda: kms.destroy_secret(name),  # type: ignore[arg-type]
        lambda: kms.list_versions(name),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(UsageError, match="not a secret name"):
            call()


def test_a_reference_is_a_name_only_where_one_version_is_read(kms: KMSService) -> None:
    kms.store_secret("A", "x")
    for call in (
        lambda: kms.store_secret("A#1", "x"),
        lambda: kms.rotate_secret("A#1", "x"),
        lambda: kms.delete_secret("A#1"),
        lambda: kms.undelete_secret("A#1"),
        lambda: kms.destroy_secret("A#1"),
        lambda: kms.list_versions("A#1"),
    ):
        with pytest.raises(UsageError, match="not a secret name"):
            call()


def test_names_that_differ_in_case_only_are_two_secrets_that_collide_as_variables(kms: KMSService) -> None:
    kms.store_secret("api-key", "lower")
    kms.store_secret("API_KEY", "upper")
    assert [kms.get_secret(name).reveal() for name in ("api-key", "API_KEY")] == ["lower", "upper"]
    with pytest.raises(NameCollision, match="API_KEY"):
        environment_names(info.name for info in kms.list_secrets().items)


# Versions and labels


def test_storing_again_makes_a_version_and_former_ones_never_change(kms: KMSService) -> None:
    for number, value in enumerate(["one", b"two", "three"], 1):
        assert kms.store_secret("API_KEY", value).version == number
    assert [kms.get_secret("API_KEY", version=number).reveal() for number in (1, 2, 3)] == ["one", b"two", "three"]
    kms.rotate_data_key()
    kms.rotate_secret("API_KEY", "four")
    kms.delete_secret("API_KEY")
    kms.undelete_secret("API_KEY")
    assert [kms.get_secret("API_KEY", version=number).reveal() for number in (1, 2, 3)] == ["one", b"two", "three"]
    assert [version.version for version in kms.list_versions("API_KEY").items] == [1, 2, 3, 4]


def test_after_a_rotation_plain_reads_give_the_new_value_and_previous_ends_after_a_day(
    kms: KMSService, clock: ManualClock
) -> None:
    kms.store_secret("API_KEY", "old")
    info = kms.rotate_secret("API_KEY", "new")
    assert (info.version, info.previous) == (2, 1)
    assert kms.get_secret("API_KEY").reveal() == "new"
    assert kms.get_secret("API_KEY", label="current").reveal() == "new"
    assert kms.get_secret("API_KEY", label="previous").reveal() == "old"
    clock.advance(DAY_MS - 1)
    assert kms.get_secret("API_KEY", label="previous").reveal() == "old"
    clock.advance(1)
    with pytest.raises(SecretNotFound, match="grace"):
        kms.get_secret("API_KEY", label="previous")
    assert kms.list_secrets().items[0].previous is None
    assert [version.labels for version in kms.list_versions("API_KEY").items] == [(), ("current",)]


def test_the_grace_can_be_told(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("API_KEY", "old")
    kms.rotate_secret("API_KEY", "new", grace="5m")
    clock.advance(299_999)
    assert kms.get_secret("API_KEY", label="previous").reveal() == "old"
    clock.advance(1)
    with pytest.raises(SecretNotFound):
        kms.get_secret("API_KEY", label="previous")
    kms.rotate_secret("API_KEY", "newer", grace="0s")
    with pytest.raises(SecretNotFound):
        kms.get_secret("API_KEY", label="previous")


def test_a_compromised_value_has_no_grace(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "leaked")
    assert kms.rotate_secret("API_KEY", "new", compromised=True).previous is None
    with pytest.raises(SecretNotFound):
        kms.get_secret("API_KEY", label="previous")


def test_version_and_label_together_contradict_each_other(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    with pytest.raises(UsageError, match="label"):
        kms.get_secret("API_KEY", version=1, label="current")
    with pytest.raises(UsageError, match="label"):
        kms.get_secret("API_KEY", label="newest")


def test_a_version_or_label_may_stand_in_the_name_in_every_way_to_read_one(kms: KMSService) -> None:
    manager = SecretsManager(kms)
    kms.store_secret("API_KEY", "one")
    kms.rotate_secret("API_KEY", "two")
    for _ in range(2):  # from the store, then from the cache
        for name, value in (
            ("API_KEY#1", "one"),
            ("API_KEY#2", "two"),
            ("API_KEY#previous", "one"),
            ("API_KEY", "two"),
        ):
            for read in (kms.get_secret, manager.get_secret, lambda text: manager.get_secrets([text])[text]):
                found = read(name)
                assert (found.reveal(), found.name) == (value, "API_KEY")
    for read in (kms.get_secret, manager.get_secret):
        for name in ("API_KEY#3", "API_KEY#pending", "NOWHERE#1"):
            with pytest.raises(SecretNotFound):
                read(name)
        for name in ("API_KEY#", "API_KEY#0", "API_KEY#newest", "API_KEY#1#2", "#1"):
            with pytest.raises(UsageError):
                read(name)
        for beside in ({"version": 1}, {"version": 2}, {"label": "previous"}):
            with pytest.raises(UsageError, match="already"):
                read("API_KEY#1", **beside)
            with pytest.raises(UsageError, match="already"):
                read("API_KEY#previous", **beside)
    assert manager.get_secret("API_KEY#3", "default") == "default"


def test_a_version_in_the_name_does_not_fall_back_to_the_environment(kms: KMSService) -> None:
    manager = SecretsManager(kms)
    manager.initialize(env={"NOWHERE": "x"}, names=[])
    assert manager.get_secret("NOWHERE").reveal() == "x"
    with pytest.raises(SecretNotFound):
        manager.get_secret("NOWHERE#1")


@pytest.mark.parametrize("which", [{"version": 2}, {"version": 10**9}, {"label": "previous"}, {"label": "pending"}])
def test_a_version_or_label_that_is_not_there_is_not_found(kms: KMSService, which: dict[str, object]) -> None:
    kms.store_secret("API_KEY", "x")
    with pytest.raises(SecretNotFound, match="API_KEY"):
        kms.get_secret("API_KEY", **which)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [0, -1, True, "1", 2**63, 1.0])
def test_a_version_that_is_no_number_of_one_is_a_usage_error(kms: KMSService, version: object) -> None:
    kms.store_secret("API_KEY", "x")
    with pytest.raises(UsageError, match="version"):
        kms.get_secret("API_KEY", version=version)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="version"):
        kms.destroy_secret("API_KEY", version=version)  # type: ignore[arg-type]


def test_expected_version_zero_means_that_the_secret_must_not_exist(kms: KMSService) -> None:
    assert kms.store_secret("API_KEY", "x", expected_version=0).version == 1
    with pytest.raises(VersionConflict) as conflict:
        kms.store_secret("API_KEY", "y", expected_version=0)
    assert (conflict.value.expected, conflict.value.current) == (0, 1)
    assert kms.get_secret("API_KEY").reveal() == "x"


def test_expected_version_is_compared_for_store_and_rotate(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "1")
    assert kms.store_secret("API_KEY", "2", expected_version=1).version == 2
    assert kms.rotate_secret("API_KEY", "3", expected_version=2).version == 3
    for call in (kms.store_secret, kms.rotate_secret):
        for wrong in (2, 4):
            with pytest.raises(VersionConflict) as conflict:
                call("API_KEY", "lost", expected_version=wrong)
            assert (conflict.value.expected, conflict.value.current) == (wrong, 3)
    with pytest.raises(VersionConflict):
        kms.store_secret("ABSENT", "x", expected_version=1)
    for nonsense in (-1, True, "1", 1.0):
        with pytest.raises(UsageError):
            kms.store_secret("API_KEY", "x", expected_version=nonsense)  # type: ignore[arg-type]
    assert kms.get_secret("API_KEY").reveal() == "3"


def test_rotating_what_is_not_there_stores_nothing(kms: KMSService) -> None:
    with pytest.raises(SecretNotFound):
        kms.rotate_secret("API_KEY", "x")
    assert kms.list_secrets().items == []


# Rules


@pytest.mark.parametrize(("rule", "form"), [("random:32", 32), ("hex:64", 64), ("words:6", 6)])
def test_rotation_without_a_value_makes_one_by_the_rule_it_was_stored_with(
    kms: KMSService, rule: str, form: int
) -> None:
    assert kms.store_secret("API_KEY", generate=rule).generate == rule
    first = kms.get_secret("API_KEY").reveal()
    kms.rotate_secret("API_KEY")
    second = kms.get_secret("API_KEY").reveal()
    for value in (first, second):
        assert isinstance(value, str)
        assert (len(value.split("-")) if rule.startswith("words") else len(value)) == form
    assert first != second


def test_a_rule_is_kept_when_a_value_is_given(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "mine", generate="hex:64")
    assert kms.get_secret("API_KEY").reveal() == "mine"
    kms.store_secret("API_KEY", "mine again")
    assert kms.rotate_secret("API_KEY").generate == "hex:64"
    assert len(kms.get_secret("API_KEY")) == 64


def test_rotation_without_value_and_rule_is_refused_and_changes_nothing(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    with pytest.raises(UsageError, match="rule"):
        kms.rotate_secret("API_KEY")
    with pytest.raises(UsageError, match="rule"):
        kms.store_secret("OTHER")
    assert [(info.name, info.version) for info in kms.list_secrets().items] == [("API_KEY", 1)]


@pytest.mark.parametrize("rule", ["random", "random:1", "hex:31", "words:3", "uuid", "random:32 ", "RANDOM:32", 5])
def test_a_rule_of_another_form_is_refused(kms: KMSService, rule: object) -> None:
    with pytest.raises(UsageError):
        kms.store_secret("API_KEY", "x", generate=rule)  # type: ignore[arg-type]


# Deleting and destroying


def test_a_deleted_secret_is_unreadable_until_it_is_undeleted(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    kms.rotate_secret("API_KEY", "y")
    kms.delete_secret("API_KEY")
    kms.delete_secret("API_KEY")
    for which in ({}, {"version": 1}, {"label": "previous"}):
        with pytest.raises(SecretDeleted, match="undo"):
            kms.get_secret("API_KEY", **which)  # type: ignore[arg-type]
    with pytest.raises(SecretDeleted):
        kms.rotate_secret("API_KEY", "z")
    assert kms.list_secrets().items == []
    assert [info.deleted for info in kms.list_secrets(deleted=True).items] == [True]
    kms.undelete_secret("API_KEY")
    kms.undelete_secret("API_KEY")
    assert kms.get_secret("API_KEY").reveal() == "y"


def test_a_destroyed_secret_has_no_bytes_left_and_no_undo(kms: KMSService, path: Path) -> None:
    kms.store_secret("API_KEY", "x")
    kms.rotate_secret("API_KEY", "y")
    blobs = stored(path)
    kms.destroy_secret("API_KEY")
    with pytest.raises(SecretDeleted, match="destroyed"):
        kms.get_secret("API_KEY")
    for call in (kms.undelete_secret, kms.delete_secret, kms.destroy_secret):
        with pytest.raises(SecretDeleted, match="destroyed"):
            call("API_KEY")
    with pytest.raises(SecretDeleted):
        kms.rotate_secret("API_KEY", "z")
    files = b"".join(file.read_bytes() for file in path.parent.glob("app.db*") if file.is_file())
    assert len(blobs) == 2
    assert [blob for blob in blobs if blob[60:] in files] == []
    assert [version.state for version in kms.list_versions("API_KEY").items] == ["destroyed", "destroyed"]


def stored(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(path)) as connection:
        return [blob for (blob,) in connection.execute("SELECT ciphertext FROM secret_versions WHERE ciphertext <> ''")]


def test_one_version_can_be_destroyed(kms: KMSService) -> None:
    for value in "abc":
        kms.store_secret("API_KEY", value)
    kms.destroy_secret("API_KEY", version=2)
    with pytest.raises(SecretDeleted, match="API_KEY#2"):
        kms.get_secret("API_KEY", version=2)
    with pytest.raises(SecretDeleted, match="API_KEY#2"):
        kms.destroy_secret("API_KEY", version=2)
    with pytest.raises(SecretNotFound):
        kms.destroy_secret("API_KEY", version=4)
    assert [kms.get_secret("API_KEY", version=number).reveal() for number in (1, 3)] == ["a", "c"]


def test_a_destroyed_name_stays_held_and_goes_on_counting(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "x")
    kms.destroy_secret("API_KEY")
    with pytest.raises(VersionConflict):
        kms.store_secret("API_KEY", "y", expected_version=0)
    assert kms.store_secret("API_KEY", "y").version == 2
    assert kms.get_secret("API_KEY").reveal() == "y"
    with pytest.raises((SecretDeleted, SecretNotFound)):
        kms.get_secret("API_KEY", label="previous")


def test_a_destroyed_secret_has_no_ttl_tags_or_rule_and_begins_anew(kms: KMSService) -> None:
    kms.store_secret("API_KEY", ttl="1h", tags={"team": "shop"}, generate="hex:64")
    kms.destroy_secret("API_KEY")
    (gone,) = kms.list_secrets(deleted=True).items
    assert (gone.ttl_ms, dict(gone.tags), gone.generate, gone.destroyed) == (None, {}, None, True)
    assert kms.list_secrets(deleted=True, tags={"team": "shop"}).items == []
    with pytest.raises(UsageError, match="no rule"):
        kms.store_secret("API_KEY")
    again = kms.store_secret("API_KEY", "x")
    assert (again.version, again.ttl_ms, again.expires_ms, dict(again.tags), again.generate) == (
        2,
        None,
        None,
        {},
        None,
    )
    assert kms.list_secrets(tags={"team": "shop"}).items == []


@pytest.mark.parametrize("how", ["deleted", "deleted and undone", "one version destroyed"])
def test_what_was_not_destroyed_whole_keeps_ttl_tags_and_rule(kms: KMSService, how: str) -> None:
    kms.store_secret("API_KEY", ttl="1h", tags={"team": "shop"}, generate="hex:64")
    if how == "one version destroyed":
        kms.destroy_secret("API_KEY", version=1)
    else:
        kms.delete_secret("API_KEY")
    if how == "deleted and undone":
        kms.undelete_secret("API_KEY")
    again = kms.store_secret("API_KEY", "x")
    assert (again.ttl_ms, dict(again.tags), again.generate) == (3_600_000, {"team": "shop"}, "hex:64")


@pytest.mark.parametrize("call", ["delete_secret", "undelete_secret", "destroy_secret", "list_versions", "get_secret"])
def test_what_was_never_stored_is_not_found(kms: KMSService, call: str) -> None:
    with pytest.raises(SecretNotFound, match="API_KEY"):
        getattr(kms, call)("API_KEY")


def test_many_secrets_are_stored_all_or_none(kms: KMSService) -> None:
    infos = kms.store_secrets({"A": "a", "B": b"b"}, ttl="1d", tags={"app": "x"})
    assert [(info.name, info.version, info.ttl_ms, dict(info.tags)) for info in infos] == [
        ("A", 1, DAY_MS, {"app": "x"}),
        ("B", 1, DAY_MS, {"app": "x"}),
    ]
    with pytest.raises(UsageError):
        kms.store_secrets({"A": "again", "C": ""})
    assert [(info.name, info.version) for info in kms.list_secrets().items] == [("A", 1), ("B", 1)]
    assert kms.store_secrets({}) == []


# Listing


def test_pages_give_every_name_once_in_order_however_long_they_are(kms: KMSService) -> None:
    names = sorted(f"app/{number}" for number in range(25))
    kms.store_secrets(dict.fromkeys(names, "x"))
    for limit in (1, 7, 25, 1000):
        seen, after = [], None
        while True:
            page = kms.list_secrets(limit=limit, after=after)
            seen += [info.name for info in page.items]
            assert len(page.items) <= limit
            if page.next is None:
                break
            after = page.next
        assert seen == names


@pytest.mark.parametrize("limit", [0, -1, 1001, True, "5", None])
def test_a_page_has_one_to_a_thousand_items(kms: KMSService, limit: object) -> None:
    with pytest.raises(UsageError, match="limit"):
        kms.list_secrets(limit=limit)  # type: ignore[arg-type]


def test_prefix_and_tags_choose_together(kms: KMSService) -> None:
    kms.store_secret("app/a", "x", tags={"env": "prod", "team": "one"})
    kms.store_secret("app/b", "x", tags={"env": "test", "team": "one"})
    kms.store_secret("apple", "x", tags={"env": "prod"})
    kms.store_secret("app_", "x")

    def names(**how: object) -> list[str]:
        return [info.name for info in kms.list_secrets(**how).items]  # type: ignore[arg-type]

    assert names(prefix="app/") == ["app/a", "app/b"]
    assert names(prefix="app") == ["app/a", "app/b", "app_", "apple"]
    assert names(tags={"env": "prod"}) == ["app/a", "apple"]
    assert names(prefix="app/", tags={"env": "prod", "team": "one"}) == ["app/a"]
    assert names(tags={"env": "nowhere"}) == []
    assert names(prefix="%") == []


def test_tags_are_kept_until_told_otherwise(kms: KMSService) -> None:
    kms.store_secret("API_KEY", "1", tags={"env": "prod"})
    assert kms.store_secret("API_KEY", "2").tags == {"env": "prod"}
    assert kms.rotate_secret("API_KEY", "3").tags == {"env": "prod"}
    assert kms.store_secret("API_KEY", "4", tags={"env": "test"}).tags == {"env": "test"}
    assert kms.list_secrets(tags={"env": "prod"}).items == []
    assert kms.store_secret("API_KEY", "5", tags=None).tags == {}
    assert kms.list_secrets(tags={"env": "test"}).items == []


@pytest.mark.parametrize("tags", [{"a b": "x"}, {"a": "x\n"}, {"a": 5}, {"": "x"}, "env=prod", {"a": "x" * 257}])
def test_tags_of_another_form_are_refused(kms: KMSService, tags: object) -> None:
    with pytest.raises(UsageError, match="tag"):
        kms.store_secret("API_KEY", "x", tags=tags)  # type: ignore[arg-type]
    with pytest.raises(SecretNotFound):
        kms.get_secret("API_KEY")


# What is in the file


def test_no_value_is_in_any_file_and_a_row_that_was_swapped_is_found(opened: Open, path: Path) -> None:
    kms = opened().kms
    kms.store_secret("A", "first-value-of-a")
    kms.store_secret("B", "first-value-of-b")
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    assert len(files) > 2
    assert [file for file in files if b"first-value" in file.read_bytes()] == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE secret_versions SET ciphertext = (SELECT ciphertext FROM secret_versions WHERE name = 'B')"
            " WHERE name = 'A'"
        )
        connection.commit()
    with pytest.raises(IntegrityError, match="A#1"):
        kms.get_secret("A")
    assert kms.get_secret("B").reveal() == "first-value-of-b"


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE secrets SET labels = '1,,,'",
        "UPDATE secrets SET expires_ms = NULL",
        "UPDATE secrets SET deleted_ms = NULL",
        'UPDATE secrets SET tags = \'{"a":"b"}\'',
        "UPDATE secrets SET epoch = epoch + 1",
        "UPDATE secrets SET mac = zeroblob(32)",
    ],
)
def test_an_edited_head_is_found_loudly(kms: KMSService, clock: ManualClock, path: Path, edit: str) -> None:
    kms.store_secret("API_KEY", "x", ttl="1d")
    kms.rotate_secret("API_KEY", "y")
    kms.delete_secret("API_KEY")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(edit)
        connection.commit()
    with pytest.raises(IntegrityError, match="API_KEY"):
        kms.get_secret("API_KEY")
    with pytest.raises(IntegrityError, match="API_KEY"):
        kms.store_secret("API_KEY", "z")


def test_each_change_and_each_read_has_one_record(kms: KMSService) -> None:
    events = recorded(kms)
    kms.store_secret("API_KEY", "x")
    kms.get_secret("API_KEY")
    kms.rotate_secret("API_KEY", "y")
    kms.delete_secret("API_KEY")
    kms.delete_secret("API_KEY")
    kms.undelete_secret("API_KEY")
    kms.undelete_secret("API_KEY")
    kms.destroy_secret("API_KEY")
    with pytest.raises(SecretDeleted):
        kms.get_secret("API_KEY")
    with pytest.raises(VersionConflict):
        kms.store_secret("API_KEY", "z", expected_version=9)
    assert [(event, outcome) for event, target, outcome in events if target == "secret/API_KEY"] == [
        ("secret_stored", "success"),
        ("secret_retrieved", "success"),
        ("secret_rotated", "success"),
        ("secret_deleted", "success"),
        ("secret_deleted", "success"),
        ("secret_undeleted", "success"),
        ("secret_undeleted", "success"),
        ("secret_destroyed", "success"),
        ("secret_retrieved", "failed"),
        ("secret_stored", "failed"),
    ]
