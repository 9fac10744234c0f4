"""Codes of audit messages: PS3.16 CID 400 to 404, and the value sets of PS3.15 A.5.1.2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.audit import AuditAction, AuditKind


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value as an attribute triple of the audit schema."""

    value: str
    meaning: str
    scheme: str = "DCM"

    def attributes(self) -> dict[str, str]:
        """Return the XML attributes of PS3.15 A.5.1."""
        return {
            "csd-code": self.value,
            "codeSystemName": self.scheme,
            "originalText": self.meaning,
        }


EVENTS: Mapping[AuditKind, Code] = MappingProxyType(
    {
        AuditKind.APPLICATION_START: Code("110100", "Application Activity"),
        AuditKind.APPLICATION_STOP: Code("110100", "Application Activity"),
        AuditKind.AUDIT_LOG_USED: Code("110101", "Audit Log Used"),
        AuditKind.BEGIN_TRANSFER: Code("110102", "Begin Transferring DICOM Instances"),
        AuditKind.INSTANCES_ACCESSED: Code("110103", "DICOM Instances Accessed"),
        AuditKind.INSTANCES_TRANSFERRED: Code("110104", "DICOM Instances Transferred"),
        AuditKind.STUDY_DELETED: Code("110105", "DICOM Study Deleted"),
        AuditKind.DATA_EXPORT: Code("110106", "Export"),
        AuditKind.QUERY: Code("110112", "Query"),
        AuditKind.SECURITY_ALERT: Code("110113", "Security Alert"),
        AuditKind.USER_AUTHENTICATION: Code("110114", "User Authentication"),
    }
)
"""EventID, CID 400."""

EVENT_TYPES: Mapping[AuditKind, Code] = MappingProxyType(
    {
        AuditKind.APPLICATION_START: Code("110120", "Application Start"),
        AuditKind.APPLICATION_STOP: Code("110121", "Application Stop"),
        AuditKind.SECURITY_ALERT: Code("110126", "Node Authentication"),
        AuditKind.USER_AUTHENTICATION: Code("110122", "Login"),
    }
)
"""EventTypeCode, CID 401; where A.5.3 asks for one."""

RIGHTS_CHANGED = Code("110137", "User Security Attributes Changed")
"""EventTypeCode of a SECURITY_ALERT that tells of a changed right, not of a refusal."""

CHANGES = frozenset({AuditAction.CREATE, AuditAction.UPDATE, AuditAction.DELETE})

ACTIONS: Mapping[AuditKind, AuditAction] = MappingProxyType(
    {
        AuditKind.APPLICATION_START: AuditAction.EXECUTE,
        AuditKind.APPLICATION_STOP: AuditAction.EXECUTE,
        AuditKind.AUDIT_LOG_USED: AuditAction.READ,
        AuditKind.BEGIN_TRANSFER: AuditAction.EXECUTE,
        AuditKind.STUDY_DELETED: AuditAction.DELETE,
        AuditKind.DATA_EXPORT: AuditAction.READ,
        AuditKind.QUERY: AuditAction.EXECUTE,
        AuditKind.SECURITY_ALERT: AuditAction.EXECUTE,
        AuditKind.USER_AUTHENTICATION: AuditAction.EXECUTE,
    }
)
"""EventActionCode where A.5.3 allows one value only."""

ROLES: Mapping[str, Code] = MappingProxyType(
    {
        "application": Code("110150", "Application"),
        "source": Code("110153", "Source Role ID"),
        "destination": Code("110152", "Destination Role ID"),
    }
)
"""RoleIDCode of a participant, CID 402."""

DESTINATION_MEDIA = Code("110154", "Destination Media")
MEDIA_BY_URI = Code("110037", "URI")
"""RoleIDCode and MediaType (CID 405) of files that leave the service."""

STUDY_UID_TYPE = Code("110180", "Study Instance UID")
SOP_CLASS_UID_TYPE = Code("110181", "SOP Class UID")
NODE_ID_TYPE = Code("110182", "Node ID")
PATIENT_NUMBER_TYPE = Code("2", "Patient Number", "RFC-3881")
URI_TYPE = Code("12", "URI", "RFC-3881")
"""ParticipantObjectIDTypeCode, CID 404 and RFC 3881 section 5.5."""

PERSON, SYSTEM_OBJECT = "1", "2"
"""ParticipantObjectTypeCode."""

PATIENT_ROLE, REPORT_ROLE, SECURITY_RESOURCE_ROLE = "1", "3", "13"
"""ParticipantObjectTypeCodeRole."""
