"""Login by what somebody else gave: a token of an issuer, or a certificate of an authority."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from keystead.access.auth_methods import AuthMethodRecord, KeptMethods, is_method_name, principal_prefix
from keystead.access.logins import Grant, Refusal
from keystead.access.methods.verified import Verified
from keystead.access.principal import MAX_NAME_LENGTH
from keystead.access.token_text import Kind
from keystead.access.tokens import Holder, TokenRules
from keystead.access.words import as_text
from keystead.errors import AuthenticationFailed, ConfigurationError, UsageError

Proof = Callable[[Any, int], Verified]
"""Whom a credential names at a time (ms); raises AuthenticationFailed."""


class ProofAttempt:
    """A credential that was looked at: let in where its auth method is still what it was looked at by."""

    def __init__(
        self, stored: KeptMethods, name: str | None, record: AuthMethodRecord | None, came: Verified | str
    ) -> None:
        self._stored = stored
        self._record = record
        self._came = came
        self.target = f"auth-method/{name or '*'}"

    def settle(self, transaction: Any, now_ms: int) -> Grant | Refusal:
        """What comes of it."""
        came, record = self._came, self._record
        if isinstance(came, str) or record is None:
            return Refusal(str(came))
        if self._stored.rows(transaction).get(record.name) != record:
            return Refusal("method-changed")
        if now_ms >= came.expires_ms:
            return Refusal("expired")
        principal = principal_prefix(record.kind, record.name) + came.name
        if len(principal) > len(record.kind) + 1 + MAX_NAME_LENGTH:
            return Refusal("name")
        meta = as_text({"auth_method": record.name})
        shown: dict[str, str | int] = {"version": record.version}
        if came.claims:
            shown["claims"] = as_text(dict(came.claims))
        if came.mfa_ms is not None:
            shown["mfa_ms"] = came.mfa_ms
        if came.groups:
            shown["groups"] = as_text(came.groups)
        return Grant(
            Holder(principal, record.kind, meta, came.binding, came.mfa_ms, came.expires_ms),
            TokenRules(came.policies),
            Kind.SERVICE,
            shown,
        )


class ProofMethod:
    """Login by one kind of credential, through the auth method that `name` says. Every failure has one answer.

    `takes` is what the credential is called; `load` makes the check out of a configuration. What it made, with the keys
    that were fetched, is kept for as long as the configuration.
    """

    def __init__(
        self,
        kind: str,
        takes: str,
        load: Callable[[dict[str, Any]], Proof],
        stored: KeptMethods,
    ) -> None:
        self.name = kind
        self._takes = takes
        self._load = load
        self._stored = stored
        self._loaded: dict[AuthMethodRecord, Proof] = {}

    def prepare(self, credentials: dict[str, Any], source: str) -> ProofAttempt:  # noqa: ARG002 - the Protocol's
        """Look at the credential, which may have the issuer asked for its keys.

        Raises:
            UsageError: other credentials than `name` and what this kind takes.
        """
        if set(credentials) != {"name", self._takes}:
            raise UsageError(f"a login by {self.name} takes name and {self._takes}")
        given = credentials["name"]
        if not is_method_name(given):
            return ProofAttempt(self._stored, None, None, "malformed-name")
        record = self._stored.read_rows().get(given)
        edited = record is not None and not self._stored.binder().is_authentic(record)
        if record is None or edited or record.kind != self.name:
            self._forget(given)
            return ProofAttempt(self._stored, given, None, "edited-row" if edited else "unknown-method")
        try:
            came: Verified | str = self._proof(record)(credentials[self._takes], self._stored.clock.now_ms())
        except AuthenticationFailed as error:
            came = error.reason_class or "refused"
        except ConfigurationError:
            came = "not-understood"  # written by another keystead
        return ProofAttempt(self._stored, given, record, came)

    def _proof(self, record: AuthMethodRecord) -> Proof:
        proof = self._loaded.get(record)
        if proof is None:
            made = self._load(json.loads(record.config))
            self._forget(record.name, but=record)
            # Threads that come first at once each make one, and all take the same: it keeps when its issuer was asked.
            proof = self._loaded.setdefault(record, made)
        return proof

    def _forget(self, name: str, but: AuthMethodRecord | None = None) -> None:
        for record in list(self._loaded):
            if record.name == name and record != but:
                self._loaded.pop(record, None)


def jwt_proof(config: dict[str, Any]) -> Proof:
    """The check of tokens, with the cache of the issuer's keys."""
    from keystead.access.methods.fetched_keys import key_source  # noqa: PLC0415 - who logs in otherwise needs none
    from keystead.access.methods.jwt import verify_jwt  # noqa: PLC0415 - as above
    from keystead.access.methods.jwt_config import JwtConfig  # noqa: PLC0415 - as above

    loaded = JwtConfig.from_json(config)
    keys = key_source(loaded)
    return lambda token, now_ms: verify_jwt(loaded, token, now_ms=now_ms, keys=keys)


def certificate_proof(config: dict[str, Any]) -> Proof:
    """The check of chains of certificates, as a list of DER or as one PEM text."""
    from keystead.access.methods.certificate_config import CertificateConfig  # noqa: PLC0415 - as above
    from keystead.access.methods.certificates import chain_of, verify_certificate  # noqa: PLC0415 - as above

    loaded = CertificateConfig.from_json(config)
    return lambda chain, now_ms: verify_certificate(loaded, chain_of(chain), now_ms=now_ms)
