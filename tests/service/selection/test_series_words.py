from __future__ import annotations

import pytest

from service.selection.series_words import normalise, not_a_scan, says_contrast


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("T1 post Gd (pre SRS)", True),
        ("T1 PRE-RADIATION POST GAD", True),
        ("t1 KM vor Bestrahlung", True),
        ("AX T1 POST SRS PLAN", True),
        ("T1C", True),
        ("T1CE", True),
        ("T1Gd", True),
        ("T1_C", True),
        ("T1w_ce", True),
        ("T1w+KM", True),
        ("T1 PRE", False),
        ("T1 PRE GAD", False),
        ("AX T1 WO CONTRAST", False),
        ("T1 w/o +C", False),
        ("t1_mpr_nativ_KM", None),
        ("T1 PRE/POST", None),
        ("T1 mit und ohne KM", None),
        ("MRI BRAIN W WO CONTRAST", None),
        ("MRI BRAIN W/WO CONTRAST", None),
        ("AX T1 POST OP", None),
        ("T1 pre-op", None),
        ("T1 C-SPINE", None),
        ("T1 + COR", None),
    ],
)
def test_a_description_says_contrast_native_or_nothing_to_rely_on(
    description: str, expected: bool | None
) -> None:
    assert says_contrast(normalise(description)) is expected


@pytest.mark.parametrize(
    ("description", "few_slices", "expected"),
    [
        ("AX T1 MPRAGE POST SRS PLAN", True, None),
        ("T1 POST SRS LOC", False, None),
        ("3-plane loc", True, "a localiser"),
        ("AAHead_Scout", False, "a localiser"),
    ],
)
def test_a_planning_scan_is_no_localiser(description: str, few_slices: bool, expected: str | None) -> None:
    assert not_a_scan(normalise(description), few_slices=few_slices) == expected
