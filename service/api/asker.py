"""Who asks, and what the audit trail is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from core.audit import Actor, Audit, AuditAction, AuditedStudy, AuditEvent, AuditKind
from core.clock import Clock
from core.database import StudyRow
from service.access.gate import OWN_ACTOR
from service.access.principal import Principal
from service.api.dicomweb.accesses import Accesses
from service.api.parts import PartsOf, PrincipalOf


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody whose request is served.

    Call its methods outside of a transaction that writes: the audit trail writes by itself, and
    SQLite has one writer.
    """

    principal: Principal
    address: str
    audit: Audit
    accesses: Accesses
    clock: Clock

    @property
    def actor(self) -> Actor:
        """Who asks, as the audit trail names him."""
        return Actor(self.principal.name, self.address)

    def read(self, study: AuditedStudy) -> None:
        """Leave in the audit trail that a study, its findings or its results were read.

        Once in a while for a study: a page that asks again every second tells nothing new.
        """
        if self.accesses.is_news(self.principal.name, self.address, study.study_instance_uid, self.clock()):
            self._record(AuditKind.INSTANCES_ACCESSED, AuditAction.READ, (study,), "REST")

    def ordered(self, study: AuditedStudy, what: str) -> None:
        """Leave in the audit trail that something was done with a study."""
        self._record(AuditKind.INSTANCES_ACCESSED, AuditAction.EXECUTE, (study,), what)

    def searched(self, keys: str) -> None:
        """Leave in the audit trail that somebody searched, and for what."""
        event = AuditEvent(
            AuditKind.QUERY, AuditAction.EXECUTE, self._actors("source"), detail="REST", query=keys
        )
        self.audit.record(event)

    def _record(
        self, kind: AuditKind, action: AuditAction, studies: tuple[AuditedStudy, ...], detail: str
    ) -> None:
        self.audit.record(
            AuditEvent(kind, action, self._actors("destination"), studies=studies, detail=detail)
        )

    def _actors(self, role: str) -> tuple[Actor, ...]:
        return (Actor(self.principal.name, self.address, role=role), OWN_ACTOR)


def audited(study: StudyRow) -> AuditedStudy:
    """Return a study as the audit trail names it."""
    return AuditedStudy(study.study_instance_uid, study.patient_id, study.patient_name)


def _asker_of(request: Request, parts: PartsOf, principal: PrincipalOf) -> Asker:
    return Asker(
        principal,
        request.client.host if request.client else "",
        parts.audit,
        request.app.state.accesses,
        parts.clock,
    )


AskerOf = Annotated[Asker, Depends(_asker_of)]
