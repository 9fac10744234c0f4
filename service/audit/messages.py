"""Audit messages as XML (DICOM PS3.15 A.5.1), with the participants each kind must have (A.5.3)."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from xml.etree import ElementTree as ET

from core.audit import Actor, AuditEvent, AuditKind
from service.audit.codes import (
    ACTIONS,
    CHANGES,
    DESTINATION_MEDIA,
    EVENT_TYPES,
    EVENTS,
    MEDIA_BY_URI,
    RIGHTS_CHANGED,
    ROLES,
    Code,
)
from service.audit.objects import append_objects
from service.audit.xml_text import coded, xml_text

APPLICATION_SERVER = "4"
"""AuditSourceTypeCode, PS3.15 A.5.1.2.1: application server process."""

MACHINE_NAME, IP_ADDRESS = "1", "2"
"""NetworkAccessPointTypeCode."""

UNKNOWN = "unknown"
"""Stands for a mandatory value that nobody told us."""


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
    _identify(root, event, at)
    for actor in event.actors or (Actor(UNKNOWN),):
        _participant(root, actor, event.kind)
    if event.kind is AuditKind.DATA_EXPORT:
        _media(root, event.detail)
    source = ET.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": xml_text(source_id)})
    ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    append_objects(root, event)
    return ET.tostring(root, encoding="unicode")


def _identify(root: ET.Element, event: AuditEvent, at: datetime) -> None:
    identification = ET.SubElement(
        root,
        "EventIdentification",
        {
            "EventActionCode": ACTIONS.get(event.kind, event.action).value,
            "EventDateTime": at.isoformat(timespec="milliseconds"),
            "EventOutcomeIndicator": str(int(event.outcome)),
        },
    )
    coded(identification, "EventID", EVENTS[event.kind])
    event_type = _type_of(event)
    if event_type is not None:
        coded(identification, "EventTypeCode", event_type)
    if event.detail:
        ET.SubElement(identification, "EventOutcomeDescription").text = xml_text(event.detail)


def _type_of(event: AuditEvent) -> Code | None:
    if event.kind is AuditKind.SECURITY_ALERT and event.action in CHANGES:
        return RIGHTS_CHANGED
    return EVENT_TYPES.get(event.kind)


def _participant(root: ET.Element, actor: Actor, kind: AuditKind) -> None:
    attributes = {
        "UserID": xml_text(actor.user_id) or UNKNOWN,
        "UserIsRequestor": str(actor.is_requestor).lower(),
    }
    address = actor.network_address
    if not address and kind is AuditKind.USER_AUTHENTICATION:
        address = UNKNOWN  # mandatory there, A.5.3.12
    if address:
        attributes["NetworkAccessPointID"] = xml_text(address)
        attributes["NetworkAccessPointTypeCode"] = _access_point_type(address)
    participant = ET.SubElement(root, "ActiveParticipant", attributes)
    if actor.role in ROLES:
        coded(participant, "RoleIDCode", ROLES[actor.role])


def _media(root: ET.Element, detail: str) -> None:
    """Name where the copy went, a participant of its own (A.5.3.4)."""
    attributes = {"UserID": xml_text(detail) or UNKNOWN, "UserIsRequestor": "false"}
    participant = ET.SubElement(root, "ActiveParticipant", attributes)
    coded(participant, "RoleIDCode", DESTINATION_MEDIA)
    coded(ET.SubElement(participant, "MediaIdentifier"), "MediaType", MEDIA_BY_URI)


def _access_point_type(address: str) -> str:
    try:
        ip_address(address.partition("%")[0])
    except ValueError:
        return MACHINE_NAME
    return IP_ADDRESS
