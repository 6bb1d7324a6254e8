"""A policy document: JSON with statements, read strictly, so that no two readers take it differently.

    {"version": 1, "description": "...", "statements": [
      {"id": "read-db", "effect": "allow", "actions": ["secret:read"], "resources": ["secret/db/*"],
       "conditions": {"source": ["10.0.0.0/8"]}}]}

Everything that is not known is refused, by the name of its statement and field: an action or condition that was
misspelled must not become a policy that says less than its writer meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from keystead.access.conditions import METHODS, Condition, parse_conditions
from keystead.access.patterns import NAMED_KINDS, Pattern, parse_pattern
from keystead.access.policy import Action
from keystead.errors import UsageError

VERSION: Final = 1
MAX_DOCUMENT: Final = 65_536
"""Bytes of a document, as it is given and as it is kept, which is ASCII."""
MAX_STATEMENTS: Final = 200
MAX_LISTED: Final = 200
"""Actions, and resources, of one statement."""
MAX_DESCRIPTION: Final = 512
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HINT = "docs/policies.md shows what a policy is made of"
_GROUPS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {str(action): (str(action), f"{action.partition(':')[0]}:*", "*") for action in Action}
)
NAMED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        name: tuple(action for action, groups in _GROUPS.items() if name in groups)
        for name in dict.fromkeys(one for groups in _GROUPS.values() for one in groups)
    }
)
"""Every way to name actions, and the actions that it names."""


class Statement(NamedTuple):
    """One statement. `actions` are as written: an action, a noun with `:*`, or `*`."""

    id: str
    denies: bool
    actions: tuple[str, ...]
    resources: tuple[Pattern, ...]
    conditions: tuple[Condition, ...]

    @property
    def effect(self) -> str:
        """`allow` or `deny`."""
        return "deny" if self.denies else "allow"


class Document(NamedTuple):
    """A policy that was read: its statements, and its one spelling as the store keeps it."""

    description: str
    statements: tuple[Statement, ...]
    text: str


def action_groups(action: str) -> tuple[str, str, str]:
    """Every way in which a statement may name an action: itself, its noun, all."""
    return _GROUPS.get(action) or (action, f"{action.partition(':')[0]}:*", "*")


def check_action(action: str) -> str:
    """The action itself, if there is one of this name. Raises UsageError."""
    if not isinstance(action, str) or action not in _GROUPS:
        raise UsageError("there is no such action", hint=f"actions are {', '.join(sorted(_GROUPS))}")
    return str(action)


def parse_document(given: str | bytes | Mapping[str, Any]) -> Document:
    """A policy from its JSON text or from the mapping that such a text stands for.

    Raises:
        UsageError: it is none; the message names the statement and the field.
    """
    fields = _load(given)
    _check_fields(fields, "the policy", ("version", "description", "statements"), optional=("description",))
    if type(fields["version"]) is not int or fields["version"] != VERSION:
        raise _wrong("the policy", "version", f"must be {VERSION}")
    description = fields.get("description", "")
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION or not description.isprintable():
        raise _wrong("the policy", "description", f"must be up to {MAX_DESCRIPTION} printable characters")
    listed = fields["statements"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_STATEMENTS:
        raise _wrong("the policy", "statements", f"must be a list of 1 to {MAX_STATEMENTS} statements")
    statements = tuple(_statement(one, number) for number, one in enumerate(listed, 1))
    ids = [statement.id for statement in statements]
    for id_ in ids:
        if ids.count(id_) > 1:
            raise _wrong(f"statement {id_}", "id", "is used by two statements")
    text = json.dumps(fields, separators=(",", ":"))
    if len(text) > MAX_DOCUMENT:
        # What is kept is read again by this function, and must not be too long for it then.
        raise _too_long("the policy is kept as ASCII, and so")
    return Document(description, statements, text)


def new_document(given: str | bytes | Mapping[str, Any]) -> Document:
    """The same of a policy that is written now, which also names nothing by a kind alone, since no resource is called
    so and a deny of it would deny nothing, and no method that there is none of. One that was written before that was
    looked at goes on saying what it says.

    Raises:
        UsageError.
    """
    document = parse_document(given)
    for statement in document.statements:
        for position, pattern in enumerate(statement.resources, 1):
            if len(pattern) == 1 and pattern[0] in NAMED_KINDS:
                problem = f"'{pattern[0]}' has no name: write {pattern[0]}/NAME, or {pattern[0]}/** for all"
                raise _wrong(f"statement {statement.id}", f"resources {position}", problem)
    for written in json.loads(document.text)["statements"]:
        for method in written.get("conditions", {}).get("method", ()):
            if method not in METHODS:
                problem = f"method: there is no {_shown(method)}: there are {', '.join(METHODS)}"
                raise _wrong(f"statement {written['id']}", "conditions", problem)
    return document


def _load(given: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(given, Mapping):
        try:
            given = json.dumps(dict(given), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise UsageError("the policy is not made of what JSON has", hint=_HINT) from None
    if not isinstance(given, str | bytes):
        raise UsageError("a policy is JSON text or a mapping", hint=_HINT)
    if len(given) > MAX_DOCUMENT:
        raise _too_long("the policy")
    fields, problem, where = None, "", ""
    try:
        text = given.decode() if isinstance(given, bytes) else given
        fields = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except _Twice as error:
        problem = f"the policy is not JSON with one meaning: {error}"
    except (ValueError, RecursionError) as error:
        problem = "the policy is not JSON"
        where = f"line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    if problem:
        # raised outside: the error of the parser holds what was given, and that may be a secret by mistake
        raise UsageError(problem, why=where, hint=_HINT)
    if not isinstance(fields, dict):
        raise UsageError("the policy is no JSON object", hint=_HINT)
    return fields


def _too_long(what: str) -> UsageError:
    return UsageError(f"{what} is longer than {MAX_DOCUMENT} bytes", hint="split it into several")


class _Twice(ValueError):
    """A field stands twice, or a number is none."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"field {_shown(twice)} stands twice in one object")
    return fields


def _no_constant(name: str) -> Any:
    raise _Twice(f"{name} is no number")


def _shown(text: object) -> str:
    return repr(str(text)[:40]).encode("ascii", "backslashreplace").decode()


def _wrong(where: str, field: str, problem: str) -> UsageError:
    return UsageError(f"{where}: {field}: {problem}", hint=_HINT)


def _check_fields(given: dict[str, Any], where: str, known: tuple[str, ...], optional: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"{where}: {_shown(name)} is unknown: there are {', '.join(known)}", hint=_HINT)
    for name in known:
        if name not in given and name not in optional:
            raise _wrong(where, name, "is missing")


def _statement(given: Any, number: int) -> Statement:
    where = f"statement {number}"
    if not isinstance(given, dict):
        raise UsageError(f"{where} is no object", hint=_HINT)
    if isinstance(given.get("id"), str) and _ID.fullmatch(given["id"]):
        where = f"statement {given['id']}"
    _check_fields(given, where, ("id", "effect", "actions", "resources", "conditions"), optional=("conditions",))
    if where != f"statement {given['id']}":
        raise _wrong(where, "id", "must be 1 to 64 of the characters A-Z a-z 0-9 _ . -, a letter or digit first")
    if given["effect"] not in ("allow", "deny"):
        raise _wrong(where, "effect", "must be allow or deny")
    try:
        conditions = parse_conditions(given["conditions"]) if "conditions" in given else ()
    except ValueError as error:
        raise _wrong(where, "conditions", str(error)) from None
    actions = _listed(given["actions"], where, "actions")
    for position, action in enumerate(actions, 1):
        if action not in NAMED:
            raise _wrong(where, f"actions {position}", f"{_shown(action)} is no action; `secret:read` is one")
    return Statement(
        given["id"],
        given["effect"] == "deny",
        actions,
        tuple(_pattern(text, where, at) for at, text in enumerate(_listed(given["resources"], where, "resources"), 1)),
        conditions,
    )


def _listed(given: Any, where: str, field: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_LISTED:
        raise _wrong(where, field, f"must be a list of 1 to {MAX_LISTED} texts")
    if not all(isinstance(one, str) for one in given):
        raise _wrong(where, field, "must be a list of texts")
    if len(set(given)) != len(given):
        raise _wrong(where, field, "names one of them twice")
    return tuple(given)


def _pattern(text: str, where: str, position: int) -> Pattern:
    try:
        return parse_pattern(text)
    except ValueError as error:
        raise _wrong(where, f"resources {position}", f"{_shown(text)} {error}") from None
