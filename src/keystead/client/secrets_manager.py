"""`SecretsManager` on a server: values are kept here, and a change anywhere is seen within a second."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple

from keystead.client.kms import RemoteKMS
from keystead.errors import (
    CallerError,
    DataError,
    SecretNotFound,
    ServerUnavailable,
    StoreBusy,
)
from keystead.gate import WOULD_WAIT, WouldWait
from keystead.node.settings import DEFAULT_IMPORT_NAMES, environment
from keystead.secrets.cache import cache_seconds
from keystead.secrets.names import Reference, check_names, choose, environment_name, parse_reference
from keystead.secrets.read import Found
from keystead.secrets.value import SecretValue
from keystead.services.import_environment import Conflicts, ImportReport, import_environment, refused_variable
from keystead.services.manager_status import SecretsStatus
from keystead.services.secrets_manager import MISSING, SecretsManager

FRESH_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 300.0
MOST: Final = 1024


class _Kept(NamedTuple):
    """A value, when it was read, and from when on it may not be served (both monotonic seconds)."""

    value: SecretValue
    read_at: float
    until: float


class RemoteSecretsManager(SecretsManager):
    """Cached reads and the import of an application's secrets, on a server.

    A cached value is served while nothing changed on the server, which is asked at most once a second, for `cache_ttl`
    at most and never beyond its expiry. While the server cannot be reached, what is held is served for five minutes at
    most, and the status says so.
    """

    def __init__(self, kms: RemoteKMS, cache_ttl: float | timedelta | str = 300) -> None:
        super().__init__(kms, cache_ttl)
        self._remote = kms
        self._now = kms.clock.monotonic
        self._seconds = cache_seconds(cache_ttl)
        self._kept: dict[Reference, _Kept] = {}
        self._changes: int | None = None
        self._asked_at = -FRESH_SECONDS
        self._unreachable_since: float | None = None
        self._figures = {"hits": 0, "misses": 0, "stale_served": 0}
        self._asking = threading.Lock()
        self._epoch = 0
        kms.on_own_change(self.clear_cache)

    # Reading

    def get_secret(
        self, name: str, default: Any = MISSING, *, version: int | None = None, label: str | None = None
    ) -> Any:
        """The value of a secret; as `SecretsManager.get_secret`."""
        reference = choose(name, version, label)
        try:
            return self._value(reference)
        except SecretNotFound:
            if reference.version is None and reference.label is None:
                fallback = self._fall_back(reference.name)
                default = default if fallback is None else fallback
            if default is MISSING:
                raise
            return default

    def _try_find(self, name: str) -> Found | WouldWait:
        kept = self._kept.get(Reference(name))
        now = self._now()
        if kept is None or now >= kept.until or now - self._asked_at >= FRESH_SECONDS:
            return WOULD_WAIT
        self._figures["hits"] += 1
        return Found(kept.value, None)

    def _value(self, reference: Reference) -> SecretValue:
        self._look_for_changes()
        kept, now = self._kept.get(reference), self._now()
        if kept is not None and now < kept.until:
            stale = self._unreachable_since is not None
            self._figures["stale_served" if stale else "hits"] += 1
            return kept.value
        self._figures["misses"] += 1
        epoch = self._epoch
        value, left_ms = self._remote.read_secret(reference)
        until = now + self._seconds if left_ms is None else min(now + self._seconds, now + left_ms / 1000)
        if self._changes is not None and epoch == self._epoch and until > now:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[reference] = _Kept(value, now, until)
        return value

    def _look_for_changes(self) -> None:
        """Forget what is kept if anything changed on the server since it was last asked, a second ago or more."""
        if self._now() - self._asked_at < FRESH_SECONDS:
            return
        with self._asking:
            now = self._now()
            if now - self._asked_at < FRESH_SECONDS:
                return
            try:
                changes = self._remote.changes()
            except (ServerUnavailable, StoreBusy):
                self._tolerate(now)
            else:
                self._unreachable_since = None
                if changes != self._changes:
                    self.clear_cache()
                    self._changes = changes
            self._asked_at = self._now()

    def _tolerate(self, now: float) -> None:
        self._unreachable_since = self._unreachable_since or now
        if not self._kept or now - self._unreachable_since > GRACE_SECONDS:
            self._kept.clear()
            raise ServerUnavailable(
                f"cannot reach {self._remote.url}", hint="nothing is served from memory any more; bring it back"
            )

    def _fall_back(self, name: str) -> SecretValue | None:
        """This process's variable of a name that the server never held, and that may be read there."""
        variable = environment_name(name)
        variables = environment() if self._environment is None else self._environment
        value = variables.get(variable)
        if not value or refused_variable(variable):
            return None
        try:
            # What may not be read is told as not there; then this raises, and nothing stands in for it.
            if self._remote.read_secrets([name], missing="skip"):
                return None
        except (CallerError, DataError):
            return None
        self._fallbacks.setdefault(name, variable)
        return SecretValue(value, name=name)

    def get_secrets(
        self, names: Iterable[str], *, missing: Literal["raise", "skip"] = "raise"
    ) -> dict[str, SecretValue]:
        """The values of many secrets in one request for those not kept; as `SecretsManager.get_secrets`."""
        self._look_for_changes()
        now, wanted = self._now(), check_names(names)
        references = {text: parse_reference(text) for text in wanted}
        values = {
            text: kept.value
            for text, reference in references.items()
            if (kept := self._kept.get(reference)) is not None and now < kept.until
        }
        unread = [text for text in wanted if text not in values]
        self._figures["hits"] += len(values)
        self._figures["misses"] += len(unread)
        if unread:
            values |= self._remote.read_secrets(unread, missing=missing)
        return {text: values[text] for text in wanted if text in values}

    def clear_cache(self) -> None:
        """Forget every value that is kept here; the next read asks the server."""
        self._epoch += 1
        self._kept.clear()

    # The rest

    def initialize(
        self,
        *,
        env: Mapping[str, str] | None = None,
        names: Iterable[str] | None = None,
        prefix: str | None = None,
        conflicts: Conflicts = "store",
    ) -> ImportReport:
        """Import this process's environment into the server; as `SecretsManager.initialize`."""
        self._environment = env
        variables = environment() if env is None else env
        wanted = DEFAULT_IMPORT_NAMES if names is None else names
        self._report = import_environment(self._remote._import_target(), variables, wanted, prefix, conflicts)
        return self._report

    def get_status(self) -> SecretsStatus:
        """Figures of what is kept here."""
        asked = self._figures["hits"] + self._figures["misses"]
        return SecretsStatus(
            initialized=True,
            hits=self._figures["hits"],
            misses=self._figures["misses"],
            hit_rate=self._figures["hits"] / asked if asked else 0.0,
            entries=len(self._kept),
            bytes=sum(len(kept.value) for kept in list(self._kept.values())),
            evicted=0,
            stale_served=self._figures["stale_served"],
            imported=list(self._report.imported),
            present=list(self._report.present),
            absent=list(self._report.absent),
            conflicts=list(self._report.conflicts),
            failed=dict(self._report.failed),
            fallbacks=dict(self._fallbacks),
        )

    def _record_configuration(self, summary: Mapping[str, str | int]) -> None:
        """The server records the reads themselves."""
