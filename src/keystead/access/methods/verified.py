"""What every auth method gives for a credential that is good."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from hmac import compare_digest
from typing import NamedTuple

from keystead.access.principal import make_principal
from keystead.errors import AuthenticationFailed, UsageError


class Verified(NamedTuple):
    """Whom a credential names, by its auth method's own rules.

    `method` is `jwt` or `certificate`; `name` 1 to 256 printable characters, unique within the method's configuration
    only; `policies` sorted, each once; `expires_ms` the first millisecond at which the credential is no longer good;
    `groups` and `claims` (names and texts) what it said beside, for the log and for policies; `binding` what a renewal
    must show again, "" where nothing is bound; `mfa_ms` when a second factor was shown to who vouches for it, if that
    was told in the way that is taken.
    """

    method: str
    name: str
    policies: tuple[str, ...]
    expires_ms: int
    groups: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()
    binding: str = ""
    mfa_ms: int | None = None


def verified(
    method: str,
    name: object,
    policies: Iterable[str],
    expires_ms: int,
    *,
    groups: tuple[str, ...] = (),
    claims: Iterable[tuple[str, str]] = (),
    binding: str = "",
    mfa_ms: int | None = None,
) -> Verified:
    """A `Verified` whose name can be that of a principal.

    Raises:
        AuthenticationFailed: the name is no text, or none of 1 to 256 printable characters in Unicode's form C, by
            which one name has one spelling.
    """
    try:
        if not isinstance(name, str) or unicodedata.normalize("NFC", name) != name:
            raise UsageError("not a name")
        make_principal(method, name)
    except UsageError:
        raise AuthenticationFailed(reason_class="name") from None
    return Verified(method, name, tuple(sorted(set(policies))), expires_ms, groups, tuple(claims), binding, mfa_ms)


def check_binding(bound: str, again: Verified) -> None:
    """Nothing, if `again` shows what an access token was bound to when it was issued (RFC 8705, section 3).

    Whoever renews what was obtained with a certificate shows the same certificate, and not another of the same name.

    Raises:
        AuthenticationFailed: it shows something else.
    """
    if not compare_digest(bound.encode(), again.binding.encode()):
        raise AuthenticationFailed(reason_class="binding")


def policies_of(always: Iterable[str], roles: Iterable[tuple[bool, Iterable[str]]]) -> Iterator[str]:
    """The policies of all, and those of every role that fits.

    Raises:
        AuthenticationFailed: there are none, so that logging in would give a token that is good for nothing.
    """
    found = {*always, *(policy for fits, policies in roles if fits for policy in policies)}
    if not found:
        raise AuthenticationFailed(reason_class="no-role")
    return iter(sorted(found))
