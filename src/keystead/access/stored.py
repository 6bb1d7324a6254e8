"""Policies as the store keeps them: their names, their binding to the store, and reading them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keystead.access.compile import Policy
from keystead.access.policy_names import MAX_NAME_LENGTH, RESERVED, is_policy_name
from keystead.access.ports import PolicyRow
from keystead.access.statements import parse_document
from keystead.crypto.aad import bind
from keystead.crypto.mac import mac, same
from keystead.errors import IntegrityError, UsageError


@dataclass(frozen=True, slots=True)
class PolicyInfo:
    """A policy. Times are ms since the epoch; `version` rises with each writing; `document` is what it says."""

    name: str
    version: int
    created_ms: int
    updated_ms: int
    description: str
    statements: int
    document: Mapping[str, Any]


def check_policy_name(name: str) -> str:
    """The name itself, if it is one: 1 to 128 of `a-z 0-9 - _ .`, and none that stands for the owner.

    Nothing is put right, not even case or a blank at the end: a name has one spelling, here and where it is compared.

    Raises:
        UsageError: it is not.
    """
    if isinstance(name, str) and name in RESERVED:
        raise UsageError(
            f"no policy is named {name}",
            why="it would seem to give the rights of the owner",
            hint="choose another name",
        )
    if not is_policy_name(name):
        raise UsageError(
            "not the name of a policy", hint=f"use 1 to {MAX_NAME_LENGTH} of the characters a-z 0-9 - _ . in lower case"
        )
    return name


class PolicyBinder:
    """Binds policies to one store by a MAC under its integrity key."""

    def __init__(self, store_id: bytes, integrity_key: bytes | bytearray) -> None:
        self._store_id = store_id
        self._key = integrity_key

    def _mac(self, row: PolicyRow) -> bytes:
        fields = (row.name, row.version, row.created_ms, row.updated_ms, row.document)
        return mac(self._key, bind("policy", self._store_id, *fields))

    def sealed(self, row: PolicyRow) -> PolicyRow:
        """The row with its MAC."""
        return row._replace(mac=self._mac(row))

    def check(self, row: PolicyRow) -> PolicyRow:
        """The row, if it is one that keystead wrote for this store under this name.

        Raises:
            IntegrityError: it was edited, swapped or damaged.
        """
        if not same(self._mac(row), row.mac):
            raise IntegrityError(
                f"policy {row.name} is not what keystead wrote",
                why="nothing is allowed to whoever has it while it stands",
                hint="write it anew, or delete it; `keystead audit verify` says what was recorded",
            )
        return row


def loaded(row: PolicyRow, binder: PolicyBinder) -> Policy:
    """What a stored policy says. Where it cannot be believed or understood, its `problem` says so."""
    try:
        return Policy(row.name, parse_document(binder.check(row).document).statements)
    except IntegrityError:
        return Policy(row.name, (), "is not what keystead wrote: nothing is allowed by it, nor beside it")
    except UsageError:
        return Policy(row.name, (), "is not understood by this keystead: nothing is allowed by it, nor beside it")
