from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.brain.scan import BrainScanSettings, scan

SHAPE = (64, 64, 64)
PERFECT = BrainScanSettings(
    bias_range=(0.0, 0.0), blur_range_mm=(0.02, 0.02), thick_share=0, noise_range=(0.0, 0.0),
    clean_air_share=0, ghost_share=0, folded_share=0, defaced_share=0, stripped_share=0, narrow_share=0,
)  # fmt: skip


@pytest.fixture
def depth_mm() -> np.ndarray:
    """A brain of 35 mm radius at 2 mm."""
    k, j, i = np.indices(SHAPE, dtype=np.float32) - 31.5
    return 2 * np.sqrt(k**2 + j**2 + i**2) - 35


@pytest.fixture
def signal(depth_mm) -> np.ndarray:
    """It lies in a head of 55 mm radius."""
    return np.where(depth_mm < 0, 1, np.where(depth_mm < 20, 0.5, 0)).astype(np.float32)


def scanned(signal, depth_mm, **changes) -> np.ndarray:
    return scan(signal, depth_mm, replace(PERFECT, **changes), np.random.default_rng(4))


def test_a_perfect_scan_shows_the_signal(signal, depth_mm):
    np.testing.assert_allclose(scanned(signal, depth_mm), signal, atol=1e-6)


def test_the_signal_given_stays_as_it_is(signal, depth_mm):
    before = signal.copy()
    scan(signal, depth_mm, BrainScanSettings(), np.random.default_rng(1))
    np.testing.assert_array_equal(signal, before)


def test_a_stripped_scan_ends_at_the_brain(signal, depth_mm):
    stripped = scanned(signal, depth_mm, stripped_share=1, strip_error_mm=(2.0, 2.0))
    assert (stripped[depth_mm > 8] == 0).all()
    assert (stripped[depth_mm < -3] == 1).all()


def test_defacing_and_a_narrow_view_leave_the_brain(signal, depth_mm):
    cut = scanned(signal, depth_mm, defaced_share=1, narrow_share=1)
    assert (cut[depth_mm <= 0] == signal[depth_mm <= 0]).all()
    assert np.count_nonzero(cut) < np.count_nonzero(signal)


def test_thick_slices_blur_along_one_axis_and_keep_the_mean(signal, depth_mm):
    thick = scanned(signal, depth_mm, thick_share=1, thickness_range_mm=(6.0, 6.0))
    changes = [float(np.abs(np.diff(thick, n=2, axis=axis)).mean()) for axis in range(3)]
    assert min(changes) < 0.5 * max(changes)
    assert thick.mean() == pytest.approx(signal.mean(), rel=0.02)


def test_noise_in_air_is_rician_unless_the_air_was_cleaned(signal, depth_mm):
    air = signal == 0
    noisy = scanned(signal, depth_mm, noise_range=(0.05, 0.05))
    # Mean of a Rayleigh distribution.
    assert noisy[air].mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)
    cleaned = scanned(signal, depth_mm, noise_range=(0.05, 0.05), clean_air_share=1)
    assert (cleaned[air] == 0).all()


def test_ghosts_and_folding_add_signal_outside_the_head(signal, depth_mm):
    for changes in ({"ghost_share": 1}, {"folded_share": 1}):
        assert scanned(signal, depth_mm, **changes).sum() > 1.005 * signal.sum()
