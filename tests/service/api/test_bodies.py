"""Bodies and headers: what is too large, too slow or from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.settings import ApiSettings
from service.api.app import create_app
from tests.service.api_client import ApiClient, api_parts
from tests.service.service_records import Records

SEARCH = "/api/v1/studies/search"
JSON = {"Content-Type": "application/json"}


def client(folder: Path, **settings: object) -> ApiClient:
    return ApiClient(create_app(api_parts(Records(folder), folder, settings=ApiSettings(**settings))))  # type: ignore[arg-type]


async def pieces(count: int, pause_s: float = 0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(pause_s)
        yield b" " * 1024
    yield b"{}"


def test_a_body_within_the_limit_is_read(tmp_path: Path) -> None:
    reply = client(tmp_path, maximum_body_bytes=4096).post(SEARCH, content=pieces(3), headers=JSON)
    assert reply.status_code == 200


def test_a_body_that_says_it_is_too_large_is_not_read(tmp_path: Path) -> None:
    reply = client(tmp_path, maximum_body_bytes=4096).post(SEARCH, content=b" " * 5000, headers=JSON)
    assert reply.status_code == 413
    assert "4096" in reply.json()["detail"]


def test_a_body_that_does_not_say_how_large_it_is_is_counted(tmp_path: Path) -> None:
    reply = client(tmp_path, maximum_body_bytes=4096).post(SEARCH, content=pieces(50), headers=JSON)
    assert reply.status_code == 413


def test_headers_and_addresses_have_a_limit(tmp_path: Path) -> None:
    asker = client(tmp_path, maximum_header_bytes=4096)
    assert asker.get("/version", headers={"X-Long": "x" * 5000}).status_code == 431
    assert asker.get(f"/version?{'x' * 5000}").status_code == 431
    assert asker.get("/version").status_code == 200


def test_instances_have_limits_of_their_own(tmp_path: Path) -> None:
    settings = {"maximum_body_bytes": 4096, "stow_maximum_bytes": 8192}
    asker = client(tmp_path, **settings)
    small = asker.post("/dicomweb/studies", content=b" " * 5000, headers=JSON)
    large = asker.post("/dicomweb/studies", content=b" " * 9000, headers=JSON)
    assert small.status_code != 413
    assert large.status_code == 413


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    reply = client(tmp_path, body_timeout_s=0.2).post(SEARCH, content=pieces(9, pause_s=0.1), headers=JSON)
    assert reply.status_code == 408


@pytest.mark.parametrize("path", ["/version", "/nowhere", "/docs"])
def test_every_answer_tells_browsers_what_they_may_do(tmp_path: Path, path: str) -> None:
    headers = client(tmp_path).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-eval'" not in policy
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in headers  # it came by plain HTTP


def test_the_documentation_page_runs_no_script_of_its_own(tmp_path: Path) -> None:
    page = client(tmp_path).get("/docs").text
    assert "<script>" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_pages_of_other_origins_may_ask_only_where_they_are_named(tmp_path: Path) -> None:
    preflight = {
        "Origin": "https://viewer.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "Authorization",
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    closed = client(tmp_path / "one")._ask("OPTIONS", "/api/v1/studies", headers=preflight)
    opened = client(tmp_path / "two", cors_origins=("https://viewer.example",))._ask(
        "OPTIONS", "/api/v1/studies", headers=preflight
    )
    assert "access-control-allow-origin" not in closed.headers
    assert opened.headers["access-control-allow-origin"] == "https://viewer.example"
    assert "access-control-allow-credentials" not in opened.headers


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/studies/..%2f..%2fetc%2fpasswd",
        "/api/v1/studies/1.2%00.3",
        "/api/v1/jobs/..%2fjob-1",
        "/api/v1/jobs/job-1%00",
        "/api/v1/jobs/job-1/objects/..%2fsr",
        "/dicomweb/studies/1.2%00.3/metadata",
        "/dicomweb/studies/..%2f1/series",
        "/docs/assets/..%2f..%2f__init__.py",
        "/docs/assets/%00",
    ],
)
def test_tricks_in_a_path_lead_nowhere(tmp_path: Path, path: str) -> None:
    assert client(tmp_path).get(path).status_code in {400, 404, 422}
