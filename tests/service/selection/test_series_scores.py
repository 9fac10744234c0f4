from __future__ import annotations

from typing import Any

import pytest

from core.study import SeriesRole
from tests.mr_headers import SIEMENS_MPRAGE, T1_SPIN_ECHO, series
from tests.service.selection.selecting import AGENT, chosen, pair, reasons, select

MPR: dict[str, Any] = {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}
DERIVED: dict[str, Any] = {"ImageType": ["DERIVED", "PRIMARY", "M"]}


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"time": "102000"}, "a reconstruction of the T1 post-contrast"),
        ({"time": "102000", **MPR}, "a reconstruction of the T1 post-contrast"),
        (MPR, "a derived series not known to be native"),
        (DERIVED, "a derived series not known to be native"),
    ],
)
def test_another_reconstruction_of_the_t1_post_is_no_t1(elements: dict[str, Any], reason: str) -> None:
    post = series(5, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, time="102000")
    copy = series(6, "t1", SIEMENS_MPRAGE, **elements)
    native = series(2, "t1 se", T1_SPIN_ECHO, time="100000")
    assert chosen(select(post, copy)) == {SeriesRole.T1_POST: 5}
    selection = select(native, post, copy)
    assert chosen(selection) == pair(2, 5)
    assert reason in reasons(selection, 6)


@pytest.mark.parametrize("elements", [MPR, DERIVED])
def test_a_derived_series_of_an_earlier_acquisition_may_be_t1(elements: dict[str, Any]) -> None:
    post = series(5, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, time="102000")
    assert chosen(select(post, series(2, "t1", SIEMENS_MPRAGE, time="100000", **elements))) == pair(2, 5)


def test_a_t1_post_with_a_frame_of_reference_is_preferred() -> None:
    unplaced = series(5, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, FrameOfReferenceUID=None)
    selection = select(unplaced, series(2, "t1 se KM", T1_SPIN_ECHO, contrast=AGENT))
    assert chosen(selection) == {SeriesRole.T1_POST: 2}
    assert "no Frame of Reference UID" in reasons(selection, 5)
    assert "no Frame of Reference UID" in reasons(select(unplaced), 5)
