r"""`.env` files: a written grammar, a writer whose output reads back the same, and taking assignments out of a file.

The grammar, where `ws` is whitespace within a line and `eol` is CR LF, LF, CR or the end of the text:

    file        = [BOM] *( *blank line )
    line        = [ "export" 1*ws ] [ name ws* [ "=" ws* value ] ] [ comment ] ws* eol
    name        = 1*( any character but "=", "#" and whitespace )        not starting with "'"
                / "'" 1*( any character but "'" ) "'"
    value       = "'" *( any but "'" and "\" / "\" any ) "'"        may span lines; \\ and \' are escapes
                / '"' *( any but '"' and "\" / "\" any ) '"'        may span lines; so are \\ \' \" \a \b \f \n \r \t \v
                / any text up to eol                                cut before whitespace and "#", then at the right
    comment     = ws* "#" any text up to eol

A line end within quotes is LF to the value, whatever the file has. What is no escape keeps its backslash. A `#`
directly behind `=` belongs to the value; behind `=` and whitespace it starts a comment. A name without `=` assigns
nothing. The last assignment of a name wins. There is no command substitution, and `${NAME}` is literal here:
`config.sources` alone gives it a meaning.

This reads what python-dotenv 1.2 reads, to the same values; a line that it would skip with a warning is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from keystead.errors import ConfigurationError, UsageError

_LINE = re.compile(
    r"""
    (?P<lead>\s*+)
    (?:\Z|
      (?:export[^\S\r\n]++)?+
      (?:'(?P<quoted_name>[^']++)'|(?P<name>(?!')[^=\#\s]++)|(?=\#))
      [^\S\r\n]*+
      (?P<assigns>=
        (?:[^\S\r\n]++(?=\#)
          |[^\S\r\n]*+(?:'(?P<single>[^'\\]*+(?:\\.[^'\\]*+)*+)'
                        |"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"
                        |(?P<plain>(?!['"])[^\r\n]*+)))
      )?+
      (?:[^\S\r\n]*+\#[^\r\n]*+)?+
      [^\S\r\n]*+(?:\r\n|\n|\r|\Z)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_IN_PLAIN = re.compile(r"\s#")
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NEWLINE = re.compile(r"\r\n|\n|\r")
_BOM = "\ufeff"

_PLAIN_NAME = re.compile(r"[^=#\s'\ufeff][^=#\s]*")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_NEEDS_ESCAPE = re.compile(r"['\\\x00-\x1f\x7f\x85\u2028\u2029]")
_DOUBLE_WRITTEN = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SINGLE_WRITTEN = str.maketrans({"\\": "\\\\", "'": "\\'"})


class Assignment(NamedTuple):
    """One `NAME=value` of a file: `text[start:end]` are its whole lines, the end of the last one included.

    `literal` tells that the value was in single quotes, in which `${NAME}` means nothing.
    """

    name: str
    value: str
    start: int
    end: int
    literal: bool


def assignments(text: str) -> list[Assignment]:
    """Every assignment of the text, in its order.

    Raises:
        ConfigurationError: a line that the grammar does not have; it is named by its number, never by what it holds.
    """
    found, line = [], _LINE.match
    position = len(_BOM) if text.startswith(_BOM) else 0
    while position < len(text):
        match = line(text, position)
        if match is None:
            raise _not_an_assignment(text, position)
        lead, quoted_name, name, assigns, single, double, plain = match.groups()
        start, position = position, match.end()
        if assigns is not None:
            if lead:
                start += max(lead.rfind("\n"), lead.rfind("\r")) + 1
            value = _value(single, double, plain)
            found.append(Assignment(name or quoted_name, value, start, position, single is not None))
    return found


def _value(single: str | None, double: str | None, plain: str | None) -> str:
    if double is not None:
        double = _with_lf(double)
        return (
            _DOUBLE_ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), double) if "\\" in double else double
        )
    if plain is not None:
        comment = _COMMENT_IN_PLAIN.search(plain) if "#" in plain else None
        return (plain if comment is None else plain[: comment.start()]).rstrip()
    if single is not None:
        single = _with_lf(single)
        return _SINGLE_ESCAPE.sub(r"\1", single) if "\\" in single else single
    return ""


def _with_lf(text: str) -> str:
    # a file that was saved on Windows holds the same secret as before
    return _NEWLINE.sub("\n", text) if "\r" in text else text


def _not_an_assignment(text: str, position: int) -> ConfigurationError:
    while position < len(text) and text[position].isspace():
        position += 1
    line = len(_NEWLINE.findall(text, 0, position)) + 1
    return ConfigurationError(
        f"line {line} of the .env text is not an assignment",
        hint="write NAME=value; close each quote, and put nothing but a comment behind it",
    )


def parse(text: str) -> dict[str, str]:
    """The names and values of a `.env` text, in order of first assignment; of several the last wins.

    Raises:
        ConfigurationError: a line that the grammar does not have, named by its number.
    """
    return {assignment.name: assignment.value for assignment in assignments(text)}


def write(values: Mapping[str, str]) -> str:
    """A `.env` text that `parse` reads back as exactly these names and values, one line each.

    (A value with both `${` and line ends spans lines, since only single quotes keep `${` literal.)

    Raises:
        UsageError: a name that no spelling can hold: empty, or with a `'` beside a `=`, a `#` or whitespace; a value
            with both `${` and a carriage return.
    """
    return "".join(f"{_written_name(name)}={_written_value(value)}\n" for name, value in values.items())


def _written_name(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return name
    if not name or "'" in name:
        raise UsageError("a .env file cannot hold this name", hint="use letters, digits and _")
    return f"'{name}'"


def _written_value(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value):
        return value
    if "${" in value and "\r" in value:
        raise UsageError("a .env file cannot hold a value with both ${ and a carriage return")
    if "${" in value or not _NEEDS_ESCAPE.search(value):
        return f"'{value.translate(_SINGLE_WRITTEN)}'"
    return f'"{value.translate(_DOUBLE_WRITTEN)}"'


def rewrite(text: str, remove: Collection[str]) -> str:
    """The text without any assignment of the names in `remove`; every other character stays as it is.

    Comments stay, those on lines of their own and those that hold an assignment too; a comment behind a removed
    value goes with it.

    Raises:
        ConfigurationError: a line that the grammar does not have, named by its number.
    """
    kept, position = [], 0
    for assignment in assignments(text):
        if assignment.name in remove:
            kept.append(text[position : assignment.start])
            position = assignment.end
    kept.append(text[position:])
    return "".join(kept)
