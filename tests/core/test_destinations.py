from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.destinations import PROFILES, DicomDestination, ProfileName
from core.results import ResultKind

PLANNING = ("eclipse", "raystation", "gammaplan", "brainlab")


def destination(**fields: Any) -> DicomDestination:
    return DicomDestination.model_validate(
        {"name": "peer", "ae_title": "PEER", "host": "peer.example", "port": 104} | fields
    )


def test_a_destination_is_a_pacs_unless_it_says_otherwise() -> None:
    assert destination() == destination(profile="pacs")
    assert destination().objects == PROFILES[ProfileName.PACS].objects
    assert destination().notices


@pytest.mark.parametrize("profile", PLANNING)
def test_a_planning_system_gets_structure_sets_and_no_notices(profile: str) -> None:
    assert destination(profile=profile).objects == (ResultKind.RTSTRUCT,)
    assert not destination(profile=profile).notices


@pytest.mark.parametrize("profile", ["ohif", "slicer"])
def test_a_viewer_gets_what_it_can_draw(profile: str) -> None:
    assert set(destination(profile=profile).objects) == {ResultKind.SEG, ResultKind.SR, ResultKind.RTSTRUCT}


def test_what_a_site_says_counts_more_than_the_profile() -> None:
    chosen = destination(profile="eclipse", objects=["seg", "rtstruct"], notices=True)
    assert chosen.objects == (ResultKind.SEG, ResultKind.RTSTRUCT)
    assert chosen.notices


def test_a_destination_may_get_notices_and_nothing_else() -> None:
    assert destination(profile="custom", objects=[]).objects == ()


def test_a_custom_destination_has_to_name_its_objects() -> None:
    with pytest.raises(ValidationError, match="expected a list"):
        destination(profile="custom")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"profile": "monaco"}, "'pacs', 'eclipse'"),
        ({"objects": ["jpeg"]}, "'seg', 'sr'"),
        ({"objects": ["notice"]}, "notices"),
        ({"objects": ["seg", "seg"]}, "once"),
    ],
)
def test_a_wrong_choice_is_told_with_what_is_expected(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        destination(**fields)


def test_every_profile_is_in_the_table() -> None:
    assert set(PROFILES) == set(ProfileName)
