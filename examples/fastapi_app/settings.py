"""What the application needs to know, with types. What is secret never prints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from keystead import Public, SecretStr
from keystead.config import SecretURL
from keystead.errors import ConfigurationError

MIN_JWT_SECRET_BYTES = 32  # RFC 7518, section 3.2: a key at least as long as the hash


@dataclass(frozen=True)
class Settings:
    """Each field is filled from the secret or the environment variable of its name in upper case.

    `database_uri` is `sqlite:///file` (four slashes: an absolute path). Only what is marked public may be shown to all.

    Raises:
        ConfigurationError: a secret too short for HS256, or a database of another kind.
    """

    jwt_secret: SecretStr
    database_uri: SecretURL
    app_name: Annotated[str, Public] = "keystead example"
    access_token_lifetime: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        problems = {}
        if len(self.jwt_secret.reveal().encode()) < MIN_JWT_SECRET_BYTES:
            problems["jwt_secret"] = (
                f"shorter than {MIN_JWT_SECRET_BYTES} bytes; keystead rotate JWT_SECRET gives a new one"
            )
        if self.database_uri.scheme != "sqlite" or not self.database_path.name:
            problems["database_uri"] = "not a SQLite database; write sqlite:///users.db"
        if problems:
            raise ConfigurationError("the settings cannot be used", problems=problems)

    @property
    def database_path(self) -> Path:
        """The file of users."""
        return Path(unquote(urlsplit(self.database_uri.reveal()).path.removeprefix("/")))
