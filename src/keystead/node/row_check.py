"""Checking what an open store holds against its keys: each row by its MAC, each encrypted value by opening it.

A row that was edited is refused when it is used; this finds it before somebody needs it. Nothing is changed, and what
was opened is dropped at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from keystead.access.binding import BoundRow
from keystead.audit.report import Problem
from keystead.errors import IntegrityError
from keystead.keys.lifecycle import ENDED
from keystead.keys.model import check_count, unwrapped
from keystead.node.policies import binder_of
from keystead.storage.accounts import SqliteAccounts
from keystead.storage.auth_methods import SqliteAuthMethods
from keystead.storage.content import SqliteContent
from keystead.storage.data_keys import SqliteDataKeys
from keystead.storage.grants import SqliteGrants
from keystead.storage.policies import SqlitePolicies
from keystead.storage.tokens import SqliteTokens

if TYPE_CHECKING:
    from keystead.node.node import Node

LOOKS: Final = 3


def row_problems(node: Node) -> Iterator[Problem]:
    """What is not what keystead wrote, by what it is of, such as `secret/DATABASE_URL`.

    Raises:
        Sealed: another process replaced the root key, so that not everything can be opened here.
    """
    checks = _checks(node)
    for kind, name in SqliteContent(node.store).rows():
        check = checks[kind]
        if name is None:
            yield Problem("", f"a row of kind {kind} has no name that keystead wrote")
        elif not any(_holds(node, check, name) for _ in range(LOOKS)):
            yield Problem("", f"{kind}/{name} is not what keystead wrote, and is refused where it is used")


def _holds(node: Node, check: Callable[[Any], object], name: Any) -> bool:
    try:
        with node.store.at_one_moment():
            check(name)
    except (IntegrityError, TypeError, AttributeError):  # columns of other types than keystead writes
        # It may be under a data key that another process just made, or a root key that is not held here.
        with suppress(IntegrityError):
            node.ring.reload()
            node.same_root(node.store.read())
        return False
    return True


def _checks(node: Node) -> dict[str, Callable[[Any], object]]:
    """For each kind of row what raises where it does not hold; a row that is not there any more holds."""
    connection = node.store.read()
    accounts, binder = SqliteAccounts(connection), node.root.identity_binder()

    def bound(find: Callable[[Any], BoundRow | None]) -> Callable[[Any], object]:
        def check(name: Any) -> None:
            row = find(name)
            if row is not None:
                binder.check(row, str(name))

        return check

    def token(accessor: str) -> BoundRow | None:
        found = SqliteTokens(connection).by_accessors([accessor])
        return found[0] if found else None

    def policy(name: str) -> None:
        row = SqlitePolicies(connection).get(name)
        if row is not None:
            binder_of(node).check(row)

    return {
        "data-key": lambda key_id: _check_data_key(node, key_id),
        "secret": node.reader.check,
        "key": node.named.ring.check,
        "alias": node.named.ring.check_alias,
        "policy": policy,
        "grant": bound(SqliteGrants(connection).get),
        "token": bound(token),
        "user": bound(accounts.user),
        "failed-logins": bound(accounts.failures),
        "role": bound(accounts.role),
        "secret-id": bound(accounts.secret_id_by_accessor),
        "auth-method": bound(SqliteAuthMethods(connection).get),
    }


def _check_data_key(node: Node, key_id: str) -> None:
    record = SqliteDataKeys(node.store.read()).get(key_id)
    if record is None:
        return
    check_count(record, node.root.integrity_key(), node.root.store_id)
    if record.wrapped is not None or record.state not in ENDED:
        unwrapped(record, node.root.wrapping_key(), node.root.store_id).forget()
