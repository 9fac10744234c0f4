"""Jobs, replays and deliveries over REST."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.job import JobState, Outcome
from service.api.app import create_app
from service.delivery.outbox import DeliveryState
from tests.service.api_client import ApiClient, add_delivery, api_parts
from tests.service.service_records import STUDY_UID, Records


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def client(records: Records, tmp_path: Path) -> ApiClient:
    return ApiClient(create_app(api_parts(records, tmp_path)))


def test_jobs_are_listed_by_state(records: Records, client: ApiClient) -> None:
    records.add_job("one", state=JobState.QUEUED)
    records.add_job("two", state=JobState.PARKED, revision=2)
    page = client.get("/api/v1/jobs", params={"state": ["parked", "unsuitable"]}).json()
    assert [job["job_id"] for job in page["jobs"]] == ["two"]
    assert page["jobs"][0]["study_instance_uid"] == STUDY_UID


def test_jobs_are_listed_by_study(records: Records, client: ApiClient) -> None:
    records.add_job("one")
    records.add_job("other", study_uid="1.2.3")
    page = client.get("/api/v1/jobs", params={"study_instance_uid": "1.2.3"}).json()
    assert [job["job_id"] for job in page["jobs"]] == ["other"]


@pytest.mark.parametrize("uid", ["\0", "1.2\0", "abc", "", "1" * 65])
def test_what_is_no_study_uid_is_refused(client: ApiClient, uid: str) -> None:
    reply = client.get("/api/v1/jobs", params={"study_instance_uid": uid})
    assert reply.status_code == 422
    assert "is not a Study Instance UID" in reply.json()["detail"]


def test_a_finished_job_shows_model_flags_and_deliveries(records: Records, client: ApiClient) -> None:
    records.add_job()
    add_delivery(records, DeliveryState.GIVEN_UP, attempts=1, last_error="seg: refused with status 0xA900")
    job = client.get("/api/v1/jobs/job-1").json()
    assert (job["state"], job["outcome"]) == ("encoded", "positive")
    assert job["model"]["name"] == "bootstrap"
    assert job["flags"] == ["thick_slices"]
    assert job["results"] == ["seg", "sr"]
    assert job["deliveries"][0] == {
        "destination": "pacs",
        "state": "given_up",
        "attempts": 1,
        "next_try_at": None,
        "delivered_at": None,
        "last_error": "seg: refused with status 0xA900",
        "remark": "",
    }


def test_an_unknown_job_is_a_problem_with_a_sentence(client: ApiClient) -> None:
    reply = client.get("/api/v1/jobs/nobody")
    assert reply.status_code == 404
    assert reply.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no job nobody",
    }


def test_a_parked_job_can_be_replayed(records: Records, client: ApiClient) -> None:
    records.add_job(state=JobState.PARKED, outcome=Outcome.FAILED, stage_attempts=3)
    reply = client.post("/api/v1/jobs/job-1/replay")
    assert reply.status_code == 202
    assert (reply.json()["state"], reply.json()["outcome"]) == ("queued", None)
    assert records.job().stage_attempts == 0


def test_only_a_parked_job_can_be_replayed(records: Records, client: ApiClient) -> None:
    records.add_job(state=JobState.DELIVERED)
    reply = client.post("/api/v1/jobs/job-1/replay")
    assert reply.status_code == 409
    assert reply.json()["detail"] == "job job-1 is delivered; only a parked job can be replayed"


def test_a_given_up_delivery_can_be_tried_again(records: Records, client: ApiClient) -> None:
    records.add_job()
    add_delivery(records, DeliveryState.GIVEN_UP, attempts=7, last_error="refused")
    reply = client.post("/api/v1/jobs/job-1/deliveries/pacs/retry")
    assert reply.status_code == 202
    (delivery,) = records.job().deliveries
    assert (delivery.state, delivery.attempts, delivery.last_error) == (DeliveryState.PENDING, 0, "")


def test_a_job_without_results_cannot_be_delivered(records: Records, client: ApiClient) -> None:
    records.add_job(state=JobState.INFERRING)
    reply = client.post("/api/v1/jobs/job-1/deliveries/pacs/retry")
    assert reply.status_code == 409
    assert "inferring" in reply.json()["detail"]


def test_an_unknown_destination_is_not_found(records: Records, client: ApiClient) -> None:
    records.add_job()
    reply = client.post("/api/v1/jobs/job-1/deliveries/elsewhere/retry")
    assert reply.status_code == 404
    assert "configured: pacs" in reply.json()["detail"]


def test_destinations_show_how_their_deliveries_stand(records: Records, client: ApiClient) -> None:
    records.add_job()
    add_delivery(records, DeliveryState.PENDING)
    (destination,) = client.get("/api/v1/destinations").json()["destinations"]
    assert destination["name"] == "pacs"
    assert destination["deliveries"] == {"pending": 1, "delivered": 0, "given_up": 0}
