"""Parcel: what one push takes along, read from the job's record and checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.audit import AuditedStudy
from core.database import JobRow
from core.destinations import Destination
from core.errors import Defect
from core.job import JobState
from core.logs import logger
from core.results import ResultKind
from core.study_store import StudyStore
from service.delivery.fallbacks import with_fallbacks
from service.delivery.results import ResultObject, check_unchanged, result_object


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one push takes along; ``spare`` is sent only in place of something that is not accepted."""

    study: AuditedStudy
    wanted: list[ResultObject]
    spare: list[ResultObject]

    @property
    def size_bytes(self) -> int:
        """Size of all the files, those that may not be sent too."""
        return sum(result.path.stat().st_size for result in (*self.wanted, *self.spare))


def load_parcel(
    session: Session,
    store: StudyStore,
    job_id: str,
    destination: Destination,
    only: Collection[str] | None = None,
) -> Parcel:
    """Return the objects a destination gets; a negative study has no SEG to send.

    Parameters
    ----------
    only
        SOP instance UIDs: the peer has all others, and committed itself to keep them. None: it has none.

    Raises
    ------
    Defect
        A file is not what was published.
    """
    job = session.get_one(JobRow, job_id)
    kinds = (ResultKind.NOTICE,) if job.state == JobState.UNSUITABLE else destination.objects
    found = [result_object(store, job, kind) for kind in with_fallbacks(kinds)]
    results = [result for result in found if result is not None]
    if only is None:
        wanted = [result for result in results if result.kind in kinds]
        spare = [result for result in results if result.kind not in kinds and _is_fit_to_send(result)]
    else:
        wanted, spare = [result for result in results if result.sop_instance_uid in only], []
    for result in wanted:
        check_unchanged(result)
    return Parcel(_audited(job), wanted, spare)


def _audited(job: JobRow) -> AuditedStudy:
    study = job.study
    return AuditedStudy(study.study_instance_uid, study.patient_id, study.patient_name)


def _is_fit_to_send(spare: ResultObject) -> bool:
    """Tell whether a fallback is what was published; one that is not keeps nobody from what was asked for."""
    try:
        check_unchanged(spare)
    except Defect as error:
        logger().error("a fallback cannot be sent", kind=spare.kind, error=str(error))
        return False
    return True
