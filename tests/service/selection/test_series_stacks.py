from __future__ import annotations

import pytest

from core.errors import UnsuitableReason
from tests.mr_headers import SIEMENS_MPRAGE, series
from tests.service.selection.selecting import AGENT, refuse, select


@pytest.mark.parametrize("cosines", [(0.994999, 0.995001), (0.9949, 0.9951), (0.1249999, 0.1250001)])
def test_jittering_cosines_do_not_split_a_stack(cosines: tuple[float, float]) -> None:
    datasets = series(3, "t1", SIEMENS_MPRAGE, contrast=AGENT, slices=160, spacing_mm=1.0)
    for number, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = [cosines[number % 2], 0.0998, 0.0, -0.0998, 0.995, 0.0]
    assert len(select(datasets).selected[0].sop_instance_uids) == 160


def test_slices_tilted_between_the_others_are_not_left_out_silently() -> None:
    datasets = series(3, "t1", SIEMENS_MPRAGE, contrast=AGENT, slices=160, spacing_mm=1.0)
    for dataset in datasets[1::2]:
        dataset.ImageOrientationPatient = [0.9998, 0.02, 0.0, -0.02, 0.9998, 0.0]
    refusal = refuse(datasets)
    assert refusal.reason is UnsuitableReason.IRREGULAR_GEOMETRY
    assert "slices between the others are tilted" in refusal.message
