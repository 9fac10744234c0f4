"""What PS3.15 A.5.3 makes mandatory, kind by kind."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from core.audit import Actor, AuditAction, AuditedStudy, AuditEvent, AuditKind
from service.audit.messages import message_of

AT = datetime(2026, 11, 24, 5, 6, 7, tzinfo=UTC)
ACTORS = (Actor("PACS", "10.1.2.3", role="source"), Actor("US", is_requestor=False, role="destination"))
STUDY = AuditedStudy("1.2.3", "PID", "Name^Patient")

SOURCE_AND_DESTINATION = frozenset({"110153", "110152"})
STUDY_AND_PATIENT = ("110180", "2")


@dataclass(frozen=True)
class Mandatory:
    """Codes a kind's message must have.

    Parameters
    ----------
    actions
        EventActionCode.
    roles
        RoleIDCode of the participants.
    objects
        ParticipantObjectIDTypeCode of the objects.
    """

    event: str
    actions: str
    event_type: str = ""
    roles: frozenset[str] = frozenset()
    objects: tuple[str, ...] = ()


TABLE = {
    AuditKind.APPLICATION_START: Mandatory("110100", "E", "110120"),
    AuditKind.APPLICATION_STOP: Mandatory("110100", "E", "110121"),
    AuditKind.AUDIT_LOG_USED: Mandatory("110101", "R", objects=("12",)),
    AuditKind.BEGIN_TRANSFER: Mandatory("110102", "E", "", SOURCE_AND_DESTINATION, STUDY_AND_PATIENT),
    AuditKind.DATA_EXPORT: Mandatory("110106", "R", "", frozenset({"110154"}), STUDY_AND_PATIENT),
    AuditKind.INSTANCES_ACCESSED: Mandatory("110103", "CRUD", objects=STUDY_AND_PATIENT),
    AuditKind.INSTANCES_TRANSFERRED: Mandatory(
        "110104", "CRU", "", SOURCE_AND_DESTINATION, STUDY_AND_PATIENT
    ),
    AuditKind.STUDY_DELETED: Mandatory("110105", "D", objects=STUDY_AND_PATIENT),
    AuditKind.QUERY: Mandatory("110112", "E", "", SOURCE_AND_DESTINATION, ("110181",)),
    AuditKind.SECURITY_ALERT: Mandatory("110113", "E", "110126", objects=("110182",)),
    AuditKind.USER_AUTHENTICATION: Mandatory("110114", "E", "110122"),
}

WITH_STUDY = frozenset(kind for kind, mandatory in TABLE.items() if "110180" in mandatory.objects)


def parsed(event: AuditEvent) -> ET.Element:
    return ET.fromstring(message_of(event, source_id="radiology", at=AT))


def codes(message: ET.Element, path: str) -> list[str]:
    return [found.attrib["csd-code"] for found in message.findall(path)]


@pytest.mark.parametrize("kind", list(AuditKind))
@pytest.mark.parametrize("action", list(AuditAction))
def test_each_kind_has_what_the_standard_makes_mandatory(kind: AuditKind, action: AuditAction) -> None:
    if kind is AuditKind.SECURITY_ALERT:
        action = AuditAction.EXECUTE  # others tell of a changed right: the test below
    if kind in {AuditKind.INSTANCES_ACCESSED, AuditKind.INSTANCES_TRANSFERRED}:
        action = AuditAction.READ
    mandatory = TABLE[kind]
    studies = (STUDY,) if kind in WITH_STUDY else ()
    message = parsed(AuditEvent(kind, action, ACTORS, studies=studies))
    assert codes(message, "EventIdentification/EventID") == [mandatory.event]
    assert message[0].attrib["EventActionCode"] in mandatory.actions
    assert "".join(codes(message, "EventIdentification/EventTypeCode")) == mandatory.event_type
    assert mandatory.roles <= set(codes(message, "ActiveParticipant/RoleIDCode"))
    objects = codes(message, "ParticipantObjectIdentification/ParticipantObjectIDTypeCode")
    assert tuple(objects) == mandatory.objects


def test_a_changed_right_is_an_alert_of_its_own_type() -> None:
    message = parsed(AuditEvent(AuditKind.SECURITY_ALERT, AuditAction.CREATE, ACTORS, detail="key made"))
    assert codes(message, "EventIdentification/EventTypeCode") == ["110137"]


def test_an_alert_says_why() -> None:
    message = parsed(AuditEvent(AuditKind.SECURITY_ALERT, AuditAction.EXECUTE, ACTORS, detail="wrong AE"))
    detail = message.find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail is not None
    assert (detail.attrib["type"], base64.b64decode(detail.attrib["value"])) == (
        "Alert Description",
        b"wrong AE",
    )


def test_a_patient_without_id_is_there_all_the_same() -> None:
    event = AuditEvent(AuditKind.STUDY_DELETED, AuditAction.DELETE, ACTORS, studies=(AuditedStudy("1.2.3"),))
    _, patient = parsed(event).findall("ParticipantObjectIdentification")
    assert patient.attrib["ParticipantObjectID"] == "unknown"


def test_two_studies_of_one_patient_name_him_once() -> None:
    studies = (STUDY, AuditedStudy("1.2.4", "PID", "Name^Patient"))
    event = AuditEvent(AuditKind.INSTANCES_TRANSFERRED, AuditAction.CREATE, ACTORS, studies=studies)
    types = codes(parsed(event), "ParticipantObjectIdentification/ParticipantObjectIDTypeCode")
    assert types == ["110180", "110180", "2"]


def test_a_moment_is_written_with_its_time_zone() -> None:
    moment = parsed(AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, ACTORS))[0].attrib["EventDateTime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", moment)
