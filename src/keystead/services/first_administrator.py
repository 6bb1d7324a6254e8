"""The first administrator of a server: a policy that allows all, and an access token under it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from keystead.errors import KeysteadError, PolicyNotFound

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken
    from keystead.services.kms import KMSService

ADMINISTRATOR: Final = "administrator"
_DOCUMENT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "version": 1,
        "description": "may do all; written by keystead up",
        "statements": [{"id": "all", "effect": "allow", "actions": ["*"], "resources": ["**"]}],
    }
)


def first_administrator(kms: KMSService) -> AccessToken:
    """A new access token that may do all. The policy `administrator` is written where there is none.

    Raises:
        Denied: only the owner of the store may.
    """
    try:
        kms.policies.read(ADMINISTRATOR)
    except PolicyNotFound:
        kms.policies.write(ADMINISTRATOR, dict(_DOCUMENT))
    return kms.tokens.create([ADMINISTRATOR], name=ADMINISTRATOR, meta={"for": "keystead up"})


def is_accepted(kms: KMSService, token: str) -> bool:
    """Whether an access token still proves somebody."""
    try:
        kms.as_token(token).close()
    except KeysteadError:
        return False
    return True
