"""Whatever is written where a parser reads, it answers or raises its own error, and repeats none of it."""

from __future__ import annotations

import ast
import enum
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.access.conditions import parse_conditions
from keystead.access.methods.jws import parse_jws
from keystead.access.methods.strict_json import parse_object
from keystead.access.patterns import parse_pattern
from keystead.access.statements import parse_document
from keystead.audit.checkpoints import read_checkpoint
from keystead.audit.proofs import ConsistencyProof, InclusionProof, check_consistency_proof, check_proof
from keystead.audit.record import Record
from keystead.clock import parse_duration
from keystead.config.convert import Json, kind_of
from keystead.config.references import referred
from keystead.config.urls import URL, SecretURL
from keystead.errors import (
    AuditBroken,
    AuthenticationFailed,
    ConfigurationError,
    IntegrityError,
    StoreNotFound,
    UsageError,
)
from keystead.node.location import locate
from keystead.node.settings import load_settings
from keystead.seal.metadata import fingerprint_field, number_field, salt_field
from keystead.secrets.generators import parse_rule
from keystead.secrets.names import check_tags, parse_reference

TESTS = Path(__file__).parents[1]
SRC = TESTS.parent / "src" / "keystead"
CANARY = "cAnaRy5e7b"
# Pieces of what is meant, so that not every text fails at its first character.
PIECES = (
    "://", "@", ":", "/", "#", "?", "&", "=", "%", "%zz", "[", "]", "::1", ",", "5", "0", "1" * 30, "90d", "1h", "ms",
    "random:", "hex:", "secret://", "sqlite:", "postgresql://", "previous", "\0", "\ud800", "é", "٣", "e9", "-", "+",
    " ", "\n", "{", "}", '"', "null", "true", "NaN", "..", "keystead.db", CANARY,
)  # fmt: skip
TEXTS = st.text(max_size=20) | st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
ANYTHING = TEXTS | st.none() | st.integers() | st.floats() | st.binary(max_size=4) | st.lists(st.none(), max_size=2)
METADATA = st.dictionaries(st.sampled_from(["salt", "fingerprint", "memory"]), TEXTS | st.integers() | st.booleans())
SETTINGS = st.sampled_from(["data_key_max_age", "import_names", "audit_fsync", "record_each_use", "freshness_ms", "x"])
WRITTEN = st.sampled_from(["1", "'5m'", "'5'", "''", "[1]", "['A']", "true", "nan", "1979-05-27", "{a = 1}"])
TOML = TEXTS | st.lists(st.tuples(SETTINGS, WRITTEN).map(" = ".join), max_size=3).map("\n".join)
HEXES = TEXTS | st.integers(-3, 2**70) | st.sampled_from(["00" * 32, "", "AA==", "é" * 64])
DETAIL = st.fixed_dictionaries(dict.fromkeys(("size", "root", "link", "mac", "signature", "frontier"), HEXES))
PATH = st.lists(TEXTS, max_size=2).map(tuple)
BROKEN = (AuditBroken, IntegrityError, UsageError)
# What is no member is named, so that a name which is drawn is no secret.
MEMBERS = TEXTS.filter(lambda text: CANARY not in text)
VALUES = ANYTHING | st.dictionaries(MEMBERS, TEXTS, max_size=2) | st.lists(TEXTS, max_size=2)
CONDITIONS = ANYTHING | st.dictionaries(
    st.sampled_from(["time", "source", "tags", "method", "mfa_age", "context", "x"]), VALUES, max_size=3
)
STATEMENT = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "effect", "actions", "resources", "conditions", "x"), VALUES)
)
DOCUMENTS = ANYTHING | st.fixed_dictionaries(
    {"version": st.just(1) | VALUES, "statements": st.lists(STATEMENT | VALUES, max_size=2) | VALUES}
)
ENCODED = TEXTS.map(lambda text: text.encode("utf-8", "replace"))
# Headers that are JSON, and three parts, so that not every token fails at once.
HEADERS = st.sampled_from(
    ['{"alg":"ES256"}', '{"alg":"none"}', '{"alg":"ES256","crit":["x"]}', '{"alg":1}', "{}", "[]"]
)
TOKENS = st.tuples(HEADERS | TEXTS, TEXTS, TEXTS).map(
    lambda parts: ".".join(urlsafe_b64encode(part.encode("utf-8", "replace")).rstrip(b"=").decode() for part in parts)
)


class Level(enum.Enum):
    """One of the types that a configuration has."""

    LOW = "low"
    HIGH = "high"


TYPES: tuple[Any, ...] = (
    int, float, bool, timedelta, Path, list[int], tuple[str, ...], set[float], dict[str, int], dict[str, Any],
    Annotated[Any, Json], Level, Literal["a", 1], int | None, list[Level],
)  # fmt: skip


def read_types(text: str) -> None:
    """A setting of each type."""
    problems = []
    for declared in TYPES:
        kind = kind_of(declared)
        assert kind is not None
        try:
            kind.read(text)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("; ".join(problems))


def read_secret_url(text: str) -> None:
    """A URL with credentials, and all that it shows."""
    url = SecretURL(text)
    assert isinstance(url.hosts, tuple) and isinstance(url.scheme + url.host + url.masked() + repr(url), str)


def checkpoint(detail: dict[str, Any]) -> None:
    """What a checkpoint's record holds."""
    try:
        record = Record(0, "n", "", "system:audit", "audit_checkpoint", "chain/0001", detail=detail)
    except ValueError:
        return
    read_checkpoint(record, "0001")


PARSERS: dict[str, tuple[Callable[[Any], object], st.SearchStrategy[Any], tuple[type[Exception], ...]]] = {
    "parse_duration": (parse_duration, ANYTHING, (UsageError,)),
    "parse_rule": (parse_rule, ANYTHING, (UsageError,)),
    "parse_pattern": (parse_pattern, TEXTS, (ValueError,)),
    "parse_conditions": (parse_conditions, CONDITIONS, (ValueError,)),
    "parse_document": (parse_document, DOCUMENTS, (UsageError,)),
    "parse_jws": (lambda token: parse_jws(token, ["ES256"]), ANYTHING | TOKENS, (AuthenticationFailed,)),
    "parse_object": (parse_object, st.binary() | ENCODED, (ValueError,)),
    "parse_reference": (parse_reference, ANYTHING, (UsageError,)),
    "referred": (referred, TEXTS | TEXTS.map(f"secret://{CANARY}#{{}}".format), (UsageError,)),
    "check_tags": (check_tags, ANYTHING | st.dictionaries(TEXTS, ANYTHING, max_size=2), (UsageError,)),
    "URL": (URL, TEXTS, (UsageError,)),
    "SecretURL": (read_secret_url, TEXTS, (UsageError,)),
    "the types of a configuration": (read_types, TEXTS, (UsageError,)),
    "locate": (lambda url: locate(url, {}, Path("/nowhere")), ANYTHING, (UsageError, StoreNotFound)),
    "salt_field": (salt_field, METADATA, (IntegrityError,)),
    "fingerprint_field": (fingerprint_field, METADATA, (IntegrityError,)),
    "number_field": (lambda given: number_field(given, "memory"), METADATA, (IntegrityError,)),
    "read_checkpoint": (checkpoint, DETAIL, (ValueError,)),
    "check_proof": (
        lambda made: check_proof(InclusionProof(*made), bytes(32)),
        st.tuples(TEXTS, st.integers(-2, 2), TEXTS, PATH, TEXTS), BROKEN,
    ),
    "check_consistency_proof": (
        lambda made: check_consistency_proof(ConsistencyProof(*made), bytes(32)),
        st.tuples(TEXTS, TEXTS, TEXTS, PATH), BROKEN,
    ),
}  # fmt: skip
# A name is no secret, and its reference is named in the error of the selector behind it. No network is one either.
NAMES_IT = {"parse_reference", "check_tags", "check_proof", "check_consistency_proof", "locate"}


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data())
def test_any_input_is_read_or_refused_by_the_parsers_own_error(name: str, data: st.DataObject) -> None:
    parse, inputs, refusals = PARSERS[name]
    try:
        parse(data.draw(inputs))
    except refusals as error:
        assert name in NAMES_IT or CANARY not in str(error) or "is no network" in str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=TOML.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=20))
def test_any_bytes_are_settings_or_refused_as_none(written: bytes, tmp_path: Path) -> None:
    (tmp_path / "keystead.toml").write_bytes(written)
    try:
        load_settings(locate(tmp_path / ".keystead" / "keystead.db", {}, tmp_path))
    except ConfigurationError as error:
        assert str(tmp_path) in str(error)


def test_every_parser_of_the_package_is_named_in_a_property() -> None:
    """One that is new comes to this test without being asked."""
    parsers = {
        node.name
        for path in SRC.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith(("parse_", "from_text"))
    } - {"parse_args"}
    texts = [path.read_text("utf-8") for path in TESTS.rglob("test_*.py")]
    properties = "\n".join(text for text in texts if "@given" in text)
    assert len(parsers) >= 8
    assert {name for name in parsers if name not in properties} == set()
