"""`python -m tests.docs.api_reference`: writes docs/api.md from the OpenAPI document that the server gives."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.docs.pages import ROOT

from keystead import errors
from keystead.api.problems import KINDS
from keystead.errors import KeysteadError
from keystead.server.answers import REFUSALS, status_of
from keystead.server.openapi import openapi_document
from keystead.server.routes import Routes

PAGE: Final = ROOT / "docs" / "api.md"
_STATUSES: Final = {
    name: status_of(kind.__new__(kind))
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, KeysteadError)
}
_CODES: Final = {kind.__name__: code for code, kind in KINDS.items()}
_NAMES: Final = re.compile(rf"\b({'|'.join(sorted(_STATUSES, key=len, reverse=True))})\b")
_RAISED: Final = re.compile(r"(.*?)(?:\n\nRaises:\n|\sRaises )((?:[^\n]|\n(?!\n))+)", re.DOTALL)
"""A docstring that ends in what is raised, as a part or as a sentence."""
_HEAD: Final = """\
# API reference

Every operation of the server's HTTP API: {count} of them. This page is made from the OpenAPI document, which a server
gives at `GET /api/v1/openapi.json`, by `make api-reference`; [the server](server.md#the-api) shows how they are used.

{contents}

## All requests

- `Authorization: Bearer TOKEN` says who asks; what each may do is for [policies](policies.md) to say.
- What goes in is the query string of a GET or DELETE, and else the members of one JSON object with
  `Content-Type: application/json`. A member that is not known is an error. What comes out is one JSON object.
- `{{name}}` in a path takes a name with its slashes as they are.
- base64 is the standard one with padding. Where bytes are meant that may be text too, `NAME` takes the text and
  `NAME_base64` the bytes; one of the two is given. A length of time is text such as `30s`, `5m` or `90d`; members that
  end in `_ms` are milliseconds, since 1970 where they are points in time. A date and time has the form of RFC 3339.
- A listing that takes tags takes them as `tags.NAME=VALUE`. It gives a page: `items`, and as `next` what to send as
  `after` for the next one, null at the end.
- `Idempotency-Key` makes a request that changes something be done once. `If-Match: "3"` is `expected_version` of an
  operation that has it; any other that changes something refuses it, and each of them `If-None-Match`.
  `X-Request-Id` names the request.
- The descriptions are those of the Python methods: None is null or not given, True is true.

## Errors

An error is a problem document (RFC 9457): `type`, `title`, `status`, `code`, mostly `detail` and `hint`, sometimes
`why`, and `request_id`. Any request may be answered by 401 (no access token, or one that has ended), 403 or 404 (not
allowed, or not to be known of), 429, 500 and 503. A version that `If-Match` does not match gives 412.

| code | status | what |
| --- | --- | --- |
{errors}

## The rest

What is no operation of the OpenAPI document; it needs no access token.

| request | goes in | comes out |
| --- | --- | --- |
| `GET /api/v1/openapi.json` | | the OpenAPI document |
| `GET /health/live`, `GET /health/ready` | | `status`; whether it is `ready` with `problems`, and then 503 |
| `GET /metrics` | | figures in the format of Prometheus |
"""


def page() -> str:
    """The text of the page."""
    document = openapi_document(Routes())
    groups: dict[str, list[str]] = {}
    structures: dict[str, dict[str, Any]] = {}
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            text = "\n".join(_operation(f"{verb.upper()} {path}", operation, structures))
            groups.setdefault(operation["tags"][0], []).append(text)
    titles = ["All requests", "Errors", "The rest", *groups, "Structures"]
    links = " | ".join(f"[{title.lower()}](#{title.lower().replace(' ', '-')})" for title in titles)
    count = sum(map(len, groups.values()))
    parts = [_HEAD.format(count=count, contents=_wrapped(f"Contents: {links}"), errors="\n".join(_errors()))]
    parts += [f"## {group}\n\n" + "\n".join(texts) for group, texts in groups.items()]
    parts.append("## Structures\n")
    # A structure may have others in it, which are met while it is written.
    written: dict[str, str] = {}
    while new := [title for title in structures if title not in written]:
        for title in new:
            written[title] = "\n".join(_structure(title, structures[title], structures))
    parts += [written[title] for title in sorted(written)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _errors() -> Iterator[str]:
    rows = {refusal.code: (refusal.status, refusal.title) for refusal in REFUSALS}
    for code, kind in KINDS.items():
        rows[code] = (_STATUSES[kind.__name__], (kind.__doc__ or "").partition("\n")[0].rstrip("."))
    for code, (status, what) in sorted(rows.items()):
        yield f"| `{code}` | {status} | {_cell(what)} |"


def _operation(title: str, operation: Mapping[str, Any], structures: dict[str, dict[str, Any]]) -> Iterator[str]:
    found = _RAISED.fullmatch(operation["description"])
    text, raised = (found[1], found[2]) if found is not None else (operation["description"], "")
    yield f"### `{title}`\n"
    for paragraph in text.split("\n\n"):
        yield _wrapped(paragraph) + "\n"
    given = list(_given(operation, structures))
    if given:
        yield "| goes in | where | what |\n| --- | --- | --- |"
        yield from given
        yield ""
    status, success = next((status, found) for status, found in operation["responses"].items() if status < "300")
    # What is told beside a file stands in a header.
    headers = success.get("headers", {})
    content = next(iter(headers.values()))["content"] if headers else success.get("content")
    if content is None:
        yield f"Comes out: {status}, without a body.\n"
    elif headers:
        told = _result(content["application/json"]["schema"], structures)
        yield _wrapped(f"Comes out: {status}, the file, and in the header `{next(iter(headers))}` {told}.") + "\n"
    else:
        yield _wrapped(f"Comes out: {status}, {_result(content['application/json']['schema'], structures)}.") + "\n"
    if raised:
        yield _wrapped(f"Errors: {_with_codes(raised)}") + "\n"


def _given(operation: Mapping[str, Any], structures: dict[str, dict[str, Any]]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        what = _type(parameter["schema"], structures) + (", required" if parameter["required"] else "")
        yield f"| `{parameter['name']}` | {parameter['in']} | {_cell(what)} |"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for name, schema in body.get("properties", {}).items():
        what = _type(schema, structures) + (", required" if name in body.get("required", ()) else "")
        yield f"| `{name}` | body | {_cell(what)} |"


def _result(schema: Mapping[str, Any], structures: dict[str, dict[str, Any]]) -> str:
    if "properties" not in schema or ("title" in schema and schema["title"] != "Page"):
        return _type(schema, structures)
    return "; ".join(f"`{name}`: {_type(inner, structures)}" for name, inner in schema["properties"].items())


def _structure(title: str, schema: Mapping[str, Any], structures: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield f"### {title}\n"
    yield "| member | what |\n| --- | --- |"
    for name, inner in schema["properties"].items():
        yield f"| `{name}` | {_cell(_type(inner, structures))} |"
    yield ""


def _type(schema: Mapping[str, Any], structures: dict[str, dict[str, Any]]) -> str:
    """A schema in words."""
    if "$ref" in schema:
        return "a [problem](#errors)"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(inner, structures) for inner in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any JSON")
    if isinstance(kind, list):
        return " or ".join(_type({"type": one}, structures) for one in kind)
    if kind == "object":
        return _object(schema, structures)
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), structures)}"
    if kind == "integer" and "minimum" in schema:
        return f"whole number from {schema['minimum']:,} to {schema['maximum']:,}"
    if kind == "string":
        return _text(schema)
    return {"integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("contentEncoding") == "base64":
        return "base64"
    if schema.get("format") == "date-time":
        return "date and time"
    pattern = schema.get("pattern", "")
    return (
        "length of time"
        if "smhdw" in pattern
        else f"text as `{pattern}`"
        if pattern and "(?!" not in pattern
        else "text"
    )


def _object(schema: Mapping[str, Any], structures: dict[str, dict[str, Any]]) -> str:
    title, members = schema.get("title"), schema.get("properties")
    if title == "Page" and members:
        return f"a page of {_type(members['items']['items'], structures)}"
    if title and members:
        structures[title] = dict(schema)
        return f"[{title}](#{title.lower()})"
    if members:
        return "object with " + ", ".join(f"`{name}` ({_type(inner, structures)})" for name, inner in members.items())
    inner = schema.get("additionalProperties")
    return f"object of {_type(inner, structures)}" if isinstance(inner, dict) and inner else "object"


def _with_codes(raised: str) -> str:
    def coded(found: re.Match[str]) -> str:
        code = _CODES.get(found[1])
        return f"{found[1]} ({f'`{code}`, ' if code else ''}{_STATUSES[found[1]]})"

    return _NAMES.sub(coded, " ".join(raised.split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
