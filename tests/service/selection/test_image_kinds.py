from __future__ import annotations

from itertools import permutations

import pytest
from pydicom import Dataset

from core.study import SeriesRole
from tests.mr_headers import T1_VIBE, series
from tests.service.selection.selecting import AGENT, chosen, reasons, refuse, select

POST_3 = {SeriesRole.T1_POST: 3}


@pytest.mark.parametrize(
    ("description", "part"),
    [
        ("t1_vibe_dixon_tra_F", "M"),
        ("t1_vibe_dixon_tra_opp", "M"),
        ("FAT: Ax T1 LAVA +C", "M"),
        ("OutPhase: Ax T1 LAVA +C", "M"),
        ("t1 dixon", "FAT"),
        ("t1 dixon", "FAT_FRACTION"),
        ("t1 dixon", "OPP_PHASE"),
        ("t1 dixon", "OUT_PHASE"),
        ("t1 mDIXON", "F"),
    ],
)
def test_fat_and_opposed_phase_images_are_never_analysed(description: str, part: str) -> None:
    image = series(9, description, T1_VIBE, contrast=AGENT, ImageType=["DERIVED", "PRIMARY", part])
    assert "not an acquired stack" in reasons(refuse(image), 9)
    assert chosen(select(series(3, "t1 KM", T1_VIBE, contrast=AGENT), image)) == POST_3


@pytest.mark.parametrize("description", ["AX T1 FAT SAT POST", "T1 FS POST", "WATER: Ax T1 LAVA +C"])
def test_fat_suppressed_and_water_images_are_analysed(description: str) -> None:
    assert chosen(select(series(3, description, T1_VIBE, contrast=AGENT))) == POST_3


@pytest.mark.parametrize("numbers", [(3, 4, 5, 6), (3, 2, 1, 0)])
@pytest.mark.parametrize("parts", [("WATER", "IN_PHASE", "OPP_PHASE", "FAT"), ("IN_PHASE", "FAT")])
def test_water_is_preferred_then_in_phase(parts: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    images = [
        series(number, "t1 dixon", T1_VIBE, contrast=AGENT, ImageType=["DERIVED", "PRIMARY", "DIXON", part])
        for number, part in zip(numbers, parts, strict=False)
    ]
    assert chosen(select(*images)) == POST_3


@pytest.mark.parametrize("order", [*permutations(["FAT", "OPP_PHASE", "WATER"])])
def test_the_water_images_of_a_series_with_all_parts_are_taken(order: tuple[str, ...]) -> None:
    """Whatever the order of their UIDs."""
    images = [_part(place, part) for place, part in enumerate(order)]
    water = images[order.index("WATER")]
    selection = select([dataset for part in images for dataset in part])
    assert set(selection.selected[0].sop_instance_uids) == {d.SOPInstanceUID for d in water}


def _part(place: int, part: str) -> list[Dataset]:
    echo_time_ms = 1.2 if part == "OPP_PHASE" else 2.4
    image_type = ["DERIVED", "PRIMARY", "DIXON", part]
    datasets = series(
        3, "t1 dixon", T1_VIBE, contrast=AGENT, slices=24, ImageType=image_type, EchoTime=echo_time_ms
    )
    for dataset in datasets:
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{place}"
    return datasets
