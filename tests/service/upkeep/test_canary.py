"""The canary is sent when it is time, judged when it is done, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database import JobRow, LesionRow, StudyRow
from core.errors import InvalidInput, Transient
from core.job import JobState
from service.api.metrics import DatabaseCollector, open_registry
from service.delivery import outbox
from service.delivery.canaries import CANARY_ISSUER, CANARY_PATIENT_ID
from service.delivery.push_report import PushReport, Verdict
from service.delivery.results import ResultObject
from service.upkeep.canary import UNSENT_GRACE_S, Canary, Pace
from service.upkeep.canary_study import CanaryStudy, load_canary
from service.upkeep.retention import Retention
from tests.dicom_sources import classic_series, make_grid
from tests.service.collected_audit import CollectedAudit
from tests.service.service_records import NOON, MovedClock, Records

HOUR_S, LATE_S = 3600.0, 1800.0
LARGE = {
    "number": 1,
    "centroid_lps_mm": [10.0, 20.0, 30.0],
    "volume_mm3": 1000.0,
    "equivalent_diameter_mm": 12.4,
}
SMALL = {
    "number": 2,
    "centroid_lps_mm": [40.0, 20.0, 30.0],
    "volume_mm3": 100.0,
    "equivalent_diameter_mm": 5.8,
}


def canary_folder(folder: Path) -> Path:
    (folder / "study").mkdir(parents=True)
    for number, dataset in enumerate(classic_series(make_grid(shape_kji=(2, 4, 4)))[0]):
        dataset.save_as(folder / "study" / f"{number}.dcm", enforce_file_format=True)
    (folder / "truth.json").write_text(json.dumps({"lesions": [LARGE, SMALL]}), encoding="utf-8")
    return folder


class Site:
    """A receiver that takes canaries, and an analysis that finds what a test says."""

    def __init__(self, folder: Path) -> None:
        self.records = Records(folder)
        self.clock = MovedClock()
        self.audit = CollectedAudit()
        self.answer = PushReport(Verdict.STORED, "")
        self.pushed: list[list[tuple[str, str]]] = []
        records = self.records
        retention = Retention(records.sessions, records.read_sessions, records.store, self.clock, self.audit)
        self.canary = Canary(
            load_canary(canary_folder(folder / "canary")),
            self._take,
            retention,
            records.sessions,
            records.read_sessions,
            records.store,
            self.clock,
            Pace(HOUR_S, LATE_S),
            new_token=lambda: f"{len(self.pushed):032x}",
        )

    def analysed(self, *lesions: tuple[float, float], state: JobState = JobState.DELIVERED) -> None:
        """Finish the newest canary: each lesion has an x coordinate and a volume."""
        uid = self.uids[-1]
        job_id = f"job-{len(self.pushed)}"
        self.records.add_job(
            job_id,
            study_uid=uid,
            state=state,
            lesions=0,
            finished_at=self.clock.now,
            reason="" if lesions else "Defect",
        )

        def add(session: Session) -> None:
            study = session.scalars(select(StudyRow).where(StudyRow.study_instance_uid == uid)).one()
            study.awaits_assembly = False
            for number, (x, volume_mm3) in enumerate(lesions, start=1):
                session.add(
                    LesionRow(
                        job_id=job_id,
                        number=number,
                        tracking_uid="1.2",
                        volume_mm3=volume_mm3,
                        centroid_x_lps_mm=x,
                        centroid_y_lps_mm=20.0,
                        centroid_z_lps_mm=30.0,
                    )
                )

        self.records.change(add)

    @property
    def uids(self) -> list[str]:
        return [images[0][0] for images in self.pushed]

    @property
    def reason(self) -> str:
        return "; ".join(condition.message for condition in self.canary.look())

    def studies(self) -> list[StudyRow]:
        with self.records.read_sessions() as session:
            return list(session.scalars(select(StudyRow)))

    def _take(self, images: Sequence[ResultObject]) -> PushReport:
        if self.answer.verdict is not Verdict.STORED:
            return self.answer
        datasets = [dcmread(image.path) for image in images]
        self.pushed.append([(str(d.StudyInstanceUID), str(d.SOPInstanceUID)) for d in datasets])
        now = self.clock.now
        self.records.add_study(
            str(datasets[0].StudyInstanceUID),
            patient_id=str(datasets[0].PatientID),
            issuer_of_patient_id=str(datasets[0].IssuerOfPatientID),
            first_received_at=now,
            last_received_at=now,
            awaits_assembly=True,
        )
        return self.answer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_first_canary_is_sent_at_once_and_the_next_after_an_hour(site: Site) -> None:
    site.canary.send_due()
    site.analysed((10.0, 1000.0))
    site.clock.advance(HOUR_S - 1)
    site.canary.send_due()
    assert len(site.pushed) == 1
    site.clock.advance(1)
    site.canary.send_due()
    assert len(site.pushed) == 2


def test_every_canary_is_a_study_and_a_patient_nobody_has_seen(site: Site) -> None:
    site.canary.send_due()
    site.analysed((10.0, 1000.0))
    site.clock.advance(HOUR_S)
    site.canary.send_due()
    first, second = site.pushed
    assert not {*first} & {*second}
    assert len({study for study, _ in second}) == 1
    assert len({study.patient_id for study in site.studies()}) == 2
    assert all(study.patient_id.startswith(CANARY_PATIENT_ID) for study in site.studies())


def test_no_further_canary_is_sent_while_one_is_under_way(site: Site) -> None:
    site.canary.send_due()
    site.clock.advance(2 * HOUR_S)
    site.canary.send_due()
    assert len(site.pushed) == 1


def test_a_canary_without_results_is_late(site: Site) -> None:
    site.canary.send_due()
    site.clock.advance(LATE_S - 1)
    assert site.reason == ""
    site.clock.advance(1)
    assert site.reason == "is late: received more than 1800 s after its last image"


def test_the_known_answer_is_no_condition(site: Site) -> None:
    site.canary.send_due()
    site.analysed((12.0, 900.0), (80.0, 50.0))
    assert site.reason == ""


@pytest.mark.parametrize(
    ("lesions", "said"),
    [
        ([(16.0, 1000.0)], "lesion 1 of 12 mm was not found within 5 mm of its place"),
        ([(10.0, 400.0)], "lesion 1 has 400 mm3, expected 500 to 2000"),
        ([(10.0, 2100.0)], "lesion 1 has 2100 mm3, expected 500 to 2000"),
        ([(10.0, 1000.0), *[(90.0, 9.0)] * 5], "6 lesions were found, expected at most 5"),
    ],
)
def test_another_answer_is_told(site: Site, lesions: list[tuple[float, float]], said: str) -> None:
    site.canary.send_due()
    site.analysed(*lesions)
    assert site.reason == said


@pytest.mark.parametrize("state", [JobState.PARKED, JobState.UNSUITABLE])
def test_a_canary_that_is_not_analysed_is_told(site: Site, state: JobState) -> None:
    site.canary.send_due()
    site.analysed(state=state)
    assert site.reason == f"the analysis ended as {state} (Defect), expected results"


def test_a_wrong_canary_stays_told_until_the_next_is_right(site: Site) -> None:
    site.canary.send_due()
    site.analysed((10.0, 1.0))
    site.clock.advance(HOUR_S)
    site.canary.send_due()
    assert "lesion 1 has 1 mm3" in site.reason
    site.analysed((10.0, 1000.0))
    assert site.reason == ""


def test_a_canary_that_cannot_be_sent_is_tried_each_round_and_told_after_a_while(site: Site) -> None:
    site.answer = PushReport(Verdict.RETRY, "METSERVE at 127.0.0.1:11112 cannot be reached", reachable=False)
    with pytest.raises(Transient, match="cannot be reached"):
        site.canary.send_due()
    assert site.reason == ""
    site.clock.advance(UNSENT_GRACE_S)
    assert site.reason == "cannot be sent: METSERVE at 127.0.0.1:11112 cannot be reached"
    site.answer = PushReport(Verdict.STORED, "")
    site.canary.send_due()
    assert site.reason == ""


def test_a_right_canary_loses_its_files_at_once(site: Site) -> None:
    site.canary.send_due()
    site.analysed((10.0, 1000.0))
    site.canary.send_due()
    assert [study.purged_at for study in site.studies()] == [site.clock.now]
    site.canary.send_due()
    assert len(site.audit.events) == 1


def test_a_wrong_canary_keeps_its_files_until_the_next_was_judged(site: Site) -> None:
    site.canary.send_due()
    site.analysed(state=JobState.PARKED)
    site.clock.advance(HOUR_S)
    site.canary.send_due()
    assert [study.purged_at for study in site.studies()] == [None, None]
    site.analysed((10.0, 1000.0))
    site.canary.send_due()
    assert [study.study_instance_uid for study in site.studies()] == site.uids[1:]
    with site.records.read_sessions() as session:
        assert [job.id for job in session.scalars(select(JobRow))] == ["job-2"]


def test_nothing_but_a_canary_is_cleared_away(site: Site) -> None:
    site.records.add_study("1.2.3", patient_id=f"{CANARY_PATIENT_ID}7", awaits_assembly=False)
    site.records.add_job("job-9", study_uid="1.2.3", state=JobState.DELIVERED, finished_at=NOON)
    for _ in range(3):
        site.canary.send_due()
        site.analysed((10.0, 1000.0))
        site.clock.advance(HOUR_S)
    site.canary.send_due()
    kept = [study for study in site.studies() if study.study_instance_uid == "1.2.3"]
    assert [study.purged_at for study in kept] == [None]


def test_a_canary_goes_to_no_destination_and_is_delivered(site: Site) -> None:
    site.canary.send_due()
    site.analysed((10.0, 1000.0), state=JobState.ENCODED)
    with site.records.sessions.begin() as session:
        outbox.plan_job(session, "job-1", ["pacs"], site.clock.now)
    job = site.records.job("job-1")
    assert job.deliveries == []
    assert job.state == JobState.DELIVERED


@pytest.mark.parametrize(
    "marks",
    [
        {"patient_id": "PID-1", "issuer_of_patient_id": CANARY_ISSUER},
        {"patient_id": f"{CANARY_PATIENT_ID}1", "issuer_of_patient_id": "hospital"},
    ],
)
def test_a_patient_with_one_mark_of_a_canary_is_delivered(site: Site, marks: dict[str, str]) -> None:
    site.records.add_study("1.2.3", **marks)
    site.records.add_job("job-9", study_uid="1.2.3", state=JobState.ENCODED)
    with site.records.sessions.begin() as session:
        outbox.plan_job(session, "job-9", ["pacs"], site.clock.now)
    assert [delivery.destination for delivery in site.records.job("job-9").deliveries] == ["pacs"]


def test_the_time_from_the_last_image_to_results_is_a_metric(site: Site) -> None:
    records = site.records
    registry = open_registry(DatabaseCollector(records.read_sessions, records.store, site.clock, ()))
    assert registry.get_sample_value("metserve_canary_turnaround_seconds") is None
    site.canary.send_due()
    site.clock.advance(90)
    site.analysed((10.0, 1000.0))
    site.clock.advance(30)
    assert registry.get_sample_value("metserve_canary_turnaround_seconds") == 90
    assert registry.get_sample_value("metserve_canary_age_seconds") == 120


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no images; expected a folder that `metserve canary` made"):
        load_canary(tmp_path)


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"lesions": [{"number": 1}]}'])
def test_a_folder_without_a_usable_answer_is_refused(tmp_path: Path, answer: str) -> None:
    folder = canary_folder(tmp_path / "canary")
    (folder / "truth.json").write_text(answer, encoding="utf-8")
    with pytest.raises(InvalidInput, match="cannot be used"):
        load_canary(folder)


def test_an_image_that_is_none_is_refused_when_it_is_to_be_sent(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "canary" / "study" / "0.dcm").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match="cannot be read"):
        site.canary.send_due()
    assert isinstance(load_canary(tmp_path / "canary"), CanaryStudy)
