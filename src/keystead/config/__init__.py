"""An application's configuration: schema, sources, references, masking.

What a schema is written with is found here by name; a name's module is imported when it is first asked for, so that
reading a `.env` file does not bring in the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystead.config.convert import Json as Json
    from keystead.config.declare import From as From
    from keystead.config.declare import Public as Public
    from keystead.config.declare import SecretStr as SecretStr
    from keystead.config.masking import mask_uri as mask_uri
    from keystead.config.sizes import ByteSize as ByteSize
    from keystead.config.status import ConfigStatus as ConfigStatus
    from keystead.config.urls import URL as URL
    from keystead.config.urls import SecretURL as SecretURL

__all__ = ["URL", "ByteSize", "ConfigStatus", "From", "Json", "Public", "SecretStr", "SecretURL", "mask_uri"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    room = {
        "Json": "convert",
        "mask_uri": "masking",
        "ByteSize": "sizes",
        "ConfigStatus": "status",
        "URL": "urls",
        "SecretURL": "urls",
    }.get(name, "declare")
    return getattr(import_module(f"{__name__}.{room}"), name)
