"""The worklist and single studies over REST."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.database import InstanceRow, SeriesRow, StudyRow
from core.job import JobState, Outcome
from service.api.app import create_app
from tests.service.api_client import ApiClient, api_parts
from tests.service.service_records import NOON, PATIENT_ID, PATIENT_NAME, STUDY_UID, Records

OTHER_STUDY = "1.2.826.0.1.3680043.8.498.2"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def client(records: Records, tmp_path: Path) -> ApiClient:
    return ApiClient(create_app(api_parts(records, tmp_path)))


def test_the_study_received_last_comes_first(records: Records, client: ApiClient) -> None:
    records.add_study(STUDY_UID)
    records.add_study(OTHER_STUDY, last_received_at=NOON + timedelta(minutes=1))
    page = client.get("/api/v1/studies").json()
    assert [study["study_instance_uid"] for study in page["studies"]] == [OTHER_STUDY, STUDY_UID]
    assert page["total"] == 2


def test_studies_come_in_pages(records: Records, client: ApiClient) -> None:
    for number in range(5):
        records.add_study(f"1.2.{number}", last_received_at=NOON + timedelta(minutes=number))
    page = client.get("/api/v1/studies", params={"limit": 2, "offset": 2}).json()
    assert [study["study_instance_uid"] for study in page["studies"]] == ["1.2.2", "1.2.1"]
    assert page["total"] == 5


def test_studies_are_listed_by_the_state_of_their_newest_job(records: Records, client: ApiClient) -> None:
    records.add_job("old", state=JobState.SUPERSEDED)
    records.add_job("new", state=JobState.PARKED, revision=2, outcome=Outcome.FAILED)
    records.add_job("other", state=JobState.QUEUED, study_uid=OTHER_STUDY)
    assert client.get("/api/v1/studies", params={"state": "superseded"}).json()["total"] == 0
    page = client.get("/api/v1/studies", params={"state": "parked", "outcome": "failed"}).json()
    assert [study["newest_job"]["job_id"] for study in page["studies"]] == ["new"]


def test_a_patient_is_found_by_a_body_and_not_by_a_url(records: Records, client: ApiClient) -> None:
    records.add_study(STUDY_UID)
    records.add_study(OTHER_STUDY, patient_id="somebody else")
    page = client.post("/api/v1/studies/search", json={"patient_id": PATIENT_ID}).json()
    assert [study["study_instance_uid"] for study in page["studies"]] == [STUDY_UID]
    assert page["studies"][0]["patient"]["patient_name"] == PATIENT_NAME


def test_a_study_shows_what_assembly_made_of_its_series(records: Records, client: ApiClient) -> None:
    records.add_job(state=JobState.QUEUED)
    records.change(add_instance)
    study = client.get(f"/api/v1/studies/{STUDY_UID}").json()
    t1_post = study["series"][1]
    assert (t1_post["role"], t1_post["score"]) == ("t1_post", 9.0)
    assert t1_post["reasons"] == ["contrast agent named"]
    assert [series["number_of_instances"] for series in study["series"]] == [0, 1]
    assert [job["job_id"] for job in study["jobs"]] == ["job-1"]


def add_instance(session: Any) -> None:
    series = session.query(SeriesRow).filter_by(series_number=2).one()
    session.add(
        InstanceRow(
            series_id=series.id,
            sop_instance_uid="1.2.3",
            sop_class_uid="1.2",
            transfer_syntax_uid="1.2",
            sha256="",
            size_bytes=1,
            path="instances/x.dcm",
            header={},
            received_at=NOON,
        )
    )


def test_a_study_assembly_has_not_looked_at_has_series_without_a_verdict(
    records: Records, client: ApiClient
) -> None:
    records.add_study(assembly=None)
    study = client.get(f"/api/v1/studies/{STUDY_UID}").json()
    assert (study["newest_job"], study["assembly"]) == (None, None)
    assert {(series["role"], series["score"]) for series in study["series"]} == {(None, None)}


def test_a_study_that_waits_shows_for_what_before_there_is_a_job(records: Records, client: ApiClient) -> None:
    records.add_study(awaits_assembly=True)
    study = client.get(f"/api/v1/studies/{STUDY_UID}").json()
    assert study["newest_job"] is None
    assert study["assembly"]["missing_role"] == "t1"
    assert study["assembly"]["waits_because"] == "waits for a T1"
    assert study["series"][1]["role"] == "t1_post"


def test_a_study_that_was_answered_waits_for_nothing(records: Records, client: ApiClient) -> None:
    records.add_job()
    study = client.get(f"/api/v1/studies/{STUDY_UID}").json()
    assert study["assembly"]["waits_because"] == ""


@pytest.mark.parametrize("patient_id", ["a\0b", "a\nb", "\ud800", "x" * 65])
def test_what_can_be_no_patient_id_is_refused_and_not_repeated(client: ApiClient, patient_id: str) -> None:
    body = json.dumps({"patient_id": patient_id})
    reply = client.post("/api/v1/studies/search", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert patient_id[:2].encode(errors="replace") not in reply.json()["detail"].encode(errors="replace")


@pytest.mark.parametrize("patient_id", ["Müller 7", "患者", "a^b=c"])
def test_a_patient_id_may_be_written_in_any_script(
    records: Records, client: ApiClient, patient_id: str
) -> None:
    records.add_study(patient_id=patient_id)
    page = client.post("/api/v1/studies/search", json={"patient_id": patient_id}).json()
    assert page["total"] == 1


def test_asking_for_an_analysis_ends_the_wait(records: Records, client: ApiClient) -> None:
    records.add_study()
    reply = client.post(f"/api/v1/studies/{STUDY_UID}/analysis")
    assert reply.status_code == 202
    with records.sessions() as session:
        study = session.query(StudyRow).one()
    assert study.analysis_requested_at == NOON
    assert study.awaits_assembly


@pytest.mark.parametrize("uid", ["abc", "..%2F..%2Fetc", "1.2%00.3", "1" * 65, "..."])
def test_what_is_no_uid_is_refused(client: ApiClient, uid: str) -> None:
    reply = client.get(f"/api/v1/studies/{uid}")
    assert reply.status_code in {404, 422}
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 10**9}, {"offset": -1}, {"state": "no state"}])
def test_a_page_out_of_bounds_is_refused(client: ApiClient, query: dict[str, Any]) -> None:
    assert client.get("/api/v1/studies", params=query).status_code == 422
