"""What a policy may ask about the use of a named key, beside action and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keystead.crypto.aad import AAD
from keystead.keys.named.model import KeyHead
from keystead.keys.named.rules import Operation

_WITH_CONTEXT: Final = frozenset(
    (Operation.ENCRYPT, Operation.DECRYPT, Operation.REENCRYPT, Operation.DATA_KEY, Operation.DERIVE)
)


def asked_facts(operation: Operation, head: KeyHead, context: AAD) -> dict[str, Mapping[str, str]]:
    """The tags of the key, and the context of an operation that takes one.

    A context that is bytes or text is left out: it may spell the very pairs that a statement denies, so it is unknown.
    """
    facts: dict[str, Mapping[str, str]] = {"tags": head.facts()}
    if operation in _WITH_CONTEXT and (context is None or isinstance(context, Mapping)):
        facts["context"] = {} if context is None else context
    return facts
