"""SecretsManager: secrets as an application wants them, imported, cached, read in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from keystead.audit.counts import UseCounter
from keystead.errors import KeysteadError, SecretNotFound, StoreBusy, StoreUnavailable, UsageError
from keystead.gate import WOULD_WAIT, WouldWait
from keystead.keys.use import PERIOD_SECONDS
from keystead.node.node import Node
from keystead.node.settings import environment
from keystead.secrets.cache import Entry, Key, Known, cache_seconds
from keystead.secrets.labels import KEEP, Keep, is_expired
from keystead.secrets.model import SecretInfo
from keystead.secrets.names import Reference, check_names, choose, environment_name, parse_reference
from keystead.secrets.read import Found
from keystead.secrets.value import SecretValue
from keystead.secrets.write import Value
from keystead.services.import_environment import Conflicts, ImportReport, import_environment, refused_variable
from keystead.services.kms import KMSService
from keystead.services.manager_status import SecretsStatus
from keystead.services.paging import Page
from keystead.services.secret_operations import TTL
from keystead.services.session_face import record_configuration

if TYPE_CHECKING:
    from keystead.node.backup import BackupReport

MISSING: Final = object()
HOT_NAMES: Final = 1024
HOT_LENGTH: Final = 4096


class SecretsManager:
    """Cached reads and the import of an application's secrets, on an open `KMSService`.

    `cache_ttl` is seconds, a timedelta or text such as `5m`: how long a value is served without asking the store for it
    again. Changes made by any process on the machine are seen within one second all the same.
    """

    def __init__(self, kms: KMSService, cache_ttl: float | timedelta | str = 300) -> None:
        self.kms = kms
        self._cache_ttl = cache_seconds(cache_ttl)
        self._environment: Mapping[str, str] | None = None
        self._report = ImportReport()
        self._fallbacks: dict[str, str] = {}
        self._hot: dict[str, tuple[SecretValue, float, UseCounter, int | None]] = {}
        self._watching: object = None
        self._monotonic: Callable[[], float] = lambda: 0.0

    # Start

    def initialize(
        self,
        *,
        env: Mapping[str, str] | None = None,
        names: Iterable[str] | None = None,
        prefix: str | None = None,
        conflicts: Conflicts = "store",
    ) -> ImportReport:
        """Import the application's secrets from the environment into the store, and get ready to serve them.

        `env` is the process's environment unless told; `names` the list `import_names` in `keystead.toml` unless told;
        `prefix` adds every variable that begins with it. Where store and environment differ, the store wins and the
        report says so; `conflicts` may be `environment` or `error` in its place. A name whose secret expired, was
        deleted or destroyed is not brought back. One bad secret never stops the start: it is named in the report.

        Raises:
            UsageError: an empty prefix. VersionConflict: `conflicts="error"` and one differs.
            StoreBusy, StoreUnavailable, AuditUnavailable.
        """
        node = self._watch()
        self._environment = env
        variables = environment() if env is None else env
        wanted = node.settings.import_names if names is None else names
        target = self.kms._import_target()
        self._report = import_environment(target, variables, wanted, prefix, conflicts)
        target.tell(
            "secrets_manager_initialized",
            imported=len(self._report.imported),
            failed=len(self._report.failed),
            conflicts=len(self._report.conflicts),
        )
        return self._report

    def _watch(self) -> Node:
        node = self.kms.node
        if self._watching is not node:
            self._watching = node
            self._monotonic = node.clock.monotonic
            node.on_change(self.kms._session, self._hot.clear)
        return node

    # Reading

    def get_secret(
        self, name: str, default: Any = MISSING, *, version: int | None = None, label: str | None = None
    ) -> Any:
        """The value of a secret, a `SecretValue`; `default` where the store never held it and no variable has it.

        A version's number or a label may stand in the name as well: `NAME#3`, `NAME#previous`. A name that the store
        never held falls back to the environment variable of that name, announced.

        Raises:
            UsageError: more than one of a version and a label was given.
            SecretNotFound: nobody has it, and there is no default.
            SecretExpired, SecretDeleted, IntegrityError, StoreBusy, StoreUnavailable: never answered by a fallback.
        """
        hot = self._hot.get(name)
        if hot is not None and self._monotonic() < hot[1] and version is None and label is None:
            counter = hot[2]
            counter.tick()
            if not counter.open:
                self.kms.node.counts.resume(counter)
            return hot[0]
        reference = choose(name, version, label)
        try:
            return self._find(reference).value
        except SecretNotFound as error:
            if error.refused:
                raise
            if reference.version is None and reference.label is None:
                fallback = self._fall_back(reference.name)
                default = default if fallback is None else fallback
            if default is MISSING:
                raise
            return default

    def _try_find(self, name: str) -> Found | WouldWait:
        """What `keystead.aio` asks first: the value, where nothing need be checked or waited for."""
        hot = self._hot.get(name)
        if hot is None or not hot[2].open or self._monotonic() >= hot[1]:
            return WOULD_WAIT
        hot[2].use()
        return Found(hot[0], hot[3])

    def _find(self, reference: Reference) -> Found:
        node, session = self._watch(), self.kms._session
        if session.authentication.limited:  # the cache is a second entry to the gate, and each takes a use
            return node.reader.get(session, reference.name, reference.version, reference.label)
        known = self._admitted(node, reference.name)
        key: Key = (reference.name, reference.version, reference.label)
        kept = node.cache.get(key)
        if kept is not None and self._may_serve(kept, node):
            return self._hit(key, kept, known)
        with node.cache.loading(key):
            known = Known(known.until, node.cache.token)
            kept = node.cache.get(key)
            if kept is not None and self._may_serve(kept, node):
                return self._hit(key, kept, known)
            return self._miss(key, kept)

    def _admitted(self, node: Node, name: str) -> Known:
        until = node.gate.admit(self.kms._session, "secret:read", f"secret/{name}", node.reader.facts(name))
        return Known(until, node.cache.token)

    def _may_serve(self, kept: Entry, node: Node) -> bool:
        return (
            kept.generation == node.generation
            and self._monotonic() - kept.read_at < self._cache_ttl
            and not is_expired(kept.found.until_ms, node.clock.now_ms())
        )

    def _hit(self, key: Key, kept: Entry, known: Known) -> Found:
        node, session = self._watch(), self.kms._session
        counter = node.counts.use("cache_hit", f"secret/{key[0]}", session.id, str(session.principal))
        if key[1] is None and key[2] is None and len(kept.found.value) <= HOT_LENGTH:
            self._heat(key[0], kept, counter, known)
        return kept.found

    def _heat(self, name: str, kept: Entry, counter: UseCounter, known: Known) -> None:
        """Serve the name without any check for the rest of the period, if nothing changed meanwhile."""
        node = self._watch()
        now = self._monotonic()
        until = min(known.until, now + PERIOD_SECONDS, kept.read_at + self._cache_ttl)
        if kept.found.until_ms is not None:
            until = min(until, now + (kept.found.until_ms - node.clock.now_ms()) / 1000)
        if len(self._hot) >= HOT_NAMES:
            self._hot.clear()
        hot = (kept.found.value, until, counter, kept.found.until_ms)
        node.cache.if_unchanged(known.token, lambda: self._hot.__setitem__(name, hot))

    def _miss(self, key: Key, stale: Entry | None) -> Found:
        node = self._watch()
        self._missed(key[0])
        token, generation, now = node.cache.token, node.generation, self._monotonic()
        try:
            found = node.reader.get(self.kms._session, *key)
        except (StoreBusy, StoreUnavailable) as error:
            return self._serve_stale(key, stale, error)
        node.cache.put(key, Entry(found, generation, now), token)
        return found

    def _missed(self, *names: str) -> None:
        """Count what the cache could not answer; what is then read has a record of its own."""
        node, session = self._watch(), self.kms._session
        node.cache.figures.misses += len(names)
        target = f"secret/{names[0] if len(names) == 1 else '*'}"
        counter = node.counts.use("cache_miss", target, session.id, str(session.principal))
        for _ in names[1:]:
            counter.use()

    def _serve_stale(self, key: Key, stale: Entry | None, error: StoreBusy | StoreUnavailable) -> Found:
        """What is held, while the store is busy: bounded in time, announced, never expired, revoked or changed."""
        node = self._watch()
        grace = node.settings.stale_grace_ms / 1000
        usable = (
            stale is not None
            and not error.damaged
            and stale.generation == node.generation
            and node.cache.get(key) is stale
            and self._monotonic() - stale.read_at < self._cache_ttl + grace
            and not is_expired(stale.found.until_ms, node.clock.now_ms())
        )
        if stale is None or not usable:
            raise error
        node.cache.figures.stale_served += 1
        node.record(self.kms._session, "stale_served", f"secret/{key[0]}", code=error.code)
        return stale.found

    def _fall_back(self, name: str) -> SecretValue | None:
        """The environment's value of a name that the store has never held; announced, and counted in the status."""
        node = self._watch()
        variable = environment_name(name)
        variables = environment() if self._environment is None else self._environment
        value = variables.get(variable)
        if not value or refused_variable(variable) or node.reader.held(name):
            return None
        self._fallbacks.setdefault(name, variable)
        node.record(self.kms._session, "environment_fallback", f"secret/{name}", variable=variable)
        return SecretValue(value, name=name)

    def get_secrets(
        self, names: Iterable[str], *, missing: Literal["raise", "skip"] = "raise"
    ) -> dict[str, SecretValue]:
        """The values of many secrets (`NAME`, `NAME#3`, `NAME#previous`), in one query for those not cached.

        With `missing="skip"` a name that was never held is left out, and does not fall back to the environment; what
        expired, was deleted or is denied raises all the same.
        """
        if missing not in ("raise", "skip"):
            raise UsageError('missing must be "raise" or "skip"')
        node = self._watch()
        values: dict[str, SecretValue] = {}
        names = check_names(names)
        wanted = {text: parse_reference(text) for text in names}
        unread: list[Reference] = []
        for text, reference in wanted.items():
            # The cache is the process's, and may hold what this session may not read.
            known = self._admitted(node, reference.name)
            key: Key = (reference.name, reference.version, reference.label)
            kept = node.cache.get(key)
            if kept is not None and self._may_serve(kept, node):
                values[text] = self._hit(key, kept, known).value
            else:
                unread.append(reference)
        answers = self._read_many(unread, missing) if unread else {}
        for text, reference in wanted.items():
            if text not in values:
                value = self._answer(reference, answers[reference], missing)
                if value is not None:
                    values[text] = value
        return {text: values[text] for text in names if text in values}

    def _read_many(self, references: list[Reference], missing: str) -> dict[Reference, Found | KeysteadError]:
        node = self._watch()
        token, generation, now = node.cache.token, node.generation, self._monotonic()
        self._missed(*(reference.name for reference in references))
        keys: dict[Reference, Key] = {r: (r.name, r.version, r.label) for r in references}
        answers: dict[Reference, Found | KeysteadError]
        try:
            answers = node.reader.get_many(self.kms._session, references, quiet=missing == "skip")
        except (StoreBusy, StoreUnavailable) as error:
            return {reference: self._serve_stale(key, node.cache.get(key), error) for reference, key in keys.items()}
        for reference, answer in answers.items():
            if isinstance(answer, Found):
                node.cache.put(keys[reference], Entry(answer, generation, now), token)
        return answers

    def _answer(self, reference: Reference, answer: Found | KeysteadError, missing: str) -> SecretValue | None:
        if isinstance(answer, Found):
            return answer.value
        if not isinstance(answer, SecretNotFound):
            raise answer
        if missing == "skip" and not self._watch().reader.held(reference.name):
            return None
        if reference.version is None and reference.label is None:
            fallback = self._fall_back(reference.name)
            if fallback is not None:
                return fallback
        raise answer

    # Changing

    def set_secret(
        self,
        name: str,
        value: Value | None = None,
        *,
        ttl: TTL = KEEP,
        ttl_days: int | None = None,
        tags: Mapping[str, str] | Keep | None = KEEP,
        generate: str | None = None,
        expected_version: int | None = None,
    ) -> SecretInfo:
        """Store a new version of a secret; arguments and errors as for `KMSService.store_secret`."""
        return self.kms.store_secret(
            name,
            value,
            ttl=ttl,
            ttl_days=ttl_days,
            tags=tags,
            generate=generate,
            expected_version=expected_version,
        )

    def rotate_secret(
        self,
        name: str,
        new_value: Value | None = None,
        *,
        expected_version: int | None = None,
        compromised: bool = False,
        grace: timedelta | str | None = None,
    ) -> SecretInfo:
        """Make a new version the current one; arguments and errors as for `KMSService.rotate_secret`."""
        return self.kms.rotate_secret(
            name, new_value, expected_version=expected_version, compromised=compromised, grace=grace
        )

    def list_secrets(
        self,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        expired: bool | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[SecretInfo]:
        """A page of secrets without values; arguments and errors as for `KMSService.list_secrets`."""
        return self.kms.list_secrets(prefix, tags, expired, limit=limit, after=after)

    def clear_cache(self) -> None:
        """Forget every cached value; the next read asks the store."""
        node = self._watch()
        node.gate.authorize(self.kms._session, "cache:clear", "cache")
        node.cache.clear()
        self._hot.clear()

    # Backup

    def backup_secrets(self, to: str | Path, *, passphrase: str, shreddable: bool = False) -> BackupReport:
        """Write the store to one encrypted file, verified after writing; all else as `KMSService.backup`."""
        return self.kms.backup(to, passphrase=passphrase, shreddable=shreddable)

    def restore_secrets(
        self, source: str | Path, *, passphrase: str, shred_keys: str | Path | None = None
    ) -> BackupReport:
        """Restore a backup into this store, which must be empty; all else as `KMSService.restore`."""
        figures = self.kms.restore(source, passphrase=passphrase, shred_keys=shred_keys)
        self._hot.clear()
        return figures

    # Status

    def _record_configuration(self, summary: Mapping[str, str | int]) -> None:
        """What a ConfigLoader calls that was filled from here."""
        record_configuration(self.kms, summary)

    def get_status(self) -> SecretsStatus:
        """Hits, misses, hit rate, entries, and what was imported, failed, or fell back to the environment."""
        if self._watching is None:
            return SecretsStatus()
        node = self._watch()
        node.gate.authorize(self.kms._session, "status:read", "secrets")
        counted = node.counts.total(event="cache_hit")
        figures = node.cache.figures
        entries, size = node.cache.size()
        asked = counted + figures.misses
        return SecretsStatus(
            initialized=True,
            hits=counted,
            misses=figures.misses,
            hit_rate=counted / asked if asked else 0.0,
            entries=entries,
            bytes=size,
            evicted=figures.evicted,
            stale_served=figures.stale_served,
            imported=list(self._report.imported),
            present=list(self._report.present),
            absent=list(self._report.absent),
            conflicts=list(self._report.conflicts),
            failed=dict(self._report.failed),
            fallbacks=dict(self._fallbacks),
        )
