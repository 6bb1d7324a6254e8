"""The command `keystead`. Everything is imported inside, so that Ctrl-C is answered from the first moment on."""

from __future__ import annotations

import sys

_STOPPED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command, and exit with its code: 0 ok, others as `keystead --help` lists them."""
    try:
        import gc

        from keystead.cli.program import run

        code = run(sys.argv[1:] if arguments is None else arguments)
        # At its end the interpreter would look through all objects once more for some to free, which takes 12 ms.
        gc.freeze()
    except KeyboardInterrupt:
        code = _STOPPED
    sys.exit(code)
