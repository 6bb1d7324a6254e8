"""Each event reaches the standard logger under its name, at its level, on one line."""

from __future__ import annotations

import logging

import pytest

from keystead.audit.log import log_event
from keystead.audit.record import Event


def test_a_start_is_told_in_the_words_that_are_promised(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger = logging.getLogger("keystead")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        log_event(Event.KMS_INITIALIZED)
        log_event(Event.CONFIGURATION_LOADED, "Settings", detail={"fields": 3})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert capsys.readouterr().out == "[INFO] kms_initialized\n[INFO] configuration_loaded Settings fields=3\n"


@pytest.mark.parametrize("event", list(Event))
def test_each_event_has_the_level_of_the_design(event: Event, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "keystead")
    log_event(event, "target")
    expected = {
        Event.KMS_ERROR: logging.ERROR,
        Event.DECRYPTION_FAILED: logging.WARNING,
        Event.CACHE_HIT: logging.DEBUG,
        Event.CACHE_MISS: logging.DEBUG,
        Event.USES_COUNTED: logging.DEBUG,
    }.get(event, logging.INFO)
    assert [(record.levelno, record.message) for record in caplog.records] == [(expected, f"{event.value} target")]


def test_counted_uses_are_debug_whatever_the_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "keystead")
    log_event(Event.DATA_ENCRYPTED, "data-key/x", detail={"uses": "at least 1"})
    assert caplog.records[0].levelno == logging.DEBUG


def test_hostile_text_stays_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keystead")
    log_event(Event.SECRET_STORED, "A\n[INFO] kms_initialized\x1b[31m\u202e", "failed", {"why\n": "x y\r"})
    message = caplog.records[0].message
    assert all(" " <= sign <= "~" for sign in message)
    assert message.startswith('secret_stored "A\\n[INFO]') and ' failed "why\\n"="x y\\r"' in message
