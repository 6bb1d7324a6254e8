"""The configuration that the tour loads: a shop's, with every kind of field that shows something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from keystead import Public, SecretStr
from keystead.config import ByteSize, SecretURL

DEFAULT_UPLOAD = ByteSize(10 * 1024 * 1024)


class LogLevel(StrEnum):
    """How much the shop logs."""

    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True)
class Shop:
    """What a web shop needs to know."""

    jwt_secret: SecretStr
    payment_api_key: SecretStr
    mongodb_uri: SecretURL
    redis_url: SecretURL
    smtp_url: SecretURL
    name: Annotated[str, Public] = "shop"
    log_level: LogLevel = LogLevel.INFO
    max_upload: Annotated[ByteSize, Public] = DEFAULT_UPLOAD
    timeout: timedelta = timedelta(seconds=30)
    workers: int = 2
