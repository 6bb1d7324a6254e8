"""A backup that a server makes, as a file here that is whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from keystead.access.methods.strict_json import parse_object
from keystead.api.operations import OPERATIONS
from keystead.api.reading import shape_of
from keystead.client.transport import Transport, target_of
from keystead.errors import ServerUnavailable
from keystead.node.backup import BackupReport
from keystead.node.backup_file import NewFile, settle

_OPERATION: Final = next(one for one in OPERATIONS if one.to_file and one.method == "backup")
_REPORT: Final = shape_of(BackupReport)
PATIENCE_SECONDS: Final = 900.0
"""How long the server may take to make it, which a large store on a slow disk does."""


def fetch_backup(transport: Transport, token: str | None, to: Path, given: dict[str, Any]) -> BackupReport:
    """Write what the server sends to a new file (0600), and verify it to its end before it gets its name.

    It is not asked for again where the way there fails: each asking makes a backup.

    Raises:
        StoreExists: the file is there. FileUnavailable, BackupError, ServerUnavailable: no file is left.
        What `KMSService.backup` raises.
    """
    with NewFile(to) as file:
        file.open()
        target = target_of(_OPERATION.path)
        headers = transport.fetch(target, given, token, file.put, wait_s=PATIENCE_SECONDS)
        try:
            report: BackupReport = _REPORT.decode(parse_object(headers.get("keystead-report", "").encode()))
        except (ValueError, KeyError, TypeError):
            hint = "check that it is a keystead server"
            raise ServerUnavailable(f"{transport.url} gave an answer that is none", hint=hint) from None
        settle(file, given["passphrase"])
        file.give_name()
        return report
