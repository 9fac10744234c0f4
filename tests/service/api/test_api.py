"""What every reply of the application has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from core.database import Base
from core.provenance import RESEARCH_USE_NOTICE
from service.access.policy import API as API_PREFIX
from service.api.app import create_app
from service.api.parts import ApiParts, parts_of
from tests.service.api_client import ApiClient, api_parts
from tests.service.service_records import PATIENT_NAME, Records


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def client(records: Records, tmp_path: Path) -> ApiClient:
    return ApiClient(create_app(api_parts(records, tmp_path)))


@pytest.fixture
def parts(records: Records, tmp_path: Path) -> ApiParts:
    return api_parts(records, tmp_path)


def test_every_reply_carries_the_research_use_notice_and_is_not_kept(
    records: Records, client: ApiClient
) -> None:
    records.add_job()
    for path in ("/api/v1/studies", "/api/v1/jobs/job-1/seg", "/api/v1/nowhere", "/version"):
        headers = client.get(path).headers
        assert headers["research-use-notice"] == RESEARCH_USE_NOTICE
        assert headers["cache-control"] == "no-store"


def test_openapi_names_every_problem_as_a_problem(client: ApiClient) -> None:
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        always = {"422", "500", "503"} if path.startswith(API_PREFIX) else {"500"}
        for operation in methods.values():
            failures = {status: reply for status, reply in operation["responses"].items() if status >= "400"}
            assert failures.keys() >= always, path
            for reply in failures.values():
                if "application/dicom+json" in reply["content"]:
                    continue  # STOW-RS says of each instance why it is not stored
                assert list(reply["content"]) == ["application/problem+json"], path
                assert "detail" in reply["content"]["application/problem+json"]["schema"]["properties"]
    assert "503" in document["paths"]["/health/ready"]["get"]["responses"]


def test_openapi_refers_to_nothing_it_does_not_hold(client: ApiClient) -> None:
    text = client.get("/openapi.json").text
    schemas = json.loads(text)["components"]["schemas"]
    held = {f"#/components/schemas/{name}" for name in schemas}
    assert set(re.findall(r'"\$ref":\s*"([^"]+)"', text)) <= held
    assert "HTTPValidationError" not in schemas


def test_an_unknown_path_is_a_problem_too(client: ApiClient) -> None:
    reply = client.get("/api/v1/nowhere")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_lost_database_is_unavailable_and_not_a_traceback(records: Records, client: ApiClient) -> None:
    Base.metadata.drop_all(records.engine)
    reply = client.get("/api/v1/studies")
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "5"
    assert "study" not in reply.text


def test_an_unexpected_error_is_a_problem_and_its_text_stays_inside(
    parts: ApiParts, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError(f"cannot handle {PATIENT_NAME}")

    app = create_app(parts)
    app.dependency_overrides[parts_of] = fail
    reply = ApiClient(app).get("/api/v1/studies")
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["research-use-notice"] == RESEARCH_USE_NOTICE
    captured = capsys.readouterr()
    logged = captured.out + captured.err
    assert "RuntimeError" in logged
    assert PATIENT_NAME not in reply.text + logged
