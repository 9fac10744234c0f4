import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import ndimage

from core.errors import InvalidInput
from phantom.synthesis.scanning.acquisition import Axis
from phantom.synthesis.scanning.artefacts import Ghost, Motion, draw_field, smooth_field
from phantom.synthesis.scanning.displacement import displace, rigid_about_centre
from phantom.synthesis.scanning.scanner import (
    Resolution,
    ScanDraw,
    ScanSettings,
    draw_scans,
    imperfect_mask,
    misregister,
    scan,
)

FLAT = np.zeros((4, 4, 4), np.float32)
PERFECT = ScanDraw(
    axes=(Axis(), Axis(), Axis()),
    bias=FLAT, g_factor=FLAT, noise=0.0, noise_fwhm_mm=0.0, ghosts=(), motion=None, phase_axis=1,
    gamma=1.0, gain=1.0,
)  # fmt: skip
SHAPE = (30, 34, 38)
STILL = ScanSettings(residual_rotation_deg=0, residual_translation_mm=0, outlier_share=0, distortion_mm=0)


def smooth_volume(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    field = ndimage.gaussian_filter(noise, 3)
    return np.asarray(1 + 0.3 * field / field.std(), dtype=np.float32).clip(0.05)


def acquire(
    signal: np.ndarray, seed: int = 0, source: np.ndarray | None = None, **changes: object
) -> np.ndarray:
    ghosts = np.zeros_like(signal) if source is None else source
    return scan(signal, ghosts, replace(PERFECT, **changes), np.random.default_rng(seed))


def ball(radius: float, size: int = 60) -> np.ndarray:
    return np.asarray(((np.indices((size,) * 3) - (size - 1) / 2) ** 2).sum(axis=0) <= radius**2)


def test_a_perfect_scanner_changes_nothing():
    signal = smooth_volume()
    np.testing.assert_allclose(acquire(signal), signal, rtol=1e-3)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("spacing", [0.8, 1.2, 3.0, 5.5])
def test_sampling_keeps_constants_and_positions(spacing, order):
    axis = Axis(spacing, 0.3 * spacing, 0.4, order=order)
    there_and_back = axis.interpolation(40) @ axis.sampling(40)
    np.testing.assert_allclose(there_and_back.sum(axis=1), 1, atol=1e-5)
    ramp = there_and_back @ np.arange(40.0)
    np.testing.assert_allclose(ramp[12:-12], np.arange(40)[12:-12], atol=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_thick_slice_spreads_a_point_over_its_thickness_along_one_axis_only(axis):
    signal = np.zeros(SHAPE, np.float32)
    signal[15, 17, 19] = 1.0
    axes = tuple(Axis(5.0 if n == axis else 1.0) for n in range(3))
    image = acquire(signal, axes=axes)
    assert image.sum() == pytest.approx(1.0, abs=0.05)
    reach = [np.ptp(index) for index in np.nonzero(image > 1e-3)]
    assert reach[axis] >= 4
    assert sum(reach) == reach[axis]


def test_truncated_k_space_rings_beside_an_edge():
    signal = np.zeros((4, 64, 4), np.float32)
    signal[:, 20:44] = 1.0
    image = acquire(signal, axes=(Axis(), Axis(kept=0.6), Axis()))
    assert image.max() > 1.05
    assert image[2, 10:18, 2].std() > 0.01


@pytest.mark.parametrize("fwhm_mm", [0.0, 1.2])
def test_noise_has_the_strength_asked_for(fwhm_mm):
    image = acquire(np.ones((40, 40, 40), np.float32), noise=0.05, noise_fwhm_mm=fwhm_mm)
    assert image.std() == pytest.approx(0.05, rel=0.05)
    neighbours = np.corrcoef(image[1:].ravel(), image[:-1].ravel())[0, 1]
    assert neighbours == pytest.approx(0.28 if fwhm_mm else 0.0, abs=0.05)


def neighbour_correlation(image):
    return np.corrcoef(image[1:].ravel(), image[:-1].ravel())[0, 1]


def test_fine_samples_are_interpolated_not_averaged():
    """Linear interpolation of samples 0.5 mm apart mixes two of them: neighbours 1 mm apart share none."""
    fine = (Axis(0.5, 0.125),) * 3
    image = acquire(np.ones((40, 40, 40), np.float32), axes=fine, noise=0.05)
    assert neighbour_correlation(image) == pytest.approx(0, abs=0.03)
    assert image[5:-5, 5:-5, 5:-5].std() == pytest.approx(0.05 * (0.75**2 + 0.25**2) ** 1.5, rel=0.05)


def test_noise_of_interpolated_samples_is_that_of_noisy_samples_interpolated():
    axis = Axis(0.6, 0.2)
    shaping, interpolation = axis.noise_shaping(40, 0.0), axis.interpolation(40)
    assert shaping.shape == (40, 40)
    np.testing.assert_allclose(shaping @ shaping.T, interpolation @ interpolation.T, atol=1e-5)


def test_planning_scans_of_fine_pixels_are_part_of_the_mixture():
    finest = [
        min(axis.spacing for axis in draw_scans(ScanSettings(), np.random.default_rng(seed))[0].axes)
        for seed in range(200)
    ]
    assert 0.15 < np.mean(np.array(finest) < 0.8) < 0.35
    assert min(finest) < 0.55


def test_noise_in_air_follows_rayleigh():
    image = acquire(np.zeros((40, 40, 40), np.float32), noise=0.05)
    assert image.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)


def test_bias_is_smooth_and_has_the_spread_asked_for():
    weights = draw_field(np.random.default_rng(0))
    field = smooth_field(weights, (60, 70, 50))
    assert (field.mean(), field.std()) == (pytest.approx(0, abs=0.01), pytest.approx(1, rel=0.02))
    assert np.abs(np.diff(field, axis=1)).max() < 0.3
    signal = np.ones(SHAPE, np.float32)
    expected = np.exp(np.float32(0.3) * smooth_field(weights, SHAPE))
    np.testing.assert_allclose(acquire(signal, bias=np.float32(0.3) * weights), expected, rtol=1e-4)


def test_ghosts_lie_along_the_phase_axis_and_wrap_around_the_field_of_view():
    source = np.zeros((8, 60, 8), np.float32)
    source[4, 10, 4] = 2.0
    image = acquire(source, source=source, ghosts=(Ghost(0.05, 20, 65), Ghost(0.03, -25, 65)))
    np.testing.assert_allclose(image[4, [10, 30, 50], 4], [2.0, 0.1, 0.06], rtol=1e-3)
    assert np.count_nonzero(image > 1e-4) == 3


def test_a_ghost_out_of_phase_takes_signal_away():
    source = np.zeros((4, 40, 4), np.float32)
    source[2, 10, 2] = 2.0
    image = acquire(np.ones_like(source), source=source, ghosts=(Ghost(-0.1, 15, 200),))
    assert image[2, 25, 2] == pytest.approx(0.8, rel=1e-4)


def test_motion_during_the_scan_smears_edges_and_keeps_the_mean():
    signal = np.zeros((20, 64, 20), np.float32)
    signal[5:15, 20:44, 5:15] = 1.0
    motion = Motion((1.0, 0.0, 0.0), 1.0, (0.0, 1.5, 0.0), 0.2)
    image = acquire(signal, motion=motion)
    assert np.abs(image - signal).max() > 0.05
    assert image[10, 32, 10] == pytest.approx(1.0, abs=0.15)
    np.testing.assert_allclose(acquire(signal, motion=replace(motion, moment=1.0)), signal, atol=1e-3)


def test_gamma_and_gain_act_on_stored_values():
    signal = smooth_volume()
    np.testing.assert_allclose(acquire(signal, gamma=1.2, gain=1.7), 1.7 * signal**1.2, rtol=1e-3)


def test_the_same_seed_gives_the_same_bits():
    first, second = (np.random.default_rng(5) for _ in range(2))
    for a, b in zip(draw_scans(ScanSettings(), first), draw_scans(ScanSettings(), second), strict=True):
        images = [
            scan(smooth_volume(), smooth_volume(seed=1), draw, rng) for draw, rng in ((a, first), (b, second))
        ]
        assert images[0].dtype == np.float32
        np.testing.assert_array_equal(*images)


def test_draws_stay_within_their_ranges():
    settings = ScanSettings()
    for seed in range(100):
        for draw in draw_scans(settings, np.random.default_rng(seed)):
            assert settings.gain[0] <= draw.gain <= settings.gain[1]
            assert all(
                0.45 <= axis.spacing <= 6.0 and abs(axis.offset) <= axis.spacing / 2 for axis in draw.axes
            )
            assert all(0.02 <= abs(ghost.amplitude) <= 0.08 for ghost in draw.ghosts)


def test_the_mixture_of_slices_can_be_that_of_a_planning_cohort():
    settings = ScanSettings(resolutions=(Resolution(1.0, (0.8, 1.5)),))
    spacings = [
        max(axis.spacing for axis in draw.axes)
        for seed in range(60)
        for draw in draw_scans(settings, np.random.default_rng(seed))
    ]
    assert max(spacings) <= 1.5


def test_both_images_share_most_of_their_bias():
    pairs = [draw_scans(ScanSettings(), np.random.default_rng(seed)) for seed in range(30)]
    correlations = [np.corrcoef(t1.bias.ravel(), post.bias.ravel())[0, 1] for t1, post in pairs]
    assert np.median(correlations) > 0.85


def test_settings_survive_json():
    settings = ScanSettings()
    loaded = json.loads(json.dumps(asdict(settings)))
    assert ScanSettings(**loaded).resolutions == settings.resolutions


def test_no_protocol_is_refused():
    with pytest.raises(InvalidInput, match="positive share"):
        ScanSettings(resolutions=())


def test_perfect_registration_changes_nothing():
    volume = smooth_volume()
    moved, rigid = misregister(volume, STILL, np.random.default_rng(0))
    np.testing.assert_allclose(rigid, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(moved[2:-3, 2:-3, 2:-3], volume[2:-3, 2:-3, 2:-3], atol=1e-4)


@pytest.mark.parametrize(("order", "tolerance"), [(1, 0.03), (3, 0.012)])
def test_a_displaced_volume_is_the_volume_where_the_matrix_points(order, tolerance):
    volume = smooth_volume()
    rigid = rigid_about_centre(SHAPE, np.array([1.0, 2.0, -1.0]), 1.5, np.array([0.7, -0.9, 0.4]))
    exact = ndimage.affine_transform(volume, rigid[:3, :3], rigid[:3, 3], order=3, mode="nearest")
    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(
        displace(volume, rigid, order, (None, None, None))[inner], exact[inner], atol=tolerance
    )


def test_distortion_comes_on_top_of_the_rigid_part():
    volume = smooth_volume()
    field = np.full(SHAPE, 2.0, np.float32)
    shifted = displace(volume, np.eye(4), 3, (None, None, field))
    np.testing.assert_allclose(shifted[2:-3, 2:-3, 2:-5], volume[2:-3, 2:-3, 4:-3], atol=1e-3)


def test_residual_misregistration_is_a_fraction_of_a_voxel():
    shape = (150, 180, 150)
    corners = np.array([[10, 10, 10, 1], [140, 170, 140, 1], [75, 90, 75, 1]], float)
    volume, distances = np.zeros((8, 8, 8), np.float32), []
    for seed in range(200):
        _, rigid = misregister(volume, ScanSettings(), np.random.default_rng(seed))
        centred = rigid.copy()
        old, new = (np.array(volume.shape) - 1) / 2, (np.array(shape) - 1) / 2
        centred[:3, 3] += (rigid[:3, :3] - np.eye(3)) @ old - (rigid[:3, :3] - np.eye(3)) @ new
        distances.append(np.linalg.norm((corners @ centred.T - corners)[:, :3], axis=1).mean())
    assert 0.25 < np.median(distances) < 0.7
    assert np.max(distances) < 2.5


def test_a_faultless_mask_is_the_brain_dilated_as_the_service_does():
    brain = ball(18)
    mask = imperfect_mask(brain, ScanSettings(mask_error_mm=0, mask_hole_share=0), np.random.default_rng(0))
    difference = np.count_nonzero(mask ^ ball(21)) / brain.sum()
    assert difference < 0.12


def test_mask_errors_stay_within_their_range_and_vary():
    brain, settings = ball(18), ScanSettings(mask_hole_share=0)
    masks = [imperfect_mask(brain, settings, np.random.default_rng(seed)) for seed in range(20)]
    assert all((mask | ~ball(15.5)).all() and not (mask & ~ball(26)).any() for mask in masks)
    volumes = [mask.sum() for mask in masks]
    assert np.ptp(volumes) > 0.2 * brain.sum()


def test_some_masks_have_a_hole():
    brain = ball(18)
    faultless = ScanSettings(mask_error_mm=0, mask_hole_share=0)
    whole = imperfect_mask(brain, faultless, np.random.default_rng(0))
    holed = imperfect_mask(brain, replace(faultless, mask_hole_share=1), np.random.default_rng(0))
    assert (whole & ~holed).sum() > 100
    assert not (holed & ~whole).any()


def test_an_empty_brain_has_an_empty_mask():
    assert not imperfect_mask(np.zeros(SHAPE, bool), ScanSettings(), np.random.default_rng(0)).any()
