"""Published results: the files a job's record names, checked before anybody gets them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.database import JobRow
from core.errors import Defect, Transient
from core.job_records import RESULT_FILE
from core.study_store import StudyStore, sha256_of_file


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One DICOM object of a published result.

    Parameters
    ----------
    kind
        A ``core.results.ResultKind`` of a published object; a name for people of any other.
    path
        The file, absolute.
    """

    kind: str
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str


def result_object(store: StudyStore, job: JobRow, kind: str) -> ResultObject | None:
    """Return one of a job's published objects, or None when the job published none of this kind."""
    if kind not in job.results:
        return None
    file = RESULT_FILE.validate_python(job.results[kind])
    return ResultObject(
        kind=kind,
        path=store.resolve(file.path),
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        sha256=file.sha256,
    )


def check_unchanged(result: ResultObject) -> None:
    """Raise unless the file still holds the bytes that were published.

    Raises
    ------
    Defect
        The file is gone or has other bytes: it must not leave the house.
    Transient
        The disk cannot be read at present.
    """
    try:
        actual = sha256_of_file(result.path)
    except FileNotFoundError as error:
        raise Defect(f"the published {result.kind} file {result.path.name} is gone") from error
    except OSError as error:
        raise Transient(f"the published {result.kind} file cannot be read: {error.strerror}") from error
    if actual != result.sha256:
        raise Defect(f"the {result.kind} file has SHA-256 {actual}, published was {result.sha256}")
