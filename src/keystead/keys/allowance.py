"""How many envelopes v1 this process may still make under a data key.

The AES key of envelopes is one for all processes and its ivs are random, so their number is bounded in the store. A
process reserves blocks before use: the first of 64, each next one twice as large up to 2^20, refilled at half in the
background, so that nobody waits in the ordinary case. What a process reserved and did not use is lost: counts only err
upwards.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from keystead.errors import KeyExhausted, KeyStateError, OperatorError
from keystead.keys.limits import next_block
from keystead.keys.ports import Reserve


class Allowance:
    """The allowance of one data key in one process; safe under threads, without a lock on the ordinary way."""

    def __init__(self, key_id: str, reserve: Reserve, in_background: Callable[[Callable[[], None]], None]) -> None:
        self.key_id = key_id
        self._reserve = reserve
        self._in_background = in_background
        self._lock = threading.Lock()
        self._next = itertools.count(1).__next__
        self._block = 0
        self._end = 0
        self._refill_from = 0
        self._refilling = False

    def take(self) -> None:
        """Use up one message.

        Raises:
            KeyExhausted: none is left, and the store cannot be asked or gives no more.
            KeyStateError: the data key is no longer the active one.
        """
        number = self._next()
        if number > self._refill_from:
            self._beyond_half(number)

    def try_take(self) -> bool:
        """Use up one message, if there is one without asking the store; whether there was."""
        number = self._next()
        if number > self._end:
            return False
        if number > self._refill_from:
            self._beyond_half(number)
        return True

    def _beyond_half(self, number: int) -> None:
        if number <= self._end:
            # Whoever holds the lock is asking the store already; nobody waits for that before the block is at its end.
            if not self._refilling and self._lock.acquire(blocking=False):
                try:
                    wanted = not self._refilling and number > self._refill_from
                    self._refilling = self._refilling or wanted
                finally:
                    self._lock.release()
                if wanted:
                    self._in_background(self._refill_quietly)
            return
        with self._lock:
            while number > self._end:
                self._refill()

    def _refill_quietly(self) -> None:
        with self._lock:
            try:
                self._refill()
            except (KeyStateError, OperatorError):
                # The block in hand goes on to its end; whoever needs more then meets the error.
                self._refill_from = self._end
            finally:
                self._refilling = False

    def _refill(self) -> None:
        block = next_block(self._block)
        try:
            granted = self._reserve(self.key_id, block)
        except OperatorError as error:
            raise KeyExhausted(
                f"no messages are left for data key {self.key_id} in this process",
                why=f"the store cannot be asked for more: {error.message}",
                hint="bring the store back; decryption goes on meanwhile",
            ) from error
        if granted == 0:
            raise KeyExhausted(f"data key {self.key_id} has made all its messages", hint="keystead keys rotate")
        self._block = block
        self._end += granted
        self._refill_from = self._end - granted // 2
