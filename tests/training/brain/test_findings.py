from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.brain.findings import FindingSettings, paint_findings

SHAPE = (64, 64, 64)
NONE = FindingSettings(vessel_share=0, lesions_mean=0, cavity_share=0)


@pytest.fixture
def depth_mm() -> np.ndarray:
    """A ball of 50 mm radius at 2 mm."""
    k, j, i = np.indices(SHAPE, dtype=np.float32) - 31.5
    return 2 * np.sqrt(k**2 + j**2 + i**2) - 50


def painted(settings: FindingSettings, depth_mm, seed: int = 1) -> np.ndarray:
    signal = np.ones(SHAPE, dtype=np.float32)
    paint_findings(signal, depth_mm, settings, np.random.default_rng(seed))
    return signal


def test_nothing_asked_for_is_nothing_painted(depth_mm):
    assert (painted(NONE, depth_mm) == 1).all()


def test_lesions_stay_inside_the_brain(depth_mm):
    signal = painted(replace(NONE, lesions_mean=20), depth_mm)
    assert (signal[depth_mm > 0] == 1).all()
    assert np.count_nonzero(signal != 1) > 100


def test_peripheral_lesions_reach_the_surface(depth_mm):
    settings = replace(NONE, lesions_mean=30, peripheral_share=1, radius_mm=(4.0, 6.0), oedema_share=0)
    found = painted(settings, depth_mm) != 1
    assert depth_mm[found].min() > -25
    assert depth_mm[found].max() > -2


def test_what_is_returned_is_where_lesions_were_painted(depth_mm):
    signal = np.ones(SHAPE, dtype=np.float32)
    settings = replace(NONE, lesions_mean=10, oedema_share=0)
    lesions = paint_findings(signal, depth_mm, settings, np.random.default_rng(1))
    assert lesions.any()
    assert (lesions[signal != 1]).all()


def test_vessels_are_thin_bright_and_near_the_surface(depth_mm):
    settings = replace(NONE, vessel_share=1, vessel_width=(0.2, 0.2), vessel_signal=(1.8, 1.8))
    vessels = painted(settings, depth_mm) > 1.1
    low, high = settings.vessel_depth_mm
    assert 20 < np.count_nonzero(vessels) < 0.1 * np.count_nonzero((depth_mm > low) & (depth_mm < high))
    assert (depth_mm[vessels] > low).all()
    assert (depth_mm[vessels] < high).all()


def test_a_cavity_is_dark_inside_the_brain_and_disturbs_the_bone_over_it(depth_mm):
    settings = replace(NONE, cavity_share=1, cavity_radius_mm=(20.0, 20.0))
    signal = painted(settings, depth_mm)
    assert np.count_nonzero(signal[depth_mm <= 0] < 0.6) > 300
    assert np.count_nonzero(signal[depth_mm > 0] != 1) > 50


def test_an_image_without_brain_stays_as_it_is():
    assert (painted(FindingSettings(vessel_share=0), np.full(SHAPE, 30, np.float32)) == 1).all()
