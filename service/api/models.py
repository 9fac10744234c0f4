"""The API's replies. Units and frames are in the names."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from core.destinations import ProfileName
from core.job import JobState, Outcome
from core.lesion import FindingsReport, Lesion, ModelIdentity
from core.provenance import RESEARCH_USE_NOTICE
from core.results import ResultKind
from core.study import AnalysisMode, QualityFlag, SeriesRole
from service.delivery.outbox import DeliveryState


class Model(BaseModel):
    """Base of all parts of a reply; what stands below a field becomes its description in OpenAPI."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Reply(Model):
    """What every reply carries."""

    research_use_notice: str = RESEARCH_USE_NOTICE


class Patient(Model):
    """The patient module of the study as it was received."""

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: str
    """DICOM DA: YYYYMMDD."""
    patient_sex: str


class JobSummary(Model):
    """A job in a list."""

    job_id: str
    study_instance_uid: str
    revision: int
    """1 for the first analysis of the study, one more for each later one."""
    state: JobState
    outcome: Outcome | None
    reason: str
    message: str
    progress: float
    """0 to 1 over the whole analysis."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    results: tuple[str, ...]
    """Kinds of results that can be fetched: those under /objects/, and findings."""


class Delivery(Model):
    """One result set on its way to one destination."""

    destination: str
    state: DeliveryState
    attempts: int
    next_try_at: datetime | None
    """None when nothing is planned."""
    delivered_at: datetime | None
    last_error: str
    remark: str
    """Of a delivery that arrived: what the peer did not accept, and what it has instead."""


class JobReply(Reply, JobSummary):
    """Everything about a job but its findings."""

    mode: AnalysisMode
    flags: tuple[QualityFlag, ...]
    stage_attempts: int
    stage_seconds: dict[str, float]
    model: ModelIdentity | None
    """None until the analysis is finished."""
    deliveries: tuple[Delivery, ...]


class StudySummary(Model):
    """A study in a list, with its newest job."""

    study_instance_uid: str
    patient: Patient
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    first_received_at: datetime
    last_received_at: datetime
    awaits_assembly: bool
    """True while the study may still grow before it is analysed."""
    newest_job: JobSummary | None


class SeriesReply(Model):
    """A series, with what assembly made of it."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    series_description: str
    number_of_instances: int
    role: SeriesRole | None
    score: float | None
    """None until assembly has looked at the series."""
    reasons: tuple[str, ...]


class AssemblyReply(Model):
    """What assembly last made of a study, whether or not a job came of it."""

    assembled_at: datetime
    missing_role: SeriesRole | None
    """The series that was not found; None when T1 and T1 post-contrast are there."""
    waits_because: str
    """For people: what the study waits for, and for how long at most; empty when it waits for nothing."""


class StudyReply(Reply, StudySummary):
    """A study with its series and jobs, newest job first."""

    analysis_requested_at: datetime | None
    assembly: AssemblyReply | None
    """None while instances still arrive, before assembly looked at them first."""
    series: tuple[SeriesReply, ...]
    jobs: tuple[JobSummary, ...]


class Page(Reply):
    """Where a list stands in all there is."""

    total: int
    limit: int
    offset: int


class StudyPage(Page):
    """Studies, the one received last first."""

    studies: tuple[StudySummary, ...]


class JobPage(Page):
    """Jobs, newest first."""

    jobs: tuple[JobSummary, ...]


class FindingsReply(Reply):
    """The findings as they were published; volumes in mm3, positions in LPS mm."""

    job_id: str
    findings: FindingsReport


class LesionsReply(Reply):
    """The lesions of one job, largest first; empty for a negative study."""

    job_id: str
    study_instance_uid: str
    series_instance_uid: str
    """The post-contrast T1 series on whose grid the lesions lie."""
    revision: int
    model: ModelIdentity
    flags: tuple[QualityFlag, ...]
    total_volume_mm3: float
    lesions: tuple[Lesion, ...]


class AnalysisRequested(Reply):
    """The study is analysed without waiting for the quiet period."""

    study_instance_uid: str
    analysis_requested_at: datetime


class DestinationReply(Model):
    """A destination, and how its deliveries stand."""

    name: str
    ae_title: str | None
    """With host and port: of a DICOM peer."""
    host: str | None
    port: int | None
    url: str | None
    """Of a DICOMweb server."""
    profile: ProfileName
    objects: tuple[ResultKind, ...]
    notices: bool
    """Whether it is told of studies that were not analysed."""
    deliveries: dict[DeliveryState, int] = Field(description="Number of deliveries by state.")


class DestinationsReply(Reply):
    """Where results are pushed to."""

    destinations: tuple[DestinationReply, ...]
