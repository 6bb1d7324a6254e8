"""Every route of the native API: from the table of operations to the methods of the faces that a request reaches."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from keystead.api.endpoint import Endpoint
from keystead.api.operations import OPERATIONS, Operation
from keystead.services.audit_operations import AuditOperations
from keystead.services.grant_operations import GrantOperations
from keystead.services.identity_operations import IdentityOperations, TokenOperations
from keystead.services.key_operations import SlotOperations
from keystead.services.kms import KMSService
from keystead.services.named_keys import NamedKeyOperations
from keystead.services.policy_operations import PolicyOperations
from keystead.services.secrets_manager import SecretsManager
from keystead.services.stream_operations import StreamOperations

FACES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "kms": KMSService,
        "secrets": SecretsManager,
        "kms.keys": NamedKeyOperations,
        "kms._streams": StreamOperations,
        "kms.slots": SlotOperations,
        "kms.audit": AuditOperations,
        "kms.tokens": TokenOperations,
        "kms.grants": GrantOperations,
        "kms.policies": PolicyOperations,
        "kms.identities": IdentityOperations,
    }
)


class Place(NamedTuple):
    """Where a path leads: a collection, whether a name in it stands there, and a verb."""

    collection: str
    named: bool
    verb: str


class Routes:
    """The routes by place and method."""

    def __init__(self) -> None:
        self._by_face: dict[tuple[str, str], Endpoint] = {}
        self._places: dict[Place, dict[str, Endpoint]] = {}
        for operation in OPERATIONS:
            endpoint = self._made(operation)
            self._by_face[operation.face, operation.method] = endpoint
            self._places.setdefault(place_of(endpoint), {})[operation.verb] = endpoint

    def _made(self, operation: Operation) -> Endpoint:
        function = getattr(FACES[operation.face], operation.method)
        return Endpoint(operation, function, lambda method: self._by_face[operation.face, method])

    def at(self, place: Place) -> Mapping[str, Endpoint] | None:
        """The endpoints of a place by method; None where there is nothing."""
        return self._places.get(place)

    def all(self) -> list[Endpoint]:
        """Every endpoint, in the order of the table."""
        return list(self._by_face.values())


def place_of(endpoint: Endpoint) -> Place:
    """Where an operation's path leads."""
    path, _, verb = endpoint.operation.path.removeprefix("/").partition(":")
    collection, _, name = path.partition("/")
    return Place(collection, bool(name), verb)


def method_of(connection: Any, endpoint: Endpoint) -> Any:
    """The method of an endpoint on a caller's own faces."""
    face = connection
    for part in endpoint.operation.face.split("."):
        face = getattr(face, part)
    return getattr(face, endpoint.operation.method)
