"""The page on auth methods tells of every field and every reason that the code has."""

import ast
import dataclasses
import re

from tests.docs.pages import ROOT, read, rows, section

from keystead.access.methods.certificate_config import CertificateConfig
from keystead.access.methods.jwt_config import JwtConfig
from keystead.crypto.jwk import ALGORITHMS

PAGE = "docs/auth-methods.md"
METHODS = "JWT and OpenID Connect"
CLIENTS = "Certificates of clients"


def names(cell: str) -> list[str]:
    return re.findall(r"`([\w-]+)`", cell)


def test_every_reason_that_a_refusal_may_have_is_told_and_no_other():
    real = set()
    for path in [*(ROOT / "src/keystead/access/methods").glob("*.py"), *(ROOT / "src/keystead/crypto").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "reason_class":
                texts = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
                real |= {text for text in texts if isinstance(text, str)}
    told = [row[0].strip("`") for row in rows(section(PAGE, "What the log says"))]
    assert sorted(told) == sorted(real)


def test_every_field_of_both_configurations_is_told():
    of_jwt = {field.name.removesuffix("_ms") for field in dataclasses.fields(JwtConfig)}
    assert of_jwt <= set(names(section(PAGE, METHODS)))
    of_certificates = {field.name for field in dataclasses.fields(CertificateConfig) if field.init}
    assert of_certificates <= set(names(section(PAGE, CLIENTS)))


def test_every_algorithm_is_told():
    assert set(ALGORITHMS) <= set(names(read(PAGE)))
