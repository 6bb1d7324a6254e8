"""A configuration that is loaded with a store's secrets leaves a record there, however the loader was made."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

import keystead
from keystead import ConfigLoader, KMSService, SecretsManager, SecretStr


@dataclass
class App:
    jwt_secret: SecretStr
    port: int = 8000


def test_a_loader_built_by_itself_records_and_logs_that_it_was_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[dict[str, object]] = []
    with KMSService(tmp_path / "app.db", master_key=keystead.generate_master_key()) as kms:
        kms.store_secret("JWT_SECRET", "correct horse battery staple")
        kms.on_event("configuration_loaded", told.append)
        with caplog.at_level(logging.INFO, logger="keystead"):
            ConfigLoader(App, env={}).load(SecretsManager(kms))
    assert [(event["event"], event["detail"]) for event in told] == [
        ("configuration_loaded", {"schema": "App", "fields": 2, "secrets": 1, "default": 1})
    ]
    assert any(record.message.startswith("configuration_loaded") for record in caplog.records)
    assert "horse" not in caplog.text
