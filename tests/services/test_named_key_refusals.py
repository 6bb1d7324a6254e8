"""What is refused of named keys says of which key, and what next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.services.conftest import BY_HAND

import keystead
from keystead.errors import KeysteadError
from keystead.services.connection import Connection
from keystead.testing import ManualClock

Call = Callable[[Connection], object]
REFUSED: dict[str, tuple[Call, str, str]] = {
    "rotating a suspended key": (lambda s: s.kms.keys.rotate("held"), "key held is suspended", "key resume"),
    "rotating a destroyed key": (lambda s: s.kms.keys.rotate("gone"), "key gone was destroyed", "another name"),
    "granting on a compromised key": (
        lambda s: s.kms.grants.create("leaked", "user:ada", ["decrypt"]), "key leaked is compromised", "make a new key",
    ),
    "rotating an imported key": (lambda s: s.kms.keys.rotate("brought"), "key brought was imported", "--new-version"),
    "importing into a key that was made here": (
        lambda s: s.kms.keys.import_version("ours", wrapped(s), wrapping_key="wrapping"), "key ours was generated",
        "key rotate",
    ),
    "cancelling what is not scheduled": (lambda s: s.kms.keys.cancel_destruction("ours"), "key ours", "key show ours"),
    "taking a key away as an alias": (lambda s: s.kms.keys.remove_alias("ours"), "ours is a key", "key show"),
    "a version whose data key was destroyed": (lambda s: s.kms.keys.mac("burnt", b""), "of key burnt", "key rotate"),
    "a backup of such a key": (
        lambda s: s.kms.keys.backup("burnt", passphrase="correct horse battery staple"), "of key burnt", "rotate it",
    ),
    "a token's name": (lambda s: s.kms.tokens.create(name="Ada"), "not the name of an access token", "1 to 64"),
}  # fmt: skip


def wrapped(store: Connection) -> bytes:
    return keystead.wrap_for_import(store.kms.keys.public_key("wrapping").pem, bytes(range(32)))


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path = tmp_path_factory.mktemp("refusals") / "app.db"
    store = keystead.connect(path, master_key=keystead.generate_master_key(), settings=BY_HAND, clock=ManualClock())
    keys = store.kms.keys
    keys.create("burnt", type="hmac-sha-256", exportable=True)
    burnt = store.kms.list_data_keys().items[0].id
    store.kms.rotate_data_key()
    store.kms.destroy_data_key(burnt)
    for name in ("held", "gone", "leaked", "ours"):
        keys.create(name)
    keys.suspend("held")
    keys.suspend("gone")
    keys.destroy("gone")
    keys.mark_compromised("leaked")
    keys.create("wrapping", type="rsa-4096", usage="import")
    keys.import_key("brought", wrapped(store), wrapping_key="wrapping")
    yield store
    store.close()


@pytest.mark.parametrize("what", REFUSED)
def test_it_names_the_key_and_what_next(refusing: Connection, what: str) -> None:
    call, named, following = REFUSED[what]
    with pytest.raises(KeysteadError) as refused:
        call(refusing)
    assert named in refused.value.message
    assert following in refused.value.hint


def test_a_session_whose_token_is_over_is_told_to_log_in(refusing: Connection) -> None:
    with refusing.as_token(refusing.kms.tokens.create(ttl="1h")) as acting:
        refusing.kms.revoke_session(acting.kms.session_id)
        with pytest.raises(KeysteadError) as refused:
            acting.kms.whoami()
    assert refused.value.hint.startswith("log in")
