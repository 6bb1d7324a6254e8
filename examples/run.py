"""The main job on real input, step by step: `make run`, or `python examples/run.py --folder FOLDER`.

Everything is made anew in `.run/`; nothing leaves the machine, and no KMS_* or KEYSTEAD_* variable of the caller's
counts. The exit code is 0 only if every step's promise held.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tour import steps
from tour.place import Tour
from tour.promise import Broken

import keystead

EXAMPLES = Path(__file__).resolve().parent
STEPS: tuple[tuple[str, Callable[[Tour], list[str]]], ...] = (
    ("A store and a master key", steps.make_store),
    ("The secrets of a .env file, imported", steps.import_env),
    ("No plaintext in any file of the store", steps.show_no_plaintext),
    ("Secrets read through the cache", steps.read_through_cache),
    ("An envelope bound to a user", steps.bind_envelope),
    ("A secret and the data key, rotated", steps.rotate),
    ("A typed configuration, printed masked", steps.load_configuration),
    ("A child program with the secrets in its environment", steps.run_child),
    ("The example web application, called over HTTP", steps.call_web),
    ("A backup, restored elsewhere", steps.back_up),
    ("The audit log, verified", steps.verify_audit),
    ("The status", steps.show_status),
)
_MARKER = ".made-by-the-tour"


def main() -> int:
    """Run every step; 0 if each held."""
    arguments = argparse.ArgumentParser(description="keystead's main job on real input, step by step")
    arguments.add_argument("--folder", type=Path, default=EXAMPLES.parent / ".run", help="made anew (default: .run/)")
    folder = arguments.parse_args().folder.absolute()
    forget_settings()
    renew(folder)
    log_to(folder / "tour.log")
    tour = Tour(folder, EXAMPLES / "app.env", dict(os.environ))
    start = time.monotonic()
    print(f"keystead {keystead.__version__}: the main job on real input, in {folder}\n")
    try:
        for number, (title, step) in enumerate(STEPS, 1):
            if not take(number, title, step, tour):
                print(f"\nStep {number} of {len(STEPS)} did not hold. All is left in {folder} for looking.")
                return 1
    finally:
        tour.close()
    print(f"\nEach of the {len(STEPS)} steps held, in {time.monotonic() - start:.1f} s.")
    return 0


def take(number: int, title: str, step: Callable[[Tour], list[str]], tour: Tour) -> bool:
    """Do one step and tell how it went; whether it held."""
    start = time.monotonic()
    try:
        lines, held = step(tour), True
    except Broken as broken:
        lines, held = f"broken promise: {broken}".splitlines(), False
    except Exception as error:
        lines, held = [f"failed with {type(error).__name__}: {error}"], False
        traceback.print_exc()
    mark = _mark("✓", "ok") if held else _mark("✗", "NO")
    print(f" {mark} {number:>2}  {title:<64}{time.monotonic() - start:>6.1f} s")
    for line in lines:
        print(_plain(f"       {line}"))
    sys.stdout.flush()
    return held


def forget_settings() -> None:
    """Take out of this process's environment, which children inherit, what could lead keystead elsewhere."""
    for name in [name for name in os.environ if name.startswith(("KMS_", "KEYSTEAD_"))]:
        del os.environ[name]


def renew(folder: Path) -> None:
    """Make the folder anew; a folder that this did not make, and that holds something, is left alone."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        sys.exit(f"{folder} holds files that the tour did not make; name another folder with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).touch()


def log_to(path: Path) -> None:
    """Keep keystead's log in a file, so that the steps can be read."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger = logging.getLogger("keystead")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _mark(sign: str, plain: str) -> str:
    return sign if _plain(sign) == sign else plain


def _plain(text: str) -> str:
    """The text in what the output can show."""
    encoding = sys.stdout.encoding or "ascii"
    return text.replace("µ", "u").encode(encoding, "replace").decode(encoding) if not _shows(text) else text


def _shows(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
