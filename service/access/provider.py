"""The hospital's OpenID provider: its published configuration and signing keys, kept for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from core.errors import Transient
from core.logs import logger

CONFIGURATION_PATH = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, section 4."""

TIMEOUT_S = 5.0
"""A request waits for the provider this long at most."""

KEYS_LIFETIME_S = 3600.0
"""So long keys are taken as published; a key that was withdrawn is refused after that."""

REFRESH_PAUSE_S = 30.0
"""Not sooner after one try than this: tokens with invented key ids must not make us ask for each."""

MonotonicClock = Callable[[], float]


class OpenIdProvider:
    """Fetches keys when they are needed.

    Parameters
    ----------
    issuer
        As in the settings and in each token (iss).
    monotonic
        Seconds that only grow.
    """

    def __init__(self, issuer: str, http: httpx.Client, monotonic: MonotonicClock) -> None:
        self._issuer = issuer
        self._http = http
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._configuration: dict[str, Any] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def key(self, key_id: str | None) -> Key | None:
        """Return a signing key, None when the provider has none of that id.

        A token need not name its key where the provider has one alone (OpenID Connect Core 10.1).

        Raises
        ------
        Transient
            The provider does not answer, and no key is known.
        """
        with self._lock:
            if self._is_old() or (key_id is not None and key_id not in self._keys):
                self._refresh()
            if key_id is None:
                return next(iter(self._keys.values())) if len(self._keys) == 1 else None
            return self._keys.get(key_id)

    def endpoint(self, name: str) -> str:
        """Return the URL of an endpoint, such as token_endpoint.

        Raises
        ------
        Transient
            The provider does not answer, or has no such endpoint.
        """
        with self._lock:
            if self._is_old():
                self._refresh()
            url = self._configuration.get(name)
        if not isinstance(url, str):
            raise Transient(f"the OpenID provider has no {name}")
        return url

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._monotonic() - self._fetched_at > KEYS_LIFETIME_S

    def _refresh(self) -> None:
        now = self._monotonic()
        if self._tried_at is None or now - self._tried_at >= REFRESH_PAUSE_S:
            self._tried_at = now
            try:
                self._fetch()
                self._fetched_at = now
            except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                logger().error("the OpenID provider gave no keys", error=type(error).__name__)
        if self._fetched_at is None:
            raise Transient("the OpenID provider does not answer; tokens cannot be judged")

    def _fetch(self) -> None:
        configuration = self._json(self._issuer.rstrip("/") + CONFIGURATION_PATH)
        if configuration["issuer"] != self._issuer:
            raise ValueError(f"issuer {configuration['issuer']!r}, expected {self._issuer!r}")
        published = KeySet.import_key_set(self._json(str(configuration["jwks_uri"])))  # type: ignore[arg-type]
        self._keys = {
            str(key.kid or key.thumbprint()): key for key in published.keys if key.get("use") in (None, "sig")
        }
        self._configuration = configuration

    def _json(self, url: str) -> dict[str, Any]:
        content: dict[str, Any] = self._http.get(url).raise_for_status().json()
        return content
