"""Which instances a URL names, who sees them, and that the audit trail knows who looked."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Path, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.audit import AuditedStudy
from core.database import StudyRow
from core.uids import is_acceptable_uid
from service.api.dicomweb.accesses import record_access
from service.api.dicomweb.addresses import studies_url
from service.api.dicomweb.parts import DicomWebOf
from service.api.parts import PartsOf, PrincipalOf
from service.api.paths import UID_SCHEMA
from service.api.problems import ApiError
from service.catalogue.instances import StoredInstance, instances


def _series_uid(
    series_instance_uid: Annotated[
        str, Path(description="Series Instance UID.", json_schema_extra={**UID_SCHEMA})
    ],
) -> str:
    return _checked("Series Instance UID", series_instance_uid)


def _sop_instance_uid(
    sop_instance_uid: Annotated[str, Path(description="SOP Instance UID.", json_schema_extra={**UID_SCHEMA})],
) -> str:
    return _checked("SOP Instance UID", sop_instance_uid)


SeriesUid = Annotated[str, Depends(_series_uid)]
SopInstanceUid = Annotated[str, Depends(_sop_instance_uid)]


class Reader:
    """One who asks for instances.

    Parameters
    ----------
    request
        Says how the client reaches the service: its URLs are made of that.
    """

    def __init__(
        self, request: Request, parts: PartsOf, dicomweb: DicomWebOf, principal: PrincipalOf
    ) -> None:
        self.dicomweb = dicomweb
        self._request = request
        self._parts = parts
        self._principal = principal

    def find(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> tuple[StoredInstance, ...]:
        """Return the instances of a study, a series, or one instance.

        Raises
        ------
        ApiError
            404: there are none, or the reader does not see them.
        """
        with self._parts.read_sessions() as session:
            found = tuple(
                instances(
                    session,
                    self._parts.store,
                    self._principal,
                    study_instance_uid=study,
                    series_instance_uid=series,
                    sop_instance_uid=instance,
                )
            )
            if not found:
                raise ApiError(HTTPStatus.NOT_FOUND, "there is no such study, series or instance")
            audited = _audited(session, study, found)
        record_access(self._parts, self.dicomweb.accesses, self._principal, self._request, audited)
        return found

    def find_one(self, study: str, series: str, instance: str) -> StoredInstance:
        """Return one instance.

        Raises
        ------
        ApiError
            404.
        """
        return self.find(study, series, instance)[0]

    def url_of(self, instance: StoredInstance) -> str:
        """Return an instance's own address."""
        series_url = f"{studies_url(self._request)}/{instance.study_instance_uid}/series"
        return f"{series_url}/{instance.series_instance_uid}/instances/{instance.sop_instance_uid}"


ReaderOf = Annotated[Reader, Depends()]


def _audited(session: Session, study: str, found: tuple[StoredInstance, ...]) -> AuditedStudy:
    row = session.execute(
        select(StudyRow.patient_id, StudyRow.patient_name).where(StudyRow.study_instance_uid == study)
    ).one_or_none()
    classes = Counter(instance.sop_class_uid for instance in found)
    patient_id, patient_name = row or ("", "")
    return AuditedStudy(study, patient_id, patient_name, tuple(sorted(classes.items())))


def _checked(name: str, uid: str) -> str:
    if not is_acceptable_uid(uid):
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{uid[:80]!r} is not a {name}: expected 1 to 64 digits and dots"
        )
    return uid
