"""Who acts."""

from __future__ import annotations

import os
import pwd
import re
from typing import NamedTuple

from keystead.errors import UsageError

MAX_NAME_LENGTH = 256
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Principal(NamedTuple):
    """Who acts: a kind (`local`, `system`, `user`, ...) and a name within it. As text: `user:ada`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SCHEDULER = Principal("system", "scheduler")


def make_principal(kind: str, name: str) -> Principal:
    """A principal whose parts are safe to record.

    `kind` is 1 to 32 of `a-z 0-9 -` and begins with a letter; `name` has 1 to 256 printable characters, no blank at
    either end.

    Raises:
        UsageError: they are not.
    """
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise UsageError("not a kind of principal", hint="use lower-case letters, digits and -, for example user")
    if (
        not isinstance(name, str)
        or not 1 <= len(name) <= MAX_NAME_LENGTH
        or not name.isprintable()
        or name != name.strip()
    ):
        raise UsageError(
            "not the name of a principal", hint=f"use 1 to {MAX_NAME_LENGTH} printable characters, for example ada"
        )
    return Principal(kind, name)


def local_principal(name: str | None = None) -> Principal:
    """The principal of this process: of kind `local`, named as told or else as the operating system names its user.

    The name comes from the user id that the kernel holds, never from the environment, which the caller could set.

    Raises:
        UsageError: `name` is none.
    """
    if name is not None:
        return make_principal("local", name)
    uid = os.geteuid()
    try:
        return Principal("local", pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Principal("local", f"uid-{uid}")
