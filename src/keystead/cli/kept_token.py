"""The access token that a person logged in with: in the system's keyring where there is one, else in a private file.

Behind it stand the paths of the certificate and key that it is bound to, if it is: each command reads them again.
One for each store, by the store's id. A file says which of both it is, so that a command without a token need not ask
the keyring, which is slow.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from keystead.errors import FileUnavailable, MasterKeyInvalid

_SERVICE: Final = "keystead"
_IN_KEYRING: Final = b"keyring\n"
_LIMIT: Final = 16_384
_IN_A_FILE: Final = str.maketrans({":": "_", "[": "", "]": ""})
_GOOD_ENOUGH: Final = 1
"""The priority from which the package keyring recommends a backend; those below keep plain files."""


class Kept(NamedTuple):
    """An access token, and the files of the certificate that it is bound to; "" where it is not."""

    token: str
    certificate: str = ""
    key: str = ""


class KeptToken:
    """Where the token of one store is kept."""

    def __init__(self, store_id: str) -> None:
        self._store_id = store_id
        self._path = _state_folder() / f"token-{store_id}"
        self._new = self._path.with_name(f"{self._path.name}.new")

    @property
    def place(self) -> str:
        """The file that says where it is."""
        return str(self._path)

    def read(self) -> Kept | None:
        """The token and what it is bound to; None where nobody logged in.

        Raises:
            MasterKeyInvalid: others can read its file, or it is a symbolic link or another user's; or somebody logged
                in, and the keyring gives nothing. To pass that over would be to act as the owner.
        """
        from keystead.seal.private_file import read_private

        data = read_private(self._path, limit=_LIMIT)
        if data is None:
            return None
        if data == _IN_KEYRING:
            return _parsed(self._from_keyring())
        return _parsed(data.decode("utf-8", "surrogateescape"))

    def last(self) -> tuple[bool, Kept | None]:
        """Whether somebody logged in, and the token for its end: also out of a file that others can read, all the more.

        None where it cannot be had.
        """
        from keystead.seal.private_file import read_if_concerned

        try:
            found = self.read()
        except MasterKeyInvalid:
            data = read_if_concerned(self._path, limit=_LIMIT, concerns=lambda _: False)
            if isinstance(data, str) or data == _IN_KEYRING:
                return True, None
            return True, _parsed(data.decode("utf-8", "surrogateescape"))
        return found is not None, found

    def _from_keyring(self) -> str:
        keyring, why = _keyring(), "there is no keyring here"
        if keyring is not None:
            try:
                found = keyring.get_password(_SERVICE, self._store_id)
            except Exception as error:  # a keyring raises what its backend does
                found, why = None, f"the keyring cannot be read ({type(error).__name__})"
            else:
                why = "the keyring does not hold it"
            if isinstance(found, str) and found:
                return found
        raise MasterKeyInvalid(
            "the access token of the last login cannot be used",
            why=why,
            hint="unlock the keyring; or keystead logout, and act as the owner",
        )

    def write(self, kept_token: Kept) -> str:
        """Keep a token in the place of the one before; where it is, in words.

        Raises:
            FileUnavailable: it cannot be written.
        """
        from keystead.seal.private_file import write_private

        token = "\n".join(kept_token).strip()
        kept = self._put_into_keyring(token)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._new.unlink(missing_ok=True)
            write_private(self._new, _IN_KEYRING if kept else token.encode("utf-8", "surrogateescape") + b"\n")
            # At no moment is there none: a command of then would act as the owner.
            self._new.replace(self._path)
        except OSError as error:
            raise FileUnavailable(
                f"cannot keep the access token in {self._path}",
                why=error.strerror or "",
                hint="set XDG_STATE_HOME to a folder that can be written; or use login --print, and KEYSTEAD_TOKEN",
            ) from None
        return "the keyring" if kept else str(self._path)

    def forget(self) -> None:
        """Keep none any more.

        Raises:
            FileUnavailable: it cannot be removed.
        """
        with suppress(OSError):
            if self._path.read_bytes() == _IN_KEYRING and (keyring := _keyring()) is not None:
                with suppress(Exception):  # a keyring raises what its backend does
                    keyring.delete_password(_SERVICE, self._store_id)
        for path in (self._path, self._new):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise FileUnavailable(
                    f"cannot remove {path}",
                    why=error.strerror or "",
                    hint="remove it by hand: while it is there, no command acts as the owner",
                ) from None

    def _put_into_keyring(self, token: str) -> bool:
        keyring = _keyring()
        if keyring is None:
            return False
        try:
            keyring.set_password(_SERVICE, self._store_id, token)
            return bool(keyring.get_password(_SERVICE, self._store_id) == token)
        except Exception:
            # A keyring raises what its backend does, such as one that is locked; the file serves.
            return False


def server_key(url: str) -> str:
    """What stands for the store in the name of the file, of a server."""
    return url.partition("://")[2].translate(_IN_A_FILE)


def _parsed(text: str) -> Kept:
    return Kept(*text.strip().split("\n")[:3])


def _keyring() -> Any | None:
    """The package, where it is installed and has a backend that is more than a plain file."""
    try:
        keyring = import_module("keyring")
        return keyring if keyring.get_keyring().priority >= _GOOD_ENOUGH else None
    except Exception:
        # Without a desktop session many a backend fails as it is looked for.
        return None


def _state_folder() -> Path:
    from keystead.node.settings import environment

    told = environment().get("XDG_STATE_HOME", "")
    return (Path(told) if os.path.isabs(told) else _home() / ".local" / "state") / "keystead"  # noqa: PTH117 - of a text that may be empty


def _home() -> Path:
    """The home of who calls; of a user that neither the system nor HOME knows, as in many a container, `/`."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")
