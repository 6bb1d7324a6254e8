"""What the attack tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.attacks.stores import Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def answers(made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the untouched store answers."""
    return made.copy(tmp_path_factory.mktemp("asked") / "store").ask()


@pytest.fixture
def mine(made: Made, tmp_path: Path) -> Made:
    """A copy of the store for one test."""
    return made.copy(tmp_path / "store")
