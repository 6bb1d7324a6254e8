"""What the tests of the seal share."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

from keystead.crypto.material import KeyMaterial
from keystead.seal.master_key import MasterKey, generate_master_key, parse_master_key

STORE = "store_0123456789abcdef"


@pytest.fixture
def store_id() -> str:
    return STORE


@pytest.fixture
def root() -> KeyMaterial:
    return KeyMaterial.generate()


@pytest.fixture
def master_key() -> MasterKey:
    return parse_master_key(generate_master_key(), source="a test")


@pytest.fixture
def other_key() -> MasterKey:
    return parse_master_key(generate_master_key(), source="a test")


@pytest.fixture
def tells_nothing_of() -> Callable[[BaseException, str], None]:
    """Asserts that neither an error nor what it was raised from holds an 8-character window of a value."""

    def check(error: BaseException, value: str) -> None:
        told = "\n".join(_words(error))
        assert [value[i : i + 8] for i in range(len(value) - 7) if value[i : i + 8] in told] == []
        assert len(value) > 7 or not value.strip() or f"{value!r}" not in told

    return check


def _words(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        yield repr(error)
        yield repr(vars(error))
        error = error.__cause__ or error.__context__  # one that is not shown is there all the same


@pytest.fixture
def spelled() -> Callable[[bytes], str]:
    return lambda key: base64.b64encode(key).decode()
