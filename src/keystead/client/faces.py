"""Faces whose methods ask a server: made from those of the services, so that they are the same by construction.

Each operation of `keystead.api.operations` becomes a request. What has none works only where the store is, and says so.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from keystead.api.endpoint import Endpoint
from keystead.api.operations import OPERATIONS, Operation
from keystead.errors import UsageError
from keystead.keys.named.results import BatchItem


class Asking(Protocol):
    """What asks the server on behalf of a face."""

    def ask(self, endpoint: Endpoint, arguments: dict[str, Any]) -> Any:
        """What the operation gives."""


def remote(face: type, path: str, *, kept: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The methods of a face that ask a server, by name. `path` is the face's place, `kept` what stays as it is.

    An instance has the attribute `_asking`.
    """
    operations = {operation.method: operation for operation in OPERATIONS if operation.face == path}
    made: dict[str, Endpoint] = {}

    def sibling(method: str) -> Endpoint:
        if method not in made:
            made[method] = Endpoint(operations[method], getattr(face, method), sibling)
        return made[method]

    methods: dict[str, Any] = {}
    for name, function in _public(face):
        if name in kept:
            continue
        operation = operations.get(name)
        methods[name] = _local_only(function) if operation is None else _asking(operation, function, sibling)
    return methods


def _public(face: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, function in inspect.getmembers(face, inspect.isfunction):
        if not name.startswith("_"):
            yield name, function


def _asking(operation: Operation, function: Callable[..., Any], of: Callable[[str], Endpoint]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(self: Any, *args: Any, **named: Any) -> Any:
        arguments = dict(signature.bind(self, *args, **named).arguments)
        del arguments["self"]
        return ask(self._asking, of(operation.method), arguments)

    ask = _batch if operation.method == "batch" else _ask
    return call


def _ask(asking: Asking, endpoint: Endpoint, arguments: dict[str, Any]) -> Any:
    return asking.ask(endpoint, arguments)


def _batch(asking: Asking, endpoint: Endpoint, arguments: dict[str, Any]) -> list[BatchItem]:
    """An item that cannot travel has its error in its place, as one that cannot be done has."""
    items, refused = endpoint.items(arguments["operation"], arguments["items"])
    answers: list[BatchItem] = asking.ask(endpoint, {**arguments, "items": items})
    for place, error in refused.items():
        answers[place] = BatchItem(None, error)
    return answers


def _local_only(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(self: Any, *args: Any, **named: Any) -> Any:  # noqa: ARG001 - as the method is called
        raise UsageError(
            f"{function.__name__} works only on the machine of the store", hint="run it there, with the store's url"
        )

    return call
