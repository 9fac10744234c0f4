from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.study import AnalysisMode
from evaluation.scoring.pooling import pool, summarise
from evaluation.scoring.study import score_study
from phantom.lesions import equivalent_diameter_mm
from phantom.synthesis.anatomy.structures import Enhancing
from tests.evaluation.hand_made import GRID, MEMBERS, blobs, make_study
from worker.model_set import OperatingPoint

POINT = OperatingPoint(threshold=0.4, minimum_component_voxels=4)
LARGE, SMALL, SINUS, NOTHING = (12, 12, 12), (30, 12, 12), (12, 34, 12), (30, 34, 34)


def score(outputs: np.ndarray, reference: np.ndarray, structures: np.ndarray | None = None, **about: Any):
    study = make_study([outputs], reference, structures=structures, **about)
    peaks = dict.fromkeys(range(1, int(study.reference_kji.max()) + 1), (0.9,))
    return score_study(study, MEMBERS[:1], AnalysisMode.FULL, POINT, peaks)


def spheres(*centres: tuple[int, int, int], radius: float = 4) -> np.ndarray:
    return blobs(centres, radius, 1.0) >= 0.4


def test_rates_of_a_scan_divide_by_its_reference_lesions():
    # One of two lesions found, three inventions: the paper's FD is 3 / (TP + FN), not 3 / (TP + FP).
    outputs = blobs([LARGE, SINUS, NOTHING, (30, 34, 12)], 4, 1.0)
    study = score(outputs, spheres(LARGE, SMALL)).study
    assert (study.n_reference, study.n_detected, study.n_false_positives) == (2, 1, 3)
    assert (study.sensitivity, study.fn_rate, study.fd_rate) == (0.5, 0.5, 1.5)


def test_a_lesion_found_whole_has_dice_one_and_no_distance():
    (lesion,) = score(blobs([LARGE], 4, 1.0), spheres(LARGE)).lesions
    assert (lesion.detected, lesion.strictly_detected) == (True, True)
    assert (lesion.dice, lesion.hd95_mm, lesion.hd95_symmetric_mm, lesion.surface_dice) == (1, 0, 0, 1)
    assert lesion.predicted_volume_mm3 == lesion.volume_mm3
    np.testing.assert_allclose(lesion.centroid_lps_mm, GRID.to_lps_mm(LARGE), atol=1e-9)


def test_a_missed_lesion_has_dice_nought_and_no_distance():
    (lesion,) = score(blobs([NOTHING], 4), spheres(LARGE)).lesions
    assert (lesion.detected, lesion.dice, lesion.predicted_volume_mm3) == (False, 0, 0)
    assert (lesion.hd95_mm, lesion.hd95_symmetric_mm, lesion.surface_dice) == (None, None, None)


def test_a_false_positive_is_named_after_the_structure_it_sits_on():
    structures = np.zeros(GRID.shape_kji, dtype=np.uint8)
    structures[10:14, 31:38, 8:17] = Enhancing.SINUS
    structures[14, 34, 10:16] = Enhancing.VEIN
    found = score(blobs([LARGE, SINUS, NOTHING], 4, 1.0), spheres(LARGE), structures).false_positives
    assert sorted(invented.structure for invented in found) == ["NONE", "SINUS"]


def test_a_structure_that_covers_little_of_a_false_positive_does_not_explain_it():
    structures = np.zeros(GRID.shape_kji, dtype=np.uint8)
    structures[12, 31:38, 12] = Enhancing.VEIN
    (invented,) = score(blobs([SINUS], 4, 1.0), spheres(LARGE), structures).false_positives
    assert invented.structure == "NONE"


def test_the_size_of_a_lesion_is_what_was_drawn_and_its_volume_what_voxels_show():
    (lesion,) = score(blobs([LARGE], 4, 1.0), spheres(LARGE), lesion_volumes_mm3={1: 60.0}).lesions
    assert (lesion.true_volume_mm3, lesion.size_mm3) == (60.0, 60.0)
    assert lesion.volume_mm3 == np.count_nonzero(spheres(LARGE))
    assert lesion.equivalent_diameter_mm == equivalent_diameter_mm(60.0)


def test_without_structures_nobody_says_where_false_positives_sit():
    (invented,) = score(blobs([NOTHING], 4), spheres(LARGE)).false_positives
    assert invented.structure is None
    figures = pool([score(blobs([NOTHING], 4), spheres(LARGE))], MEMBERS[:1], POINT)
    assert figures.false_positive_structures is None


def test_a_scan_without_lesions_counts_its_inventions_and_has_no_rates():
    scan = score(blobs([NOTHING], 4), np.zeros(GRID.shape_kji, dtype=bool))
    assert (scan.study.sensitivity, scan.study.fd_rate, scan.study.dice) == (None, None, None)
    assert scan.study.n_false_positives == 1


def test_scans_are_pooled_by_the_papers_definitions():
    first = score(blobs([LARGE, SINUS], 4, 1.0), spheres(LARGE, SMALL), name="a", anatomy="one")
    second = score(blobs([SMALL], 4, 1.0), spheres(SMALL), name="b", anatomy="two")
    empty = score(blobs([NOTHING], 4, 1.0), np.zeros(GRID.shape_kji, dtype=bool), name="c", anatomy="two")
    figures = pool([first, second, empty], MEMBERS[:1], POINT)
    summary = summarise(figures)
    assert (summary.n_studies, summary.n_lesions, summary.members) == (3, 3, 1)
    assert summary.sensitivity.all == pytest.approx(2 / 3)
    assert summary.sensitivity.ge_6mm == pytest.approx(2 / 3)
    assert summary.fp_per_scan == pytest.approx(2 / 3)
    assert summary.ppv == pytest.approx(2 / 4)
    assert summary.median_dice == pytest.approx((0.5 + 1) / 2)
    assert summary.median_hd95_mm == 0
    assert figures.pooled.fp_per_scan_without_lesions == 1
    assert figures.pooled.case_fn_rate.mean == pytest.approx(0.25)
    assert figures.pooled.case_fd_rate.mean == pytest.approx(0.25)
