"""A short campaign of what `make chaos` does at length (docs/reliability.md)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.campaign import Campaign, Record, go_down, misbehave, running_campaign
from tests.chaos.destination import Mood
from tests.chaos.fatal_points import POINTS, FatalPoint

pytestmark = [
    pytest.mark.system,
    # pynetdicom's reactor thread raises when the peer it sends to is killed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with running_campaign(tmp_path_factory.mktemp("chaos") / "site", root="2.25.773") as running:
        yield running


@pytest.mark.parametrize(
    "name",
    [
        "renamed, not yet recorded",
        "artefacts written, not recorded",
    ],
)
def test_a_role_killed_at_a_point_loses_nothing_and_repeats_nothing(campaign: Campaign, name: str) -> None:
    point = _point(name)
    assert_nothing_lost(campaign.kill_at(point))


@pytest.mark.parametrize("mood", [Mood.REFUSING, Mood.ABORTING])
def test_a_pacs_that_misbehaves_gets_every_result_once(campaign: Campaign, mood: Mood) -> None:
    assert_nothing_lost(campaign.interrupt(mood.value, 2, misbehave(campaign.destination, mood)))


def test_a_pacs_that_is_down_gets_every_result_once(campaign: Campaign) -> None:
    assert_nothing_lost(campaign.interrupt("PACS down", 1, go_down(campaign.destination)))


def assert_nothing_lost(record: Record) -> None:
    assert record.injected >= 1
    assert not record.losses, f"{record.fault}: {record.losses}"


def _point(name: str) -> FatalPoint:
    (found,) = (point for point in POINTS if point.name == name)
    return found
