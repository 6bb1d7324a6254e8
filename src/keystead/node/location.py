"""Where a store is: from a url, a path, the environment, or `.keystead/` here and upwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from keystead.errors import StoreNotFound, StoreUnavailable, UsageError

FOLDER: Final = ".keystead"
DATABASE: Final = "keystead.db"
URL_VARIABLE: Final = "KEYSTEAD_URL"
AUDIT_VARIABLE: Final = "KEYSTEAD_AUDIT"
_SERVER: Final = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}/?")
_HINT: Final = "give sqlite:///path, or the path of a file or folder"


class Location(NamedTuple):
    """The absolute paths of one store. `folder` holds what lies beside the database; `explicit`: it was named."""

    database: Path
    folder: Path
    audit: Path
    explicit: bool

    @property
    def is_folder_store(self) -> bool:
        """Whether the store is a `.keystead/` folder and not a file with a name of its own."""
        return self.database.name == DATABASE

    @property
    def project(self) -> Path:
        """The folder that `.keystead/`, or the database with a name of its own, lies in: of `.env`, `keystead.toml`."""
        return self.folder.parent if self.is_folder_store else self.folder

    @property
    def shred_keys(self) -> Path:
        """The folder of the keys that open what shreddable backups hold."""
        if self.is_folder_store:
            return self.database.parent / "shred-keys"
        return self.database.with_name(self.database.name + ".shred-keys")

    def stored_bytes(self) -> int:
        """The size of the database's file; 0 where there is none.

        Raises:
            StoreUnavailable: this user may not look, or the path is none that can be.
        """
        try:
            return self.database.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a path"
        raise StoreUnavailable(
            f"cannot look at {self.database}",
            why=why,
            hint="check the path, the owner and mode of its folders, and which user runs this",
        )


def in_folder(folder: Path, environment: Mapping[str, str], *, explicit: bool) -> Location:
    """The store of a `.keystead/` folder."""
    folder = folder.absolute()
    database = _real(folder / DATABASE)
    return Location(database, folder, _audit(environment, database), explicit)


def locate(url: str | Path | None, environment: Mapping[str, str], here: Path) -> Location:
    """The store that a url or path names; without one, KEYSTEAD_URL, else `.keystead/` in `here` or above it.

    A url is `sqlite:///path` (four slashes: absolute), a plain path of a file, or one of a folder: a `.keystead/`, or
    the one that holds it.

    Raises:
        StoreNotFound: nothing was named and no folder has a `.keystead/`.
        UsageError: a url of another kind.
    """
    named = url if url is not None else environment.get(URL_VARIABLE) or None
    if named is not None:
        path = _path(named)
        path = path if path.is_absolute() else here / path
        if _is_folder(path / FOLDER) and not (path / DATABASE).exists():
            # The folder that was given to `init`: a second store beside its .keystead/ is what nobody means.
            path = path / FOLDER
        if _is_folder(path) or path.name == FOLDER:
            return in_folder(path, environment, explicit=True)
        database = _real(path.absolute())
        return Location(database, database.parent, _audit(environment, database), True)
    looked_at = []
    for folder in (here.absolute(), *here.absolute().parents):
        looked_at.append(str(folder))
        if _is_folder(folder / FOLDER):
            return in_folder(folder / FOLDER, environment, explicit=False)
    raise StoreNotFound(
        f"no {FOLDER}/ in {looked_at[0]} or any folder above it",
        looked_at=tuple(looked_at),
        why=f"looked in {', '.join(looked_at)}",
        hint="keystead init makes one here; or name a store by its url or in KEYSTEAD_URL",
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # told by `stored_bytes`, where the store itself is looked for
        return False


def _real(database: Path) -> Path:
    """Where the database is: lock, audit log and shred keys beside it are one, by whatever name it is opened."""
    try:
        return database.resolve() if database.is_symlink() else database
    except (OSError, ValueError):  # told by `stored_bytes`, as in `_is_folder`
        return database


def _audit(environment: Mapping[str, str], database: Path) -> Path:
    named = environment.get(AUDIT_VARIABLE)
    if named:
        return Path(named).absolute()
    return database.with_name("audit" if database.name == DATABASE else database.name + ".audit")


def _path(url: str | Path) -> Path:
    if not isinstance(url, str | Path) or "\0" in str(url):
        raise UsageError("the store's url is neither a url nor a path", hint=_HINT)
    if isinstance(url, Path):
        return url
    path = Path(_named(url))
    if path.name == ":memory:":
        raise UsageError("the store's url is a database in memory, which keeps nothing", hint=_HINT)
    return path


def _named(url: str) -> str:
    """The path that a url names, as text."""
    scheme, separator, rest = url.partition(":")
    if separator and scheme in ("sqlite", "file"):
        if "?" in rest or "#" in rest:
            raise UsageError("the store's url has parameters, and none are known", hint="write %3F for ? in a path")
        named = "" if rest.startswith("//") and not rest.startswith("///") else unquote(rest.removeprefix("///"))
        if named:
            return named
        raise UsageError(f"{scheme}: urls name a path", hint="write sqlite:///relative/path or sqlite:////absolute")
    if separator and scheme in ("https", "http"):
        raise UsageError(
            "this works only on the machine of the store, and the url that is given, or in KEYSTEAD_URL, is a server's",
            hint="run it there, or name a store of this machine: --store PATH",
        )
    if separator and rest.startswith("//"):
        hint = f"write {scheme.lower()}://" if scheme.lower() in ("https", "http") else _HINT
        raise UsageError(f"keystead cannot open {scheme}: urls", hint=hint)
    if _SERVER.fullmatch(url):
        # Who means a file of such a name can write ./name:1.
        raise UsageError("the url names a host and a port, and no scheme", hint="give https://host:port of a server")
    if not url:
        raise UsageError("the store's url is empty", hint="give sqlite:///path, a path, or nothing")
    return url
