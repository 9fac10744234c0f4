"""Audit messages as XML (DICOM PS3.15 A.5.1)."""

from __future__ import annotations

import base64
from datetime import datetime
from ipaddress import ip_address
from xml.etree import ElementTree as ET

from core.audit import Actor, AuditedStudy, AuditEvent
from service.audit.codes import (
    EVENT_TYPES,
    EVENTS,
    PATIENT_NUMBER_TYPE,
    PATIENT_ROLE,
    PERSON,
    QUERY_ROLE,
    REPORT_ROLE,
    ROLES,
    SOP_CLASS_UID_TYPE,
    STUDY_UID_TYPE,
    SYSTEM_OBJECT,
    Code,
)

APPLICATION_SERVER = "4"
"""AuditSourceTypeCode, PS3.15 table A.5.2-1: application server process."""

MACHINE_NAME, IP_ADDRESS = "1", "2"
"""NetworkAccessPointTypeCode."""


def message_of(event: AuditEvent, *, source_id: str, at: datetime) -> str:
    """Return an event as an AuditMessage.

    Parameters
    ----------
    source_id
        What the repository knows this installation by.
    at
        When it happened.
    """
    root = ET.Element("AuditMessage")
    identification = ET.SubElement(
        root,
        "EventIdentification",
        {
            "EventActionCode": event.action.value,
            "EventDateTime": at.isoformat(timespec="milliseconds"),
            "EventOutcomeIndicator": str(int(event.outcome)),
        },
    )
    _coded(identification, "EventID", EVENTS[event.kind])
    if event.kind in EVENT_TYPES:
        _coded(identification, "EventTypeCode", EVENT_TYPES[event.kind])
    if event.detail:
        ET.SubElement(identification, "EventOutcomeDescription").text = _clean(event.detail)
    for actor in event.actors:
        _participant(root, actor)
    source = ET.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": source_id})
    ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    for study in event.studies:
        _study(root, study)
    if event.query:
        _query(root, event.query)
    return ET.tostring(root, encoding="unicode")


def _participant(root: ET.Element, actor: Actor) -> None:
    attributes = {"UserID": _clean(actor.user_id), "UserIsRequestor": str(actor.is_requestor).lower()}
    if actor.network_address:
        attributes["NetworkAccessPointID"] = _clean(actor.network_address)
        attributes["NetworkAccessPointTypeCode"] = _access_point_type(actor.network_address)
    participant = ET.SubElement(root, "ActiveParticipant", attributes)
    if actor.role in ROLES:
        _coded(participant, "RoleIDCode", ROLES[actor.role])


def _study(root: ET.Element, study: AuditedStudy) -> None:
    item = _object(root, study.study_instance_uid, SYSTEM_OBJECT, REPORT_ROLE, STUDY_UID_TYPE)
    ET.SubElement(item, "ParticipantObjectName").text = _clean(study.study_instance_uid)
    if study.sop_classes:
        description = ET.SubElement(item, "ParticipantObjectDescription")
        for uid, count in study.sop_classes:
            ET.SubElement(description, "SOPClass", {"UID": uid, "NumberOfInstances": str(count)})
    if study.patient_id or study.patient_name:
        patient = _object(root, study.patient_id or "none", PERSON, PATIENT_ROLE, PATIENT_NUMBER_TYPE)
        ET.SubElement(patient, "ParticipantObjectName").text = _clean(study.patient_name)


def _query(root: ET.Element, query: str) -> None:
    item = _object(root, "", SYSTEM_OBJECT, QUERY_ROLE, SOP_CLASS_UID_TYPE)
    encoded = base64.b64encode(query.encode()).decode("ascii")
    ET.SubElement(item, "ParticipantObjectQuery").text = encoded


def _object(root: ET.Element, identifier: str, kind: str, role: str, identifier_type: Code) -> ET.Element:
    item = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": _clean(identifier),
            "ParticipantObjectTypeCode": kind,
            "ParticipantObjectTypeCodeRole": role,
        },
    )
    _coded(item, "ParticipantObjectIDTypeCode", identifier_type)
    return item


def _coded(parent: ET.Element, name: str, code: Code) -> None:
    ET.SubElement(parent, name, code.attributes())


def _access_point_type(address: str) -> str:
    try:
        ip_address(address.partition("%")[0])
    except ValueError:
        return MACHINE_NAME
    return IP_ADDRESS


def _clean(text: str) -> str:
    """Leave out what XML 1.0 cannot hold; names come from peers."""
    return "".join(
        c
        for c in text
        if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
