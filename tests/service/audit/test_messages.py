import base64
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from core.audit import Actor, AuditAction, AuditedStudy, AuditEvent, AuditKind, AuditOutcome
from service.audit.messages import message_of

AT = datetime(2026, 11, 24, 5, 6, 7, 891000, tzinfo=UTC)
SENDER = Actor("PACS", "10.1.2.3", role="source")
STUDY = AuditedStudy("1.2.3", "PID", "Name^Patient", (("1.2.840.10008.5.1.4.1.1.4", 176),))


def parsed(event: AuditEvent) -> ET.Element:
    return ET.fromstring(message_of(event, source_id="radiology", at=AT))


def test_a_message_says_what_happened_when_and_how_it_ended() -> None:
    event = AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (SENDER,), AuditOutcome.MINOR_FAILURE)
    identification = parsed(event).find("EventIdentification")
    assert identification is not None
    assert identification.attrib == {
        "EventActionCode": "E",
        "EventDateTime": "2026-11-24T05:06:07.891+00:00",
        "EventOutcomeIndicator": "4",
    }
    event_id = identification.find("EventID")
    assert event_id is not None
    assert event_id.attrib == {"csd-code": "110112", "codeSystemName": "DCM", "originalText": "Query"}


@pytest.mark.parametrize("kind", list(AuditKind))
def test_every_kind_has_the_parts_a_message_must_have_in_their_order(kind: AuditKind) -> None:
    event = AuditEvent(kind, AuditAction.READ, (SENDER,), studies=(STUDY,))
    names = [part.tag for part in parsed(event)]
    order = (
        "EventIdentification",
        "ActiveParticipant",
        "AuditSourceIdentification",
        "ParticipantObjectIdentification",
    )
    assert names == sorted(names, key=order.index)
    assert names.count("EventIdentification") == names.count("AuditSourceIdentification") == 1
    assert names.count("ParticipantObjectIdentification") >= 2


def test_a_participant_has_a_name_an_address_and_a_role() -> None:
    event = AuditEvent(AuditKind.BEGIN_TRANSFER, AuditAction.EXECUTE, (SENDER, Actor("user", "ws1.example")))
    first, second = parsed(event).findall("ActiveParticipant")
    assert first.attrib["NetworkAccessPointTypeCode"] == "2"
    assert second.attrib["NetworkAccessPointTypeCode"] == "1"
    role = first.find("RoleIDCode")
    assert role is not None
    assert role.attrib["csd-code"] == "110153"


def test_study_and_patient_are_objects_of_the_event() -> None:
    event = AuditEvent(AuditKind.INSTANCES_TRANSFERRED, AuditAction.CREATE, (SENDER,), studies=(STUDY,))
    study, patient = parsed(event).findall("ParticipantObjectIdentification")
    assert study.attrib["ParticipantObjectID"] == "1.2.3"
    sop_class = study.find("ParticipantObjectDescription/SOPClass")
    assert sop_class is not None
    assert sop_class.attrib == {"UID": "1.2.840.10008.5.1.4.1.1.4", "NumberOfInstances": "176"}
    assert patient.attrib["ParticipantObjectID"] == "PID"
    assert patient.findtext("ParticipantObjectName") == "Name^Patient"


def test_a_query_is_kept_word_for_word() -> None:
    event = AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (SENDER,), query="PatientID=*")
    asked = parsed(event).findtext("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert base64.b64decode(asked or "") == b"PatientID=*"


@pytest.mark.parametrize("name", ["a\x00b", "<script>", "\ud800", "\x1b[2J", "&amp;", "\uffff"])
def test_no_name_a_peer_can_think_of_breaks_a_message(name: str) -> None:
    message = parsed(AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (Actor(name, name),)))
    assert len(message.findall("ActiveParticipant")) == 1
