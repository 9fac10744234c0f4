"""The CSV table of lesions."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from core.lesion import Location, Region, Side
from service.api.lesion_table import lesions_csv
from tests.service.service_records import STUDY_UID, lesion


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_negative_study_has_the_header_alone() -> None:
    text = lesions_csv((), STUDY_UID, "job-1")
    assert text.count("\r\n") == 1
    assert "volume_mm3" in text


def test_every_measure_names_its_unit_and_frame() -> None:
    (row,) = rows(lesions_csv((lesion(1),), STUDY_UID, "job-1"))
    assert float(row["volume_mm3"]) == 100.0
    assert float(row["long_axis_mm"]) == 6.0
    assert float(row["centroid_z_lps_mm"]) == 30.0


def test_a_lesion_says_its_filled_volume_and_where_it_lies() -> None:
    placed = replace(lesion(1), location=Location(Region.TEMPORAL_LOBE, Side.LEFT))
    left, unknown = rows(lesions_csv((placed, lesion(2)), STUDY_UID, "job-1"))
    assert float(left["filled_volume_mm3"]) == 110.0
    assert (left["region"], left["side"]) == ("temporal_lobe", "left")
    assert (unknown["region"], unknown["side"]) == ("brain", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_looks_like_a_formula_stays_text(start: str) -> None:
    poisoned = replace(lesion(1), tracking_id=f"{start}cmd|' /C calc'!A0")
    (row,) = rows(lesions_csv((poisoned,), STUDY_UID, "job-1"))
    assert row["tracking_id"].startswith(f"'{start}")


def test_a_negative_number_stays_a_number() -> None:
    (row,) = rows(lesions_csv((lesion(1),), STUDY_UID, "job-1"))
    assert row["centroid_x_lps_mm"] == "-7.5"
