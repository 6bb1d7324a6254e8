"""Looking at named keys, without their material."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from keystead.crypto.types import KeyType
from keystead.errors import DecryptionError, IntegrityError, KeyNotFound, UsageError
from keystead.gate import Gate, Session
from keystead.keys.lifecycle import KeyState
from keystead.keys.named.model import KeyBinder, KeyHead, KeyInfo, KeyVersionInfo, KeyVersionRow
from keystead.keys.named.names import check_key_name
from keystead.keys.named.ports import NamedKeyRows
from keystead.keys.named.ring import checked, require_same
from keystead.keys.named.rules import Usage, operations
from keystead.keys.ring import KeyRing

T = TypeVar("T")


@dataclass(slots=True, eq=False, repr=False)
class NamedKeyReader:
    """The use cases of one node that show named keys."""

    gate: Gate[Any]
    ring: KeyRing
    binder: Callable[[], KeyBinder]
    rows: Callable[[], NamedKeyRows]

    def read(self, session: Session, name: str) -> KeyInfo:
        """A key without its material, by name or alias."""
        return self._look(session, name, lambda rows, head: key_info(head, tuple(rows.aliases(head.key_id))))

    def known(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        """The own name of a key, also by an alias, and its tags; None where there is none: for who asked the gate."""
        found = found_or_none(self.rows(), self.binder(), name)
        return None if found is None else (found.name, found.facts())

    def tags(self, name: str) -> Mapping[str, str] | None:
        """The tags of a key by its own name, None where there is none: for who asked the gate already."""
        own = self.known(name)
        return own[1] if own is not None and own[0] == name else None

    def owner(self, session: Session, name: str) -> KeyInfo:
        """The key of a ciphertext's reference; who may not see it is told what a ciphertext of no key is told."""
        try:
            return self.read(session, name)
        except KeyNotFound as error:
            if not error.refused:
                raise
        raise DecryptionError

    def versions(self, session: Session, name: str) -> list[KeyVersionInfo]:
        """The versions of a key, oldest first."""
        return self._look(
            session, name, lambda rows, head: [self._version(head, row) for row in rows.versions(head.key_id)]
        )

    def _look(self, session: Session, name: str, shown: Callable[[NamedKeyRows, KeyHead], T]) -> T:
        check_key_name(name)
        rows = self.rows()
        found = found_or_none(rows, self.binder(), name)
        target = name if found is None else found.name
        facts = None if found is None else {"tags": found.facts()}
        with self.gate.read(session, "key:read", f"key/{target}", "key_read", facts, asked=name):
            head = checked(rows, self.binder(), name)
            require_same(name, head, target)
            return shown(rows, head)

    def _version(self, head: KeyHead, row: KeyVersionRow) -> KeyVersionInfo:
        state: str = head.state_now
        if row.material is None:
            state = KeyState.DESTROYED.value
        elif state == KeyState.ACTIVE and row.version != head.primary:
            state = KeyState.DEACTIVATED.value
        key_id = self.ring.by_reference(row.key_reference).key_id
        return KeyVersionInfo(row.version, row.created_ms, row.version == head.primary, state, key_id)

    def page(self, session: Session, prefix: str, limit: int, after: str | None) -> tuple[list[KeyInfo], str | None]:
        """A page of the keys that the session may list, in the order of their names, and the name to go on from."""
        if not isinstance(prefix, str) or not prefix.isascii():
            raise UsageError("prefix is not the beginning of a key's name")
        if after is not None:
            check_key_name(after)
        with self.gate.read(session, "key:list", f"key/{prefix}*", "keys_listed") as detail:
            found = list(islice(self._listed(session, prefix, after, limit + 1), limit + 1))
            items = found[:limit]
            detail["count"] = len(items)
            return items, items[-1].name if len(found) > limit else None

    def _listed(self, session: Session, prefix: str, after: str | None, count: int) -> Iterator[KeyInfo]:
        rows, binder = self.rows(), self.binder()
        while True:
            found = rows.page(prefix, count, after)
            for head in found:
                after = binder.check(head).name
                if self.gate.may(session, "key:list", f"key/{after}", {"tags": head.facts()}):
                    yield key_info(head, tuple(rows.aliases(head.key_id)))
            if len(found) < count:
                return


def key_info(head: KeyHead, aliases: tuple[str, ...]) -> KeyInfo:
    """What may be shown of a head."""
    able = sorted(operations(KeyType(head.type), Usage(head.usage)))
    following = None if head.rotation_ms is None else head.rotated_ms + head.rotation_ms
    return KeyInfo(
        name=head.name,
        id=head.key_id,
        type=head.type,
        usage=head.usage,
        state=head.state_now,
        origin=head.origin,
        version=head.primary,
        min_encrypt=head.min_encrypt,
        min_decrypt=head.min_decrypt,
        deterministic=head.deterministic,
        exportable=head.exportable,
        description=head.description,
        tags=head.facts(),
        aliases=aliases,
        operations=tuple(operation.value for operation in able),
        rotation_ms=head.rotation_ms,
        next_rotation_ms=following if head.state == KeyState.ACTIVE else None,
        destroy_ms=head.destroy_ms,
        created_ms=head.created_ms,
        updated_ms=head.updated_ms,
    )


def found_or_none(rows: NamedKeyRows, binder: KeyBinder, name: str) -> KeyHead | None:
    """The head of a key by its name or alias, for what the gate asks about.

    None where there is none, and where its record was edited: who may not know of the key is not told of that either,
    and all others meet the error behind the gate, where it is recorded.
    """
    try:
        return checked(rows, binder, name)
    except (KeyNotFound, IntegrityError):
        return None
