"""One operation, both ways: a request to the arguments of a method and back, a result to a body and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from keystead.api.bounds import ADDED, bounded
from keystead.api.names import check_path_name
from keystead.api.operations import PREFIX, Operation
from keystead.api.problems import problem, read_problem
from keystead.api.reading import parameters_of, result_of
from keystead.api.shapes import ABSENT, Base64, ByName, Maybe, Schema, Shape
from keystead.api.structures import Member, Structure
from keystead.errors import UsageError
from keystead.keys.named.results import BatchItem
from keystead.secrets.labels import KEEP

Body = dict[str, Any]
MOST_ITEMS: Final = 1_000
OF_BATCH: Final = (
    "encrypt", "decrypt", "reencrypt", "generate_data_key", "sign", "verify", "mac", "verify_mac", "derive",
)  # fmt: skip
_NO_ITEM: Final[Body] = {"": None}


@contextmanager
def travelling(attribute: str, shape: Shape) -> Iterator[None]:
    """Encode an argument for its way; one of a wrong type is a UsageError, as where the method takes it itself."""
    try:
        yield
        return
    except (TypeError, AttributeError, ValueError):
        pass  # outside the handler, whose error may hold what was given
    inner = shape.inner if isinstance(shape, Maybe) else shape
    raise UsageError(f"{attribute} must be {'bytes' if isinstance(inner, Base64) else shape.what}")


class Endpoint:
    """An operation and the method that it is. `sibling` gives the endpoint of another method of the same face."""

    def __init__(
        self, operation: Operation, function: Callable[..., Any], sibling: Callable[[str], Endpoint] | None = None
    ) -> None:
        self.operation = operation
        self.function = function
        self._sibling = sibling
        before, _, rest = operation.path.partition("{")
        self.path_parameter, _, self.verb = rest.partition("}") if rest else ("", "", "")
        self.before = PREFIX + before
        self.collection = before.strip("/")

    @cached_property
    def parameters(self) -> list[Member]:
        """What the method takes."""
        return parameters_of(self.function, self.operation.renamed, without=self.operation.to_file)

    @cached_property
    def result(self) -> Shape:
        """What it gives."""
        return result_of(self.function, self.operation.renamed)

    @cached_property
    def given(self) -> list[Member]:
        """The parameters that stand in the body, or in the query of a GET or DELETE."""
        return [member for member in self.parameters if member.attribute != self.path_parameter]

    @property
    def in_query(self) -> bool:
        """Whether its parameters stand in the query string."""
        return self.operation.verb in ("GET", "DELETE")

    @property
    def is_batch(self) -> bool:
        """Whether it does many calls of other operations."""
        return self.operation.method == "batch"

    # The server's side

    def arguments(self, name: str | None, body: Body) -> dict[str, Any]:
        """The arguments of a call, from the name in the path and the members of a body.

        Raises:
            UsageError: a member that is missing, not known or of another type; it names the member.
        """
        found: dict[str, Any] = {} if name is None else {self.path_parameter: name}
        known: set[str] = set()
        for attribute, member, shape, required in self.given:
            known.update(shape.names(member))
            value = shape.take(body, member)
            if value is ABSENT:
                if required:
                    raise UsageError(f"{member} is missing", hint="see the API reference for this operation")
            else:
                found[attribute] = value
        self._refuse_unknown(set(body) - known)
        return found

    def from_query(self, name: str | None, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        """The same from the pairs of a query string. Raises UsageError."""
        found: dict[str, Any] = {} if name is None else {self.path_parameter: name}
        texts: dict[str, str] = {}
        for key, text in pairs:
            if key in texts:
                raise UsageError("a name stands twice in the query", hint="give each once")
            texts[key] = text
        for attribute, member, shape, required in self.given:
            inner = shape.inner if isinstance(shape, Maybe) else shape
            if isinstance(inner, ByName):
                parts = {k.removeprefix(f"{member}."): texts.pop(k) for k in list(texts) if k.startswith(f"{member}.")}
                if parts:
                    found[attribute] = inner.decode(parts)
                continue
            if member in texts:
                found[attribute] = shape.read_text(member, texts.pop(member))
            elif required:
                raise UsageError(f"{member} is missing in the query")
        self._refuse_unknown(set(texts))
        return found

    def body(self, result: Any) -> Body | None:
        """The members of the answer; None for none."""
        if self.operation.status == 204:
            return None
        encoded = self.result.encode(result) if self._is_object else None
        if encoded is not None:
            return encoded  # type: ignore[no-any-return]
        answer: Body = {}
        self.result.put(answer, self.operation.result, result)
        return answer

    @cached_property
    def _is_object(self) -> bool:
        return isinstance(self.result, Structure) or self.operation.result == "value"

    def _refuse_unknown(self, unknown: set[str]) -> None:
        if unknown:
            # Which it is, is not repeated: a value may have slipped into the place of a name.
            known = sorted(name for member in self.given for name in member.shape.names(member.name))
            raise UsageError(
                "something was given under a name that is not known here",
                hint=f"known are {', '.join(known)}" if known else "this operation takes nothing",
            )

    # Batches

    def _of(self, operation: Any) -> Endpoint:
        if self._sibling is None or operation not in OF_BATCH:
            raise UsageError("not an operation of a batch", hint=f"use {', '.join(OF_BATCH)}")
        return self._sibling(operation)

    def item_arguments(self, operation: Any, item: dict[str, Any]) -> dict[str, Any]:
        """The arguments of an item of a batch. Raises UsageError."""
        found = self._of(operation).arguments("", item)
        found.pop("name", None)
        return found

    def require_batched(self, operation: Any) -> None:
        """Nothing, where batches are made of this operation. Raises UsageError."""
        self._of(operation)

    def batch_answers(self, operation: str, items: list[BatchItem]) -> list[Body]:
        """The members of the answer to each item of a batch."""
        single = self._of(operation)
        return [
            (single.body(item.value) or {}) if item.error is None else {"error": problem(item.error)} for item in items
        ]

    # The client's side

    def request(self, arguments: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]], Body]:
        """The path of a call, its query and its body.

        Raises:
            UsageError: a name that is none, or an argument of a type that does not travel.
        """
        path = self.before
        if self.path_parameter:
            name = check_path_name(self.collection, self.operation.id, arguments[self.path_parameter])
            path += quote(name, safe="/+=@") + self.verb
        if self.in_query:
            return path, self._query(arguments), {}
        return path, [], self._body(arguments)

    def _body(self, arguments: Mapping[str, Any]) -> Body:
        body: Body = {}
        for attribute, member, shape, _ in self.given:
            if (value := arguments.get(attribute, KEEP)) is not KEEP:
                with travelling(attribute, shape):
                    shape.put(body, member, value)
        return body

    def items(self, operation: Any, items: Any) -> tuple[Any, dict[int, UsageError]]:
        """The items of a batch as they travel, and by its place the error of each that does not.

        In such a one's place there is something that the server refuses, so that all places stay what they are. What
        is no batch at all is left for `request` to refuse, or for the server.
        """
        single = self._of(operation)
        if not isinstance(items, Iterable) or isinstance(items, Mapping | str | bytes):
            return items, {}
        wanted, refused = list(islice(items, MOST_ITEMS + 1)), {}
        if not all(isinstance(item, Mapping) for item in wanted):
            raise UsageError(f"a batch is a list of 1 to {MOST_ITEMS:,} mappings of arguments")
        bodies: list[Body] = []
        for place, item in enumerate(wanted):
            try:
                bodies.append(single._item(item))
            except UsageError as error:
                bodies.append(_NO_ITEM)
                refused[place] = error
        return bodies, refused

    def _item(self, item: Mapping[str, Any]) -> Body:
        """The body of one item of a batch of this operation. A misspelt argument is not to be left out in silence."""
        known = {attribute for attribute, *_ in self.given}
        if not known.issuperset(item):
            raise UsageError("an item has an argument that is not known", hint=f"known are {', '.join(sorted(known))}")
        return self._body(item)

    def _query(self, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for attribute, member, shape, _ in self.given:
            value = arguments.get(attribute)
            if value is None or value is KEEP:
                continue
            with travelling(attribute, shape):
                encoded = shape.encode(value)
            if isinstance(encoded, dict):
                pairs += [(f"{member}.{name}", str(text)) for name, text in encoded.items()]
            else:
                pairs.append((member, str(encoded).lower() if isinstance(encoded, bool) else str(encoded)))
        return pairs

    def value(self, body: Body | None, arguments: Mapping[str, Any]) -> Any:
        """What the method gives, from the members of an answer.

        Raises:
            ValueError, UsageError: it is no answer to this operation.
        """
        if body is None:
            return None
        if self.is_batch:
            single = self._of(arguments["operation"])
            return [
                BatchItem(None, read_problem(one["error"]))
                if "error" in one
                else BatchItem(single.value(one, {}), None)
                for one in body["items"]
            ]
        if self._is_object:
            return self.result.decode(body)
        found = self.result.take(body, self.operation.result)
        if found is ABSENT:
            raise ValueError("an answer without its result")
        return found

    def body_schema(self) -> Schema:
        """The JSON Schema of the body that it takes."""
        properties: dict[str, Schema] = {}
        required = []
        for _, member, shape, must in self.given:
            added = {name: bounded(name, schema) for name, schema in shape.members(member).items()}
            properties |= added
            if must and len(added) == 1:
                required.append(member)
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**schema, "required": required} if required else schema

    def result_schema(self) -> Schema:
        """The JSON Schema of the answer's body."""
        if self._is_object:
            found, added = self.result.schema, ADDED.get(self.operation.id)
            return {**found, "properties": {**found["properties"], **added}} if added else found
        members = self.result.members(self.operation.result)
        schema: Schema = {"type": "object", "properties": members}
        return {**schema, "required": list(members)} if len(members) == 1 else schema
