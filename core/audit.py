"""What is audited: events of PS3.15 A.5.3 as the code names them, and the one door they go through.

An event may name a patient and a study: it goes into the audit trail, never into a log line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol


class AuditKind(StrEnum):
    """Which message of PS3.15 A.5.3 an event becomes."""

    APPLICATION_START = "application_start"
    APPLICATION_STOP = "application_stop"
    BEGIN_TRANSFER = "begin_transferring_instances"
    """We begin to send; A.5.3.3."""
    INSTANCES_TRANSFERRED = "instances_transferred"
    """Instances arrived here, or a peer has them now; A.5.3.7. One a study of an association."""
    INSTANCES_ACCESSED = "instances_accessed"
    """Results or images were read by REST, DICOMweb or Q/R, or a study was asked to be analysed; A.5.3.6."""
    QUERY = "query"
    """C-FIND or QIDO-RS, and REST searches; A.5.3.10."""
    STUDY_DELETED = "study_deleted"
    """Retention or a person removed a study's files; A.5.3.8."""
    DATA_EXPORT = "data_export"
    """A copy left the service as files: de-identified export, backup; A.5.3.4."""
    SECURITY_ALERT = "security_alert"
    """A connection or request was refused, a setting of access changed; A.5.3.11."""
    USER_AUTHENTICATION = "user_authentication"
    """A login, a token that was not accepted; A.5.3.12."""
    AUDIT_LOG_USED = "audit_log_used"
    """Somebody looked into the audit trail, or old messages left it; A.5.3.2."""


class AuditOutcome(IntEnum):
    """EventOutcomeIndicator."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class AuditAction(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who took part: an AE, a user, a program.

    Parameters
    ----------
    user_id
        AE title, subject of the token, or name of the API key.
    network_address
        IP address or host name, where known.
    is_requestor
        Whether this one started it.
    role
        ``source``, ``destination``, ``application`` or empty.
    """

    user_id: str
    network_address: str = ""
    is_requestor: bool = True
    role: str = ""


@dataclass(frozen=True, slots=True)
class AuditedStudy:
    """A study an event is about."""

    study_instance_uid: str
    patient_id: str = ""
    patient_name: str = ""
    sop_classes: tuple[tuple[str, int], ...] = ()
    """SOP class UID and number of instances."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that happened.

    Parameters
    ----------
    detail
        For people: why a refusal, what was changed; no patient data beyond ``studies``.
    query
        The keys asked for (QUERY), as text.
    """

    kind: AuditKind
    action: AuditAction
    actors: tuple[Actor, ...]
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    studies: tuple[AuditedStudy, ...] = ()
    detail: str = ""
    query: str = ""


class Audit(Protocol):
    """The door to the audit trail."""

    def record(self, event: AuditEvent) -> None:
        """Keep an event; never raises: what cannot be kept is logged (by kind) and counted."""


class Unaudited:
    """A door to nowhere, for what runs without an audit trail: `metserve analyze`, tests."""

    def record(self, event: AuditEvent) -> None:
        """Forget an event."""
