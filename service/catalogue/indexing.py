"""The index of published objects: what their files say of themselves, as rows that queries find."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from sqlalchemy import String, cast, select
from sqlalchemy.exc import IntegrityError

from core.clock import Clock
from core.database import JobRow, ResultObjectRow, Sessions, StudyRow
from core.headers import read_instance_header
from core.job import JobState
from core.job_records import RESULT_FILE, ResultFile
from core.logs import logger
from core.results import ResultKind
from core.study_store import StudyStore

JOBS_A_STEP = 100
"""Jobs indexed at once: after an upgrade there may be thousands, and other steps wait meanwhile."""

PUBLISHED_STATES = frozenset({JobState.ENCODED, JobState.DELIVERED, JobState.UNSUITABLE})
"""States of a job that may have published objects; an unsuitable one, its notice."""

NO_RESULTS = "{}"
"""``JobRow.results`` of a job that published nothing, as its column holds it."""

HEADER_BYTES_DEFERRED = 1024
"""Longer values (documents, contours) stay in the file: the index needs none of them."""


class Indexer:
    """Makes the index rows of published jobs, of this release and of those before.

    Several may run at once: what another has made is left alone.
    """

    def __init__(self, sessions: Sessions, read_sessions: Sessions, store: StudyStore, clock: Clock) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._store = store
        self._clock = clock
        self._without_objects: set[str] = set()
        """Jobs whose files cannot be read; looked at again after a restart."""

    def index_due(self) -> int:
        """Index published jobs that are not yet; return how many there were."""
        with self._read_sessions() as session:
            due = session.execute(
                select(JobRow.id, JobRow.results)
                .join(StudyRow, StudyRow.id == JobRow.study_id)
                .where(
                    JobRow.state.in_(PUBLISHED_STATES),
                    StudyRow.purged_at.is_(None),
                    cast(JobRow.results, String) != NO_RESULTS,
                    ~select(ResultObjectRow.id).where(ResultObjectRow.job_id == JobRow.id).exists(),
                    JobRow.id.not_in(self._without_objects),
                )
                .limit(JOBS_A_STEP)
            ).all()
        for job_id, results in due:
            self._index(job_id, results)
        return len(due)

    def _index(self, job_id: str, results: dict[str, object]) -> None:
        now = self._clock()
        files = {kind: RESULT_FILE.validate_python(results[kind]) for kind in ResultKind if kind in results}
        rows = [row for kind, file in files.items() if (row := self._row(job_id, kind, file, now))]
        if not rows:
            self._without_objects.add(job_id)
            return
        try:
            with self._sessions.begin() as session:
                session.add_all(rows)
        except IntegrityError:
            return  # another process was faster

    def _row(self, job_id: str, kind: ResultKind, file: ResultFile, now: datetime) -> ResultObjectRow | None:
        try:
            dataset = read_object_header(self._store.resolve(file.path))
            return _row_of(dataset, job_id, kind, file, now)
        except (OSError, InvalidDicomError, AttributeError) as error:
            logger().error("a result cannot be indexed", job=job_id, kind=kind, error=type(error).__name__)
            return None


def read_object_header(path: Path) -> Dataset:
    """Read a DICOM file up to its pixels.

    Raises
    ------
    OSError, InvalidDicomError
        It is not there, or no DICOM file.
    """
    return dcmread(path, stop_before_pixels=True, defer_size=HEADER_BYTES_DEFERRED)


def _row_of(
    dataset: Dataset, job_id: str, kind: ResultKind, file: ResultFile, now: datetime
) -> ResultObjectRow:
    header = read_instance_header(dataset)
    has_pixels = bool(header.rows and header.columns)
    return ResultObjectRow(
        job_id=job_id,
        kind=kind.value,
        series_instance_uid=header.series_instance_uid,
        sop_instance_uid=file.sop_instance_uid,
        sop_class_uid=file.sop_class_uid,
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        modality=header.modality,
        series_number=header.series_number,
        series_description=header.series_description,
        instance_number=header.instance_number,
        number_of_frames=header.number_of_frames if has_pixels else None,
        rows=header.rows if has_pixels else None,
        columns=header.columns if has_pixels else None,
        size_bytes=file.size_bytes,
        indexed_at=now,
    )
