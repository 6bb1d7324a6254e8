"""Using named keys, for one session: encrypt, decrypt, sign, verify, MAC, derive and what is made of these.

As with data keys, whatever is not the cipher is done once a period of at most a second: whether the session lives and
may do this, whether another process changed the keys, and the opening audit record. A policy that looks at the call
itself, such as its encryption context, is asked at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from keystead.audit.counts import Counts, UseCounter
from keystead.clock import Clock
from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.asymmetric import generate, load_private
from keystead.crypto.compact import PREFIX_LENGTH, check_form
from keystead.crypto.derive import derive_context_key
from keystead.crypto.digests import DigestAlgorithm, digest
from keystead.crypto.material import random_bytes, zero
from keystead.crypto.types import ENCRYPTION, SIGNING, Algorithm, KeyType
from keystead.errors import DecryptionError, Denied, EnvelopeError, KeysteadError, UsageError
from keystead.gate import Gate, Session
from keystead.keys.named.arguments import (
    chosen_algorithm,
    pair_type,
    require_bytes,
    require_fixed,
    require_no_context,
)
from keystead.keys.named.facts import asked_facts
from keystead.keys.named.hot import Checking, Making, Sealing, Signing, Tables, Verifying, starts
from keystead.keys.named.names import check_key_name
from keystead.keys.named.results import GeneratedKey, Mac, SharedSecret, Signature
from keystead.keys.named.ring import LoadedKey, NamedKeyRing
from keystead.keys.named.rules import EVENTS, SYMMETRIC, Operation, require_operation

T = TypeVar("T")
PERIOD_SECONDS: Final = 1.0
MAX_DERIVED: Final = 255 * 32
MAX_RANDOM: Final = 1024
REFERENCE: Final = slice(4, 12)


class _Bound(NamedTuple):
    """What a period knows of one operation on one key."""

    until: float
    key: LoadedKey
    counter: UseCounter


class NamedKeyUse:
    """The operations of one session; `end_period` is called whenever what it keeps may not be used any more."""

    def __init__(self, ring: NamedKeyRing, gate: Gate[Any], counts: Counts, session: Session, clock: Clock) -> None:
        self._ring = ring
        self._gate = gate
        self._counts = counts
        self._session = session
        self._monotonic = clock.monotonic
        self._ended = 0
        self._bound: dict[tuple[Operation, str], _Bound] = {}
        self.hot = Tables()

    def end_period(self) -> None:
        """Check everything again at the next call."""
        self._ended += 1
        self._bound = {}
        self.hot.clear()

    def is_ready(self, operation: str, name: str) -> bool:
        """Whether a call within this period waits for neither store nor log."""
        bound = self._bound.get((Operation(operation), name)) if isinstance(name, str) else None
        return bound is not None and self._monotonic() < bound.until and bound.counter.open

    # Passing the gate

    def _begin(self, operation: Operation, name: str, context: AAD) -> _Bound:
        """What the period knows, or a new period. The use is counted in either case."""
        bound = self._bound.get((operation, name)) if isinstance(name, str) else None
        if bound is None or self._monotonic() >= bound.until:
            return self._admit(operation, name, context)
        bound.counter.use()
        return bound

    def _admit(self, operation: Operation, name: str, context: AAD, moves: int = 3) -> _Bound:
        check_key_name(name)
        # First, so that what is asked about is the key that the name stands for by now, with its tags of now.
        self._gate.refreshed(self._session, f"key/{name}")
        ended, table = self._ended, self._bound
        key = self._find(operation, name)
        resource = f"key/{key.head.name}"
        facts = asked_facts(operation, key.head, context)
        until = self._gate.admit(self._session, f"key:{operation}", resource, facts, asked=name)
        if moves and self._ring.has_moved(name, key):
            return self._admit(operation, name, context, moves - 1)
        try:
            key = self._ring.find_again(name, key)
            require_operation(key.head.name, key.kind, key.usage, key.state, operation)
        except KeysteadError as error:
            self._refuse(resource, error)
        counter = self._counts.use(EVENTS[operation], resource, self._session.id, str(self._session.principal))
        bound = _Bound(min(until, self._monotonic() + PERIOD_SECONDS), key, counter)
        if self._ended == ended:
            table[(operation, name)] = bound
        if operation is Operation.ENCRYPT and key.kind in SYMMETRIC and not key.head.deterministic:
            self._heat(name, bound)
        return bound

    def _heat(self, name: str, bound: _Bound) -> None:
        former = self.hot.sealing.get(name)
        used = 0 if former is None else former.counter.total() - former.counted
        chosen, counter = bound.key.protecting(None), bound.counter
        sealing, number = self._ring.sealing(bound.key, chosen, used), chosen.row.version
        short = Sealing(bound.until, counter, counter.tick, sealing.prefix, sealing.encrypt, counter.total(), number)
        self._shorten(Operation.ENCRYPT, name, bound, self.hot.sealing, short)

    def _shorten(self, operation: Operation, name: str, bound: _Bound, table: dict[str, T], short: T) -> None:
        """Let the rest of the period go the short way, unless it was ended meanwhile."""
        if self._bound.get((operation, name)) is bound:
            table[name] = short
            if self._bound.get((operation, name)) is not bound:
                table.clear()

    def _find(self, operation: Operation, name: str) -> LoadedKey:
        """The key as it is known now; what is not there is looked for behind the gate too, and refused alike."""
        try:
            return self._ring.find(name)
        except KeysteadError as error:
            self._gate.admit(self._session, f"key:{operation}", f"key/{name}", None)
            self._refuse(f"key/{name}", error)

    def _refuse(self, resource: str, error: KeysteadError) -> NoReturn:
        self._gate.failed(self._session, resource, "key_refused", error)
        raise error

    # Encryption

    def encrypt(
        self, name: str, data: bytes, context: AAD = None, version: int | None = None, algorithm: str | None = None
    ) -> bytes:
        """A compact ciphertext, or a bare RSA block."""
        return self.encrypt_numbered(name, data, context, version, algorithm)[0]

    def encrypt_numbered(
        self, name: str, data: bytes, context: AAD = None, version: int | None = None, algorithm: str | None = None
    ) -> tuple[bytes, int]:
        """The same, and the version of the key that made it."""
        return self._encrypt(self._begin(Operation.ENCRYPT, name, context).key, data, context, version, algorithm)

    def _encrypt(
        self, key: LoadedKey, data: bytes, context: AAD, version: int | None, algorithm: str | None
    ) -> tuple[bytes, int]:
        require_bytes(data)
        chosen = key.protecting(version)
        number = chosen.row.version
        if key.kind in SYMMETRIC:
            require_fixed(key, algorithm)
            return self._ring.sealing(key, chosen, 1).seal(data, canonical_aad(context)), number
        how = chosen_algorithm(key, algorithm, ENCRYPTION)
        require_no_context(context)
        return self._ring.public(key, chosen).encrypt(data, how), number

    def decrypt(
        self, name: str, blob: bytes, context: AAD = None, version: int | None = None, algorithm: str | None = None
    ) -> bytes:
        """The plaintext of what `encrypt` made under any version that may still process."""
        return self._decrypt(name, self._begin(Operation.DECRYPT, name, context), blob, context, (version, algorithm))

    def _decrypt(
        self, name: str, bound: _Bound, blob: bytes, context: AAD, how: tuple[int | None, str | None] = (None, None)
    ) -> bytes:
        key = bound.key
        try:
            if key.kind in SYMMETRIC:
                require_fixed(key, how[1])
                return self._open(name, bound, blob, context, how[0])
            require_no_context(context)
            return self._open_rsa(key, blob, how[0], chosen_algorithm(key, how[1], ENCRYPTION))
        except (DecryptionError, EnvelopeError) as error:
            self._gate.failed(self._session, f"key/{key.head.name}", "decryption_failed", error)
            raise

    def _open(self, name: str, bound: _Bound, blob: bytes, context: AAD, wanted: int | None) -> bytes:
        key = bound.key
        if wanted is not None:
            key.processing(wanted)
        check_form(blob, key.kind)
        reference, prefix = blob[REFERENCE], blob[:PREFIX_LENGTH]
        for number, version in key.versions.items():
            if version.row.reference == reference and wanted in (None, number):
                opening = self._ring.opening(key, key.processing(number), prefix)
                plaintext = opening.open(blob, canonical_aad(context))
                self._ring.keep(version, opening)
                short = self.hot.opens(name, bound.until, bound.counter, key, prefix, opening.decrypt)
                self._shorten(Operation.DECRYPT, name, bound, self.hot.opening, short)
                return plaintext
        raise DecryptionError

    def _open_rsa(self, key: LoadedKey, blob: bytes, version: int | None, how: Algorithm) -> bytes:
        require_bytes(blob)
        for candidate in key.candidates(version):
            try:
                return self._ring.private(key, candidate).decrypt(blob, how)
            except DecryptionError:
                continue
        raise DecryptionError

    def reencrypt(
        self, name: str, blob: bytes, to: str | None, contexts: tuple[AAD, AAD], algorithms: tuple[str | None, ...]
    ) -> bytes:
        """The same plaintext under the primary version of a key, which nobody sees meanwhile."""
        bound = self._begin(Operation.REENCRYPT, name, contexts[0])
        plaintext = self._decrypt(name, bound, blob, contexts[0], (None, algorithms[0]))
        return self.encrypt(name if to is None else to, plaintext, contexts[1], None, algorithms[1])

    def owner(self, blob: bytes) -> tuple[str, int]:
        """The name and version of the key that a compact ciphertext says it is of.

        Raises:
            EnvelopeError; DecryptionError: it is of none. SessionEnded.
        """
        for kind in (KeyType.AES_256_GCM_SIV, KeyType.CHACHA20_POLY1305):
            with suppress(EnvelopeError):
                check_form(blob, kind)
                break
        else:
            check_form(blob)
        try:
            return self._ring.of_reference(blob[REFERENCE])
        except DecryptionError:
            # Nobody passes by the gate, and who may read no key is told the same of a key that is there.
            with suppress(Denied):
                self._gate.admit(self._session, "key:read", "key/*")
            raise

    # Keys for callers

    def data_key(self, name: str, length: int, context: AAD, *, with_plaintext: bool) -> GeneratedKey:
        """A fresh random key for a caller, and the same encrypted under the named key."""
        if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= MAX_RANDOM:
            raise UsageError(f"a data key has 1 to {MAX_RANDOM:,} bytes")
        key = self._begin(Operation.DATA_KEY, name, context).key
        material = random_bytes(length)
        blob, _ = self._encrypt(key, material, context, None, None)
        return GeneratedKey(material if with_plaintext else None, blob)

    def data_key_pair(self, name: str, kind: str, context: AAD, *, with_plaintext: bool) -> GeneratedKey:
        """A fresh key pair for a caller: public key, and private key encrypted under the named key."""
        chosen = pair_type(kind)
        key = self._begin(Operation.DATA_KEY, name, context).key
        material = generate(chosen)
        public = load_private(chosen, material).public().der
        blob, _ = self._encrypt(key, bytes(material), context, None, None)
        plaintext = bytes(material) if with_plaintext else None
        zero(material)
        return GeneratedKey(plaintext, blob, public)

    def derive(self, name: str, context: AAD, length: int, version: int | None) -> bytes:
        """Bytes that only this key, this version and this context give."""
        if isinstance(length, bool) or not isinstance(length, int) or not 16 <= length <= MAX_DERIVED:
            raise UsageError(f"a derived key has 16 to {MAX_DERIVED:,} bytes")
        bound = canonical_aad(context)
        if not bound:
            raise UsageError("deriving needs a context", hint='for example context={"user": "ada"}')
        key = self._begin(Operation.DERIVE, name, context).key
        # Not `protecting`: what was encrypted under derived bytes is opened by deriving them again.
        chosen = key.processing(key.head.primary if version is None else version)
        material = self._ring.material(key, chosen)
        try:
            return derive_context_key(material, bound, length)
        finally:
            zero(material)

    # Signatures and MACs

    def sign(
        self, name: str, message: bytes, algorithm: str | None, version: int | None, *, prehashed: bool
    ) -> Signature:
        """A signature under the primary version, or one that was asked for."""
        require_bytes(message)
        bound = self._begin(Operation.SIGN, name, None)
        how, chosen = chosen_algorithm(bound.key, algorithm, SIGNING), bound.key.protecting(version)
        private, number = self._ring.private(bound.key, chosen), chosen.row.version
        if algorithm is None and version is None:
            make = partial(private.sign, algorithm=how)
            short = Signing(bound.until, bound.counter, bound.counter.tick, make, number, how.value)
            self._shorten(Operation.SIGN, name, bound, self.hot.signing, short)
        return Signature(private.sign(message, how, prehashed=prehashed), number, how.value)

    def verify(
        self,
        name: str,
        message: bytes,
        signature: bytes,
        algorithm: str | None,
        version: int | None,
        *,
        prehashed: bool,
    ) -> bool:
        """Whether any version that may still process, or the one that was named, made the signature."""
        require_bytes(message)
        require_bytes(signature)
        bound = self._begin(Operation.VERIFY, name, None)
        key, how = bound.key, chosen_algorithm(bound.key, algorithm, SIGNING)
        candidates = key.candidates(version)
        if algorithm is None and version is None and len(candidates) == 1:
            check = partial(self._ring.public(key, candidates[0]).verify, algorithm=how)
            short = Verifying(bound.until, bound.counter, bound.counter.tick, check)
            self._shorten(Operation.VERIFY, name, bound, self.hot.verifying, short)
        publics = (self._ring.public(key, candidate) for candidate in candidates)
        return any(public.verify(message, signature, how, prehashed=prehashed) for public in publics)

    def mac(self, name: str, message: bytes, version: int | None) -> Mac:
        """A MAC under the primary version, or one that was asked for."""
        require_bytes(message)
        bound = self._begin(Operation.MAC, name, None)
        chosen = bound.key.protecting(version)
        key, number = self._ring.hmac(bound.key, chosen), chosen.row.version
        if version is None:
            short = Making(bound.until, bound.counter, bound.counter.tick, key.start, number)
            self._shorten(Operation.MAC, name, bound, self.hot.making, short)
        return Mac(key.mac(message), number)

    def verify_mac(self, name: str, message: bytes, tag: bytes, version: int | None) -> bool:
        """Whether any version that may still process, or the one that was named, made the MAC."""
        require_bytes(message)
        require_bytes(tag)
        bound = self._begin(Operation.VERIFY_MAC, name, None)
        keys = [self._ring.hmac(bound.key, candidate) for candidate in bound.key.candidates(version)]
        if version is None:
            short = Checking(bound.until, bound.counter, bound.counter.tick, starts(keys))
            self._shorten(Operation.VERIFY_MAC, name, bound, self.hot.checking, short)
        # Each is tried, so that the time does not tell which version it was.
        return True in [key.verify(message, tag) for key in keys]

    # Agreement, encapsulation, public keys

    def agree(self, name: str, peer: bytes, version: int | None) -> bytes:
        """The ECDH shared secret with a peer's public key (SPKI DER): the raw X coordinate."""
        require_bytes(peer)
        key = self._begin(Operation.AGREE, name, None).key
        chosen = key.processing(key.head.primary if version is None else version)
        return self._ring.private(key, chosen).agree(peer)

    def encapsulate(self, name: str, version: int | None) -> SharedSecret:
        """A fresh shared secret for whoever holds the private key."""
        key = self._begin(Operation.ENCAPSULATE, name, None).key
        return SharedSecret(*self._ring.public(key, key.protecting(version)).encapsulate())

    def decapsulate(self, name: str, ciphertext: bytes, version: int | None) -> bytes:
        """The shared secret of a ciphertext. A wrong one gives another secret, as FIPS 203 wants it."""
        require_bytes(ciphertext)
        key = self._begin(Operation.DECAPSULATE, name, None).key
        chosen = key.processing(key.head.primary if version is None else version)
        return self._ring.private(key, chosen).decapsulate(ciphertext)

    def public(self, name: str, version: int | None) -> tuple[bytes, str, int]:
        """The public key of a version as DER and PEM, and the version."""
        key = self._begin(Operation.PUBLIC_KEY, name, None).key
        chosen = key.processing(key.head.primary if version is None else version)
        found = self._ring.public(key, chosen)
        return found.der, found.pem, chosen.row.version

    def random(self, length: int) -> bytes:
        """Random bytes for a caller."""
        if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= MAX_RANDOM:
            raise UsageError(f"1 to {MAX_RANDOM:,} random bytes are given at once")
        self._count("random:generate", "random/*", "random_generated")
        return random_bytes(length)

    def digest(self, algorithm: str, data: bytes) -> bytes:
        """A hash for a caller."""
        require_bytes(data)
        if algorithm not in tuple(DigestAlgorithm):
            raise UsageError("not a hash", hint=f"use one of {', '.join(DigestAlgorithm)}")
        self._count("digest:compute", "digest/*", "digest_computed")
        return digest(DigestAlgorithm(algorithm), data)

    def _count(self, action: str, resource: str, event: str) -> None:
        self._gate.admit(self._session, action, resource)
        self._counts.use(event, resource, self._session.id, str(self._session.principal))

    def unwrap_import(self, name: str, blob: bytes, opened: Callable[[Any, bytes], bytearray]) -> bytearray:
        """Material that was wrapped for import under a key for that."""
        require_bytes(blob)
        key = self._begin(Operation.UNWRAP_IMPORT, name, None).key
        for candidate in key.candidates(None):
            try:
                return opened(self._ring.private(key, candidate), blob)
            except DecryptionError:
                continue
        error = DecryptionError()
        self._gate.failed(self._session, f"key/{key.head.name}", "decryption_failed", error)
        raise error
