"""What an audit message is about: studies, patients, a query, a refusal (PS3.15 A.5.2, A.5.3)."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

from core.audit import AuditedStudy, AuditEvent, AuditKind
from service.audit.codes import (
    NODE_ID_TYPE,
    PATIENT_NUMBER_TYPE,
    PATIENT_ROLE,
    PERSON,
    REPORT_ROLE,
    SECURITY_RESOURCE_ROLE,
    SOP_CLASS_UID_TYPE,
    STUDY_UID_TYPE,
    SYSTEM_OBJECT,
    URI_TYPE,
    Code,
)
from service.audit.xml_text import coded, xml_text

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND."""

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND, PS3.4 C.6.2.3."""

NO_PATIENT = "unknown"
"""ParticipantObjectID of a patient whose study has no Patient ID: the object is mandatory."""

AUDIT_LOG_URI = "urn:metserve:audit"
"""What our trail is called where somebody looked into it."""


def append_objects(root: ET.Element, event: AuditEvent) -> None:
    """Append everything an event is about."""
    for study in event.studies:
        _study(root, study)
    for patient_id, patient_name in dict.fromkeys((s.patient_id, s.patient_name) for s in event.studies):
        _named(root, patient_id or NO_PATIENT, patient_name, PERSON, PATIENT_ROLE, PATIENT_NUMBER_TYPE)
    match event.kind:
        case AuditKind.QUERY:
            _query(root, event)
        case AuditKind.SECURITY_ALERT:
            _alert(root, event)
        case AuditKind.AUDIT_LOG_USED:
            _named(root, AUDIT_LOG_URI, "Security Audit Log", SYSTEM_OBJECT, SECURITY_RESOURCE_ROLE, URI_TYPE)


def _study(root: ET.Element, study: AuditedStudy) -> None:
    uid = study.study_instance_uid
    item = _named(root, uid, uid, SYSTEM_OBJECT, REPORT_ROLE, STUDY_UID_TYPE)
    if study.sop_classes:
        description = ET.SubElement(item, "ParticipantObjectDescription")
        for sop_class, count in study.sop_classes:
            attributes = {"UID": xml_text(sop_class), "NumberOfInstances": str(count)}
            ET.SubElement(description, "SOPClass", attributes)


def _query(root: ET.Element, event: AuditEvent) -> None:
    """Append what was searched for; one over HTTP has no SOP class, but a name in ``detail``."""
    if event.detail:
        item = _object(root, event.detail, SYSTEM_OBJECT, REPORT_ROLE, URI_TYPE)
    else:
        sop_class = STUDY_ROOT_FIND
        item = _object(root, sop_class, SYSTEM_OBJECT, REPORT_ROLE, SOP_CLASS_UID_TYPE)
    ET.SubElement(item, "ParticipantObjectQuery").text = _base64(event.query)


def _alert(root: ET.Element, event: AuditEvent) -> None:
    """Append who caused the alert, and why (mandatory, A.5.3.11)."""
    subject = event.actors[0].user_id if event.actors else ""
    item = _named(root, subject, subject, SYSTEM_OBJECT, SECURITY_RESOURCE_ROLE, NODE_ID_TYPE)
    attributes = {"type": "Alert Description", "value": _base64(event.detail)}
    ET.SubElement(item, "ParticipantObjectDetail", attributes)


def _named(
    root: ET.Element, identifier: str, name: str, object_type: str, role: str, id_type: Code
) -> ET.Element:
    item = _object(root, identifier, object_type, role, id_type)
    ET.SubElement(item, "ParticipantObjectName").text = xml_text(name)
    return item


def _object(root: ET.Element, identifier: str, object_type: str, role: str, id_type: Code) -> ET.Element:
    item = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": xml_text(identifier),
            "ParticipantObjectTypeCode": object_type,
            "ParticipantObjectTypeCodeRole": role,
        },
    )
    coded(item, "ParticipantObjectIDTypeCode", id_type)
    return item


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
