"""The methods of a face that go the short way, each with its table and with the slow way of every unusual call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keystead.gate import WOULD_WAIT
from keystead.keys.named.hot import (
    Clock,
    Resume,
    hot_decrypt,
    hot_encrypt,
    hot_mac,
    hot_sign,
    hot_verify,
    hot_verify_mac,
)
from keystead.keys.named.use import NamedKeyUse

_WAYS: Final[tuple[tuple[str, str, Callable[..., Any]], ...]] = (
    ("encrypt", "sealing", hot_encrypt),
    ("decrypt", "opening", hot_decrypt),
    ("mac", "making", hot_mac),
    ("verify_mac", "checking", hot_verify_mac),
    ("sign", "signing", hot_sign),
    ("verify", "verifying", hot_verify),
)


def shortened(
    use: NamedKeyUse, monotonic: Clock, resume: Resume, now: Callable[[], NamedKeyUse]
) -> dict[str, Callable[..., Any]]:
    """By name, the functions over the tables of one session. `now` gives the use of a face's session by then."""

    def slow(name: str) -> Callable[..., Any]:
        def call(*how: Any, **more: Any) -> Any:
            return getattr(now(), name)(*how, **more)

        return call

    return {name: made(getattr(use.hot, table), monotonic, resume, slow(name)) for name, table, made in _WAYS}


def attempts(use: NamedKeyUse, monotonic: Clock, resume: Resume) -> dict[str, Callable[..., Any]]:
    """The same functions, which give WOULD_WAIT in the place of taking the slow way."""

    def slow(*_how: Any, **_more: Any) -> Any:
        return WOULD_WAIT

    return {name: made(getattr(use.hot, table), monotonic, resume, slow) for name, table, made in _WAYS}
