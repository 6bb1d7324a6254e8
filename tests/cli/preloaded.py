"""Calls of the command that begin with everything imported: each is a process of its own, forked from this one.

A request is a line of JSON on stdin (argv, folder, environment, umask, and the files that are stdin, stdout and stderr
of the call), the answer a line with its exit code. Dozens of tests start hundreds of processes, and most of what a
fresh one does is to import.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

from keystead.cli.commands import HOMES
from keystead.cli.main import main


def serve() -> None:
    import_module("keystead.cli.program")
    for home in {home.partition(":")[0] for home in HOMES.values()}:
        import_module(f"keystead.cli.{home}")
    for name in ("env_file", "setup", "connection", "audit_operations"):
        import_module(f"keystead.services.{name}")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            call(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def call(request: dict[str, Any]) -> None:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["umask"] >= 0:
        os.umask(request["umask"])
    for number, (path, flags) in enumerate(zip(request["files"], (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        descriptor = os.open(path, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    sys.argv = ["keystead", *request["argv"]]
    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve()
