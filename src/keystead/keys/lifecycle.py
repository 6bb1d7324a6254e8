"""The states of a key, what each permits, and where each goes: the one table (NIST SP 800-57 part 1).

`scrubbing` stands between any state and `destroyed`: the key is lost to every use, and its bytes are being taken out of
the files. docs/lifecycle.md is drawn from this module by `table()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from keystead.errors import KeyStateError


class KeyState(StrEnum):
    """The state of a data key or of a named key's version."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    SCRUBBING = "scrubbing"
    DESTROYED = "destroyed"


class Use(StrEnum):
    """To protect is to encrypt, sign, MAC or wrap; to process is to decrypt, verify or unwrap."""

    PROTECT = "protect"
    PROCESS = "process"


PERMITTED_USES: Final[Mapping[KeyState, frozenset[Use]]] = MappingProxyType(
    {
        KeyState.PRE_ACTIVE: frozenset(),
        KeyState.ACTIVE: frozenset({Use.PROTECT, Use.PROCESS}),
        KeyState.SUSPENDED: frozenset(),
        KeyState.DEACTIVATED: frozenset({Use.PROCESS}),
        KeyState.COMPROMISED: frozenset(),
        KeyState.SCRUBBING: frozenset(),
        KeyState.DESTROYED: frozenset(),
    }
)

TRANSITIONS: Final[Mapping[KeyState, frozenset[KeyState]]] = MappingProxyType(
    {
        KeyState.PRE_ACTIVE: frozenset({KeyState.ACTIVE, KeyState.COMPROMISED, KeyState.SCRUBBING}),
        KeyState.ACTIVE: frozenset(
            {KeyState.SUSPENDED, KeyState.DEACTIVATED, KeyState.COMPROMISED, KeyState.SCRUBBING}
        ),
        KeyState.SUSPENDED: frozenset(
            {KeyState.ACTIVE, KeyState.DEACTIVATED, KeyState.COMPROMISED, KeyState.SCRUBBING}
        ),
        KeyState.DEACTIVATED: frozenset({KeyState.COMPROMISED, KeyState.SCRUBBING}),
        KeyState.COMPROMISED: frozenset({KeyState.SCRUBBING}),
        KeyState.SCRUBBING: frozenset({KeyState.DESTROYED}),
        KeyState.DESTROYED: frozenset(),
    }
)

ENDED: Final = frozenset({KeyState.SCRUBBING, KeyState.DESTROYED})


def require_use(state: KeyState, use: Use, key_id: str) -> None:
    """Nothing, where a key in `state` may be used so.

    Raises:
        KeyStateError: it may not; the message names the key and its state.
    """
    if use not in PERMITTED_USES[state]:
        raise KeyStateError(f"key {key_id} is {state} and may not {use} anything", hint=_way_on(state))


def require_transition(state: KeyState, to: KeyState, key_id: str) -> None:
    """Nothing, where a key may go from `state` to `to`.

    Raises:
        KeyStateError: it may not; the message names the key and both states.
    """
    if to not in TRANSITIONS[state]:
        goes_to = [other for other in KeyState if other in TRANSITIONS[state]]
        raise KeyStateError(
            f"key {key_id} is {state} and cannot become {to}",
            hint=f"from {state} it can become {', '.join(goes_to)}" if goes_to else "its bytes are gone for good",
        )


def _way_on(state: KeyState) -> str:
    match state:
        case KeyState.PRE_ACTIVE | KeyState.SUSPENDED:
            return "make the key active first"
        case KeyState.DEACTIVATED:
            return "protect with the active key; this one only opens what it protected before"
        case KeyState.COMPROMISED:
            return "re-encrypt from a copy that you trust; a compromised key is not used again"
        case KeyState.SCRUBBING | KeyState.DESTROYED:
            return "what this key protected cannot be read any more"
        case _:
            return ""


def table() -> str:
    """The states as a Markdown table: uses permitted, and where each state goes."""
    lines = ["| state | may protect | may process | goes to |", "| --- | --- | --- | --- |"]
    for state in KeyState:
        uses = PERMITTED_USES[state]
        goes_to = ", ".join(other for other in KeyState if other in TRANSITIONS[state])
        protect, process = ("yes" if use in uses else "no" for use in Use)
        lines.append(f"| {state} | {protect} | {process} | {goes_to or 'nowhere'} |")
    return "\n".join(lines) + "\n"
