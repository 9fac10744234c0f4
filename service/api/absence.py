"""Why a job has no results, or not the object somebody asked for; a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.database import JobRow
from core.job import JobState, Outcome
from core.notice_records import NoticeState
from core.results import ResultKind

_NEEDS_A_LESION: Mapping[ResultKind, str] = MappingProxyType(
    {
        ResultKind.SEG: "segmentation",
        ResultKind.RTSTRUCT: "structure set",
    }
)

_ASKED_FOR_BY: Mapping[ResultKind, str] = MappingProxyType(
    {
        ResultKind.PROBABILITY: "METSERVE_WORKER_PROBABILITY_MAP",
        ResultKind.REJECTION: "METSERVE_WORKER_REJECTION_NOTE",
    }
)


def why_absent(job: JobRow, kind: ResultKind) -> str:
    """Say why a job has no object of a kind."""
    if job.study.purged_at is not None and not job.results:
        return f"the files of job {job.id} were removed on {job.study.purged_at:%Y-%m-%d} (retention)"
    if kind is ResultKind.NOTICE:
        return _why_no_notice(job)
    if job.report is None:
        return why_unpublished(job)
    if kind in _ASKED_FOR_BY:
        first = "; the first analysis of a study has nothing to reject" if _rejects_nothing(job, kind) else ""
        return f"job {job.id} published no {kind}: a site asks for it by {_ASKED_FOR_BY[kind]}{first}"
    if kind in _NEEDS_A_LESION and job.outcome == Outcome.NEGATIVE:
        return (
            f"job {job.id} found no lesion, so there is no {_NEEDS_A_LESION[kind]}; its report (sr) says so"
        )
    return f"job {job.id} published no {kind}"


def why_unpublished(job: JobRow) -> str:
    """Say why a job has no findings."""
    if job.state == JobState.UNSUITABLE:
        return f"job {job.id} has no results, the study is unsuitable ({job.reason}): {job.message}"
    if job.state == JobState.PARKED:
        return f"job {job.id} has no results, it failed ({job.reason}) and waits for a replay"
    if job.state == JobState.SUPERSEDED:
        return f"job {job.id} has no results, a newer revision of the study took its place"
    return f"job {job.id} has no results yet, it is {job.state} ({job.progress:.0%} done)"


def _why_no_notice(job: JobRow) -> str:
    if job.state != JobState.UNSUITABLE:
        return f"job {job.id} is {job.state}; only a study that cannot be analysed gets a notice"
    if job.notice is None:
        return f"job {job.id} ended before notices were made"
    if job.notice.state == NoticeState.FAILED:
        return f"the notice of job {job.id} could not be made: {job.notice.last_error}"
    if job.notice.state == NoticeState.OVERTAKEN:
        return f"job {job.id} has no notice, a newer revision of the study took its place"
    return f"the notice of job {job.id} is not made yet"


def _rejects_nothing(job: JobRow, kind: ResultKind) -> bool:
    return kind is ResultKind.REJECTION and job.revision == 1
