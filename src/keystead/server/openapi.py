"""The OpenAPI 3.1 document, from the routes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from keystead import __version__
from keystead.api.bounds import PATHS, bounded
from keystead.api.endpoint import Endpoint
from keystead.api.operations import PREFIX
from keystead.api.shapes import ByName, Maybe, Schema
from keystead.server.routes import Routes
from keystead.server.special import ADDED

PROBLEM: Final[Schema] = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "pattern": "^KS[0-9]{4}$"},
        "detail": {"type": "string"},
        "why": {"type": "string"},
        "hint": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "code"],
}
_ERRORS: Final = {
    "400": "Bad request",
    "401": "No access token, or one that has ended",
    "403": "Not allowed",
    "404": "Not there, or not for this caller to know of",
    "409": "Not what the call expected",
    "410": "Expired or deleted",
    "412": "Another version than If-Match",
    "413": "Too large",
    "415": "Not JSON",
    "422": "Does not authenticate",
    "429": "Too many",
    "500": "Failed",
    "503": "Not now",
}


_LOGINS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {
        "password": ("Log in as a user; `code` is of a second factor.", ("name", "password"), ("code",)),
        "role": ("Log in as a role.", ("role_id", "secret_id"), ()),
        "jwt": ("Log in by an issuer's token, through the auth method `name`.", ("name", "jwt"), ()),
        "certificate": ("Log in by the certificate that TLS showed, through the auth method `name`.", ("name",), ()),
    }
)
"""What each login is, and the credentials that it must have and may have."""


def openapi_document(routes: Routes) -> dict[str, Any]:
    """The document of all routes."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in routes.all():
        paths.setdefault(PREFIX + endpoint.operation.path, {})[endpoint.operation.verb.lower()] = _described(endpoint)
    token = next(endpoint.result_schema() for endpoint in routes.all() if endpoint.operation.id == "tokens.create")
    paths |= {f"{PREFIX}/login/{method}": {"post": _login(method, token)} for method in _LOGINS}
    paths[f"{PREFIX}/changes"] = {"get": _changes()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "keystead", "version": __version__, "license": {"name": "Apache-2.0"}},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(endpoint: Endpoint) -> dict[str, Any]:
    operation = endpoint.operation
    text = inspect.getdoc(endpoint.function) or ""
    found: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.path.removeprefix("/").partition("/")[0].partition(":")[0]],
        "summary": text.partition("\n")[0],
        "description": text,
        "responses": {str(operation.status): _success(endpoint), **_problems()},
    }
    parameters = _parameters(endpoint)
    if parameters:
        found["parameters"] = parameters
    if not endpoint.in_query:
        schema = endpoint.body_schema()
        found["requestBody"] = {
            "required": bool(schema.get("required")),
            "content": {"application/json": {"schema": schema}},
        }
    return found


def _login(method: str, token: Schema) -> dict[str, Any]:
    text, required, more = _LOGINS[method]
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in (*required, *more)},
        "required": list(required),
        "additionalProperties": False,
    }
    return {
        "operationId": f"login.{method}",
        "tags": ["login"],
        "security": [],
        "summary": text,
        "description": f"{text}\n\nRaises:\n    UsageError, AuthenticationFailed, LockedOut.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": token}}},
            **_problems(),
        },
    }


def _changes() -> dict[str, Any]:
    text = "The number of changes of the store: at once where it is not `after`, else when it is, or after `timeout` s."
    number = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    schema = {"type": "object", "properties": {"changes": {"type": "integer"}}, "required": ["changes"]}
    return {
        "operationId": "changes",
        "tags": ["changes"],
        "summary": text,
        "description": text,
        "parameters": [
            {"name": "after", "in": "query", "required": False, "schema": number},
            {"name": "timeout", "in": "query", "required": False, "schema": number},
        ],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": schema}}},
            **_problems(),
        },
    }


def _success(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.operation.status == 204:
        return {"description": "Done"}
    schema, added = endpoint.result_schema(), ADDED.get(endpoint.operation.id, {})
    if added:
        required = [*schema.get("required", ()), *added]
        schema = {**schema, "properties": {**schema["properties"], **added}, "required": required}
    content = {"application/json": {"schema": schema}}
    if not endpoint.operation.to_file:
        return {"description": "Done", "content": content}
    return {
        "description": "The file, and what is told of it",
        "headers": {"Keystead-Report": {"required": True, "content": content}},
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }


def _problems() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": text, "content": content} for status, text in _ERRORS.items()}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if endpoint.path_parameter:
        schema = {"type": "string", **PATHS.get(endpoint.path_parameter, {})}
        found.append({"name": endpoint.path_parameter, "in": "path", "required": True, "schema": schema})
    if endpoint.in_query:
        for _, member, shape, required in endpoint.given:
            inner = shape.inner if isinstance(shape, Maybe) else shape
            if not isinstance(inner, ByName):
                found.append(
                    {
                        "name": member,
                        "in": "query",
                        "required": required,
                        "schema": bounded(member, inner.schema),
                    }
                )
    return found
