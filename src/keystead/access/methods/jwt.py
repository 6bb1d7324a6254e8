"""Tokens of an issuer (RFC 7519; OpenID Connect Core 1.0 section 3.1.3.7; RFC 8725)."""

from __future__ import annotations

from typing import Any, Final

from keystead.access.methods.jws import CompactJws, parse_jws
from keystead.access.methods.jwt_config import BoundClaim, JwtConfig, Scalar
from keystead.access.methods.key_set import KeySource
from keystead.access.methods.strict_json import parse_object
from keystead.access.methods.verified import Verified, policies_of, verified
from keystead.errors import AuthenticationFailed

MAX_GROUPS: Final = 1_000
MAX_CLAIM_TEXT: Final = 256
# What a token says of its own kind; a logout token or a security event is no proof of who logs in (RFC 8725, 3.11).
_KINDS: Final = ("", "jwt", "at+jwt", "application/jwt", "application/at+jwt")
_ALWAYS_SHOWN: Final = ("iss", "sub", "jti")
_LAST_SECOND: Final = 253_402_300_799
_ABSENT: Final = object()


def verify_jwt(config: JwtConfig, token: str, *, now_ms: int, keys: KeySource) -> Verified:
    """Whom a token names, if it is what `config` asks for at `now_ms`. Nothing in the token leads to a network.

    Signature by one of `keys` under a pinned algorithm; `iss`, `aud` and `exp` required; `nbf` and `iat` looked at
    where they stand; bound claims, kind (`typ`) and name as configured. The token is good up to, and not including,
    `exp` and leeway together, which is the `expires_ms` of the answer.

    Raises:
        AuthenticationFailed: anything is not as it must be; only `reason_class` says what.
    """
    jws = parse_jws(token, config.algorithms)
    if jws.kind.lower() not in _KINDS:
        raise AuthenticationFailed(reason_class="kind")
    claims = _claims(jws)
    # Before the keys are asked for: a stranger's token must not even cause a look at the issuer's keys.
    if claims.get("iss") != config.issuer:
        raise AuthenticationFailed(reason_class="issuer")
    jws.require_signature(keys.keys(jws.kid, now_ms))
    _check_audience(config, claims.get("aud"))
    expires_ms = _check_times(config, claims, now_ms)
    if not _all_bound(config.bound_claims, claims):
        raise AuthenticationFailed(reason_class="bound-claim")
    roles = ((_all_bound(role.bound_claims, claims), role.policies) for role in config.roles)
    return verified(
        "jwt",
        _claim(claims, config.name_claim),
        policies_of(config.policies, roles),
        expires_ms,
        groups=_groups(config, claims),
        claims=_shown(config, claims),
        mfa_ms=_second_factor_ms(config, claims, now_ms),
    )


def _claims(jws: CompactJws) -> dict[str, Any]:
    try:
        return parse_object(jws.payload)
    except ValueError:
        raise AuthenticationFailed(reason_class="form") from None


def _check_audience(config: JwtConfig, named: object) -> None:
    """One of ours is among them, each is compared whole, and none is a stranger's."""
    listed = named if isinstance(named, list) else [named]
    texts = [audience for audience in listed if isinstance(audience, str)]
    ours = any(audience in config.audiences for audience in texts)
    known = all(audience in config.audiences or audience in config.other_audiences for audience in texts)
    if not ours or not known or len(texts) != len(listed):
        raise AuthenticationFailed(reason_class="audience")


def _check_times(config: JwtConfig, claims: dict[str, Any], now_ms: int) -> int:
    expires = _date_ms(claims, "exp")
    begins, issued = _date_ms(claims, "nbf"), _date_ms(claims, "iat")
    if expires is None:
        raise AuthenticationFailed(reason_class="no-expiry")
    expires += config.leeway_ms
    if now_ms >= expires:
        raise AuthenticationFailed(reason_class="expired")
    if max(begins or 0, issued or 0) > now_ms + config.leeway_ms:
        raise AuthenticationFailed(reason_class="not-yet-valid")
    if config.max_age_ms:
        if issued is None or now_ms >= issued + config.max_age_ms + config.leeway_ms:
            raise AuthenticationFailed(reason_class="too-old")
        expires = min(expires, issued + config.max_age_ms + config.leeway_ms)
    return expires


def _second_factor_ms(config: JwtConfig, claims: dict[str, Any], now_ms: int) -> int | None:
    """When the issuer saw a second factor: at `auth_time`, if `amr` lists a way that the operator takes for one.

    Without both it is not known when, or how (RFC 8176; OpenID Connect Core 1.0, section 2), and so it never was.
    """
    ways = claims.get("amr")
    if not config.second_factor_amr or not isinstance(ways, list):
        return None
    if not any(isinstance(way, str) and way in config.second_factor_amr for way in ways):
        return None
    shown = _date_ms(claims, "auth_time")
    if shown is not None and shown > now_ms + config.leeway_ms:
        raise AuthenticationFailed(reason_class="not-yet-valid")
    return None if shown is None else min(shown, now_ms)


def _date_ms(claims: dict[str, Any], name: str) -> int | None:
    """A NumericDate in milliseconds; a text, a truth value or a date past the year 9999 is none."""
    value = claims.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_SECOND:
        raise AuthenticationFailed(reason_class="date")
    return int(value * 1_000)


def _claim(claims: dict[str, Any], name: str) -> object:
    """A claim by its name, or by a path through objects (RFC 6901) where the name begins with `/`."""
    if not name.startswith("/"):
        return claims.get(name, _ABSENT)
    value: object = claims
    for part in name[1:].split("/"):
        if not isinstance(value, dict):
            return _ABSENT
        value = value.get(part.replace("~1", "/").replace("~0", "~"), _ABSENT)
    return value


def _all_bound(bound: tuple[BoundClaim, ...], claims: dict[str, Any]) -> bool:
    return all(_is_bound(_claim(claims, name), values) for name, values in bound)


def _is_bound(value: object, allowed: tuple[Scalar, ...]) -> bool:
    """Whether a claim, or one entry of a claim that is a list, is one of the values, of the same type and whole."""
    listed = value if isinstance(value, list) else [value]
    return any(type(entry) is type(known) and entry == known for entry in listed for known in allowed)


def _groups(config: JwtConfig, claims: dict[str, Any]) -> tuple[str, ...]:
    named = _claim(claims, config.groups_claim) if config.groups_claim else _ABSENT
    if named is _ABSENT:
        return ()
    listed = named if isinstance(named, list) else [named]
    if len(listed) > MAX_GROUPS or not all(_is_shown(group) for group in listed):
        raise AuthenticationFailed(reason_class="groups")
    return tuple(dict.fromkeys(listed))


def _is_shown(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_CLAIM_TEXT and value.isprintable()


def _shown(config: JwtConfig, claims: dict[str, Any]) -> list[tuple[str, str]]:
    """The claims that go to the log: texts as they are, numbers and truth values as JSON spells them."""
    shown = []
    for name in dict.fromkeys((*_ALWAYS_SHOWN, *config.shown_claims)):
        value = _claim(claims, name)
        if isinstance(value, bool):
            value = "true" if value else "false"
        text = str(value) if isinstance(value, int) else value
        if isinstance(text, str) and _is_shown(text):
            shown.append((name, text))
    return shown
