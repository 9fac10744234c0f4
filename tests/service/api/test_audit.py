"""The audit trail over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.audit import Actor, AuditAction, AuditedStudy, AuditEvent, AuditKind
from service.api.app import create_app
from service.audit.trail import AuditTrail
from tests.service.api_client import ApiClient, api_parts
from tests.service.service_records import MovedClock, Records

STUDY_UIDS = ("1.2.3", "1.2.33", "1.2.3")


@pytest.fixture
def client(tmp_path: Path) -> ApiClient:
    records = Records(tmp_path)
    trail = AuditTrail(records.sessions, MovedClock(), "test", tmp_path / "waiting.jsonl")
    for uid in STUDY_UIDS:
        study = AuditedStudy(uid, "PID", "Name^Patient")
        event = AuditEvent(
            AuditKind.INSTANCES_ACCESSED, AuditAction.READ, (Actor("reader"),), studies=(study,)
        )
        trail.record(event)
    return ApiClient(create_app(api_parts(records, tmp_path, audit=trail)))


def page(client: ApiClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def positions(found: dict[str, Any]) -> list[int]:
    return [message["position"] for message in found["messages"]]


def test_the_trail_is_read_page_by_page(client: ApiClient) -> None:
    first = page(client, limit=2)
    assert (positions(first), first["next_after"]) == ([1, 2], 2)
    second = page(client, limit=2, after=2, kind="instances_accessed")
    assert (positions(second), second["next_after"]) == ([3], None)


def test_a_study_is_found_by_its_whole_uid(client: ApiClient) -> None:
    assert positions(page(client, study_instance_uid="1.2.3")) == [1, 3]
    assert positions(page(client, study_instance_uid="1.2")) == []


def test_who_looked_stands_in_the_trail(client: ApiClient) -> None:
    page(client)
    (looked,) = page(client, kind="audit_log_used")["messages"]
    assert "Security Audit Log" in looked["message"]


@pytest.mark.parametrize("wrong", [{"kind": "gossip"}, {"after": -1}, {"since": "2026-11-24T05:00"}])
def test_a_wrong_question_is_told(client: ApiClient, wrong: dict[str, Any]) -> None:
    assert client.get("/api/v1/audit", params=wrong).status_code == 422
