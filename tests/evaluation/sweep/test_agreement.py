from __future__ import annotations

import numpy as np
import pytest

from evaluation.sweep.agreement import correlate_members, measure_reliability, sum_agreement
from evaluation.sweep.candidates import find_candidates
from tests.evaluation.hand_made import GRID, MEMBERS, blobs, make_study

PAIR = MEMBERS[:2]
CENTRES = ((10, 10, 10), (10, 30, 10), (30, 10, 30))


def lesions_of(peaks: tuple[float, float, float]) -> np.ndarray:
    return np.max([blobs([c], 3, p) for c, p in zip(CENTRES, peaks, strict=True)], axis=0)


def agreement(first: np.ndarray, second: np.ndarray):
    reference = blobs(CENTRES, 3, 1.0) > 0.4
    return sum_agreement(find_candidates(make_study([first, second], reference)), PAIR)


def test_members_that_give_the_same_correlate_wholly():
    output = lesions_of((0.9, 0.6, 0.3))
    correlation = correlate_members([agreement(output, output)], PAIR)
    assert correlation.voxels[0][1] == pytest.approx(1)
    assert correlation.lesion_peaks[0][1] == pytest.approx(1)


def test_sums_of_several_studies_give_the_correlation_of_all_their_voxels():
    rng = np.random.default_rng(0)
    pairs = [[rng.uniform(0.2, 1, GRID.shape_kji).astype(np.float32) for _ in PAIR] for _ in range(2)]
    correlation = correlate_members([agreement(*pair) for pair in pairs], PAIR)
    inside = slice(2, -2)  # the hand-made brain leaves out two slices at either end
    together = [np.concatenate([pair[n][inside].ravel() for pair in pairs]) for n in range(2)]
    assert correlation.voxels[0][1] == pytest.approx(np.corrcoef(together)[0, 1], abs=1e-3)


def test_members_that_find_different_lesions_correlate_negatively():
    sums = agreement(lesions_of((0.9, 0.5, 0.1)), lesions_of((0.1, 0.5, 0.9)))
    assert correlate_members([sums], PAIR).lesion_peaks[0][1] == pytest.approx(-1, abs=0.01)


def test_a_constant_member_has_no_correlation():
    silent = np.zeros(GRID.shape_kji, dtype=np.float32)
    correlation = correlate_members([agreement(lesions_of((0.9, 0.6, 0.3)), silent)], PAIR)
    assert correlation.voxels[0][1] is None
    assert correlation.lesion_peaks[1] == (None, None)


def test_no_study_has_no_correlation_and_no_reliability():
    assert correlate_members([], PAIR).voxels == ((None, None), (None, None))
    assert measure_reliability([]).expected_calibration_error is None


def test_reliability_is_the_share_of_lesion_among_voxels_of_like_output():
    # 0.75 everywhere in a block of which half is lesion: the gap is 0.25.
    output = np.zeros(GRID.shape_kji, dtype=np.float32)
    output[10:20, 10:20, 10:20] = 0.75
    reference = np.zeros(GRID.shape_kji, dtype=bool)
    reference[10:20, 10:20, 10:15] = True
    candidates = find_candidates(make_study([output, output], reference))
    reliability = measure_reliability([sum_agreement(candidates, PAIR)])
    (filled,) = [row for row in reliability.bins if row.voxels]
    assert (filled.low, filled.high, filled.voxels) == (0.7, 0.8, 1000)
    assert (filled.mean_output, filled.lesion_share) == (0.75, 0.5)
    assert reliability.expected_calibration_error == pytest.approx(0.25)
