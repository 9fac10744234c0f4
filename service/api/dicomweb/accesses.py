"""DICOMweb in the audit trail: who fetched what, once for a study and not for each of its images."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

from fastapi import Request

from core.audit import Actor, AuditAction, AuditedStudy, AuditEvent, AuditKind
from service.access.gate import OWN_ACTOR
from service.access.principal import Principal
from service.api.parts import ApiParts

REPEATED_AFTER = timedelta(minutes=5)
"""A viewer asks for each image of a study by itself: one event tells of all it asks for in this time."""

MOST_REMEMBERED = 10_000
"""Pairs of reader and study."""


def address_of(request: Request) -> str:
    """Return the client's address."""
    return request.client.host if request.client else ""


class Accesses:
    """Remembers of which accesses the audit trail was told a moment ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told_at: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()

    def is_news(self, principal: str, address: str, study_instance_uid: str, now: datetime) -> bool:
        """Tell whether the audit trail is to be told of an access."""
        key = (principal, address, study_instance_uid)
        with self._lock:
            told_at = self._told_at.get(key)
            if told_at is not None and now - told_at < REPEATED_AFTER:
                return False
            self._told_at[key] = now
            self._told_at.move_to_end(key)
            if len(self._told_at) > MOST_REMEMBERED:
                self._told_at.popitem(last=False)
            return True


def record_access(
    parts: ApiParts, accesses: Accesses, principal: Principal, request: Request, study: AuditedStudy
) -> None:
    """Leave in the audit trail that somebody read images or results of a study."""
    address = address_of(request)
    if accesses.is_news(principal.name, address, study.study_instance_uid, parts.clock()):
        reader = Actor(principal.name, address, is_requestor=True, role="destination")
        parts.audit.record(
            AuditEvent(
                AuditKind.INSTANCES_ACCESSED,
                AuditAction.READ,
                (reader, OWN_ACTOR),
                studies=(study,),
                detail="WADO-RS",
            )
        )


def record_query(parts: ApiParts, principal: Principal, request: Request, keys: str) -> None:
    """Leave in the audit trail that somebody searched, and for what."""
    asker = Actor(principal.name, address_of(request), is_requestor=True, role="source")
    parts.audit.record(
        AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (asker, OWN_ACTOR), query=keys, detail="QIDO-RS")
    )
