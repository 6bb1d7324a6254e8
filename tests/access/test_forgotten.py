"""What a node keeps of sessions is gone once they were closed, however they ended."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import pytest
from tests.access.conftest import allow

from keystead.errors import SessionEnded
from keystead.services.connection import Connection
from keystead.testing import ManualClock


@pytest.mark.parametrize("ends", ["closed", "revoked", "expired"])
@pytest.mark.parametrize("lazy", [False, True], ids=["of a library", "of a server"])
def test_nothing_is_kept_of_a_session_that_was_closed(
    store: Connection, clock: ManualClock, ends: str, lazy: bool
) -> None:
    allow(store)
    store.kms.keys.create("orders")
    token = store.kms.tokens.create(["all"], ttl="1h")
    acting = store.as_token(token)
    node = store.kms.node
    if lazy:
        session = node.identities.open_session(store.kms._session, token.reveal(), "", "", lazy=True)
        acting.close()
        acting = Connection(type(store.kms)._acting(node, session))
    acting.kms.keys.encrypt("orders", b"data")
    if ends == "revoked":
        store.kms.tokens.revoke(token)
    elif ends == "expired":
        clock.advance(3_600_000)
        with suppress(SessionEnded):
            acting.kms.whoami()
    if lazy:
        node.catch_up(session)  # as the next request does
    acting.close()
    face = weakref.ref(acting.kms)
    keys = weakref.ref(acting.kms.keys)
    del acting
    store.kms.store_secret("other", "x")  # a change, behind which no decision is kept
    gc.collect()
    assert (face(), keys()) == (None, None)
