"""Encrypting and decrypting a caller's data: the hot way, for one session.

Everything that is not the cipher is done once a period of at most a second: whether the session lives and may do this,
whether another process changed the keys, whether the salt is spent, and the opening audit record. A period ends with
what the node knows of other processes, so that nothing is older than one second, and at a fork. Within a period a call
costs a clock, a count and the cipher.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, NoReturn, TypeVar

from keystead.audit.counts import Counts, UseCounter
from keystead.clock import Clock
from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.compact import OVERHEAD, MessageKey, check_form
from keystead.crypto.envelope import Envelope, EnvelopeKey, parse
from keystead.crypto.purpose import Purpose
from keystead.errors import DataError, KeyStateError, KeysteadError, UsageError
from keystead.gate import WOULD_WAIT, Gate, Session, WouldWait
from keystead.keys.allowance import Allowance
from keystead.keys.hot import Hot, Period, hot_decrypt, hot_encrypt, not_bytes
from keystead.keys.lifecycle import Use
from keystead.keys.limits import SALT_MESSAGE_LIMIT
from keystead.keys.ports import Reserve
from keystead.keys.ring import KeyRing

PERIOD_SECONDS: Final = 1.0
SALT_SECONDS: Final = 3600.0
SHORT: Final = 64 * 1024
T = TypeVar("T")


class CallerKeys:
    """What a node's sessions share of the active data key: the current salt's message key and the v1 allowance."""

    def __init__(
        self, ring: KeyRing, clock: Clock, reserve: Reserve, in_background: Callable[[Callable[[], None]], None]
    ) -> None:
        self.ring = ring
        self._clock = clock
        self._reserve = reserve
        self._in_background = in_background
        self._sealing: tuple[str, MessageKey] | None = None
        self._salt_from = 0.0
        self._salt_pid = 0
        self._messages = 0
        self._allowance: Allowance | None = None
        self._allowance_pid = 0

    def sealing(self, used: int) -> tuple[str, MessageKey]:
        """The active data key's id and the message key to encrypt with, renewed where it must be.

        `used` is how many messages the caller has made with the last one.
        """
        active = self.ring.active()
        now, pid = self._clock.monotonic(), os.getpid()
        self._messages += used
        kept = self._sealing
        fresh = (
            kept is not None
            and kept[0] == active.key_id
            and pid == self._salt_pid
            and now - self._salt_from < SALT_SECONDS
            and self._messages < SALT_MESSAGE_LIMIT
        )
        if kept is None or not fresh:
            record, key = self.ring.sealing_key(Purpose.CALLER)
            kept = (record.key_id, key)
            self._sealing, self._salt_from, self._salt_pid, self._messages = kept, now, pid, 0
        return kept

    def envelopes(self) -> tuple[EnvelopeKey, Allowance]:
        """The active data key's envelope key and this process's allowance of it."""
        active, pid = self.ring.active(), os.getpid()
        kept = self._allowance
        if kept is None or kept.key_id != active.key_id or pid != self._allowance_pid:
            kept = Allowance(active.key_id, self._reserve, self._in_background)
            self._allowance, self._allowance_pid = kept, pid
        return self.ring.envelope_key(active, Use.PROTECT), kept

    def drop(self) -> None:
        """Forget what was derived; the next use derives anew."""
        self._sealing = None
        self._allowance = None


class DataUse:
    """Encrypt and decrypt for one session.

    `face` is the instance dictionary of the service that this works for. The functions of a period are put into it
    under `encrypt` and `decrypt`, where they stand before the service's methods of those names.
    """

    def __init__(
        self,
        keys: CallerKeys,
        gate: Gate[Any],
        counts: Counts,
        session: Session,
        clock: Clock,
        *,
        face: MutableMapping[str, Any],
    ) -> None:
        self._keys = keys
        self._gate = gate
        self._counts = counts
        self._session = session
        self._now_ms = clock.now_ms
        self._monotonic = clock.monotonic
        self._face = face
        # A service that is opened once more must not go on with the functions of its former session.
        for name in ("encrypt", "decrypt"):
            face.pop(name, None)
        self._hot_ends: list[Callable[[], None]] = []
        self._encrypted = self._counter("data_encrypted", "*")
        self._reported = 0
        self._ended = 0
        self.end_period()

    def end_period(self) -> None:
        """Check everything again at the next call."""
        self._ended += 1
        self._encrypt_until = self._envelope_until = self._open_until = -1.0
        ends, self._hot_ends = self._hot_ends, []
        for end in ends:
            end()
        self._openers: dict[bytes, tuple[Callable[[bytes, bytes], bytes], UseCounter]] = {}
        self._envelope_openers: dict[tuple[str, bool], tuple[EnvelopeKey, UseCounter]] = {}

    def _begin(self, action: str) -> float:
        known_until = self._gate.admit(self._session, action, "data-key/*")
        return min(known_until, self._monotonic() + PERIOD_SECONDS)

    def _counter(self, event: str, target: str) -> UseCounter:
        return self._counts.counter(event, f"data-key/{target}", self._session.id, str(self._session.principal))

    # Compact ciphertext v2

    def encrypt(self, data: bytes, aad: AAD = None) -> bytes:
        """A compact ciphertext under the active data key.

        Raises:
            UsageError: data that is not bytes, or an AAD of another kind.
        """
        if self._monotonic() >= self._encrypt_until:
            self._begin_encrypting()
        # Before the use is counted: under an AAD that has no bytes nothing is encrypted.
        if type(aad) is not bytes:
            aad = canonical_aad(aad)
        counter = self._encrypted
        counter.tick()
        if not counter.open:
            self._counts.resume(counter)
        try:
            return self._seal(data, aad)
        except TypeError:
            raise not_bytes() from None

    def _begin_encrypting(self) -> None:
        ended = self._ended
        until = self._begin("data:encrypt")
        key_id, key = self._keys.sealing(self._encrypted.total() - self._reported)
        self._encrypted = self._counter("data_encrypted", key_id)
        self._reported = self._encrypted.total()
        period = Period(self._monotonic, until, self._counts, self._encrypted)
        self._seal, self._encrypt_until = key.seal, until
        self._install("encrypt", hot_encrypt(key, period, self.encrypt), ended)
        if self._ended != ended:
            self._encrypt_until = -1.0

    def _install(self, name: str, hot: Hot, ended: int) -> None:
        """Put a function of a period into the service, unless that period was ended meanwhile."""
        self._hot_ends.append(hot.end)
        self._face[name] = hot.crypt
        if self._ended != ended:
            hot.end()

    def try_encrypt(self, data: bytes, aad: AAD = None) -> bytes | WouldWait:
        """The same within a period, for data that is encrypted in no time."""
        counter = self._encrypted
        if self._monotonic() >= self._encrypt_until or not counter.open or type(data) is not bytes or len(data) > SHORT:
            return WOULD_WAIT
        bound = canonical_aad(aad)
        counter.use()
        return self._seal(data, bound)

    def decrypt(self, blob: bytes, aad: AAD = None) -> bytes:
        """The plaintext of a compact ciphertext.

        Raises:
            EnvelopeError: the form is wrong.
            DecryptionError: it does not authenticate.
            KeyStateError: its data key may not decrypt any more.
        """
        if self._monotonic() >= self._open_until:
            self._begin_decrypting()
        if type(aad) is not bytes:
            aad = canonical_aad(aad)
        known = self._openers.get(blob[:60]) if type(blob) is bytes and len(blob) >= OVERHEAD else None
        if known is None:
            return self._decrypt_first(blob, aad)
        opened, counter = known
        counter.tick()
        if not counter.open:
            self._counts.resume(counter)
        try:
            return opened(blob, aad)
        except DataError as error:
            self._refused(error)

    def _begin_decrypting(self) -> None:
        ended = self._ended
        until = self._begin("data:decrypt")
        self._openers, self._envelope_openers = {}, {}
        self._open_until = until
        if self._ended != ended:
            self._open_until = -1.0

    def _decrypt_first(self, blob: bytes, aad: bytes) -> bytes:
        """The first of a period under a header: its key is looked up and, once a tag was verified, kept."""
        # A period that ends meanwhile gets new dictionaries, so that nothing which it ended is kept.
        ended, openers, until = self._ended, self._openers, self._open_until
        try:
            check_form(blob)
            ring = self._keys.ring
            key = ring.opening_key(blob[:60], Purpose.CALLER)
            plaintext = key.open(blob, aad)
            record = ring.by_reference(blob[4:12])
        except KeysteadError as error:
            self._refused(error)
        counter = self._counter("data_decrypted", record.key_id)
        counter.use()
        ring.keep(Purpose.CALLER, key)
        if not openers:
            period = Period(self._monotonic, until, self._counts, counter)
            self._install("decrypt", hot_decrypt(key, period, self.decrypt), ended)
        openers[key.prefix] = (key.open, counter)
        return plaintext

    def try_decrypt(self, blob: bytes, aad: AAD = None) -> bytes | WouldWait:
        """The same within a period, where a key is at hand; what does not open is for `decrypt` to refuse."""
        if self._monotonic() >= self._open_until or type(blob) is not bytes or not OVERHEAD <= len(blob) <= SHORT:
            return WOULD_WAIT
        known = self._openers.get(blob[:60])
        if known is None or not known[1].open:
            return WOULD_WAIT
        try:
            plaintext = known[0](blob, canonical_aad(aad))
        except DataError:
            return WOULD_WAIT
        known[1].use()
        return plaintext

    def _refused(self, error: KeysteadError) -> NoReturn:
        self._gate.failed(self._session, "data-key/*", "decryption_failed", error)
        raise error

    # Envelope v1

    def seal_envelope(self, plaintext: bytes, aad: AAD = None) -> Envelope:
        """An envelope v1 under the active data key.

        Raises:
            KeyExhausted: the key's messages are used up and the store cannot be asked for more.
        """
        now = self._monotonic()
        if now >= self._envelope_until:
            self._begin_envelopes()
        try:
            self._take()
        except KeyStateError:
            self._take_anew()
        counter = self._sealed
        counter.tick()
        if not counter.open:
            self._counts.resume(counter)
        if type(aad) is not bytes:
            aad = canonical_aad(aad)
        return self._seal_envelope(plaintext, aad, self._wall_offset_ms + int(now * 1000))

    def try_seal_envelope(self, plaintext: bytes, aad: AAD = None) -> Envelope | WouldWait:
        """The same within a period, while messages are left that need not be asked for."""
        now = self._monotonic()
        if now >= self._envelope_until or not self._sealed.open or len(plaintext) > SHORT or not self._try_take():
            return WOULD_WAIT
        self._sealed.use()
        return self._seal_envelope(plaintext, canonical_aad(aad), self._wall_offset_ms + int(now * 1000))

    def _take_anew(self) -> None:
        """Another process rotated, and the transaction that asked for more messages saw it: take of the new key's."""
        for _ in range(3):
            self._begin_envelopes()
            try:
                self._take()
            except KeyStateError as error:
                refused = error
            else:
                return
        raise refused

    def _begin_envelopes(self) -> None:
        ended = self._ended
        until = self._begin("data:encrypt")
        key, allowance = self._keys.envelopes()
        self._sealed = self._counter("data_encrypted", key.key_id)
        self._take, self._try_take = allowance.take, allowance.try_take
        # One clock serves both the period and the timestamp, which decides nothing.
        self._wall_offset_ms = self._now_ms() - int(self._monotonic() * 1000)
        self._seal_envelope = key.seal
        self._envelope_until = until
        if self._ended != ended:
            self._envelope_until = -1.0

    def open_envelope(
        self, envelope: Mapping[str, Any] | str | bytes, aad: AAD = None, *, require_aad: bool = False
    ) -> bytes:
        """The plaintext of an envelope v1, given as mapping or JSON text.

        `aad=None` accepts the envelope's own AAD, which is recorded as unchecked; `require_aad` refuses that.

        Raises:
            UsageError: no AAD was given where one is required.
            EnvelopeError, DecryptionError, DataKeyNotFound, KeyStateError.
        """
        if self._monotonic() >= self._open_until:
            self._begin_decrypting()
        if aad is None:
            if require_aad:
                raise UsageError("this decryption requires an AAD", hint='pass aad=..., "" where there is none')
        elif type(aad) is not bytes:
            aad = canonical_aad(aad)
        try:
            parts = parse(envelope)
            known = self._envelope_openers.get((parts[0], aad is None))
            if known is None:
                known = self._first_envelope(parts[0], aad is None)
            key, counter = known
            counter.tick()
            if not counter.open:
                self._counts.resume(counter)
            return key.open(parts, aad)
        except KeysteadError as error:
            self._refused(error)

    def try_open_envelope(
        self, envelope: Mapping[str, Any] | str | bytes, aad: AAD = None, *, require_aad: bool = False
    ) -> bytes | WouldWait:
        """The same within a period, where a key is at hand; what does not open is for `open_envelope` to refuse."""
        text = envelope.get("ciphertext") if isinstance(envelope, Mapping) else envelope
        if self._monotonic() >= self._open_until or (aad is None and require_aad) or not _is_short(text):
            return WOULD_WAIT
        try:
            parts = parse(envelope)
            known = self._envelope_openers.get((parts[0], aad is None))
            if known is None or not known[1].open:
                return WOULD_WAIT
            plaintext = known[0].open(parts, None if aad is None else canonical_aad(aad))
        except DataError:
            return WOULD_WAIT
        known[1].use()
        return plaintext

    def _first_envelope(self, key_id: str, unchecked: bool) -> tuple[EnvelopeKey, UseCounter]:
        ring, openers = self._keys.ring, self._envelope_openers
        key = ring.envelope_key(ring.by_id(key_id), Use.PROCESS)
        target = f"{key_id} (aad unchecked)" if unchecked else key_id
        entry = (key, self._counter("data_decrypted", target))
        openers[(key_id, unchecked)] = entry
        return entry


def _is_short(data: object) -> bool:
    """Whether it is bytes or text that a cipher is done with before a thread would have been found for it."""
    return isinstance(data, bytes | str) and len(data) <= SHORT
