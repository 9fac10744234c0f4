from __future__ import annotations

from typing import Any

import pytest

from core.study import SeriesRole
from tests.mr_headers import SIEMENS_MPRAGE, enhanced, series
from tests.service.selection.selecting import AGENT, chosen, pair, select


def at(date: str, time: str) -> dict[str, Any]:
    return {"AcquisitionDate": date, "time": time}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (at("20261122", "235900"), at("20261123", "000500")),
        (at("20261231", "080000"), at("20270101", "070000")),
        (at("20261123", "080000"), at("20261123", "210000")),
        ({"AcquisitionDateTime": "20261122235900.5"}, {"AcquisitionDateTime": "20261123000500"}),
    ],
)
def test_dates_and_times_order_series(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    """Of equal T1-posts the later one is taken; an unmarked earlier one is a T1, a later one none."""
    first = series(9, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, **earlier)
    last = series(2, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, **later)
    assert chosen(select(first, last)) == {SeriesRole.T1_POST: 2}
    assert chosen(select(series(1, "t1", SIEMENS_MPRAGE, **earlier), last)) == pair(1, 2)
    assert chosen(select(series(1, "t1", SIEMENS_MPRAGE, **later), first)) == {SeriesRole.T1_POST: 9}


@pytest.mark.parametrize("zone", ["", "+0100", "-0500", ".250000+0100"])
def test_an_enhanced_series_after_the_t1_post_is_no_t1_in_any_zone(zone: str) -> None:
    post = enhanced(2, "t1", contrast=True, AcquisitionDateTime=f"20261123101500{zone}")
    late = enhanced(3, "t1", AcquisitionDateTime=f"20261123102000{zone}")
    assert chosen(select(post, late)) == {SeriesRole.T1_POST: 2}
