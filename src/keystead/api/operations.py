"""The operations of the native HTTP API: which method of which face each is, and how it is asked for.

The server makes its routes and its OpenAPI document from this table, and the client its requests. What an operation
takes and gives is read from the method's signature. Paths are below `/api/v1`; `{name}` takes segments with slashes
between them, which is unambiguous since no name has a colon.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

PREFIX: Final = "/api/v1"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Operation(NamedTuple):
    """One operation. `face` is an attribute path such as `kms.keys`; `renamed` maps parameters, and members of the
    result, to their names in JSON; `result` names a result that is no object; `status` is that of success.

    `to_file` names the parameter of a method that writes a file: the client's, which does not travel. The answer is
    that file's bytes, and the header `Keystead-Report` has what the method gives.
    """

    face: str
    method: str
    verb: str
    path: str
    renamed: Mapping[str, str] = _NONE
    result: str = "value"
    status: int = 200
    to_file: str = ""

    @property
    def id(self) -> str:
        """Its name in the OpenAPI document: `keys.encrypt`."""
        return f"{self.face.removeprefix('kms.').lstrip('_')}.{self.method}"

    @property
    def changes(self) -> bool:
        """Whether asking again could do something again."""
        return self.verb != "GET" and self.method not in _HARMLESS and not self.to_file


_HARMLESS: Final = frozenset(
    {"encrypt", "decrypt", "sign", "verify", "mac", "verify_mac", "digest", "derive", "owner", "explain", "test",
     "who_can", "get_secrets", "encrypt_data", "decrypt_data", "encrypt_many", "decrypt_many", "random_bytes", "agree",
     "encapsulate", "decapsulate", "generate_data_key", "generate_data_key_pair", "batch", "lookup", "lookup_accessor",
     "lookup_secret_id", "lookup_secret_id_accessor", "verify_audit", "begin", "open_chunk"}
)  # fmt: skip
"""What is asked for by POST, since it takes a body, and changes nothing."""

_KEY: Final = MappingProxyType({"version": "key_version"})
_DATA: Final = MappingProxyType({"data": "plaintext", "version": "key_version"})
_BLOB: Final = MappingProxyType({"blob": "ciphertext", "version": "key_version"})
_TAG: Final = MappingProxyType({"tag": "mac", "version": "key_version"})


def _keys() -> list[Operation]:
    face = "kms.keys"

    def use(method: str, verb: str, renamed: Mapping[str, str] = _KEY, result: str = "value") -> Operation:
        return Operation(face, method, "POST", f"/keys/{{name}}:{verb}", renamed, result)

    return [
        Operation(face, "create", "POST", "/keys", status=201),
        Operation(face, "list", "GET", "/keys"),
        Operation(face, "owner", "POST", "/keys:owner", _BLOB),
        Operation(face, "import_key", "POST", "/keys:import", status=201),
        Operation(face, "restore", "POST", "/keys:restore", MappingProxyType({"source": "backup"}), status=201),
        Operation(face, "read", "GET", "/keys/{name}"),
        Operation(face, "configure", "PATCH", "/keys/{name}"),
        Operation(face, "versions", "GET", "/keys/{name}:versions"),
        Operation(face, "public_key", "GET", "/keys/{name}:public-key", _KEY),
        use("rotate", "rotate", _NONE),
        use("suspend", "suspend", _NONE),
        use("resume", "resume", _NONE),
        use("deactivate", "deactivate", _NONE),
        use("mark_compromised", "mark-compromised", _NONE),
        use("schedule_destruction", "schedule-destruction", _NONE),
        use("cancel_destruction", "cancel-destruction", _NONE),
        use("destroy", "destroy", _NONE),
        use("import_version", "import-version", _NONE),
        use("export", "export"),
        use("backup", "backup", result="backup"),
        use("encrypt", "encrypt", _DATA, "ciphertext"),
        use("decrypt", "decrypt", _BLOB, "plaintext"),
        use("reencrypt", "reencrypt", _BLOB, "ciphertext"),
        use("generate_data_key", "generate-data-key"),
        use("generate_data_key_pair", "generate-data-key-pair"),
        use("derive", "derive", result="derived"),
        use("sign", "sign"),
        use("verify", "verify", result="valid"),
        use("mac", "mac"),
        use("verify_mac", "verify-mac", _TAG, "valid"),
        use("agree", "agree", result="secret"),
        use("encapsulate", "encapsulate"),
        use("decapsulate", "decapsulate", result="secret"),
        use("batch", "batch", result="items"),
        Operation(face, "set_alias", "PUT", "/aliases/{alias}", MappingProxyType({"name": "key"})),
        Operation(face, "remove_alias", "DELETE", "/aliases/{alias}"),
        Operation(face, "random_bytes", "POST", "/random", result="bytes"),
        Operation(face, "digest", "POST", "/digest", result="digest"),
    ]


def _grants() -> list[Operation]:
    face = "kms.grants"
    return [
        Operation(face, "create", "POST", "/keys/{key}:create-grant", status=201),
        Operation(face, "list", "GET", "/grants"),
        Operation(face, "get", "GET", "/keys/{key}:grant"),
        Operation(face, "revoke", "POST", "/keys/{key}:revoke-grant", status=204),
        Operation(face, "retire", "POST", "/keys/{key}:retire-grant", status=204),
    ]


def _secrets() -> list[Operation]:
    face = "kms"
    return [
        Operation(face, "list_secrets", "GET", "/secrets"),
        Operation(face, "store_secrets", "POST", "/secrets:write", result="items"),
        Operation("secrets", "get_secrets", "POST", "/secrets:read", result="values"),
        Operation(face, "get_secret", "GET", "/secrets/{name}"),
        Operation(face, "store_secret", "PUT", "/secrets/{name}"),
        Operation(face, "delete_secret", "DELETE", "/secrets/{name}", status=204),
        Operation(face, "list_versions", "GET", "/secrets/{name}:versions"),
        Operation(face, "rotate_secret", "POST", "/secrets/{name}:rotate", MappingProxyType({"new_value": "value"})),
        Operation(face, "undelete_secret", "POST", "/secrets/{name}:undelete", status=204),
        Operation(face, "destroy_secret", "POST", "/secrets/{name}:destroy", status=204),
    ]


def _data() -> list[Operation]:
    face = "kms"
    plain, blob = MappingProxyType({"data": "plaintext"}), MappingProxyType({"blob": "ciphertext"})
    items, blobs = MappingProxyType({"items": "plaintexts"}), MappingProxyType({"blobs": "ciphertexts"})
    return [
        Operation(face, "encrypt", "POST", "/data:encrypt", plain, "ciphertext"),
        Operation(face, "decrypt", "POST", "/data:decrypt", blob, "plaintext"),
        Operation(face, "encrypt_many", "POST", "/data:encrypt-many", items, "ciphertexts"),
        Operation(face, "decrypt_many", "POST", "/data:decrypt-many", blobs, "plaintexts"),
        Operation(face, "encrypt_data", "POST", "/data:encrypt-envelope", result="envelope"),
        Operation(face, "decrypt_data", "POST", "/data:decrypt-envelope", result="plaintext"),
        Operation(face, "reencrypt", "POST", "/data:reencrypt", MappingProxyType({"x": "ciphertext"}), "ciphertext"),
        Operation("kms._streams", "begin", "POST", "/data:begin-stream"),
        Operation("kms._streams", "open_chunk", "POST", "/data:open-chunk", result="plaintext"),
        Operation(face, "list_data_keys", "GET", "/data-keys"),
        Operation(face, "rotate_data_key", "POST", "/data-keys:rotate"),
        Operation(face, "affected_by_destroying", "GET", "/data-keys/{id}:affected"),
        Operation(face, "destroy_data_key", "POST", "/data-keys/{id}:destroy"),
    ]


def _identities() -> list[Operation]:
    tokens, face = "kms.tokens", "kms.identities"
    return [
        Operation("kms", "whoami", "GET", "/whoami"),
        Operation("kms", "verify_second_factor", "POST", "/whoami:verify-second-factor", result="shown_ms"),
        Operation("kms", "sessions", "GET", "/sessions"),
        Operation("kms", "revoke_session", "DELETE", "/sessions/{id}", status=204),
        Operation(tokens, "create", "POST", "/tokens", status=201),
        Operation(tokens, "list", "GET", "/tokens"),
        Operation(tokens, "lookup", "POST", "/tokens:lookup"),
        Operation(tokens, "renew", "POST", "/tokens:renew"),
        Operation(tokens, "revoke", "POST", "/tokens:revoke", result="revoked"),
        Operation(tokens, "revoke_principal", "POST", "/tokens:revoke-principal", result="revoked"),
        Operation(tokens, "lookup_accessor", "GET", "/tokens/{accessor}"),
        Operation(tokens, "renew_accessor", "POST", "/tokens/{accessor}:renew"),
        Operation(tokens, "revoke_accessor", "DELETE", "/tokens/{accessor}", result="revoked"),
        Operation(face, "list_users", "GET", "/users"),
        Operation(face, "create_user", "POST", "/users", status=201),
        Operation(face, "read_user", "GET", "/users/{name}"),
        Operation(face, "change_user", "PUT", "/users/{name}"),
        Operation(face, "delete_user", "DELETE", "/users/{name}", status=204),
        Operation(face, "set_password", "POST", "/users/{name}:set-password"),
        Operation(face, "enroll_second_factor", "POST", "/users/{name}:enroll-second-factor", status=201),
        Operation(face, "confirm_second_factor", "POST", "/users/{name}:confirm-second-factor"),
        Operation(face, "remove_second_factor", "POST", "/users/{name}:remove-second-factor"),
        Operation(face, "list_roles", "GET", "/roles"),
        Operation(face, "create_role", "POST", "/roles", status=201),
        Operation(face, "read_role", "GET", "/roles/{name}"),
        Operation(face, "change_role", "PUT", "/roles/{name}"),
        Operation(face, "delete_role", "DELETE", "/roles/{name}", status=204),
        Operation(face, "create_secret_id", "POST", "/roles/{role}:create-secret-id", status=201),
        Operation(face, "list_secret_ids", "GET", "/roles/{role}:secret-ids"),
        Operation(face, "lookup_secret_id", "POST", "/roles/{role}:lookup-secret-id"),
        Operation(face, "lookup_secret_id_accessor", "POST", "/roles/{role}:lookup-secret-id-accessor"),
        Operation(face, "destroy_secret_id", "POST", "/roles/{role}:destroy-secret-id", status=204),
        Operation(face, "list_auth_methods", "GET", "/auth-methods"),
        Operation(face, "read_auth_method", "GET", "/auth-methods/{name}"),
        Operation(face, "write_auth_method", "PUT", "/auth-methods/{name}"),
        Operation(face, "delete_auth_method", "DELETE", "/auth-methods/{name}", result="revoked"),
    ]


def _rest() -> list[Operation]:
    policies, audit = "kms.policies", "kms.audit"
    return [
        Operation(policies, "list", "GET", "/policies"),
        Operation(policies, "test", "POST", "/policies:test"),
        Operation(policies, "explain", "POST", "/policies:explain"),
        Operation(policies, "who_can", "POST", "/policies:who-can"),
        Operation(policies, "read", "GET", "/policies/{name}"),
        Operation(policies, "write", "PUT", "/policies/{name}"),
        Operation(policies, "delete", "DELETE", "/policies/{name}", status=204),
        Operation("kms.slots", "list", "GET", "/slots"),
        Operation("kms.slots", "find", "GET", "/slots/{which}"),
        Operation(audit, "tail", "GET", "/audit", result="items"),
        Operation(audit, "public_key", "GET", "/audit:public-key", result="public_key"),
        Operation(audit, "verify", "POST", "/audit:verify"),
        Operation("kms", "get_status", "GET", "/status"),
        Operation("kms", "backup", "POST", "/maintenance:backup", to_file="to"),
        Operation("kms", "sweep", "POST", "/maintenance:sweep"),
    ]


OPERATIONS: Final = (*_keys(), *_grants(), *_secrets(), *_data(), *_identities(), *_rest())
