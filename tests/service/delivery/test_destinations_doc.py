"""The tables of docs/destinations.md are those the code obeys, and its example is one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from core.destinations import PROFILES, DicomDestination
from service.delivery.fallbacks import FALLBACKS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "destinations.md").read_text(encoding="utf-8")


def rows(columns: int) -> list[list[str]]:
    """Return the rows of the table with so many columns, without its head."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in table if len(cells) == columns][1:]


def test_the_page_shows_the_profiles_of_the_code() -> None:
    expected = [
        [
            name.value,
            ", ".join(profile.objects) or "none: name them",
            "yes" if profile.notices else "no",
            profile.structure_style or "-",
        ]
        for name, profile in PROFILES.items()
    ]
    assert rows(4) == expected


def test_the_page_shows_the_fallbacks_of_the_code() -> None:
    assert rows(2) == [[kind, ", ".join(others)] for kind, others in FALLBACKS.items()]


def test_the_example_is_a_list_of_destinations() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    destinations = [DicomDestination.model_validate(item) for item in json.loads(example)]
    assert [destination.profile for destination in destinations] == ["pacs", "raystation", "custom"]
