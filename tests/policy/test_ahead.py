"""Who would be refused orders no slow work first: no key pair is made and no passphrase derived from for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.policy.conftest import Act, allow, deny, document

from keystead.crypto import kdf
from keystead.errors import CallerError, Denied, KeyNotFound, SessionEnded
from keystead.keys.named import manage
from keystead.services.connection import Connection
from keystead.services.kms import KMSService

STRONG = "a lantern over seven quiet harbours"
Call = Callable[[KMSService, bytes], object]
SLOW: dict[str, Call] = {
    "create": lambda kms, _: kms.keys.create("new", type="rsa-4096"),
    "restore": lambda kms, backup: kms.keys.restore(backup, passphrase=STRONG),
    "restore by name": lambda kms, backup: kms.keys.restore(backup, passphrase=STRONG, name="new"),
    "create_user": lambda kms, _: kms.identities.create_user("ada", STRONG),
    "set_password": lambda kms, _: kms.identities.set_password("ada", STRONG),
}


@pytest.fixture
def backup(store: Connection) -> bytes:
    store.kms.keys.create("old", exportable=True)
    return store.kms.keys.backup("old", passphrase=STRONG)


def never(*_how: object, **_more: object) -> None:
    pytest.fail("slow work was done for who is refused")


@pytest.mark.parametrize("what", SLOW)
@pytest.mark.parametrize("who", ["nobody", "ended", "denied"])
def test_nothing_slow_is_done_for_who_is_refused(
    store: Connection, act: Act, backup: bytes, monkeypatch: pytest.MonkeyPatch, what: str, who: str
) -> None:
    store.kms.policies.write("all", document(allow()))
    store.kms.policies.write("no", document(allow("secret/**"), allow(actions=("key:encrypt",))))
    acting = {"nobody": act(), "ended": act("all"), "denied": act("no")}[who].kms
    if who == "ended":
        store.kms.revoke_session(acting.session_id)
    monkeypatch.setattr(kdf.Turn, "hold", never)
    monkeypatch.setattr(manage, "generate", never)
    with pytest.raises(SessionEnded if who == "ended" else CallerError) as refused:
        SLOW[what](acting, backup)
    if who != "ended":
        assert isinstance(refused.value, Denied) or getattr(refused.value, "refused", False)


def test_who_may_restore_some_key_learns_from_the_backup_whether_it_is_that(
    store: Connection, act: Act, backup: bytes
) -> None:
    store.kms.policies.write("tagged", document(allow("key/team/*", actions=("key:restore",), tags={"env": "prod"})))
    store.kms.keys.create("team/a", exportable=True, tags={"env": "prod"})
    good = store.kms.keys.backup("team/a", passphrase=STRONG)
    store.kms.keys.suspend("team/a")
    restoring = act("tagged").kms.keys
    with pytest.raises(KeyNotFound, match="no key 'old'"):
        restoring.restore(backup, passphrase=STRONG)
    with pytest.raises(CallerError, match="there is a key or an alias team/a"):
        restoring.restore(good, passphrase=STRONG)


def test_what_comes_before_takes_no_use_of_a_token(store: Connection) -> None:
    store.kms.policies.write("all", document(allow(), deny("key/not")))
    token = store.kms.tokens.create(["all"], uses=2)
    with store.as_token(token) as acting:
        acting.kms.keys.create("one")
        with pytest.raises(KeyNotFound):
            acting.kms.keys.create("not")
    assert store.kms.tokens.lookup(token).uses_left == 0
