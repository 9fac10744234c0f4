from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.brain.test_heads import PLAIN
from tests.training.brain.toy_head import make_toy_head
from training.brain.heads import HeadSettings, ScannedHead, scan_head
from training.brain.measure import (
    BrainMeasurement,
    measure_brain,
    settings_at_1_mm,
    settings_of_t1,
    summarize,
)

COARSE = replace(
    PLAIN,
    geometry=replace(PLAIN.geometry, cube_voxels=64, spacing_mm=4.0),
    findings=replace(PLAIN.findings, lesions_mean=6.0, peripheral_share=1.0, spacing_mm=4.0),
)


@pytest.fixture(scope="module")
def scanned() -> ScannedHead:
    return scan_head(make_toy_head(), COARSE, np.random.default_rng(1))


def measured(scanned, mask) -> BrainMeasurement:
    return measure_brain(lambda head_kji, grid: mask, "toy", scanned, dilation_mm=1.0)


def test_the_true_brain_scores_one_and_loses_nothing(scanned):
    result = measured(scanned, scanned.share_kji >= 0.5)
    assert (result.dice, result.covered, result.peripheral_lost) == (1, 1, 0)
    assert result.peripheral_voxels > 0


def test_an_empty_mask_loses_every_lesion(scanned):
    result = measured(scanned, np.zeros_like(scanned.lesions_kji))
    assert (result.dice, result.covered) == (0, 0)
    assert result.peripheral_lost == result.peripheral_voxels


def test_only_scanned_slices_are_shown_and_counted(scanned):
    placement = replace(scanned.placement, first_slice=10, last_slice=49)
    shapes = []

    def extraction(head_kji, grid):
        shapes.append((head_kji.shape, grid.shape_kji))
        return scanned.share_kji[10:50] >= 0.5

    assert measure_brain(extraction, "toy", replace(scanned, placement=placement), 1.0).dice == 1
    assert shapes == [((40, 64, 64), (40, 64, 64))]


def test_heads_at_1_mm_have_the_same_field_of_view():
    settings = settings_at_1_mm(HeadSettings())
    assert settings.geometry.cube_voxels * settings.geometry.spacing_mm == 256
    assert settings.findings.spacing_mm == settings.scan.spacing_mm == 1
    assert settings.tissues == HeadSettings().tissues


def test_the_summary_pools_lesions_over_heads():
    few = BrainMeasurement("a", 0.9, 0.98, peripheral_voxels=100, peripheral_lost=50)
    many = BrainMeasurement("b", 0.98, 1.0, peripheral_voxels=900, peripheral_lost=0)
    line = summarize([few, many])
    assert "Dice median 0.9400, lowest 0.9000" in line
    assert "0.9500 of 1000 voxels" in line


def test_heads_as_the_service_gets_them_are_whole_and_t1_weighted() -> None:
    settings = settings_of_t1(HeadSettings())
    assert settings.tissues.t1_order_share == 1
    assert settings.scan.stripped_share == settings.scan.defaced_share == 0
    assert settings.geometry == HeadSettings().geometry
