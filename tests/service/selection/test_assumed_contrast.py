from __future__ import annotations

from typing import Any

import pytest

from core.errors import UnsuitableReason
from tests.mr_headers import SAGITTAL, SIEMENS_MPRAGE, T1_SPIN_ECHO, T1_VIBE, T2_TURBO_SPIN_ECHO, series
from tests.service.selection.selecting import AGENT, chosen, pair, reasons, refuse, select


def test_the_later_of_two_like_scans_is_assumed_to_be_post_contrast() -> None:
    selection = select(
        series(7, "t1 mprage", SIEMENS_MPRAGE, time="102000"),
        series(8, "t1 mprage", SIEMENS_MPRAGE, time="100000"),
        series(3, "t1 se", T1_SPIN_ECHO, time="095000"),
        series(4, "t2", T2_TURBO_SPIN_ECHO),
    )
    assert chosen(selection) == pair(8, 7)
    assert "contrast is assumed from the order of acquisition" in reasons(selection, 7)


@pytest.mark.parametrize(
    ("description", "protocol", "elements"),
    [
        ("t1 mprage", SIEMENS_MPRAGE, {"time": "100000"}),
        ("t1 mprage", SIEMENS_MPRAGE, {}),
        ("t1 mprage sag", SIEMENS_MPRAGE, {"time": "102000"}),
        ("t1 mprage", T1_VIBE, {"time": "102000"}),
        ("t1 mprage", SIEMENS_MPRAGE, {"time": "102000", "orientation": SAGITTAL}),
        ("t1 mprage", SIEMENS_MPRAGE, {"time": "102000", "ImageType": ["DERIVED", "PRIMARY", "M", "DIS3D"]}),
    ],
)
def test_nothing_is_assumed_of_scans_that_differ_or_have_no_order(
    description: str, protocol: dict[str, Any], elements: dict[str, Any]
) -> None:
    one = series(1, "t1 mprage", SIEMENS_MPRAGE, time="100000")
    refusal = refuse(one, series(2, description, protocol, **elements))
    assert refusal.reason is UnsuitableReason.NO_POST_CONTRAST


@pytest.mark.parametrize(
    ("description", "protocol", "contrast"),
    [
        ("t1 mprage", SIEMENS_MPRAGE, None),
        ("t2", T2_TURBO_SPIN_ECHO, AGENT),
        ("t2 nativ", T2_TURBO_SPIN_ECHO, None),
        ("t2 nativ", T2_TURBO_SPIN_ECHO, AGENT),
    ],
)
def test_nothing_is_assumed_beside_a_third_scan_or_other_evidence(
    description: str, protocol: dict[str, Any], contrast: str | None
) -> None:
    refusal = refuse(
        series(1, "t1 mprage", SIEMENS_MPRAGE, time="100000"),
        series(2, "t1 mprage", SIEMENS_MPRAGE, time="102000"),
        series(3, description, protocol, contrast=contrast, time="104000"),
    )
    assert refusal.reason is UnsuitableReason.NO_POST_CONTRAST
