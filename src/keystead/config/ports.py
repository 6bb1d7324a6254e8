"""What configuration needs from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from keystead.secrets.value import SecretValue


class SecretSource(Protocol):
    """Where secrets come from: a SecretsManager, or anything that answers the same question."""

    def get_secrets(
        self, names: Sequence[str], *, missing: Literal["raise", "skip"] = "raise"
    ) -> Mapping[str, SecretValue]:
        """The values of these names (`NAME`, `NAME#3`, `NAME#previous`), each under the text it was asked by.

        With `missing="skip"` a name that was never held is left out; one that expired, was deleted or is denied
        raises all the same.
        """
