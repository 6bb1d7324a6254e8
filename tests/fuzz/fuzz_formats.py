"""Throw random mutations at every parser for a number of seconds, and stop at the first broken promise.

The promises: a mutated ciphertext gives a typed refusal or the plaintext that was sealed, and nothing else; a text that
a parser takes is the only spelling of its bytes; two AAD mappings never share their bytes.

    python tests/fuzz/fuzz_formats.py --seconds 60 [--seed 7]

The seed is printed, so that a failure can be had again. Exit code 0 if all promises held.
"""

import argparse
import json
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from io import BytesIO

from keystead.crypto import compact, envelope, stream, wrapping
from keystead.crypto.aad import canonical_aad
from keystead.crypto.material import KeyMaterial
from keystead.crypto.purpose import Purpose
from keystead.errors import DecryptionError, EnvelopeError, UsageError
from keystead.keys.stream_io import open_stream, seal_stream

DATA_KEY = bytes(range(32))
AAD = b"user:7"
PLAINTEXT = b"correct horse battery staple"
MEBIBYTE = 1 << 20


class BrokenPromise(Exception):
    """What a parser did that it must not."""


def mutate(dice: random.Random, data: bytes) -> bytes:
    """`data` after one to four changes of the kinds that attackers and disks make."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        kind = dice.randrange(7)
        at = dice.randrange(len(changed)) if changed else 0
        if kind == 0 and changed:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and changed:
            changed[at] = dice.choice(b'\x00\xff\x7f\x80"{}[]:,=\\09AaZz+-_/ \n')
        elif kind == 2:
            del changed[at : at + dice.randint(1, 20)]
        elif kind == 3:
            changed[at:at] = dice.randbytes(dice.randint(1, 20))
        elif kind == 4:
            del changed[at:]
        elif kind == 5 and changed:
            other = dice.randrange(len(changed))
            changed[at], changed[other] = changed[other], changed[at]
        else:
            changed[at:at] = changed[at : at + dice.randint(1, 200)]
    return bytes(changed)


def hostile_value(dice: random.Random) -> object:
    """A value that a field should not have, or might."""
    return dice.choice(
        (
            None, True, False, 0, 1, 2, -1, 1.0, 1 << 53, 1 << 70, float("nan"), "", "=", "====", "A", "QQ==", "QR==",
            "\u00e9", "\ud800", "\x00", "a" * 129, b"bytes", [], {}, [1], {"v": 1}, "aes-256-gcm", "-_-_", "AAAA\n",
            dice.randbytes(dice.randint(0, 20)).hex(),
        )
    )  # fmt: skip


class Campaign:
    """Ready ciphertexts, one target for each parser, and the counts of what they answered."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        self.envelope_key = envelope.EnvelopeKey("default-1", DATA_KEY)
        self.envelope = self.envelope_key.seal(PLAINTEXT, AAD, 1_707_000_000_000)
        self.blob = compact.new_message_key(bytes(8), DATA_KEY, Purpose.CALLER).seal(PLAINTEXT, AAD)
        self.stream_plaintext = self.dice.randbytes(2 * stream.MIN_CHUNK + 5)
        sealed = BytesIO()
        sealer = stream.StreamSealer(bytes(8), DATA_KEY, aad=AAD, chunk_size=stream.MIN_CHUNK)
        seal_stream(BytesIO(self.stream_plaintext), sealed, sealer)
        self.stream = sealed.getvalue()
        self.wrapped = wrapping.wrap_key(DATA_KEY, KeyMaterial(DATA_KEY), AAD)
        self.mappings: dict[bytes, dict[str, str]] = {}

    def once(self) -> None:
        """One mutation for one target."""
        target: Callable[[], str] = self.dice.choice(
            (
                self.envelope_text, self.envelope_fields, self.compact_blob, self.compact_text, self.stream_bytes,
                self.wrapped_key, self.aad_mapping,
            )
        )  # fmt: skip
        began = time.perf_counter()
        try:
            outcome = target()
        except (EnvelopeError, DecryptionError, UsageError) as refused:
            outcome = type(refused).__name__
        self.slowest = max(self.slowest, time.perf_counter() - began)
        self.counts[f"{target.__name__}: {outcome}"] += 1

    def _same(self, found: bytes, expected: bytes, what: object) -> str:
        if found != expected:
            raise BrokenPromise(f"another plaintext came out of {what!r}")
        return "opened"

    def envelope_text(self) -> str:
        text = mutate(self.dice, json.dumps(self.envelope).encode())
        given: str | bytes = text if self.dice.random() < 0.5 else text.decode("latin-1")
        return self._same(self.envelope_key.open(envelope.parse(given), AAD), PLAINTEXT, given)

    def envelope_fields(self) -> str:
        changed: dict[str, object] = dict(self.envelope)
        for _ in range(self.dice.randint(1, 3)):
            name = self.dice.choice((*self.envelope, "extra"))
            if self.dice.random() < 0.2:
                changed.pop(name, None)
            elif self.dice.random() < 0.5 or not isinstance(changed.get(name), str):
                changed[name] = hostile_value(self.dice)
            else:
                changed[name] = mutate(self.dice, str(changed[name]).encode("utf-8", "surrogatepass")).decode("latin-1")
        parts = envelope.parse(changed)
        for given in (AAD, None) if parts[4] else (AAD,):
            self._same(self.envelope_key.open(parts, given), PLAINTEXT, changed)
        return "opened"

    def compact_blob(self) -> str:
        blob = mutate(self.dice, self.blob)
        compact.check_form(blob)
        opened = compact.message_key_for(blob[: compact.PREFIX_LENGTH], DATA_KEY, Purpose.CALLER).open(blob, AAD)
        if blob != self.blob:
            raise BrokenPromise(f"a changed compact ciphertext opened: {blob.hex()}")
        return self._same(opened, PLAINTEXT, blob)

    def compact_text(self) -> str:
        text = mutate(self.dice, compact.to_text(self.blob).encode()).decode("latin-1")
        blob = compact.from_text(text)
        if compact.to_text(blob) != text:
            raise BrokenPromise(f"a second spelling was taken: {text!r}")
        return "taken"

    def stream_bytes(self) -> str:
        blob, out = mutate(self.dice, self.stream), BytesIO()
        try:
            open_stream(BytesIO(blob), out, lambda header: stream.StreamOpener(header, DATA_KEY, aad=AAD))
        finally:
            if not self.stream_plaintext.startswith(out.getvalue()):
                raise BrokenPromise(f"bytes that were never sealed came out of a stream: {blob.hex()}")
        if blob != self.stream:
            raise BrokenPromise(f"a changed stream opened whole: {blob.hex()}")
        return "opened"

    def wrapped_key(self) -> str:
        wrapped = mutate(self.dice, self.wrapped)
        material = wrapping.unwrap_key(DATA_KEY, wrapped, AAD)
        if wrapped != self.wrapped:
            raise BrokenPromise(f"a changed wrapped key opened: {wrapped.hex()}")
        return self._same(bytes(material.view()), DATA_KEY, wrapped)

    def aad_mapping(self) -> str:
        letters = "a\x00\u00e9\U0001f511|="
        mapping = {
            "".join(self.dice.choices(letters, k=self.dice.randrange(3))): "".join(
                self.dice.choices(letters, k=self.dice.randrange(3))
            )
            for _ in range(self.dice.randrange(4))
        }
        canonical = canonical_aad(mapping)
        if self.mappings.setdefault(canonical, mapping) != mapping:
            raise BrokenPromise(f"one AAD for {mapping!r} and {self.mappings[canonical]!r}")
        if len(self.mappings) > 100_000:
            self.mappings.clear()
        return "made"


def main(arguments: list[str]) -> int:
    """Run the campaign; 0 if every promise held."""
    parser = argparse.ArgumentParser(description="random mutations against every parser of keystead's formats")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}, {options.seconds:g} s")
    campaign = Campaign(options.seed)
    end = time.monotonic() + options.seconds
    try:
        while time.monotonic() < end:
            for _ in range(100):
                campaign.once()
    except Exception as error:
        print(f"BROKEN after {sum(campaign.counts.values()):,} mutations: {type(error).__name__}: {error}")
        traceback.print_exc(limit=-4)
        return 1
    for name, count in sorted(campaign.counts.items()):
        print(f"{count:>12,}  {name}")
    print(f"{sum(campaign.counts.values()):>12,}  in all; slowest {campaign.slowest * 1e3:.1f} ms; every promise held")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
