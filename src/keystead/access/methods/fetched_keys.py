"""An issuer's keys, asked for at the configured address, kept for a while, and asked for anew within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import getpid
from threading import Lock
from typing import Final

from keystead.access.methods.https import get
from keystead.access.methods.jwt_config import DISCOVERY_PATH, JwtConfig
from keystead.access.methods.key_set import MAX_BODY, KeySource, parse_key_set
from keystead.access.methods.strict_json import parse_object
from keystead.access.methods.url import parse_url
from keystead.crypto.jwk import PublicJwk
from keystead.errors import AuthenticationFailed

ASK_AGAIN_MS: Final = 60_000
"""An issuer is asked at most once in this time, whatever strangers' tokens name and however often it fails."""

Fetch = Callable[[str], bytes]


class FetchedKeys:
    """Keys from `jwks_url`, or from where the issuer's own discovery document says, cached for `cache_ms`.

    A `kid` that is not among them has the issuer asked again, at most once a minute, as its keys may have changed. If
    that fails, what is there is used until `cache_ms` and `grace_ms` are over. Safe for threads; who comes while
    another thread asks waits for it only if there are no keys. `fetch` stands in for the network.
    """

    def __init__(self, config: JwtConfig, fetch: Fetch | None = None) -> None:
        self._config = config
        self._fetch = fetch or self._get
        self._process = getpid()
        self._asking = Lock()
        self._keys: tuple[PublicJwk, ...] = ()
        self._fetched_ms = 0
        self._asked_ms: int | None = None
        self.problem = ""
        """Why the last request gave nothing, for the log and the status; "" where it did."""

    def keys(self, kid: str, now_ms: int) -> Sequence[PublicJwk]:
        if self._is_fresh(kid, now_ms):
            return self._keys
        if self._process != getpid():
            # A thread that asked when this process was forked is not here to let go of the lock.
            self._process, self._asking, self._asked_ms = getpid(), Lock(), None
        asking = self._asking
        if asking.acquire(blocking=not self._keys):
            try:
                if not self._is_fresh(kid, now_ms) and self._may_ask(now_ms):
                    self._ask(now_ms)
            finally:
                asking.release()
        if not self._keys or now_ms >= self._fetched_ms + self._config.cache_ms + self._config.grace_ms:
            raise AuthenticationFailed(reason_class="keys-unavailable")
        return self._keys

    def _is_fresh(self, kid: str, now_ms: int) -> bool:
        if not self._keys or now_ms >= self._fetched_ms + self._config.cache_ms:
            return False
        return kid == "" or any(key.kid == kid for key in self._keys)

    def _may_ask(self, now_ms: int) -> bool:
        return self._asked_ms is None or now_ms >= self._asked_ms + ASK_AGAIN_MS

    def _ask(self, now_ms: int) -> None:
        self._asked_ms = now_ms
        try:
            found = parse_key_set(self._fetch(self._key_url()), strict=False)
        except (OSError, ValueError) as error:
            self.problem = str(error)
            return
        self._keys, self._fetched_ms, self.problem = found, now_ms, ""

    def _key_url(self) -> str:
        """Where the keys are: configured, or told by a document that names the issuer exactly and leads nowhere else.

        Raises:
            ValueError: the document is not the issuer's own, or leads to a host that the configuration does not name.
        """
        config = self._config
        if config.jwks_url:
            return config.jwks_url
        told = parse_object(self._fetch(config.issuer.rstrip("/") + DISCOVERY_PATH))
        if told.get("issuer") != config.issuer:
            raise ValueError("the discovery document is another issuer's")
        url = told.get("jwks_uri")
        if not isinstance(url, str):
            raise ValueError("the discovery document has no jwks_uri")
        if parse_url(url).authority not in (parse_url(config.issuer).authority, *config.jwks_hosts):
            raise ValueError("the discovery document leads to a host that jwks_hosts does not list")
        return url

    def _get(self, url: str) -> bytes:
        return get(
            url,
            ca_pem=self._config.ca_pem,
            private_networks=self._config.private_networks,
            timeout_ms=self._config.timeout_ms,
            limit=MAX_BODY,
        )


def key_source(config: JwtConfig, fetch: Fetch | None = None) -> KeySource:
    """Where the keys of a configuration come from; kept for as long as the configuration, since it holds the cache."""
    return config.static_keys() if config.jwks else FetchedKeys(config, fetch)
