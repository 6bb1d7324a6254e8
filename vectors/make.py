"""Write keystead's known answers, positive and negative, from the second implementation beside this file.

`python vectors/make.py` writes the files, `python vectors/make.py --check` exits 1 where one would change.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from compact_cases import compact_cases
from envelope_cases import envelope_cases
from import_cases import import_cases
from named_cases import named_cases
from other_cases import aad_cases, derivation_cases, wrapping_cases
from second import Case
from stream_cases import stream_cases

FOLDER = Path(__file__).parent
FILES: dict[str, Callable[[], Case]] = {
    "envelope_v1.json": envelope_cases,
    "compact_v2.json": compact_cases,
    "named_keys.json": named_cases,
    "stream.json": stream_cases,
    "aad.json": aad_cases,
    "wrapping.json": wrapping_cases,
    "derivation.json": derivation_cases,
    "importing.json": import_cases,
}


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; 1 if one differs."""
    differing = []
    for name, make in FILES.items():
        text = json.dumps(make(), indent=1, ensure_ascii=True) + "\n"
        path = FOLDER / name
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            differing.append(name)
    if differing:
        print(f"differs: {', '.join(differing)}; write anew with: python vectors/make.py")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
