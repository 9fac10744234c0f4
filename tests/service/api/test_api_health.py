"""Health, metrics, version and documentation."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core import schema
from core.broker import open_broker
from core.database import Base
from core.job import JobState
from core.settings import CommonSettings
from service.api.app import create_app
from service.delivery.outbox import DeliveryState
from tests.service.api_client import ApiClient, add_delivery, api_parts
from tests.service.service_records import NOON, PATIENT_ID, STUDY_UID, Records


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def client(records: Records, tmp_path: Path) -> ApiClient:
    return ApiClient(create_app(api_parts(records, tmp_path)))


def test_a_whole_service_is_ready(tmp_path: Path) -> None:
    records = Records(tmp_path, migrated=True)
    reply = ApiClient(create_app(api_parts(records, tmp_path))).get("/health/ready")
    assert reply.status_code == 200
    assert [check["name"] for check in reply.json()["checks"]] == ["database", "store", "broker"]


def test_a_full_disk_makes_the_service_unready(tmp_path: Path) -> None:
    records = Records(tmp_path, migrated=True)
    full = api_parts(records, tmp_path, minimum_free_bytes=2**60)
    reply = ApiClient(create_app(full)).get("/health/ready")
    assert reply.status_code == 503
    assert reply.json()["detail"].startswith("store has ")
    assert [check["passed"] for check in reply.json()["checks"]] == [True, False, True]


def test_a_dead_broker_makes_the_service_unready(tmp_path: Path) -> None:
    records = Records(tmp_path, migrated=True)
    settings = CommonSettings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0")
    reply = ApiClient(create_app(api_parts(records, tmp_path, broker=open_broker(settings)))).get(
        "/health/ready"
    )
    assert reply.status_code == 503
    assert reply.json()["detail"].startswith("broker cannot be reached")


def test_an_old_schema_makes_the_service_unready(client: ApiClient) -> None:
    reply = client.get("/health/ready")
    assert reply.status_code == 503
    assert f"expected {schema.head_revision()}" in reply.json()["detail"]


def test_a_process_is_live_whatever_the_database_does(records: Records, client: ApiClient) -> None:
    Base.metadata.drop_all(records.engine)
    assert client.get("/health/live").json() == {"status": "live"}


def metric_values(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_the_database_holds(records: Records, client: ApiClient) -> None:
    records.add_job("job-1", created_at=NOON - timedelta(seconds=90), state=JobState.QUEUED)
    records.add_job("job-2", revision=2, state=JobState.PARKED)
    add_delivery(records, DeliveryState.PENDING)
    client.get("/api/v1/jobs/job-1")
    values = metric_values(client.get("/metrics").text)
    assert values["metserve_database_up", ""] == 1
    assert values["metserve_studies", ""] == 1
    assert values["metserve_jobs", "parked"] == 1
    assert values["metserve_jobs", "delivered"] == 0
    assert values["metserve_deliveries", "pacs,pending"] == 1
    assert values["metserve_oldest_unfinished_job_age_seconds", ""] == 90
    assert values["metserve_http_requests_total", "GET,/api/v1/jobs/{job_id},200"] == 1


def test_metrics_without_a_database_say_so(records: Records, client: ApiClient) -> None:
    Base.metadata.drop_all(records.engine)
    values = metric_values(client.get("/metrics").text)
    assert values["metserve_database_up", ""] == 0
    assert ("metserve_studies", "") not in values


def test_no_patient_data_reaches_metrics(records: Records, client: ApiClient) -> None:
    records.add_job()
    for path in (f"/api/v1/studies/{STUDY_UID}", "/api/v1/jobs/job-1/seg", f"/api/v1/{PATIENT_ID}"):
        client.get(path)
    text = client.get("/metrics").text
    assert not [secret for secret in ("CANARY", "Canary", STUDY_UID, "job-1") if secret in text]


def test_the_documentation_loads_nothing_from_elsewhere(client: ApiClient) -> None:
    page = client.get("/docs").text
    assert "http" not in page.replace("http-equiv", "")
    script = page.split('src="', 1)[1].split('"', 1)[0]
    assert client.get(script).status_code == 200
    assert client.get("/docs/assets/swagger-ui.css").status_code == 200


def test_the_schema_describes_problems_and_files(client: ApiClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    seg = paths["/api/v1/jobs/{job_id}/seg"]["get"]["responses"]
    assert list(seg["200"]["content"]) == ["application/dicom"]
    assert list(seg["404"]["content"]) == ["application/problem+json"]


def test_the_application_imports_no_dicom_network() -> None:
    program = "import service.api.app, sys, json; print(json.dumps('pynetdicom' in sys.modules))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(output.stdout) is False


def test_the_version_names_software_and_schema(client: ApiClient) -> None:
    reply = client.get("/version").json()
    assert (reply["version"], reply["schema_revision"]) == ("0.1.0", schema.head_revision())
