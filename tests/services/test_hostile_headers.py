"""Made-up headers cost their callers, not the good ones: nothing is evicted by them and nothing grows."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator

import pytest

from keystead.crypto.purpose import Purpose
from keystead.errors import DataKeyNotFound, DecryptionError
from keystead.keys.ring import UNKNOWN_REFERENCES
from keystead.services.kms import KMSService

HOSTILE = 100_000
ROUNDS = 100
WRITERS = 64


def hostile(blob: bytes) -> Iterator[bytes]:
    """Headers of an unknown key, of a known key and another salt, of another commitment; a good one and a bad tag."""
    while True:
        yield blob[:4] + os.urandom(8) + blob[12:]
        yield blob[:12] + os.urandom(48) + blob[60:]
        yield blob[:28] + os.urandom(32) + blob[60:]
        yield blob[:-1] + bytes([blob[-1] ^ 1])


def spent(call: Callable[[], object]) -> int:
    """The CPU time of this thread alone, which neither another process nor the machine's load is part of."""
    began = time.thread_time_ns()
    call()
    return time.thread_time_ns() - began


def test_a_hundred_thousand_hostile_headers_slow_good_callers_by_less_than_a_tenth(kms: KMSService) -> None:
    ring = kms.node.ring
    # what many processes wrote, each under a salt of its own
    good = [ring.sealing_key(Purpose.CALLER)[1].seal(b"x" * 64, b"") for _ in range(WRITERS)]
    envelope = kms.encrypt_data("x" * 64)
    made_up = hostile(good[0])

    def good_calls() -> None:
        for blob in good * 50:
            kms.decrypt(blob)
        for _ in range(300):
            kms.decrypt_data(envelope)

    def hostile_calls() -> None:
        refused = 0
        for _ in range(HOSTILE // ROUNDS):
            try:
                kms.decrypt(next(made_up))
            except DecryptionError:
                refused += 1
        assert refused == HOSTILE // ROUNDS
        with pytest.raises(DataKeyNotFound):
            kms.decrypt_data({**envelope, "keyId": f"default-{random.getrandbits(40)}"})

    for _ in range(5):
        good_calls()
    kept, ratios = set(ring._reading), []
    assert len(kept) == WRITERS
    for _ in range(ROUNDS):
        # each pair stands together in time, since the speed of a machine that others use changes by more than a tenth
        calm = spent(good_calls)
        hostile_calls()
        assert set(ring._reading) == kept, "made-up headers evict nothing and add nothing"
        ratios.append(spent(good_calls) / calm)
    assert statistics.median(ratios) < 1.1, statistics.quantiles(ratios)
    assert len(ring._unknown) <= UNKNOWN_REFERENCES
