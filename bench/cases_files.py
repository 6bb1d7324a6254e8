"""Files of any size, on tmpfs so that the disk does not decide."""

from __future__ import annotations

import os
from collections.abc import Callable
from filecmp import cmp
from pathlib import Path
from typing import Any

from bench import peers
from bench.harness import Contender, Fresh, fresh_python, race
from bench.lab import ENV, Lab
from bench.report import Row, ahead, bound, within

TITLE = "Files on tmpfs (CPU, 64 MiB)"
LENGTH = 64 << 20
GROWTH = 1 << 20
PEAK = """
import resource, keystead
with keystead.connect({url!r}) as connection:
    connection.kms.encrypt_stream({source!r}, {target!r})
    connection.kms.decrypt_stream({target!r}, {out!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def ours(kms: Any) -> peers.FileCipher:
    """Streams from path to path."""
    return peers.FileCipher(
        kms.encrypt_stream,
        kms.decrypt_stream,
    )


def times(ciphers: dict[str, peers.FileCipher], folder: Path) -> dict[str, tuple[float, float]]:
    """CPU seconds of encrypting and of decrypting for each."""
    source = folder / "source"
    source.write_bytes(os.urandom(LENGTH))
    racing = []
    for name, cipher in ciphers.items():
        sealed, out = folder / f"{name}.sealed", folder / f"{name}.out"
        kept = folder / f"{name}.kept"
        cipher.encrypt(source, kept)
        # What a batch wrote is removed untimed, so that everyone writes a new file and nobody pays for freeing one.
        racing += [
            Contender(f"{name} encrypts", step(cipher.encrypt, source, sealed), bool, sealed.unlink),
            Contender(
                f"{name} decrypts",
                step(cipher.decrypt, kept, out),
                lambda _, out=out: cmp(source, out, False),
                out.unlink,
            ),
        ]
    timings = race(racing, rounds=7, seconds=0)
    return {name: (timings[2 * n].cpu, timings[2 * n + 1].cpu) for n, name in enumerate(ciphers)}


def step(call: Callable[[Path, Path], object], source: Path, target: Path) -> Callable[[], bool]:
    """One way, once."""

    def go() -> bool:
        call(source, target)
        return True

    return go


def peak(url: Path, folder: Path, length: int) -> float:
    """The peak memory of a process that encrypts and decrypts a file of `length` bytes."""
    source = folder / "peak"
    source.write_bytes(bytes(length))
    names = {"source": str(source), "target": str(folder / "peak.sealed"), "out": str(folder / "peak.out")}
    done: Fresh = fresh_python(PEAK.format(url=str(url), **names), environment=ENV)
    for name in names.values():
        Path(name).unlink()
    return float(done.out)


def rows(lab: Lab) -> list[Row]:
    """Speed both ways against both peers, and that memory does not grow with the file."""
    with lab.connection("files") as connection:
        ciphers = {
            "keystead": ours(connection.kms),
            "tink streaming AEAD": peers.tink_streaming(),
            "pyrage": peers.pyrage_files(),
            "the least: read, cipher, write": peers.file_floor(),
        }
        took = times(ciphers, lab.memory)
    found = []
    for way, what in enumerate(("`encrypt_stream`", "`decrypt_stream`")):
        for name, factor in (("tink streaming AEAD", 1.5), ("pyrage", 1.9)):
            found.append(ahead(what, took["keystead"][way], name, took[name][way], times=factor))
        name = "the least: read, cipher, write"
        found.append(within(what, took["keystead"][way], name, took[name][way], times=None))
    url = lab.disk / "files" / "store.db"
    small, large = peak(url, lab.memory, 4 << 20), peak(url, lab.memory, 256 << 20)
    found.append(bound("memory that 256 MiB take beyond 4 MiB", max(0.0, large - small), GROWTH, unit="B"))
    return found
