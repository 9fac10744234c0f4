"""Findings, lesions and DICOM objects over REST."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage

from core.errors import UnsuitableReason
from core.job import JobState
from core.notice_records import NoticeState
from core.provenance import RESEARCH_USE_NOTICE
from core.results import ResultKind
from service.api.app import create_app
from tests.service.api_client import ApiClient, api_parts
from tests.service.service_records import STUDY_UID, Records, lesion, sop_class_of


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def client(records: Records, tmp_path: Path) -> ApiClient:
    return ApiClient(create_app(api_parts(records, tmp_path)))


def test_findings_are_given_as_published(records: Records, client: ApiClient) -> None:
    records.add_job(lesions=2)
    reply = client.get("/api/v1/jobs/job-1/findings").json()
    assert reply["findings"] == records.job().report
    assert reply["research_use_notice"] == RESEARCH_USE_NOTICE


def test_lesions_come_as_json(records: Records, client: ApiClient) -> None:
    records.add_job(lesions=2)
    reply = client.get("/api/v1/jobs/job-1/lesions").json()
    assert [found["tracking_id"] for found in reply["lesions"]] == ["BM-01", "BM-02"]
    assert reply["total_volume_mm3"] == 150.0


def test_a_negative_study_has_an_empty_list_of_lesions(records: Records, client: ApiClient) -> None:
    records.add_job(lesions=0)
    reply = client.get("/api/v1/jobs/job-1/lesions")
    assert reply.status_code == 200
    assert reply.json()["lesions"] == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [("lesions.csv", {}), ("lesions", {"Accept": "text/csv"})],
)
def test_lesions_come_as_csv(records: Records, client: ApiClient, path: str, headers: dict[str, str]) -> None:
    records.add_job(lesions=2)
    reply = client.get(f"/api/v1/jobs/job-1/{path}", headers=headers)
    assert reply.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [row["tracking_id"] for row in rows] == ["BM-01", "BM-02"]
    assert float(rows[0]["centroid_x_lps_mm"]) == lesion(1).centroid_lps_mm[0]
    assert {row["research_use_notice"] for row in rows} == {RESEARCH_USE_NOTICE}


def test_a_segmentation_is_a_dicom_file_named_after_its_job(records: Records, client: ApiClient) -> None:
    records.add_job()
    reply = client.get("/api/v1/jobs/job-1/seg")
    assert reply.headers["content-type"] == "application/dicom"
    assert 'filename="job-1-seg.dcm"' in reply.headers["content-disposition"]
    assert dcmread(io.BytesIO(reply.content)).SOPClassUID == SegmentationStorage


def test_a_negative_study_has_a_report_but_no_segmentation(records: Records, client: ApiClient) -> None:
    records.add_job(lesions=0)
    assert client.get("/api/v1/jobs/job-1/sr").status_code == 200
    reply = client.get("/api/v1/jobs/job-1/seg")
    assert reply.status_code == 404
    assert "found no lesion" in reply.json()["detail"]


def test_a_job_under_way_says_how_far_it_is(records: Records, client: ApiClient) -> None:
    records.add_job(state=JobState.INFERRING, progress=0.4)
    for path in ("seg", "sr", "lesions", "findings", "lesions.csv"):
        reply = client.get(f"/api/v1/jobs/job-1/{path}")
        assert reply.status_code == 404
        assert reply.json()["detail"] == "job job-1 has no results yet, it is inferring (40% done)"


def test_an_unsuitable_study_says_why_it_has_no_results(records: Records, client: ApiClient) -> None:
    reason = UnsuitableReason.NO_POST_CONTRAST
    records.add_job(state=JobState.UNSUITABLE, reason=reason, message="no series after contrast")
    detail = client.get("/api/v1/jobs/job-1/sr").json()["detail"]
    assert detail.endswith("unsuitable (no_post_contrast): no series after contrast")


@pytest.mark.parametrize("kind", list(ResultKind))
def test_every_kind_of_object_is_given_by_its_name(
    records: Records, client: ApiClient, kind: ResultKind
) -> None:
    records.add_job(kinds=(kind,))
    reply = client.get(f"/api/v1/jobs/job-1/objects/{kind}")
    assert f'filename="job-1-{kind}.dcm"' in reply.headers["content-disposition"]
    assert dcmread(io.BytesIO(reply.content)).SOPClassUID == sop_class_of(kind)
    assert client.get("/api/v1/jobs/job-1").json()["results"] == [kind]
    assert client.get("/api/v1/jobs").json()["jobs"][0]["results"] == [kind]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("seg", "found no lesion, so there is no segmentation"),
        ("rtstruct", "found no lesion, so there is no structure set"),
        ("probability", "METSERVE_WORKER_PROBABILITY_MAP"),
        ("rejection", "nothing to reject"),
        ("notice", "only a study that cannot be analysed"),
        ("pdf", "published no pdf"),
    ],
)
def test_an_object_that_is_not_there_says_why(
    records: Records, client: ApiClient, kind: str, told: str
) -> None:
    records.add_job(lesions=0)
    reply = client.get(f"/api/v1/jobs/job-1/objects/{kind}")
    assert reply.status_code == 404
    assert told in reply.json()["detail"]


def test_a_kind_that_does_not_exist_is_refused(records: Records, client: ApiClient) -> None:
    records.add_job()
    assert client.get("/api/v1/jobs/job-1/objects/findings").status_code == 422


def test_an_unsuitable_study_gives_its_notice(records: Records, client: ApiClient) -> None:
    records.add_job(state=JobState.UNSUITABLE)
    records.add_notice()
    assert client.get("/api/v1/jobs/job-1/objects/notice").status_code == 200
    assert client.get("/api/v1/jobs").json()["jobs"][0]["results"] == ["notice"]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (NoticeState.DUE, "is not made yet"),
        (NoticeState.FAILED, "could not be made: disk full"),
        (NoticeState.OVERTAKEN, "a newer revision"),
    ],
)
def test_a_notice_that_is_not_there_says_why(
    records: Records, client: ApiClient, state: NoticeState, told: str
) -> None:
    records.add_job(state=JobState.UNSUITABLE)
    records.add_notice(state=state, last_error="disk full")
    reply = client.get("/api/v1/jobs/job-1/objects/notice")
    assert reply.status_code == 404
    assert told in reply.json()["detail"]


def test_a_result_file_that_changed_is_not_given_out(records: Records, client: ApiClient) -> None:
    records.add_job()
    records.result_path("job-1", "sr").write_bytes(b"something else")
    reply = client.get("/api/v1/jobs/job-1/sr")
    assert reply.status_code == 500
    assert "SHA-256" in reply.json()["detail"]


def test_a_study_gives_the_lesions_of_its_newest_published_job(records: Records, client: ApiClient) -> None:
    records.add_job("old", lesions=2, state=JobState.DELIVERED)
    records.add_job("newer", lesions=1, revision=2)
    records.add_job("under-way", state=JobState.INFERRING, revision=3)
    reply = client.get(f"/api/v1/studies/{STUDY_UID}/lesions").json()
    assert reply["job_id"] == "newer"
    assert len(reply["lesions"]) == 1
