"""Conditions come once, are told again seldom, and go once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from core.database import ConditionRow
from service.alerts import WEBHOOK_PAUSE_S, Webhook
from service.api.metrics import DatabaseCollector, open_registry
from service.upkeep.conditions import CLEARED, RAISED, Check, Condition, Conditions
from tests.service.service_records import MovedClock, Records

REPEAT_S = 86_400.0
FULL = Condition("disk", "less than 10.0 GiB are free")


class Site:
    """Checks that find what a test says, and a webhook that answers what it says."""

    def __init__(self, folder: Path) -> None:
        self.records = Records(folder)
        self.clock = MovedClock()
        self.found: list[Condition] = []
        self.broken = False
        self.status = 200
        self.told: list[Mapping[str, str]] = []
        http = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.http = http
        self.conditions = Conditions(
            self.records.sessions,
            self.records.read_sessions,
            Webhook("http://alerts.example/", http, self.clock),
            self.clock,
            [Check("disk", self._look), Check("destination", lambda: ())],
            REPEAT_S,
        )

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.conditions.look()

    def rows(self) -> list[ConditionRow]:
        with self.records.read_sessions() as session:
            return list(session.scalars(select(ConditionRow)))

    @property
    def kinds_told(self) -> list[str]:
        return [message["kind"] for message in self.told]

    def _look(self) -> list[Condition]:
        if self.broken:
            raise OSError("the disk does not answer")
        return self.found

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.status < 400:
            self.told.append(httpx.Response(200, content=request.content).json())
        return httpx.Response(self.status)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with site.http:
        yield site


def test_a_condition_is_told_once_and_kept_with_its_moment(site: Site) -> None:
    site.found = [FULL]
    began = site.clock.now
    site.after(0)
    site.after(60)
    assert site.kinds_told == [RAISED]
    assert site.told[0]["reason"] == "disk"
    assert site.told[0]["message"] == FULL.message
    assert [row.since for row in site.rows()] == [began]


def test_a_condition_that_lasts_is_told_again_after_a_day(site: Site) -> None:
    site.found = [FULL]
    site.after(0)
    site.after(REPEAT_S - 1)
    site.after(1)
    assert site.kinds_told == [RAISED, RAISED]


def test_a_condition_that_goes_is_told_once_and_forgotten(site: Site) -> None:
    site.found = [FULL]
    site.after(0)
    site.found = []
    site.after(60)
    site.after(60)
    assert site.kinds_told == [RAISED, CLEARED]
    assert site.rows() == []


def test_a_condition_nobody_heard_of_goes_without_a_word(site: Site) -> None:
    site.found, site.status = [FULL], 500
    site.after(0)
    site.found, site.status = [], 200
    site.after(WEBHOOK_PAUSE_S)
    assert site.told == []
    assert site.rows() == []


def test_a_webhook_that_fails_is_told_later(site: Site) -> None:
    site.found, site.status = [FULL], 500
    site.after(0)
    site.status = 200
    site.after(WEBHOOK_PAUSE_S)
    assert site.kinds_told == [RAISED]


def test_the_end_is_told_later_when_the_webhook_fails(site: Site) -> None:
    site.found = [FULL]
    site.after(0)
    site.found, site.status = [], 500
    site.after(60)
    assert site.rows()[0].cleared_at == site.clock.now
    site.status = 200
    site.after(WEBHOOK_PAUSE_S)
    assert site.kinds_told == [RAISED, CLEARED]


def test_what_comes_back_before_its_end_was_told_never_went(site: Site) -> None:
    site.found = [FULL]
    site.after(0)
    site.found, site.status = [], 500
    site.after(60)
    site.found, site.status = [FULL], 200
    site.after(WEBHOOK_PAUSE_S)
    assert site.kinds_told == [RAISED]
    assert site.rows()[0].cleared_at is None


def test_a_check_that_fails_clears_nothing(site: Site) -> None:
    site.found = [FULL]
    site.after(0)
    site.broken = True
    site.after(60)
    assert site.kinds_told == [RAISED]
    assert len(site.rows()) == 1


def test_somebody_is_told_even_when_nothing_can_be_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(site.conditions, "_sessions", type("Full", (), {"begin": staticmethod(fail)}))
    site.found = [FULL]
    site.after(0)
    assert site.kinds_told == [RAISED]


def test_every_condition_is_a_metric_while_it_lasts(site: Site) -> None:
    site.found = [FULL]
    site.after(0)
    assert _gauge(site) == 1
    site.found = []
    site.after(60)
    assert _gauge(site) is None


def _gauge(site: Site) -> float | None:
    collector = DatabaseCollector(site.records.read_sessions, site.records.store, site.clock, ())
    registry: CollectorRegistry = open_registry(collector)
    return registry.get_sample_value("metserve_condition", {"key": "disk"})
