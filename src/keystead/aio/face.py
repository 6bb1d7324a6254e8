"""What every async service of keys and secrets is: a face over the sync one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystead.services import kms


class Face:
    """Holds the sync service that does the work."""

    _sync: kms.KMSService
