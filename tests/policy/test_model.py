"""The engine decides as the model does, which is written anew in as few lines as go."""

from __future__ import annotations

import inspect
from itertools import islice

import pytest
from tests.policy import model
from tests.policy.generated import differences

from keystead.access import compile as compiling
from keystead.access import conditions, patterns
from keystead.access import grants as granting
from keystead.access.compile import Verdict
from keystead.access.policy import Decision


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_ten_thousand_generated_cases_are_decided_as_the_model_decides_them(seed: int) -> None:
    assert list(differences(seed, 10_000)) == []


def test_the_model_has_no_tree_no_regex_and_few_lines() -> None:
    source = inspect.getsource(model)
    assert not {"import re", "keystead"} & set(source.replace("from ", "import ").splitlines())
    deciding = [model.segment, model.names, model.acts, model.applies, model.allows]
    assert sum(len(inspect.getsource(each).splitlines()) for each in deciding) <= 30
    granting = [model.permits, model.gives, model.allows_with, model.within]
    assert sum(len(inspect.getsource(each).splitlines()) for each in granting) <= 30


def kept(reason: str, *, changing: bool) -> Verdict:
    return Verdict(Decision(True, reason, "granted"), volatile=not reason or changing is None)


def wrong(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    return {
        "keeps what time, tags or context decided": (compiling, "_is_volatile", lambda placed: False),
        "takes what cannot be told for met": (
            compiling,
            "all_hold",
            lambda *given: conditions.all_hold(*given) is not False,
        ),
        "takes what cannot be told for not met": (
            compiling,
            "all_hold",
            lambda *given: conditions.all_hold(*given) or False,
        ),
        "compares beginnings of names": (patterns, "_DOTS", frozenset()),
        "lets a grant stand against a deny": (granting, "UNDECIDED", {"explicit-deny", "no-statement", "condition"}),
        "takes one context for another": (granting.Grant, "permits", lambda grant, context: context is not None),
        "keeps what an encryption context decided": (granting, "_allowed", kept),
        "lets a grant go on": (granting.Grant, "ended", lambda grant, now_ms: False),
        "lets a pattern with ** name what stands before it": (compiling, "REST", "***"),
    }


@pytest.mark.parametrize("what", wrong(None))  # type: ignore[arg-type]
def test_an_engine_with_a_fault_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, fault = wrong(monkeypatch)[what]  # type: ignore[misc]
    monkeypatch.setattr(module, name, fault)
    assert list(islice(differences(7, 40_000), 1))
