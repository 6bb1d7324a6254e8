"""The settings of a server for a store, with the flags of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keystead.node.location import Location
    from keystead.server.settings import Configuration


def configuration_for(location: Location, flags: Mapping[str, Any], **usual: Any) -> Configuration:
    """The settings, and where each came from. `usual` are defaults of the command's own.

    Raises:
        ConfigurationError.
    """
    from keystead.node.settings import environment, settings_file
    from keystead.server.settings import load_configuration

    return load_configuration(settings_file(location), environment(), flags, usual)
