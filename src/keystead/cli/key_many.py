"""Many calls of one operation of a named key: a line of JSON for each, in and out."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import output
from keystead.cli.context import Context, global_options, pass_context
from keystead.cli.key_use import as_text, ciphertext, from_base64, stdin_data
from keystead.errors import KeysteadError, UsageError

if TYPE_CHECKING:
    from keystead.keys.named.results import BatchItem

_BYTES: Final = frozenset({"data", "message", "signature", "tag"})
_SEALED: Final = frozenset({"encrypt", "reencrypt"})
_FAILED: Final = 1


def add_to(group: click.Group) -> None:
    """Put this command into the group of named keys."""
    group.add_command(batch)


@click.command()
@click.argument("operation")
@click.argument("name")
@global_options
@pass_context
def batch(context: Context, operation: str, name: str) -> None:
    """Do one OPERATION many times. Each line of stdin is a JSON object of its arguments, bytes in base64.

    Such as {"data": "aGVsbG8=", "context": {"user": "ada"}} for encrypt. Up to 1,000 lines; each is answered by a line,
    with a value or an error. The exit code is 1 where one failed.
    """
    from keystead.keys.named.results import BatchItem

    items = [_item(line) for line in stdin_data().splitlines() if line.strip()]
    whole = [item for item in items if not isinstance(item, KeysteadError)]
    with context.kms() as kms:
        done = iter(kms.keys.batch(operation.replace("-", "_"), name, whole if whole or not items else [{}]))
    # What could not be read is answered in its place, too.
    given = [BatchItem(None, item) if isinstance(item, KeysteadError) else next(done) for item in items]
    answers = [_answered(operation, one) for one in given]
    if context.json:
        output.document("batch/1", items=answers)
    else:
        for one in answers:
            click.echo(json.dumps(one))
    if any(one.error is not None for one in given):
        raise click.exceptions.Exit(_FAILED)


def _item(line: bytes) -> dict[str, Any] | KeysteadError:
    from keystead.access.methods.strict_json import parse_object

    item: dict[str, Any] | None = None
    with suppress(ValueError):
        item = parse_object(line)
    if item is None:
        return UsageError("the line is no JSON object, or one with a name twice")
    try:
        return {field: _given(field, value) for field, value in item.items()}
    except KeysteadError as error:
        return error


def _given(field: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    if field == "blob":
        return ciphertext(value.encode())
    return from_base64(value, f"the field {field} of a line") if field in _BYTES else value


def _answered(operation: str, one: BatchItem) -> dict[str, Any]:
    if one.error is not None:
        return {"error": one.error.message, "code": one.error.code}
    value = one.value
    if isinstance(value, bytes):
        return {"value": as_text(value) if operation in _SEALED else _base64(value)}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {part: data for part, data in asdict(value).items() if data is not None}
        return {
            "value": {part: as_text(data) if part == "ciphertext" else _base64(data) for part, data in parts.items()}
        }
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        shown = value._asdict()
        return {"value": {part: _base64(data) if isinstance(data, bytes) else data for part, data in shown.items()}}
    return {"value": value}


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
