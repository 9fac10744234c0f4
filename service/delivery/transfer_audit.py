"""What the audit trail is told of a push: that it began, and what became of it (PS3.15 A.5.3.3, A.5.3.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from core.audit import (
    Actor,
    Audit,
    AuditAction,
    AuditedStudy,
    AuditEvent,
    AuditKind,
    AuditOutcome,
)
from core.destinations import Destination, DicomDestination, WebDestination
from service.delivery.push_report import PushReport, Verdict
from service.delivery.results import ResultObject


class TransferAudit:
    """Tells the audit trail about pushes.

    Parameters
    ----------
    ae_title
        Ours, as a sender.
    """

    def __init__(self, audit: Audit, ae_title: str) -> None:
        self._audit = audit
        self._ae_title = ae_title

    def begins(self, destination: Destination, study: AuditedStudy, results: Sequence[ResultObject]) -> None:
        """Leave word that objects are about to go out."""
        self._record(AuditKind.BEGIN_TRANSFER, AuditAction.EXECUTE, destination, _with(study, results))

    def ended(
        self,
        destination: Destination,
        study: AuditedStudy,
        results: Sequence[ResultObject],
        report: PushReport,
    ) -> None:
        """Leave word of what arrived; of what was meant to when nothing did."""
        self._record(
            AuditKind.INSTANCES_TRANSFERRED,
            AuditAction.READ,
            destination,
            _with(study, report.stored or results),
            _outcome(report),
            report.message,
        )

    def _record(
        self,
        kind: AuditKind,
        action: AuditAction,
        destination: Destination,
        study: AuditedStudy,
        outcome: AuditOutcome = AuditOutcome.SUCCESS,
        detail: str = "",
    ) -> None:
        actors = (Actor(self._ae_title, role="source"), _actor(destination))
        self._audit.record(AuditEvent(kind, action, actors, outcome, (study,), detail))


def _outcome(report: PushReport) -> AuditOutcome:
    if report.verdict is Verdict.STORED:
        return AuditOutcome.SUCCESS
    return AuditOutcome.MINOR_FAILURE if report.verdict is Verdict.RETRY else AuditOutcome.SERIOUS_FAILURE


def _actor(destination: Destination) -> Actor:
    if isinstance(destination, DicomDestination):
        return Actor(destination.ae_title, destination.host, is_requestor=False, role="destination")
    if isinstance(destination, WebDestination):
        return Actor(destination.url, is_requestor=False, role="destination")
    raise TypeError(f"{type(destination).__name__} is neither a DICOM nor a DICOMweb destination")


def _with(study: AuditedStudy, results: Sequence[ResultObject]) -> AuditedStudy:
    counts = Counter(result.sop_class_uid for result in results)
    return replace(study, sop_classes=tuple(sorted(counts.items())))
