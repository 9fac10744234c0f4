from __future__ import annotations

import numpy as np
import pytest

from evaluation.figures.pooled import Estimate
from evaluation.figures.size_classes import SIZE_CLASSES, in_size_class
from evaluation.scoring.statistics import (
    bland_altman,
    bootstrap_ratio,
    distribution,
    pearson,
    proportion,
    resample,
)
from phantom.lesions import equivalent_diameter_mm


def test_wilsons_interval_is_the_textbooks():
    share = proportion(8, 10)
    assert (share.value, share.low, share.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


def test_wilsons_interval_stays_within_nought_and_one():
    assert (proportion(0, 5).low, proportion(5, 5).high) == (0, 1)
    assert proportion(0, 5).high == pytest.approx(0.4345, abs=1e-4)
    assert proportion(0, 0).value is None


def test_the_papers_sensitivity_has_the_interval_of_its_counts():
    share = proportion(496, 708)
    assert share.value == pytest.approx(0.7006, abs=1e-4)
    assert share.low < 0.70 < share.high


def test_a_distribution_has_quartiles_and_the_samples_deviation():
    values = distribution([1, 2, 3, 4])
    assert (values.n, values.median, values.q1, values.q3) == (4, 2.5, 1.75, 3.25)
    assert values.sd == pytest.approx(np.sqrt(5 / 3))
    assert distribution([2.0]).sd is None
    assert distribution([]).median is None


def test_a_correlation_needs_two_values_that_differ():
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert pearson([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert pearson([1, 1], [1, 2]) is None
    assert pearson([1], [1]) is None


def test_limits_of_agreement_surround_the_bias():
    agreement = bland_altman([12, 14, 13], [10, 10, 10])
    assert agreement.bias_mm3 == pytest.approx(3)
    assert agreement.low_mm3 == pytest.approx(3 - 1.96, abs=1e-3)
    assert agreement.high_mm3 == pytest.approx(3 + 1.96, abs=1e-3)


def test_the_bootstrap_gives_the_same_interval_again():
    groups, hits = ["a", "a", "b", "c", "c"], [1, 0, 1, 1, 0]
    first = bootstrap_ratio(groups, hits, [1] * 5)
    assert first == bootstrap_ratio(groups, hits, [1] * 5)
    assert first.value == pytest.approx(0.6)
    assert first.low < 0.6 < first.high


def test_scans_of_one_anatomy_are_drawn_together():
    halves = bootstrap_ratio(["a", "a", "b", "b"], [1, 0, 1, 0], [1] * 4)
    assert (halves.low, halves.high, halves.n_anatomies) == (0.5, 0.5, 2)


def test_one_anatomy_has_a_figure_and_no_interval():
    one_head = bootstrap_ratio(["a"] * 6, [1, 0, 1, 0, 1, 0], [1] * 6)
    assert one_head == Estimate(0.5, None, None, 1)


def test_every_replicate_draws_as_many_groups_as_there_are():
    weights = resample(7, replicates=100)
    assert weights.shape == (100, 7)
    assert (weights.sum(axis=1) == 7).all()


@pytest.mark.parametrize(
    ("volume_mm3", "classes"),
    [
        (14.0, {"all", "lt_3mm", "lt_5mm", "lt_6mm"}),
        (15.0, {"all", "lt_5mm", "lt_6mm", "from_3_to_6mm", "ge_3mm"}),
        (66.0, {"all", "lt_6mm", "from_3_to_6mm", "ge_3mm", "ge_5mm"}),
        (114.0, {"all", "from_6_to_10mm", "ge_3mm", "ge_5mm", "ge_6mm"}),
        (524.0, {"all", "ge_3mm", "ge_5mm", "ge_6mm", "ge_10mm"}),
    ],
)
def test_size_classes_follow_the_papers_volumes(volume_mm3, classes):
    assert {size for size in SIZE_CLASSES if in_size_class(volume_mm3, size)} == classes


def test_a_sphere_has_its_own_diameter():
    assert equivalent_diameter_mm(4 / 3 * np.pi * 3**3) == pytest.approx(6)
