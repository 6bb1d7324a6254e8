"""One running process on one store: assembly, and what its services share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from keystead.access.principal import Principal
from keystead.access.session import Session
from keystead.audit.counts import Counts, EachUse
from keystead.audit.journal import Journal
from keystead.clock import Clock
from keystead.crypto.material import KeyMaterial
from keystead.errors import DataError, IntegrityError, OperatorError, StoreBusy, StoreUnavailable
from keystead.gate import Entry, Gate, failure
from keystead.keys.manage import DataKeyManager
from keystead.keys.ring import KeyRing
from keystead.keys.use import CallerKeys, DataUse
from keystead.node.assembly import assemble
from keystead.node.fork import survive_forks
from keystead.node.location import Location
from keystead.node.maintenance import maintain
from keystead.node.once import Once
from keystead.node.outcomes import noting_unknown
from keystead.node.periods import Periods
from keystead.node.policies import make_gate, policy_engine
from keystead.node.recorder import Recorder, node_name
from keystead.node.rollback import require_not_put_back
from keystead.node.root import RootHolder
from keystead.node.sessions import KEPT, close_session, identities_of, open_session, see_session, see_sessions
from keystead.node.settings import Settings
from keystead.node.shredding import ShredKeyFolder
from keystead.node.ticker import Ticker
from keystead.seal.provider import Slot
from keystead.secrets.cache import ValueCache
from keystead.secrets.model import Binder
from keystead.secrets.read import SecretReader
from keystead.secrets.sweep import Sweeper
from keystead.secrets.write import SecretWriter
from keystead.storage.audit import AuditRows, StoreAudit
from keystead.storage.data_keys import SqliteDataKeys
from keystead.storage.secrets import SqliteSecrets
from keystead.storage.sqlite import SqliteStore
from keystead.storage.store_row import SqliteStoreRow, StoreRow

if TYPE_CHECKING:
    from keystead.node.named_keys import NamedKeys

JOURNAL_SYNC_SECONDS = 5.0
ASK_AGAIN_SECONDS = 1.0
_ROOT_REPLACED = "another process replaced the root key: open the store again to go on changing its keys"


class Files(NamedTuple):
    """What of a store lies on the disk: the database, the audit journal, and the rows that tie them."""

    store: SqliteStore
    journal: Journal
    audit_rows: StoreAudit


class Node:
    """An open store and what is shared by the services on it. Made by `keystead.node.opening`."""

    once: Once
    sweeper: Sweeper
    reader: SecretReader
    writer: SecretWriter
    data_keys: DataKeyManager

    def __init__(self, location: Location, settings: Settings, clock: Clock, files: Files, root: RootHolder) -> None:
        self.location = location
        self.settings = settings
        self.clock = clock
        self.store, self.journal, self.audit_rows = files
        self.root = root
        self.name = node_name()
        self.sessions: dict[str, Session] = {}
        self.sessions_bound = KEPT
        self.inherited_sessions: frozenset[str] = frozenset()
        self.notices: list[str] = []
        self.stale_since: float | None = None
        self.periods = Periods()
        self._changes = -1
        self._binder: Binder | None = None
        self._fresh_until = -1.0
        self._refresh_lock = threading.Lock()
        self._generation = 0
        self._keys_generation = -1
        self._synced_at = clock.monotonic()
        self._swept_at = clock.now_ms()
        self.closed = False
        self.opened_slot: Slot | None = None
        self.ticker = Ticker(self._tick, self._background_failed)
        self.recorder = Recorder(self.journal, self.name, clock, self.ticker.wake)
        self.system = Session.start(Principal("system", "node"), clock.now_ms())
        self.ring = KeyRing(root, lambda: SqliteDataKeys(self.store.read()))
        self.policies = policy_engine(self)
        self.gate: Gate[Any] = make_gate(self)
        each = EachUse(self.recorder.append_use, self.recorder.append_uses) if settings.record_each_use else None
        told = self.recorder.call_back
        self.counts = Counts(self.recorder.append_record, clock=clock, node=self.name, tell=told, each=each)
        self.cache = ValueCache()
        self.shred_keys = ShredKeyFolder(location.shred_keys)
        self.caller_keys = CallerKeys(self.ring, clock, self._reserve, self.ticker.soon)
        assemble(self)
        survive_forks(self)

    # What the rooms are given

    def binder(self) -> Binder:
        """What binds heads and versions to this store; Sealed where the root key is gone."""
        key = self.root.integrity_key()
        if self._binder is None:
            self._binder = Binder(self.root.store_id, key)
        return self._binder

    @cached_property
    def named(self) -> NamedKeys:
        """The named keys."""
        from keystead.node.named_keys import NamedKeys  # noqa: PLC0415 - most processes use none, and pay no import

        return NamedKeys(self)

    def read_secrets(self) -> SqliteSecrets:
        """The secret rows as the store has them now."""
        return SqliteSecrets(self.store.read())

    @contextmanager
    def write(self, operation_id: str = "") -> Iterator[Any]:
        """A transaction; the outbox rows that the disk has in the journal are cleared on the way.

        It begins with the data keys as they are now: nothing is stored under one that was destroyed a moment ago.
        """
        moved = self.journal.confirmed()
        with noting_unknown(self.journal.folder), self.store.write(operation_id=operation_id) as connection:
            generation, keys_generation = SqliteStoreRow(connection).generations()
            require_not_put_back(self.location.database, self.journal.sequence, generation)
            self._see_keys(keys_generation)
            if moved:
                AuditRows(connection).delete(moved)
            yield connection
        if moved:
            self.journal.forget(moved)

    def record(self, session: Session, event: str, target: str, **detail: str | int) -> None:
        """A record of something that happened in a service, such as a configuration that was loaded."""
        self.recorder.append(Entry(session.id, str(session.principal), event, target, detail=dict(detail)))

    def system_record(self, event: str, target: str, **detail: str | int) -> None:
        """A record of what the node itself did."""
        self.record(self.system, event, target, **detail)

    def adopt_root(self, root: KeyMaterial) -> None:
        """Hold a new root key that this process just put into the store."""
        self.root.adopt(root)
        # Another thread may have met the new root key in the store before it was here.
        self.notices = [notice for notice in self.notices if notice != _ROOT_REPLACED]
        self.keys_changed()

    def same_root(self, transaction: Any) -> StoreRow:
        """The store row, if this node's root key is still the store's: every transaction that wraps asks first.

        Raises:
            Sealed: another process replaced the root key. IntegrityError: there is no row.
        """
        row = SqliteStoreRow(transaction).get()
        if row is None:
            raise IntegrityError("the store row is gone", hint="restore a backup elsewhere")
        self.root.require(row.root_check)
        return row

    def data_use(self, session: Session, face: MutableMapping[str, Any]) -> DataUse:
        """Encryption and decryption for one session; it is told of changes until that is closed."""
        use = DataUse(self.caller_keys, self.gate, self.counts, session, self.clock, face=face)
        self.on_change(session, use.end_period)
        return use

    def on_change(self, session: Session, callback: Callable[[], None]) -> None:
        """Call back whenever what a session kept of keys or secrets may not be used any more, until it is closed."""
        self.periods.on_end(session, callback)

    def is_behind(self, session: Session) -> bool:
        """Whether any process of this machine changed something since a lazy session last acted. Read from memory."""
        return self.store.changes() != self._changes or self.periods.is_behind(session)

    def catch_up(self, session: Session) -> None:
        """Bring the node, and a lazy session on it, up to date with the store.

        Raises:
            What `refresh` raises.
        """
        changes = self.store.changes()
        if changes != self._changes:
            self.refresh(changes)
        self.periods.catch_up(session, lambda: see_session(self, session))

    def _reserve(self, key_id: str, wanted: int) -> int:
        """Reserve messages of a data key; recorded as a change, so that a store put back is told from its number."""
        self.recorder.ready()
        entry = Entry(self.system.id, str(self.system.principal), "messages_reserved", f"data-key/{key_id}")
        with self.write() as connection:
            granted = self.data_keys.reserve(connection, key_id, wanted)
            entry.detail = {"messages": granted}
            queued = self.recorder.enqueue(connection, [entry])
        self.recorder.committed(queued, quiet=True)
        return granted

    def versions_under(self, transaction: Any, reference: bytes) -> list[tuple[str, int]]:
        """Names and versions of the secrets that are under a data key."""
        connection = self.store.read() if transaction is None else transaction
        return list(SqliteSecrets(connection).under_key(reference))

    def destroy_versions(self, transaction: Any, versions: list[tuple[str, int]]) -> None:
        """Overwrite the values of secret versions."""
        rows, now = SqliteSecrets(transaction), self.clock.now_ms()
        for name, version in versions:
            rows.destroy_version(name, version, now)

    # Changes, mine and others'

    def secrets_changed(self, names: list[str]) -> None:
        """The values of these secrets changed: nothing kept of them is served any more."""
        self.cache.drop(names)
        self.periods.end()

    def keys_changed(self) -> None:
        """Keys changed: what was derived of them ends, and they are read again."""
        self.cache.clear()
        self.caller_keys.drop()
        self._fresh_until = -1.0
        self._keys_generation = -1
        self.refresh()
        self.periods.end()

    def scrub(self) -> None:
        """Truncate the write-ahead log, now or as soon as no reader is in the way."""
        if not self.store.checkpoint():
            self.ticker.soon(lambda: None if self.store.checkpoint() else self.ticker.wake())

    def expire_quietly(self, name: str) -> None:
        """Record that a secret expired, now or as soon as the store can be written."""
        try:
            self.sweeper.expire(self.system, name)
        except OperatorError:
            # The reader refuses the value all the same; the sweeper records it once the store can be written.
            self.ticker.wake()

    @property
    def generation(self) -> int:
        """The store's generation as last seen."""
        return self._generation

    def refresh(self, changes: int | None = None) -> float:
        """Ask the store, at most once a freshness interval, what other processes changed.

        `changes` is the number that tells that something did (`SqliteStore.changes`), read before; then it is asked at
        once. What comes out is until when (monotonic seconds) the answer may be relied on.

        Raises:
            StoreNotFound: the store was removed or replaced. RollbackDetected: it was put back to an older state.
            StoreBusy, StoreUnavailable: it has not answered for longer than the stale grace.
        """
        now, until = self.clock.monotonic(), self._fresh_until
        if now < until and changes is None:
            return until
        with self._refresh_lock:
            now = self.clock.monotonic()
            if now < self._fresh_until and changes in (None, self._changes):
                return self._fresh_until
            self.store.check_present()
            until = now + self.settings.freshness_ms / 1000
            known = max(self._generation, self.journal.sequence)
            try:
                generation, keys_generation = SqliteStoreRow(self.store.read()).generations()
                require_not_put_back(self.location.database, known, generation)
                if generation != self._generation:
                    self._see_changes(keys_generation)
            except (StoreBusy, StoreUnavailable) as error:
                if error.damaged:
                    raise
                # The wait for an answer that did not come may have been long; not every call is to wait like that.
                until = max(until, self.clock.monotonic() + ASK_AGAIN_SECONDS)
                self._tolerate(now)
            else:
                self.stale_since = None
                self._changes = self._changes if changes is None else max(changes, self._changes)
                if generation != self._generation:
                    self._generation = generation
                    # Nothing of an older generation is served any more, so nothing of it stays in memory.
                    self.cache.clear()
                    self.periods.end()
            self._fresh_until = until
            return until

    def _see_changes(self, keys_generation: int) -> None:
        see_sessions(self)
        self._see_keys(keys_generation)

    def _see_keys(self, keys_generation: int) -> None:
        if keys_generation != self._keys_generation:
            self._see_root()
            self.ring.reload()
            self.caller_keys.drop()
            self.periods.end()
            self._keys_generation = keys_generation

    def _see_root(self) -> None:
        row = SqliteStoreRow(self.store.read()).get()
        if row is not None and not self.root.sealed and not self.root.keep_if(row.root_check):
            self.notices = [*(notice for notice in self.notices if notice != _ROOT_REPLACED), _ROOT_REPLACED]

    def _tolerate(self, now: float) -> None:
        if self.stale_since is None:
            self.stale_since = now
            self.notices.append("the store does not answer: what is held is served for a bounded time")
        if now - self.stale_since > self.settings.stale_grace_ms / 1000:
            raise StoreUnavailable(
                f"the store {self.location.database} has not answered for longer than the stale grace",
                hint="bring it back; nothing is served from memory any more",
            )

    # The ticker

    def _tick(self) -> None:
        """What is done once a second."""
        if self.closed or self.root.sealed:
            return
        self.counts.flush()
        with suppress(OperatorError, DataError):  # whoever calls next meets it
            self.refresh()
        now = self.clock.monotonic()
        if now - self._synced_at >= JOURNAL_SYNC_SECONDS:
            self._synced_at = now
            self.journal.checkpoint()
        if self.clock.now_ms() - self._swept_at >= self.settings.sweep_interval_ms:
            self._swept_at = self.clock.now_ms()
            self.maintain()

    maintain = maintain

    def _background_failed(self, error: BaseException) -> None:
        entry = Entry(self.system.id, str(self.system.principal), "kms_error", "node", "failed")
        entry.detail = failure(error)
        try:
            self.recorder.append(entry)
        except OperatorError:
            self.notices.append(f"background work failed: {type(error).__name__}")

    open_session = open_session
    close_session = close_session
    identities = cached_property(identities_of)

    def end_session(self, session_id: str) -> None:
        """End a session of this process, if it is one."""
        session = self.sessions.get(session_id)
        if session is not None:
            session.end()
        self.periods.end()

    def operations(self, session_id: str) -> int:
        """How many records and counted uses a session has left."""
        return self.recorder.operations(session_id) + self.counts.total(session=session_id)

    def close(self) -> None:
        """End every session, write the last counts and a closing checkpoint, forget the keys."""
        if self.closed:
            return
        self.closed = True
        self.ticker.stop()
        with ExitStack() as last:
            last.callback(self._forget)
            last.callback(self.journal.close)
            last.callback(self.counts.flush)
            for session in list(self.sessions.values()):
                self.close_session(session)

    def _forget(self) -> None:
        self.cache.clear()
        self.periods.end()
        self.ring.forget()
        self.root.seal()
        self._binder = None
        self.store.close()

    def after_fork(self) -> None:
        """Begin anew in a forked child: a thread that is not there may have held any lock, and records say who acts."""
        self.name = self.recorder.node = self.journal.node = node_name()
        self.counts.name(self.name)
        self.inherited_sessions = frozenset(self.sessions)
        self._refresh_lock = threading.Lock()
        self._fresh_until = -1.0
        self.ticker.after_fork()
        self.cache.after_fork()
        self.ring.after_fork()
        self.caller_keys.drop()
        self.periods.end()
