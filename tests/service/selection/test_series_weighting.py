from __future__ import annotations

from typing import Any

import pytest

from core.study import SeriesRole
from tests.mr_headers import SIEMENS_MPRAGE, T1_SPIN_ECHO, T1_VIBE, series
from tests.service.selection.selecting import AGENT, chosen, select


@pytest.mark.parametrize(
    ("description", "protocol"),
    [
        ("AX T1 MPRAGE POST SRS PLAN", SIEMENS_MPRAGE),
        ("T1 POST GK PLAN", SIEMENS_MPRAGE),
        ("3D T1 +C STEALTH PLAN", SIEMENS_MPRAGE),
        ("T1 POST BRAIN LAB PLAN AX", SIEMENS_MPRAGE),
        ("T1 MPRAGE POST SRS LOC", SIEMENS_MPRAGE),
        ("T1 VIBE FS POST TRACE", T1_VIBE),
        ("T1 MPRAGE POST MRV", SIEMENS_MPRAGE),
        ("T1 SE POST PERF", T1_SPIN_ECHO),
    ],
)
def test_words_do_not_beat_t1_timing(description: str, protocol: dict[str, Any]) -> None:
    selection = select(series(3, description, protocol, contrast=AGENT))
    assert chosen(selection) == {SeriesRole.T1_POST: 3}
