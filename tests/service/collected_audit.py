"""An audit trail in memory."""

from __future__ import annotations

from core.audit import AuditEvent, AuditKind


class CollectedAudit:
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)

    def of(self, kind: AuditKind) -> list[AuditEvent]:
        return [event for event in self.events if event.kind is kind]
