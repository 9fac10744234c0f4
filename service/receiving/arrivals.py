"""What an association brought, kept until it ends and then told in one audit message a study."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from core.audit import Actor, AuditAction, AuditedStudy, AuditEvent, AuditKind
from service.receiving.instance_file import InstanceFile
from service.receiving.peer_rules import Caller

MAX_STUDIES = 1000
"""Studies of one association that are told apart; what comes after them is told as the last of them."""


@dataclass
class _Study:
    patient_id: str
    patient_name: str
    sop_classes: Counter[str] = field(default_factory=Counter)


class Arrivals:
    """Studies and numbers of instances, nothing of their content."""

    def __init__(self) -> None:
        self._studies: dict[str, _Study] = {}

    def add(self, file: InstanceFile) -> None:
        """Count an instance that was stored."""
        uid = file.header.study_instance_uid
        if uid not in self._studies and len(self._studies) >= MAX_STUDIES:
            uid = next(reversed(self._studies))
        known = self._studies.setdefault(uid, _Study(file.study.patient_id, file.study.patient_name))
        known.sop_classes[file.header.sop_class_uid] += 1

    def taken(self, caller: Caller, own_ae_title: str) -> AuditEvent | None:
        """Return what arrived since the last time; None when that is nothing."""
        studies, self._studies = self._studies, {}
        if not studies:
            return None
        return AuditEvent(
            AuditKind.INSTANCES_TRANSFERRED,
            AuditAction.CREATE,
            (
                Actor(caller.ae_title, caller.address, is_requestor=True, role="source"),
                Actor(own_ae_title, is_requestor=False, role="destination"),
            ),
            studies=tuple(
                AuditedStudy(uid, s.patient_id, s.patient_name, tuple(s.sop_classes.items()))
                for uid, s in studies.items()
            ),
        )
