"""Comparing root key and data keys of the store with its log: what was replaced does not serve again.

Their rows are rewritten by more than their own changes, so the log does not hold how they must be. It tells which
data key took the place of which, how many messages were reserved, and which root key is the newest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keystead.audit.ports import DataKeyState
from keystead.audit.record import Event, Record
from keystead.audit.report import Problem


class KeyCheck:
    """What the log says of the data keys that the store has, and of its root key by its generation."""

    def __init__(self, data_keys: Mapping[str, DataKeyState], generation: int) -> None:
        self._data_keys = data_keys
        self._generation = generation
        self._made: dict[str, int] = {}
        self._replaced: dict[str, int] = {}
        self._messages: dict[str, dict[int, int]] = {}
        self._root = (0, 0)

    def add(self, number: int, record: Record) -> None:
        """Take in the record of a change by its number."""
        _, _, key_id = record.target.partition("/")
        former, messages = record.detail.get("former"), record.detail.get("messages")
        generation = record.detail.get("generation")
        if record.event == Event.DATA_KEY_ROTATED:
            self._made[key_id] = number
            if isinstance(former, str) and former:
                self._replaced[former] = number
        elif record.event == Event.MESSAGES_RESERVED and isinstance(messages, int):
            # By number: a record may stand in the outbox and in its chain.
            self._messages.setdefault(key_id, {})[number] = messages
        elif record.event == Event.ROOT_KEY_ROTATED and isinstance(generation, int):
            self._root = max(self._root, (number, generation))

    def problems(self, restored: int) -> Iterator[Problem]:
        """Where the store is otherwise; change `restored` brought the keys of a backup."""
        for key_id, number in self._made.items():
            if number > restored and key_id not in self._data_keys:
                yield Problem("", f"data-key/{key_id} is gone from the store, and change {number} made it")
        for key_id, number in self._replaced.items():
            if number > restored and key_id in self._data_keys and self._data_keys[key_id].active:
                yield Problem("", f"data-key/{key_id} is active again, and change {number} put another in its place")
        for key_id, reserved in self._messages.items():
            messages = sum(count for number, count in reserved.items() if number > restored)
            if key_id in self._data_keys and self._data_keys[key_id].reserved < messages:
                yield Problem("", f"data-key/{key_id} counts fewer messages than the {messages} that are recorded")
        number, generation = self._root
        if number > restored and generation != self._generation:
            yield Problem("", f"the root key is not that of generation {generation}, which change {number} made")
