"""docs/api.md is what the OpenAPI document says, operation by operation."""

from __future__ import annotations

import re

from tests.docs.api_reference import page
from tests.docs.pages import read

from keystead.api.operations import OPERATIONS, PREFIX
from keystead.api.problems import KINDS
from keystead.server.answers import REFUSALS

NAME = "docs/api.md"
LOGINS = ("password", "role", "jwt", "certificate")


def test_the_page_is_what_the_code_makes() -> None:
    assert read(NAME) == page(), "run: make api-reference"


def test_every_operation_and_every_code_is_on_it_and_every_link_in_it_leads_somewhere() -> None:
    text = read(NAME)
    told = re.findall(r"^### `([A-Z]+ \S+)`$", text, re.MULTILINE)
    further = [*(f"POST {PREFIX}/login/{method}" for method in LOGINS), f"GET {PREFIX}/changes"]
    assert sorted(told) == sorted([*(f"{each.verb} {PREFIX}{each.path}" for each in OPERATIONS), *further])
    rows = re.findall(r"^\| `(KS\d{4})` \| \d{3} \| \S", text, re.MULTILINE)
    assert rows == sorted({*KINDS, *(refusal.code for refusal in REFUSALS)})
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    places = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= places
