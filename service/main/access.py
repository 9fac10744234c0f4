"""Composition of access: keys, tokens, login, and whether REST may listen where it is told to."""

from __future__ import annotations

import os
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from limits.storage import MemoryStorage, RedisStorage, Storage

from core.audit import Audit
from core.clock import utc_now
from core.errors import InvalidInput
from core.logs import configure_logs
from core.settings import AccessSettings, ApiSettings, AuditSettings, CommonSettings
from service.access.api_keys import KeyBook
from service.access.bearer import TokenJudge
from service.access.exposure import is_loopback
from service.access.gate import Gate
from service.access.limits import RateLimits
from service.access.login import Login
from service.access.provider import TIMEOUT_S, OpenIdProvider
from service.main.parts import Parts, open_audit, open_parts

SESSION_KEY_BYTES = 32
"""As long as the hash that signs with it (RFC 2104 section 3)."""

STORAGE_TIMEOUT_S = 2
"""Counting must not hold up what is counted."""


@dataclass(frozen=True, slots=True)
class Access:
    """What lets people and programs in."""

    gate: Gate
    login: Login | None
    session_key: str = field(repr=False)


def open_access(
    parts: Parts,
    common: CommonSettings,
    api: ApiSettings,
    access: AccessSettings,
    audit: Audit,
    http: httpx.Client,
) -> Access:
    """Build the gate and the login.

    Parameters
    ----------
    http
        Asks the OpenID provider.
    """
    provider = OpenIdProvider(access.oidc_issuer, http, time.monotonic)
    tokens = TokenJudge(access, provider, utc_now)
    gate = Gate(
        RateLimits(
            open_storage(common),
            requests_per_minute=access.requests_per_minute,
            failures_per_minute=access.failures_per_minute,
        ),
        audit,
        keys=open_key_book(parts) if access.api_keys else None,
        tokens=tokens if access.oidc_issuer else None,
        loopback_only=is_loopback(api.host) and not access.open,
    )
    return Access(gate, _login(access, provider, tokens, http), session_key(access))


def open_http(access: AccessSettings) -> httpx.Client:
    """Return a client that trusts the certificate authorities of the OpenID provider.

    Raises
    ------
    InvalidInput
        Their file cannot be used.
    """
    try:
        trusted = ssl.create_default_context(cafile=access.oidc_authorities)
    except (OSError, ssl.SSLError) as error:
        name = "METSERVE_ACCESS_OIDC_AUTHORITIES"
        raise InvalidInput(f"{name} names {str(access.oidc_authorities)!r}: {error}; expected PEM") from error
    return httpx.Client(timeout=TIMEOUT_S, verify=trusted)


@contextmanager
def open_keys(common: CommonSettings, audit: AuditSettings) -> Iterator[tuple[KeyBook, Audit]]:
    """Open the keys and the audit trail for a command."""
    configure_logs(common, "key")
    parts = open_parts(common)
    try:
        yield open_key_book(parts), open_audit(parts, audit)
    finally:
        parts.engine.dispose()


def open_key_book(parts: Parts) -> KeyBook:
    """Build the book of API keys."""
    return KeyBook(parts.sessions, parts.read_sessions, utc_now, os.urandom)


def _login(
    access: AccessSettings, provider: OpenIdProvider, tokens: TokenJudge, http: httpx.Client
) -> Login | None:
    """Build the login with a browser, if it is set up."""
    if not access.login_client_id:
        return None
    file = access.login_client_secret_file
    secret = _secret(file, "METSERVE_ACCESS_LOGIN_CLIENT_SECRET_FILE") if file else None
    return Login(access, provider, tokens, http, secrets.token_urlsafe, secret)


def session_key(access: AccessSettings) -> str:
    """Return what signs session cookies; without a file, logins end when the service does.

    Raises
    ------
    InvalidInput
        The file cannot be read, or holds too little.
    """
    name = "METSERVE_ACCESS_LOGIN_SESSION_KEY_FILE"
    if access.login_session_key_file is None:
        return secrets.token_urlsafe(SESSION_KEY_BYTES)
    key = _secret(access.login_session_key_file, name)
    if len(key.encode()) < SESSION_KEY_BYTES:
        raise InvalidInput(f"{name}: the file holds {len(key)} bytes, expected {SESSION_KEY_BYTES} or more")
    return key


def open_storage(common: CommonSettings) -> Storage:
    """Return where requests are counted: in Redis where it is the broker, else in this process."""
    if not common.broker_url.startswith(("redis://", "rediss://")):
        return MemoryStorage()
    return RedisStorage(
        common.broker_url, socket_timeout=STORAGE_TIMEOUT_S, socket_connect_timeout=STORAGE_TIMEOUT_S
    )


def _secret(file: Path, name: str) -> str:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name} names {str(file)!r}, expected a readable text file") from error
    if not secret:
        raise InvalidInput(f"{name}: {str(file)!r} is empty")
    return secret
