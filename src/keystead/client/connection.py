"""Which server, and who asks: a url, an access token, certificates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keystead.access.token_text import AccessToken
from keystead.client.kms import RemoteKMS
from keystead.client.transport import Certificates, Transport
from keystead.errors import FileUnavailable, UsageError

TOKEN: Final = "KEYSTEAD_TOKEN"
TOKEN_FILE: Final = "KEYSTEAD_TOKEN_FILE"
AUTHORITIES: Final = "KEYSTEAD_TLS_AUTHORITIES"
"""The variable that names a file of those who vouch for the server, in the place of the system's."""


def token_variable(variables: Mapping[str, str]) -> str:
    """The variable that gives the access token of an environment; "" for none."""
    return TOKEN if variables.get(TOKEN, "").strip() else TOKEN_FILE if variables.get(TOKEN_FILE) else ""


def token_in(variables: Mapping[str, str]) -> str | None:
    """The access token that an environment gives, by itself or in a file.

    Raises:
        UsageError: a variable is there, and empty. FileUnavailable: the file cannot be read, or holds none.
    """
    # To pass over an empty one would be, in a store of this machine, to act as the owner.
    text = variables.get(TOKEN, "").strip()
    named = variables.get(TOKEN_FILE, "")
    if text:
        return text
    if not named:
        for variable, what in ((TOKEN, "an access token"), (TOKEN_FILE, "the path of a file that holds one")):
            if variable in variables:
                raise UsageError(f"{variable} is set, and empty", hint=f"set it to {what}, or unset it")
        return None
    why = "it holds no access token"
    try:
        text = Path(named).read_text("ascii").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or why
    if text:
        return text
    raise FileUnavailable(f"cannot read the access token in {named}", why=why, hint=f"check {TOKEN_FILE}")


def on_server(
    url: str, *, token: str | AccessToken | None, certificates: Certificates | None, variables: Mapping[str, str]
) -> RemoteKMS:
    """The service of a server, for whoever shows the token, or that of the environment; not asked yet.

    Raises:
        UsageError, FileUnavailable.
    """
    text = token.reveal() if isinstance(token, AccessToken) else token
    if certificates is None:
        certificates = Certificates(Path(variables[AUTHORITIES]) if variables.get(AUTHORITIES) else None)
    return RemoteKMS(Transport(url, certificates=certificates), text or token_in(variables))
