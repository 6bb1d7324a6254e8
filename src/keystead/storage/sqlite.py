"""SQLite: connections, the one way to write, and what its errors mean.

WAL with `synchronous=FULL`, read back at open. Writers of all processes queue on one lock file (flock, bounded wait)
and then BEGIN IMMEDIATE; there is no other way to write. Connections belong to one process and are dropped after a
fork.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from weakref import WeakSet

from keystead.clock import Clock
from keystead.errors import IntegrityError, OutcomeUnknown, StoreBusy, StoreNotFound, StoreUnavailable
from keystead.storage.file import make_private, require_one_name, uri
from keystead.storage.forks import FORKS
from keystead.storage.hindrance import hindrance_to
from keystead.storage.rows import damaged
from keystead.storage.writer_lock import WriterLock

Transaction = sqlite3.Connection
"""What `write` gives, for rooms that only hand it on."""

C = TypeVar("C", bound=sqlite3.Connection)
APPLICATION_ID: Final = 0x6B737464  # "kstd"
BUSY_SECONDS: Final = 10.0
# Readers wait for nobody in WAL mode, unless a process recovers the log after a crash or keeps the file for itself.
READ_BUSY_SECONDS: Final = 2.0
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA trusted_schema=OFF",
    # A commit touches the same few pages again; fewer, larger checkpoints copy each of them once.
    "PRAGMA wal_autocheckpoint=4000",
)


# Of the writer, and of each reader: every thread of a server has one, and fills both in time.
_CACHE_KIB: Final = (2048, 512)
_STATEMENTS: Final = (256, 64)


class _Rows(list[Any]):
    """What a statement gave, all of it: as much of a cursor as readers use."""

    __slots__ = ()

    def fetchone(self) -> Any:
        return self[0] if self else None

    def fetchall(self) -> list[Any]:
        return self


_CANNOT_WRITE: Final = (
    ("full", "the disk is full", "free some space"),
    ("readonly", "it is read-only", "check mount and owner"),
)


class _Reader(sqlite3.Connection):
    """A connection whose statements raise keystead's errors, so that whoever reads need not know the driver's.

    A statement runs to its end under the lock `using`, so that a fork can wait until none is under way.
    """

    meaning: Callable[[sqlite3.Error], StoreBusy | StoreUnavailable | IntegrityError] | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.using = threading.Lock()
        super().__init__(*arguments, **named)

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        with self.using:
            try:
                return cast(sqlite3.Cursor, _Rows(sqlite3.Connection.execute(self, *statement)))
            except sqlite3.Error as error:
                if self.meaning is None:
                    raise
                raise self.meaning(error) from error


class _ClosedAtTheEnd:
    """Closes a connection when its thread ends; by itself it would wait for a garbage collection."""

    def __init__(self, connection: _Reader) -> None:
        self._connection = connection
        self._pid = os.getpid()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            with self._connection.using:
                self._connection.close()


class SqliteStore:
    """The database file of one store, for one process at a time."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._lock = WriterLock(path.with_name(path.name + ".lock"), path, clock, BUSY_SECONDS)
        self._writing = threading.RLock()
        self._mine = threading.local()
        self._pid = os.getpid()
        self._connecting = threading.Lock()
        self._copying = threading.Lock()
        self._readers: WeakSet[_Reader] = WeakSet()
        self._writer: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._broken: str | None = None
        self._abandoned: list[object] = []
        self._owner = 0
        self._held: list[Any] = []
        FORKS.add(self)

    def create_file(self) -> None:
        """Make the file that is to become a store, private whatever the umask. Raises StoreUnavailable."""
        make_private(self.path)

    def read(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit; for SELECT only. Its `execute` raises keystead's errors."""
        if self._pid != os.getpid():
            self._after_fork()
        connection: _Reader | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = self._connect(_Reader, READ_BUSY_SECONDS)
            self._mine.end = _ClosedAtTheEnd(connection)
        return connection

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """What this thread reads inside the block is the store as it was at the first read."""
        connection = self.read()
        try:
            connection.execute("BEGIN")
            yield
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    @contextmanager
    def undivided(self) -> Iterator[None]:
        """Work in SQLite beside this store's connections, such as on a copy in memory; a fork waits for its end."""
        with self._copying:
            yield

    @contextmanager
    def write(self, *, operation_id: str = "") -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            StoreBusy: another writer held the store for longer than the bounded wait.
            StoreUnavailable: the disk is full, read-only or broken; nothing was changed.
            OutcomeUnknown: COMMIT failed in a way that may hide success.
        """
        with self._alone() as connection:
            if self._broken:
                raise StoreUnavailable(
                    f"the store {self.path.absolute()} takes no more writes from this process",
                    why=self._broken,
                    hint="check the disk, then restart",
                )
            try:
                self._lock.take()
                try:
                    with self._transaction(connection, operation_id):
                        yield connection
                finally:
                    # Also where it failed, since a COMMIT that fails may hide a commit.
                    self._lock.changed()
            finally:
                self._lock.give()

    def changes(self) -> int:
        """A number that is another one as soon as any process of this machine was told that a change of its is done.

        It is read from memory, which a forked child shares. Raises StoreUnavailable where there is no lock file.
        """
        return self._lock.changes()

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """The writing connection, for one thread at a time."""
        if self._pid != os.getpid():
            self._after_fork()
        mine = self._owner == threading.get_ident()
        if not mine:
            # A signal may have broken off an earlier call of this thread between its last steps.
            with suppress(RuntimeError):
                while True:
                    self._writing.release()
        if mine or not self._writing.acquire(timeout=BUSY_SECONDS):
            who = "this thread is in the middle of a change" if mine else "another thread is writing"
            raise StoreBusy(f"the store {self.path.absolute()} is busy: {who}", hint="try again")
        try:
            self._owner = threading.get_ident()
            if self._writer is None:
                self._writer = self._connect(sqlite3.Connection, BUSY_SECONDS)
            yield self._writer
        finally:
            self._owner = 0
            self._writing.release()

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection, operation_id: str) -> Iterator[None]:
        # A signal, such as Ctrl-C, may raise between any two steps; none may leave a transaction open, here or before.
        self._roll_back(connection)
        try:
            with self.translated():
                connection.execute("BEGIN IMMEDIATE")
                yield
        except BaseException:
            self._roll_back(connection)
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Without room for its last frame the transaction is not in the log; SQLite has rolled it back by itself.
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            if full or (connection.in_transaction and "disk I/O" not in str(error)):
                self._roll_back(connection)
                raise self._meaning(error) from error
            self._broken = f"a commit failed: {error}"
            raise OutcomeUnknown(
                f"a commit to {self.path.absolute()} failed, and may have happened all the same",
                operation_id=operation_id,
                hint=f"restart; outcome_settled in the log then tells whether {operation_id} happened; if not, repeat",
            ) from error

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = f"a rollback failed: {error}"

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors inside the block into keystead's."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    def _meaning(self, error: sqlite3.Error) -> StoreBusy | StoreUnavailable | IntegrityError:
        where, text = self.path.absolute(), str(error)
        if text.startswith("Could not decode"):  # and then holds the text
            return damaged(f"a text in the store {where}")
        if "locked" in text or "busy" in text:
            return StoreBusy(f"the store {where} is busy", why=text, hint="try again")
        for word, why, hint in _CANNOT_WRITE:
            if word in text:
                return StoreUnavailable(f"cannot write to {where}", why=why, hint=hint)
        if "malformed" in text or "not a database" in text:
            damage = StoreUnavailable(f"{where} is damaged or no database", why=text, hint="restore a backup elsewhere")
            damage.damaged = True
            return damage
        if hindrance := hindrance_to(where):
            why, hint = hindrance
            return StoreUnavailable(f"cannot write to {where}", why=f"{why} ({text})", hint=hint)
        return StoreUnavailable(f"the store {where} does not answer", why=text, hint="check the disk and the file")

    def check_present(self) -> None:
        """Return if the file that was opened is still the one at its path.

        Raises:
            StoreNotFound: it was removed or replaced.
        """
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._inode:
            raise StoreNotFound(
                f"the store {self.path.absolute()} was removed or replaced while it was open",
                hint="restart to open what is there now",
            )

    def checkpoint(self) -> bool:
        """A truncating checkpoint of the write-ahead log; False where a reader was in the way."""
        with self._alone() as connection, self.translated():
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _connect(self, kind: type[C], wait: float) -> C:
        with self._connecting:
            connection = self._connected(kind, wait)
            if isinstance(connection, _Reader):
                connection.meaning = self._meaning
                self._readers.add(connection)
        return connection

    def _connected(self, kind: type[C], wait: float) -> C:
        try:
            found = self.path.stat()
            if self._inode is None:
                require_one_name(self.path, found)
                self._inode = (found.st_dev, found.st_ino)
            self.check_present()
            connection = sqlite3.connect(
                uri(self.path),
                uri=True,
                timeout=wait,
                factory=kind,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_STATEMENTS[kind is _Reader],
            )
            self._refuse_another(connection)
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB[kind is _Reader]}")
            journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
            synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        except FileNotFoundError:
            raise StoreNotFound(
                f"there is no store at {self.path.absolute()}", hint="keystead init, or check the path"
            ) from None
        except OSError as error:
            raise StoreUnavailable(
                f"cannot open {self.path.absolute()}", why=os.strerror(error.errno or errno.EIO)
            ) from None
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        if (journal, synchronous) != ("wal", 2):
            connection.close()
            raise StoreUnavailable(
                f"{self.path.absolute()} cannot be kept safely",
                why=f"SQLite says journal_mode={journal}, synchronous={synchronous}, and keystead needs wal and 2",
                hint="put the store on a local disk that supports WAL",
            )
        return connection

    def _refuse_another(self, connection: sqlite3.Connection) -> None:
        """Before anything is set that would change the file of another program."""
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application != APPLICATION_ID and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.close()
            raise StoreUnavailable(
                f"{self.path.absolute()} is a database of something else", hint="give the path of a keystead store"
            )

    def hold(self) -> None:
        """Return when no other thread is inside SQLite, and keep it so until `let_go`: before a fork.

        SQLite keeps locks in the memory of a process; a child that was forked while another thread held one would wait
        for it for ever.
        """
        if self._owner == threading.get_ident():
            return
        # A copy reads through a connection of its own, so it is waited for before connections are; and only once no
        # thread can get another reader are all of them known.
        for lock in (self._copying, self._writing, self._connecting):
            self._hold(lock)
        for reader in list(self._readers):
            self._hold(reader.using)

    def _hold(self, lock: Any) -> None:
        if lock.acquire(timeout=BUSY_SECONDS):
            self._held.append(lock)

    def let_go(self) -> None:
        """Let others in again."""
        while self._held:
            self._held.pop().release()

    def _after_fork(self) -> None:
        # An inherited connection must not even be closed here: that would touch what the parent still uses.
        self._abandoned += [*self._readers, self._writer]
        self._readers, self._writer, self._mine = WeakSet(), None, threading.local()
        self._writing = threading.RLock()
        self._connecting, self._copying = threading.Lock(), threading.Lock()
        self._owner, self._held = 0, []
        self._lock.after_fork()
        self._pid = os.getpid()

    def close(self) -> None:
        """Close this process's connections; the object can be used again."""
        if self._pid != os.getpid():
            self._after_fork()
            return
        with self._connecting:
            for connection in [*self._readers, self._writer]:
                if connection is not None:
                    connection.close()
        self._readers, self._writer, self._mine = WeakSet(), None, threading.local()
        self._inode = None
        self._lock.close()
