"""Every event also goes to the standard logger `keystead`, under its name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quoted
from typing import Final

from keystead.audit.record import Event, Outcome

LOGGER_NAME: Final = "keystead"
IS_EVENT: Final = "keystead_event"
"""The attribute by which a handler knows the log record of an event, which names what the event is about."""
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+=.@-:#,%")
_LEVELS: Final[Mapping[str, int]] = {
    Event.KMS_ERROR: logging.ERROR,
    Event.DECRYPTION_FAILED: logging.WARNING,
    Event.CACHE_HIT: logging.DEBUG,
    Event.CACHE_MISS: logging.DEBUG,
    Event.USES_COUNTED: logging.DEBUG,
}
_logger: Final = logging.getLogger(LOGGER_NAME)


def log_event(
    event: str, target: str = "", outcome: str = Outcome.SUCCESS, detail: Mapping[str, str | int] | None = None
) -> None:
    """Log `EVENT TARGET OUTCOME name=value ...`, leaving out what is empty and the outcome where it is success.

    INFO; ERROR for kms_error, WARNING for decryption_failed, DEBUG for cache events and counted uses (a detail with
    `uses`). Texts of other than plain characters are quoted and escaped, so one event stays one line.
    """
    level = _LEVELS.get(event, logging.INFO)
    if detail and "uses" in detail:
        level = logging.DEBUG
    if not _logger.isEnabledFor(level):
        return
    parts = [str(event)]
    if target:
        parts.append(_shown(target))
    if outcome != Outcome.SUCCESS:
        parts.append(_shown(outcome))
    for name, value in (detail or {}).items():
        parts.append(f"{_shown(name)}={value if isinstance(value, int) else _shown(value)}")
    _logger.log(level, "%s", " ".join(parts), extra={IS_EVENT: True})


def _shown(text: str) -> str:
    return str(text) if text and _PLAIN.issuperset(text) else _quoted(text)
