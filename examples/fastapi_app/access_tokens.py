"""Access tokens: JWTs that say who calls, for a short time, to this application only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt

from keystead import SecretStr

ALGORITHM = "HS256"
ISSUER = "keystead-example"
AUDIENCE = "keystead-example/api"


class AccessTokens:
    """Issues and checks access tokens under one secret."""

    def __init__(self, secret: SecretStr, lifetime: timedelta) -> None:
        self._secret = secret
        self._lifetime = lifetime

    def issue(self, user: str) -> str:
        """An access token for a user."""
        now = datetime.now(UTC)
        claims = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + self._lifetime}
        return jwt.encode(claims, self._secret.reveal(), algorithm=ALGORITHM)

    def check(self, token: str) -> str:
        """The user whom a token was issued to.

        Raises:
            jwt.InvalidTokenError: forged, expired, for another audience, or signed in another way than ours.
        """
        claims = jwt.decode(
            token,
            self._secret.reveal(),
            algorithms=[ALGORITHM],  # never the one that the token names
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["sub", "iss", "aud", "iat", "exp"]},
        )
        return str(claims["sub"])
