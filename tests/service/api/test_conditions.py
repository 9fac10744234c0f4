"""Conditions over REST: what is wrong now, and nothing that is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.database import ConditionRow
from service.api.app import create_app
from tests.service.api_client import ApiClient, api_parts
from tests.service.service_records import NOON, Records


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def test_what_is_wrong_now_is_listed_by_key(records: Records, tmp_path: Path) -> None:
    rows = [
        ConditionRow(key="parked", message="1 jobs are parked", since=NOON, alerted_at=NOON),
        ConditionRow(key="disk", message="less than 10.0 GiB are free", since=NOON),
        ConditionRow(key="audit", message="", since=NOON, alerted_at=NOON, cleared_at=NOON),
    ]
    records.change(lambda session: session.add_all(rows))
    answer = ApiClient(create_app(api_parts(records, tmp_path))).get("/api/v1/conditions")
    assert answer.status_code == 200
    listed = answer.json()["conditions"]
    assert [one["key"] for one in listed] == ["disk", "parked"]
    assert listed[0]["message"] == "less than 10.0 GiB are free"
    assert listed[0]["alerted_at"] is None
