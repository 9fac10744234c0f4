"""Composition for commands that look into the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.audit import Audit
from core.database import Sessions
from core.logs import configure_logs
from core.settings import AuditSettings, CommonSettings
from service.main.parts import open_audit, open_parts


@contextmanager
def open_trail(common: CommonSettings, settings: AuditSettings) -> Iterator[tuple[Sessions, Audit]]:
    """Open the trail: sessions that only read, and what keeps the event that somebody looked."""
    configure_logs(common, "audit")
    parts = open_parts(common)
    try:
        yield parts.read_sessions, open_audit(parts, settings)
    finally:
        parts.engine.dispose()
