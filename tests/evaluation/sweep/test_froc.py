from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.figures.pooled import Estimate
from evaluation.sweep.comparison import compare_with_best_member
from evaluation.sweep.froc import choose_operating_point, pool_sweep
from evaluation.sweep.study import THRESHOLDS, StudyTally, Subset, ThresholdTally

WHOLE, GOOD, POOR = Subset("all", ("good", "poor")), Subset("good", ("good",)), Subset("poor", ("poor",))
LESIONS = 10


def curve(found_at_lowest: int, invented_at_lowest: int) -> tuple[ThresholdTally, ...]:
    """Fewer lesions and fewer inventions with every threshold; half the inventions are of two voxels."""
    tallies = []
    for n in range(len(THRESHOLDS)):
        hits = np.where(np.arange(LESIONS) < found_at_lowest - n // 4, 30, 0)
        invented = np.tile([2, 9], invented_at_lowest)[: max(invented_at_lowest - n, 0)]
        tallies.append(ThresholdTally(hits, invented, 0.5))
    return tuple(tallies)


def study(anatomy: str, whole: int, good: int, poor: int) -> StudyTally:
    volumes = np.repeat([10.0, 200.0], LESIONS // 2)
    tallies = {"all": curve(whole, 12), "good": curve(good, 12), "poor": curve(poor, 18)}
    return StudyTally(anatomy, anatomy, volumes, tallies)


def test_a_sweep_counts_over_all_its_studies():
    sweep = pool_sweep([study("a", 10, 9, 5), study("b", 8, 7, 5)], WHOLE, minimum_voxels=4)
    lowest = sweep.at(0.05)
    assert (lowest.detected, lowest.n_lesions, lowest.false_positives) == (18, 20, 12)
    assert lowest.fp_per_scan == 6
    assert lowest.ppv == pytest.approx(18 / 30)
    assert lowest.sensitivity.all == pytest.approx(0.9)
    assert lowest.sensitivity.ge_6mm == pytest.approx(8 / 10)
    assert lowest.mean_fn_rate == pytest.approx((0 + 0.2) / 2)
    assert lowest.mean_fd_rate == pytest.approx(0.6)
    assert [level.fp_per_scan for level in sweep.levels] == [0.25, 0.5, 1, 2, 4]


def test_an_ensemble_no_study_has_is_not_swept():
    assert pool_sweep([study("a", 10, 9, 5)], Subset("loss", ("absent",)), minimum_voxels=4) is None


def test_the_chosen_point_finds_most_within_the_allowed_false_positives():
    choice = choose_operating_point([study("a", 10, 9, 5)], WHOLE, max_fp_per_scan=2)
    # 9 lesions up to 0.40, where 5 inventions are left, 2 of them of more than two voxels.
    assert (choice.threshold, choice.minimum_component_voxels) == (0.4, 3)
    assert (choice.sensitivity, choice.fp_per_scan) == (0.9, 2)


def test_no_point_is_chosen_when_none_is_good_enough():
    always = tuple(ThresholdTally(np.full(LESIONS, 30), np.array([20, 20]), 0.5) for _ in THRESHOLDS)
    tally = StudyTally("a", "a", np.full(LESIONS, 50.0), {"all": always})
    assert choose_operating_point([tally], WHOLE, max_fp_per_scan=1).threshold is None


def test_an_ensemble_that_finds_more_at_equal_false_positives_is_better():
    studies = [study(f"head {n}", 10, 8 - n % 2, 4) for n in range(12)]
    comparison = compare_with_best_member(studies, WHOLE, [GOOD, POOR], threshold=0.4, minimum_voxels=4)
    assert comparison.best_member == "good"
    assert comparison.fp_per_scan == 2
    assert comparison.ensemble_sensitivity == pytest.approx(0.9)
    assert comparison.member_sensitivity == pytest.approx(0.65)
    assert comparison.difference.low > 0.2
    assert comparison.p_value < 0.001
    assert comparison == compare_with_best_member(studies, WHOLE, [GOOD, POOR], 0.4, 4)


def test_an_ensemble_equal_to_its_member_is_no_better():
    studies = [study(f"head {n}", 9, 9, 4) for n in range(5)]
    comparison = compare_with_best_member(studies, WHOLE, [GOOD, POOR], threshold=0.4, minimum_voxels=4)
    assert (comparison.difference.low, comparison.difference.high, comparison.p_value) == (0, 0, 1)


def test_a_saturated_member_is_given_its_fewest_inventions_and_it_is_said():
    # Every threshold leaves it three inventions a scan: what it finds with two is not known, so it keeps all.
    always = tuple(
        ThresholdTally(np.where(np.arange(LESIONS) < 8, 30, 0), np.full(3, 9), 0.5) for _ in THRESHOLDS
    )
    studies = [study(f"head {n}", 10, 6, 4) for n in range(6)]
    saturated = [replace(one, tallies=one.tallies | {"good": always}) for one in studies]
    comparison = compare_with_best_member(saturated, WHOLE, [GOOD, POOR], threshold=0.4, minimum_voxels=4)
    assert comparison.fp_per_scan == 2
    assert (comparison.best_member, comparison.member_sensitivity) == ("good", pytest.approx(0.8))
    assert not comparison.member_reached
    assert compare_with_best_member(studies, WHOLE, [GOOD, POOR], 0.4, 4).member_reached


def test_heads_of_one_anatomy_have_a_difference_but_neither_interval_nor_p():
    comparison = compare_with_best_member([study("a", 10, 8, 4)], WHOLE, [GOOD, POOR], 0.4, 4)
    assert comparison.difference.value > 0
    assert (comparison.difference.low, comparison.difference.high, comparison.p_value) == (None, None, None)
    assert comparison.difference.n_anatomies == 1


def test_levels_of_the_curve_have_intervals_over_heads():
    sweep = pool_sweep([study(f"head {n}", 10 - n % 3, 9, 5) for n in range(6)], WHOLE, minimum_voxels=4)
    level = next(level for level in sweep.levels if level.fp_per_scan == 1)
    assert level.reached
    assert level.sensitivity.low < level.sensitivity.value < level.sensitivity.high
    assert level.sensitivity.n_anatomies == 6


def test_a_level_below_every_threshold_is_said_not_to_be_reached():
    always = tuple(ThresholdTally(np.full(LESIONS, 30), np.array([20, 20]), 0.5) for _ in THRESHOLDS)
    tallies = [StudyTally(name, name, np.full(LESIONS, 50.0), {"all": always}) for name in ("a", "b")]
    sweep = pool_sweep(tallies, WHOLE, minimum_voxels=4)
    assert [level.reached for level in sweep.levels] == [False, False, False, True, True]
    assert sweep.levels[0].sensitivity == Estimate(1.0, None, None, 2)


def test_one_member_has_nothing_to_be_compared_with():
    assert compare_with_best_member([study("a", 9, 9, 4)], WHOLE, [GOOD], 0.4, 4) is None
