"""A client's certificate in files: its chain, and that whoever runs the command holds its key."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from keystead.cli import entry
from keystead.errors import AuthenticationFailed, FileUnavailable, UsageError

_LIMIT: Final = 1024 * 1024
_KEY_LIMIT: Final = 64 * 1024


class Client(NamedTuple):
    """A chain in PEM, and what an access token that it gave is bound to."""

    chain: bytes
    binding: str


def client(certificate: str, key: str) -> Client:
    """The client of two PEM files, once the key has signed something new that the certificate verifies.

    No server asked for it: it keeps others' certificates from being taken by mistake, and proves nothing to who also
    holds the master key.

    Raises:
        UsageError: no certificate, or a key that is not its own. FileUnavailable, MasterKeyInvalid: a file that cannot
            be read, or a key that others could read.
    """
    from keystead.access.methods.certificates import binding_of, chain_of
    from keystead.crypto.possession import is_key_of
    from keystead.seal.private_file import read_private

    pem = entry.read_file(Path(certificate), _LIMIT)
    try:
        leaf, binding = chain_of(pem)[0], binding_of(pem)
    except AuthenticationFailed:
        raise UsageError(
            f"{Path(certificate).absolute()} holds no certificate in PEM",
            hint="give the client's certificate, with those between it and the authority behind it",
        ) from None
    held = read_private(Path(key), limit=_KEY_LIMIT)
    if held is None:
        raise FileUnavailable(f"there is no file {Path(key).absolute()}", hint="check the path")
    if not is_key_of(leaf, held):
        raise UsageError(
            f"{Path(key).absolute()} is not the key of the certificate",
            why="what it signed does not verify, or it is no PEM file without a passphrase",
            hint="give the private key that belongs to --cert",
        )
    return Client(pem, binding)
