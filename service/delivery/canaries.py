"""Canaries: studies with a known answer that we send ourselves. Their results never leave the house."""

from __future__ import annotations

from sqlalchemy.sql.elements import ColumnElement

from core.database import StudyRow

CANARY_PATIENT_ID = "METSERVE-CANARY-"
"""What the PatientID of a canary begins with; each is a patient of its own, without earlier studies."""

CANARY_ISSUER = "metserve.canary"
"""IssuerOfPatientID of every canary: together with the PatientID nobody else has it by accident."""


def is_canary(study: StudyRow) -> bool:
    """Tell whether a study is a canary: both marks, so that no patient's results stay here by mistake."""
    return study.patient_id.startswith(CANARY_PATIENT_ID) and study.issuer_of_patient_id == CANARY_ISSUER


def is_canary_row() -> ColumnElement[bool]:
    """Return the same as a condition for the database."""
    starts_so = StudyRow.patient_id.startswith(CANARY_PATIENT_ID, autoescape=True)
    return starts_so & (StudyRow.issuer_of_patient_id == CANARY_ISSUER)
