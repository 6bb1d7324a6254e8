"""What the fault tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.injection import why_not
from tests.faults.kills import Kills


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kills]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = Kills(tmp_path_factory.mktemp("kills"))
    yield made
    made.close()


@pytest.fixture
def fresh(kills: Kills) -> Path:
    return kills.fresh("store")
