"""The types that stand in the signatures of the faces, by the names that they have there.

The faces import most of them for the type checker only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from keystead.access.accounts import RoleInfo, SecretIdInfo, UserInfo
from keystead.access.auth_methods import AuthMethodInfo
from keystead.access.explain import Access, Explanation
from keystead.access.grants import GrantInfo
from keystead.access.stored import PolicyInfo
from keystead.access.token_text import AccessToken, NewSecondFactor, NewSecretId
from keystead.access.tokens import TokenInfo
from keystead.audit.reader import LogEntry
from keystead.audit.record import Record
from keystead.audit.report import Report
from keystead.crypto.envelope import Envelope
from keystead.keys.manage import Affected, DataKeyInfo
from keystead.keys.named.model import KeyInfo, KeyVersionInfo
from keystead.keys.named.portable import ExportedKey
from keystead.keys.named.results import BatchItem, GeneratedKey, Mac, SharedSecret, Signature
from keystead.keys.stream import StreamKey
from keystead.node.backup import BackupReport
from keystead.seal.credential import Credential
from keystead.seal.slots import SlotInfo
from keystead.secrets.labels import Keep
from keystead.secrets.model import SecretInfo, VersionInfo
from keystead.secrets.value import SecretValue
from keystead.services.key_operations import SessionInfo
from keystead.services.login import WhoAmI
from keystead.services.named_keys import PublicKeyInfo
from keystead.services.paging import Page
from keystead.services.policy_operations import Circumstances
from keystead.services.secret_operations import Swept
from keystead.services.status import Status

_TYPES = (
    Access, AccessToken, Affected, AuthMethodInfo, BackupReport, BatchItem, Circumstances, DataKeyInfo, Envelope,
    Explanation, ExportedKey, GeneratedKey, GrantInfo, Keep, KeyInfo, KeyVersionInfo, LogEntry, Mac, NewSecondFactor,
    NewSecretId, Page, Path, PolicyInfo, PublicKeyInfo, Record, Report, RoleInfo, SecretIdInfo, SecretInfo, SecretValue,
    SessionInfo, SharedSecret, Signature, SlotInfo, Status, StreamKey, Swept, TokenInfo, UserInfo, VersionInfo, WhoAmI,
)  # fmt: skip

NAMES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **{kind.__name__: kind for kind in _TYPES},
        "AAD": bytes | str | Mapping[str, str] | None,
        "Credential": Credential,
        "Iterable": Iterable,
        "Mapping": Mapping,
        "threading": threading,
    }
)
