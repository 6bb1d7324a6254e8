"""What policies may be called, where they are written and where they are given to somebody."""

from __future__ import annotations

import re
from typing import Final

RESERVED: Final = frozenset(("root", "owner", "system"))
"""What would seem to give the rights of the owner."""
MAX_NAME_LENGTH: Final = 128
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[a-z0-9_.-]{1,128}", re.ASCII)


def is_policy_name(name: object) -> bool:
    """Whether a policy can have this name: 1 to 128 of `a-z 0-9 - _ .`, and none that stands for the owner."""
    return isinstance(name, str) and name not in RESERVED and _NAME.fullmatch(name) is not None
