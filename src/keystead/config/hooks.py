"""How pydantic is told about the types of this room, without importing it."""

from __future__ import annotations

from typing import Any


def instance_schema(cls: type, _source: object, _handler: object) -> Any:
    """The pydantic core schema "an instance of this class"; pydantic calls it where a model's field has the class."""
    from pydantic_core import core_schema  # noqa: PLC0415 -- only pydantic calls this, so it is there

    return core_schema.is_instance_schema(cls)
