"""Names in paths: checked by the client as the method checks them in process, before anything is sent.

What is no name would be another path, or none; and it may be a value that somebody gave in the place of a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from keystead.access.auth_methods import check_method_name
from keystead.access.session import check_session_id
from keystead.access.stored import check_policy_name
from keystead.access.words import check_accessor, check_identity
from keystead.keys.named.names import check_key_name
from keystead.secrets.names import check_name, parse_reference
from keystead.services.key_operations import check_data_key_id

_CHECKS: Final[Mapping[str, Callable[[Any], object]]] = MappingProxyType(
    {
        "aliases": check_key_name,
        "auth-methods": check_method_name,
        "data-keys": check_data_key_id,
        "keys": check_key_name,
        "policies": check_policy_name,
        "roles": partial(check_identity, what="role"),
        "secrets": check_name,
        "sessions": check_session_id,
        "tokens": check_accessor,
        "users": partial(check_identity, what="user"),
    }
)
"""By the collection that a path begins with."""


def check_path_name(collection: str, operation_id: str, name: Any) -> str:
    """The name itself, if the operation takes it. Raises UsageError."""
    check = parse_reference if operation_id == "kms.get_secret" else _CHECKS[collection]
    check(name)
    return str(name)
