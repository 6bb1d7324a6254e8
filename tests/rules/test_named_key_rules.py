"""The table of what named keys can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from keystead.crypto.types import KeyType
from keystead.errors import UsageError
from keystead.keys.named.rules import OPERATIONS, USAGES, USES, Operation, Usage, check_usage, operations, table


def test_the_document_shows_the_table_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page.split("<!-- types: begin -->\n")[1].split("<!-- types: end -->")[0] == table()


def test_every_type_is_for_something_and_every_operation_is_something_somebody_can_do() -> None:
    assert USAGES.keys() == set(KeyType)
    assert OPERATIONS.keys() == set(Usage)
    assert USES.keys() == set(Operation)
    able = [operations(kind, usage) for kind in KeyType for usage in USAGES[kind]]
    assert all(able)
    assert set().union(*able) == set(Operation)


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_usage_that_a_type_is_not_for_is_refused(kind: KeyType) -> None:
    assert check_usage(kind, None) is USAGES[kind][0]
    for usage in [*Usage, "anything"]:
        if usage in USAGES[kind]:
            assert check_usage(kind, usage) is usage
        else:
            with pytest.raises(UsageError):
                check_usage(kind, usage)
