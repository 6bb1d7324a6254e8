"""Names of secrets, references to their versions, names of environment variables, and tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from keystead.errors import NameCollision, UsageError
from keystead.secrets.labels import Label, check_label

MAX_NAME_LENGTH = 512
MAX_VERSION = 2**31 - 1
MAX_TAGS = 50
MAX_TAG_KEY_LENGTH = 128
MAX_TAG_VALUE_LENGTH = 256

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_+=.@-]+"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_FOREIGN = re.compile(r"[^A-Za-z0-9/_+=.@-]")
_NOT_IN_VARIABLE = re.compile(r"[^A-Z0-9_]")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_TAG_KEY = re.compile(r"[A-Za-z0-9_.:/+@-]+")
_is_name = _NAME.fullmatch


class Reference(NamedTuple):
    """A secret, and at most one of a version's number and a label; neither means the current version."""

    name: str
    version: int | None = None
    label: Label | None = None

    def __str__(self) -> str:
        selector = self.version if self.version is not None else self.label
        return self.name if selector is None else f"{self.name}#{selector}"


def check_name(name: str) -> str:
    """The name itself, if it is one: 1 to 512 of `A-Z a-z 0-9 / _ + = . @ -`, no empty, `.` or `..` segment.

    Raises:
        UsageError: it is not; the message does not repeat it, since a value may have been given by mistake.
    """
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _is_name(name):
        return name
    raise UsageError(
        f"not a secret name: {_what_is_wrong(name)}",
        hint="use 1 to 512 of the characters A-Z a-z 0-9 / _ + = . @ -, for example db/primary",
    )


def _what_is_wrong(name: object) -> str:
    if not isinstance(name, str):
        return f"it is of type {type(name).__name__}"
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has {len(name)} characters, and {MAX_NAME_LENGTH} are allowed"
    foreign = _FOREIGN.search(name)
    if foreign:
        return f"the character at position {foreign.start() + 1} is not allowed"
    return "a segment between slashes is empty, . or .."


def check_version(version: int) -> int:
    """The version's number itself, if it is one: an int from 1 to 2^31 - 1.

    Raises:
        UsageError: it is not.
    """
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MAX_VERSION:
        raise UsageError("not a version of a secret", hint="versions are whole numbers from 1")
    return version


def check_names(names: Iterable[str]) -> list[str]:
    """A list of several names, not checked one by one.

    Raises:
        UsageError: it is one text, whose characters nobody means, or no list at all.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise UsageError("names must be a list of names", hint='write ["JWT_SECRET"] for a single one')
    return list(names)


def check_prefix(prefix: str) -> str:
    """The beginning of a secret name itself, if it may be one.

    Raises:
        UsageError: it is no text, or holds characters outside ASCII.
    """
    if not isinstance(prefix, str) or not prefix.isascii():
        raise UsageError("prefix is not the beginning of a secret name", hint="give its first characters, such as db/")
    return prefix


def parse_reference(text: str) -> Reference:
    """What `NAME`, `NAME#3` or `NAME#previous` refers to.

    Raises:
        UsageError: the name, the number (one spelling only: no sign, no leading zero) or the label is none.
    """
    if not isinstance(text, str):
        return Reference(check_name(text))
    name, mark, selector = text.partition("#")
    check_name(name)
    if not mark:
        return Reference(name)
    if _VERSION.fullmatch(selector):
        return Reference(name, version=check_version(int(selector)))
    if selector.isalpha():
        return Reference(name, label=check_label(selector))
    raise UsageError(
        f"what follows # in the reference to {name} is neither a version nor a label",
        hint=f"write {name}#3, {name}#current, {name}#previous or {name}#pending",
    )


def choose(name: str, version: int | None, label: str | None) -> Reference:
    """What a name or reference, with a version's number or a label beside it, refers to.

    Raises:
        UsageError: one of them is no such thing, or more than one of them chooses a version.
    """
    reference = parse_reference(name)
    if version is None and label is None:
        return reference
    if version is not None:
        check_version(version)
        if label is not None:
            raise UsageError("version and label contradict each other", hint="give one of them")
    chosen = None if label is None else check_label(label)
    if reference.version is not None or reference.label is not None:
        raise UsageError(
            f"{name} names a version already, and another version or label was given with it", hint="give one of them"
        )
    return Reference(reference.name, version, chosen)


def environment_name(name: str) -> str:
    """The environment variable of a secret name: upper case, and `_` for every other character.

    Raises:
        UsageError: not a secret name.
    """
    return _NOT_IN_VARIABLE.sub("_", check_name(name).upper())


def environment_names(names: Iterable[str]) -> dict[str, str]:
    """The environment variable of each secret name, in the order given.

    Raises:
        UsageError: not a secret name.
        NameCollision: two names become the same variable; the message names both.
    """
    variables: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in names:
        variable = environment_name(name)
        first = taken.setdefault(variable, name)
        if first != name:
            raise NameCollision(
                f"{first} and {name} both become the environment variable {variable}",
                hint="rename one of them, or ask for one of them only",
            )
        variables[name] = variable
    return variables


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """A copy of the tags, sorted by key, if they are allowed.

    At most 50; a key has 1 to 128 of `A-Z a-z 0-9 _ . : / + @ -`, a value 0 to 256 printable characters. Tags are
    readable in the store.

    Raises:
        UsageError: they are not.
    """
    if not isinstance(tags, Mapping):
        raise UsageError(f"tags are a mapping of text to text, not {type(tags).__name__}")
    if len(tags) > MAX_TAGS:
        raise UsageError(f"{len(tags)} tags are too many", hint=f"a secret has at most {MAX_TAGS}")
    for key, value in tags.items():
        if not isinstance(key, str) or len(key) > MAX_TAG_KEY_LENGTH or not _TAG_KEY.fullmatch(key):
            raise UsageError(
                "not the key of a tag",
                hint=f"use 1 to {MAX_TAG_KEY_LENGTH} of the characters A-Z a-z 0-9 _ . : / + @ -",
            )
        if not isinstance(value, str) or len(value) > MAX_TAG_VALUE_LENGTH or not value.isprintable():
            raise UsageError(
                f"not the value of a tag: {key}",
                hint=f"use at most {MAX_TAG_VALUE_LENGTH} printable characters; a tag is no place for a secret",
            )
    return dict(sorted(tags.items()))
