"""keystead: a key management service and secrets manager for Python.

import keystead

with keystead.connect() as store:
    store.secrets.get_secret("JWT_SECRET").reveal()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken as AccessToken
    from keystead.config import SecretURL as SecretURL
    from keystead.config.declare import From as From
    from keystead.config.declare import Public as Public
    from keystead.config.declare import SecretStr as SecretStr
    from keystead.crypto.importing import wrap_for_import as wrap_for_import
    from keystead.node.settings import Settings as Settings
    from keystead.opening import connect as connect
    from keystead.seal.master_key import MasterKey as MasterKey
    from keystead.seal.master_key import generate_master_key as generate_master_key
    from keystead.seal.providers.passphrase import Passphrase as Passphrase
    from keystead.seal.providers.recovery import RecoveryKit as RecoveryKit
    from keystead.secrets.labels import KEEP as KEEP
    from keystead.secrets.value import SecretValue as SecretValue
    from keystead.services.config_loader import ConfigLoader as ConfigLoader
    from keystead.services.connection import Connection as Connection
    from keystead.services.kms import KMSService as KMSService
    from keystead.services.paging import Page as Page
    from keystead.services.secrets_manager import SecretsManager as SecretsManager

__version__ = "0.1.0"
_HOMES = {
    "AccessToken": "keystead.access.token_text",
    "KEEP": "keystead.secrets.labels",
    "From": "keystead.config.declare",
    "Public": "keystead.config.declare",
    "SecretStr": "keystead.config.declare",
    "SecretURL": "keystead.config",
    "SecretValue": "keystead.secrets.value",
    "Settings": "keystead.node.settings",
    "MasterKey": "keystead.seal.master_key",
    "Passphrase": "keystead.seal.providers.passphrase",
    "RecoveryKit": "keystead.seal.providers.recovery",
    "generate_master_key": "keystead.seal.master_key",
    "ConfigLoader": "keystead.services.config_loader",
    "Connection": "keystead.services.connection",
    "connect": "keystead.opening",
    "KMSService": "keystead.services.kms",
    "wrap_for_import": "keystead.crypto.importing",
    "Page": "keystead.services.paging",
    "SecretsManager": "keystead.services.secrets_manager",
}
__all__ = [  # noqa: PLE0604 - the table is the list
    "__version__",
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name == "aio":
        return import_module("keystead.aio")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'keystead' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
