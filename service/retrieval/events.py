"""Who asked, as a principal and as audit events (PS3.15 A.5.3.4, A.5.3.10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pynetdicom import evt

from core.audit import Actor, AuditAction, AuditedStudy, AuditEvent, AuditKind, AuditOutcome
from service.access.principal import Principal, Role
from service.catalogue.instances import StoredInstance
from service.catalogue.matching import values_of


def calling_ae_title(event: evt.Event) -> str:
    """Return who opened the association."""
    return str(event.assoc.requestor.ae_title).strip()


def principal_of(event: evt.Event) -> Principal:
    """Return a peer as a principal: whoever has the right to query sees every study."""
    return Principal(calling_ae_title(event), frozenset({Role.VIEWER}))


def query_event(event: evt.Event, identifier: Dataset, ae_title: str) -> AuditEvent:
    """Return the audit event of a C-FIND."""
    keywords = (keyword_for_tag(tag) for tag in identifier.keys())  # noqa: SIM118 - not the elements
    asked = {keyword: values_of(identifier, keyword) for keyword in keywords if keyword}
    return AuditEvent(
        AuditKind.QUERY,
        AuditAction.EXECUTE,
        (_requestor(event, "source"), Actor(ae_title, is_requestor=False, role="destination")),
        query=", ".join(f"{keyword}={'/'.join(values)}" for keyword, values in asked.items()),
    )


def transfer_event(
    event: evt.Event,
    ae_title: str,
    receiver: Actor | None,
    sent: Iterable[StoredInstance],
    patients: dict[str, tuple[str, str]],
    *,
    failed: int,
) -> AuditEvent:
    """Return the audit event of a C-MOVE or C-GET: what was sent to whom.

    Parameters
    ----------
    receiver
        The destination of a C-MOVE; None: the requestor itself.
    patients
        Study Instance UID -> patient's ID and name.
    """
    ours = Actor(ae_title, is_requestor=False, role="source")
    theirs = _requestor(event, "" if receiver else "destination")
    classes: dict[str, Counter[str]] = {}
    for instance in sent:
        classes.setdefault(instance.study_instance_uid, Counter())[instance.sop_class_uid] += 1
    return AuditEvent(
        AuditKind.INSTANCES_TRANSFERRED,
        AuditAction.READ,
        (ours, theirs) if receiver is None else (ours, receiver, theirs),
        AuditOutcome.MINOR_FAILURE if failed else AuditOutcome.SUCCESS,
        tuple(
            AuditedStudy(study, *patients.get(study, ("", "")), tuple(sorted(counter.items())))
            for study, counter in classes.items()
        ),
        detail=f"{failed} instances were not sent" if failed else "",
    )


def _requestor(event: evt.Event, role: str) -> Actor:
    address = event.assoc.requestor.address_info
    return Actor(calling_ae_title(event), str(address.address) if address else "", role=role)
