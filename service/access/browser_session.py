"""What the signed cookie of a login holds: who it is, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from service.access.credentials import Identity
from service.access.principal import Principal, Role

FIELD = "login"
"""Of the session."""


def session_of(principal: Principal, subject: str, now: datetime, lifetime: timedelta) -> dict[str, Any]:
    """Return what the session keeps of a login."""
    return {
        "name": principal.name,
        "subject": subject,
        "roles": sorted(principal.roles),
        "sources": None if principal.sources is None else sorted(principal.sources),
        "until": (now + lifetime).timestamp(),
    }


def identity_of(session: Mapping[str, Any], now: datetime) -> Identity | None:
    """Return who logged in, None when nobody did or the login is over."""
    login = session.get(FIELD)
    if login is None or now.timestamp() >= login["until"]:
        return None
    sources = login["sources"]
    principal = Principal(
        name=login["name"],
        roles=frozenset(Role(name) for name in login["roles"]),
        sources=None if sources is None else frozenset(sources),
    )
    return Identity(principal, f"user:{login['subject']}")
