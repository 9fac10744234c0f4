"""The gate: decides about each association before anything of it is negotiated, and tells of refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from ssl import SSLSocket

from prometheus_client import Counter
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from core.audit import Actor, Audit, AuditAction, AuditEvent, AuditKind, AuditOutcome
from core.logs import logger
from core.peers import Right
from core.study_store import StudyStore
from core.tls import names_in
from service.receiving.peer_rules import Admission, Caller, PeerRules
from service.receiving.visit import visit_of

UNKNOWN_CALLING_AE_TITLE = (0x01, 0x01, 0x03)
LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)
"""Result, source and reason of an A-ASSOCIATE-RJ, PS3.8 9.3.4: permanent; transient, try again later."""

ALERT_EVERY_S = 60.0
"""One audit message for an address and a reason in so long: a flood must not fill the trail."""

MAX_ALERTS_KEPT = 1000
"""Addresses remembered for that."""

REJECTIONS = Counter("metserve_associations_refused", "Connections and associations refused.", ["reason"])


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: str
    answer: tuple[int, int, int]


class Gate:
    """Judges callers.

    Parameters
    ----------
    storage
        Presentation contexts of the storage classes; who may retrieve needs them too, for C-GET.
    contexts
        The others, by the right they need.
    minimum_free_bytes
        With less disk than this left no association for storage is begun: the sender keeps its study.
    monotonic
        Seconds that only grow.
    """

    def __init__(
        self,
        rules: PeerRules,
        storage: Sequence[PresentationContext],
        contexts: Mapping[Right, Sequence[PresentationContext]],
        store: StudyStore,
        minimum_free_bytes: int,
        audit: Audit,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rules = rules
        self._storage = storage
        self._contexts = contexts
        self._store = store
        self._minimum_free_bytes = minimum_free_bytes
        self._audit = audit
        self._monotonic = monotonic
        self._alerted_at: dict[tuple[str, str], float] = {}

    def judge(self, association: Association) -> _Refusal | None:
        """Return why an association is refused; one that is not gets the contexts of its rights."""
        caller = caller_of(association)
        admission = self.rules.admit(caller)
        if admission.mismatch is not None:
            self.tell(str(admission.mismatch), caller)
            return _Refusal(str(admission.mismatch), UNKNOWN_CALLING_AE_TITLE)
        if _associations_beside(association) >= self.rules.maximum_associations:
            self.tell("too_many_associations", caller)
            return _Refusal("too_many_associations", LOCAL_LIMIT_EXCEEDED)
        if Right.STORE in admission.rights and self._is_disk_full():
            self.tell("disk_full", caller)
            return _Refusal("disk_full", LOCAL_LIMIT_EXCEEDED)
        visit_of(association).admission = admission
        association.acceptor.supported_contexts = self._contexts_of(admission)
        return None

    def tell(self, reason: str, caller: Caller) -> None:
        """Count a refusal, log it, and put it into the audit trail, the last two not for each of a flood."""
        REJECTIONS.labels(reason).inc()
        now, key = self._monotonic(), (caller.address, reason)
        if now - self._alerted_at.get(key, -ALERT_EVERY_S) < ALERT_EVERY_S:
            return
        if len(self._alerted_at) >= MAX_ALERTS_KEPT:
            self._alerted_at.clear()
        self._alerted_at[key] = now
        logger().warning("connection refused", reason=reason, calling_ae_title=caller.ae_title)
        self._audit.record(
            AuditEvent(
                AuditKind.SECURITY_ALERT,
                AuditAction.EXECUTE,
                (Actor(caller.ae_title or "unknown", caller.address),),
                AuditOutcome.SERIOUS_FAILURE,
                detail=f"DICOM association refused: {reason}",
            )
        )

    def _contexts_of(self, admission: Admission) -> list[PresentationContext]:
        offered = [
            copy(context)
            for right, contexts in self._contexts.items()
            if right in admission.rights
            for context in contexts
        ]
        return offered + self._storage_contexts(admission.rights)

    def _storage_contexts(self, rights: frozenset[Right]) -> list[PresentationContext]:
        """Return the storage contexts in the roles a peer may have: it sends to us, or gets by C-GET."""
        if not rights & {Right.STORE, Right.RETRIEVE}:
            return []
        contexts = [copy(context) for context in self._storage]  # roles are set on the copies
        if Right.RETRIEVE in rights:
            for context in contexts:
                context.scu_role, context.scp_role = Right.STORE in rights, True
        return contexts

    def _is_disk_full(self) -> bool:
        return self._store.free_bytes() < self._minimum_free_bytes


class JudgingACSE(ACSE):
    """An association's control service that asks the gate first."""

    def __init__(self, association: Association, gate: Gate) -> None:
        super().__init__(association)
        self._gate = gate

    def _negotiate_as_acceptor(self) -> None:
        refusal = self._gate.judge(self.assoc)
        if refusal is None:
            super()._negotiate_as_acceptor()
            return
        self.send_reject(*refusal.answer)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})
        self.assoc.kill()


def _associations_beside(association: Association) -> int:
    """Return how many others of this door have asked for an association; silent connections do not count."""
    server = association._server
    others = server.active_associations if server is not None else []
    return sum(one is not association and one.requestor.primitive is not None for one in others)


def caller_of(association: Association) -> Caller:
    """Return who asks for an association, as far as it is known by now."""
    requestor = association.requestor
    transport = association.dul.socket
    connection = transport.socket if transport is not None else None
    names = None
    if isinstance(connection, SSLSocket):
        names = names_in(connection.getpeercert() or {})
    primitive = requestor.primitive
    return Caller(
        _printable(str(getattr(primitive, "calling_ae_title", "") or "")).strip(),
        str(requestor.address_info.address if requestor.address_info else ""),
        names,
    )


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
