"""Found against inserted in three studies; `make accuracy` does the same with every member."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from benchmarks.accuracy import LEAST_SENSITIVITY, MOST_VOLUME_ERROR, measure_accuracy

SEEDS = (0, 1, 2)


@pytest.mark.system
def test_most_lesions_above_6_mm_are_found_and_their_volumes_are_near_the_truth() -> None:
    accuracy = measure_accuracy(SEEDS, "preview", Console(file=sys.stdout, width=100))
    assert len(accuracy.large) == 36
    assert accuracy.sensitivity_large >= LEAST_SENSITIVITY
    assert accuracy.median_volume_error_large <= MOST_VOLUME_ERROR
