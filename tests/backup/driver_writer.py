"""A process that changes a store without pause: pairs of secrets in one transaction, now and then a new data key."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import keystead


def main(path: str, key_file: str, name: str, stop: str) -> None:
    with keystead.connect(path, master_key=Path(key_file).read_text().strip()) as store:
        for number in itertools.count(1):
            store.kms.store_secrets({f"{name}_LEFT": str(number), f"{name}_RIGHT": str(number)})
            if number % 10 == 0:
                store.kms.rotate_data_key()
            if number == 1:
                print("writing", flush=True)
            if Path(stop).exists():
                print(number, flush=True)
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
