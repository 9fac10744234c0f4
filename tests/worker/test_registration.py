from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from core.geometry import Grid
from phantom.study import PhantomSpec, generate_study
from tests.synthetic import (
    Sphere,
    brain_depth_mm,
    grid_points,
    make_grid,
    make_volume,
    rigid,
)
from worker.registration import RegistrationResult, register
from worker.volumes import Volume

FIXED_GRID = make_grid((110, 130, 110), (1.5, 1.6, 1.6))
MOVING_GRID = make_grid((100, 130, 120), (2.0, 1.8, 1.8))
LESIONS = (Sphere((30, -20, 30), 8), Sphere((-35, 20, 20), 5))


def t1_of_moved_patient(motion: NDArray[np.float64]) -> Volume:
    """``motion`` maps T1-post points to T1 points, as a result should."""
    return make_volume(MOVING_GRID, enhanced=False, world_to_head=np.linalg.inv(motion), gain=2.0, seed=2)


def target_registration_error_mm(result: RegistrationResult, motion: NDArray[np.float64]) -> float:
    points = grid_points(make_grid((16, 16, 16), (10, 10, 10)))
    brain = points[:, brain_depth_mm(points) > 0]
    difference = result.t1_post_to_t1_lps - motion
    return float(np.linalg.norm(difference[:3, :3] @ brain + difference[:3, 3:], axis=0).mean())


@pytest.fixture(scope="module")
def t1_post() -> Volume:
    return make_volume(FIXED_GRID, lesions=LESIONS, seed=1)


@pytest.mark.parametrize(
    ("turn_deg", "shift_mm"),
    [((0, 0, 0), (0, 0, 0)), ((3, -2, 4), (4, -3, 6)), ((25, -20, 28), (30, -35, 25))],
)
def test_the_motion_of_the_patient_is_found_within_half_a_millimetre(t1_post, turn_deg, shift_mm):
    motion = rigid(turn_deg, shift_mm)
    result = register(t1_post, t1_of_moved_patient(motion))
    assert result.quality.succeeded
    assert target_registration_error_mm(result, motion) < 0.5


def test_the_same_images_give_the_same_transform_on_any_number_of_threads(t1_post):
    t1 = t1_of_moved_patient(rigid((5, 5, -5), (3, 2, 1)))
    once, again = register(t1_post, t1, threads=1), register(t1_post, t1, threads=2)
    np.testing.assert_array_equal(once.t1_post_to_t1_lps, again.t1_post_to_t1_lps)


def test_another_object_is_reported_as_a_failure(t1_post):
    noise = np.random.default_rng(3).gamma(2.0, 100.0, MOVING_GRID.shape_kji).astype(np.float32)
    unrelated = Volume(noise, MOVING_GRID, t1_post.frame_of_reference_uid, t1_post.slices)
    assert not register(t1_post, unrelated).quality.succeeded


def test_an_empty_image_is_reported_as_a_failure(t1_post):
    empty = np.zeros(MOVING_GRID.shape_kji, dtype=np.float32)
    nothing = Volume(empty, MOVING_GRID, t1_post.frame_of_reference_uid, t1_post.slices)
    assert not register(t1_post, nothing).quality.succeeded


def test_a_scan_in_another_frame_of_reference_may_lie_anywhere(t1_post):
    motion = rigid((3, -2, 4), (150, -180, 120))
    affine = np.linalg.inv(rigid((0, 0, 0), (-150, 180, -120))) @ MOVING_GRID.affine_kji_to_lps_mm
    elsewhere = Grid(MOVING_GRID.shape_kji, affine)
    t1 = make_volume(elsewhere, enhanced=False, world_to_head=np.linalg.inv(motion), gain=2.0, seed=2)
    result = register(t1_post, t1)
    assert result.quality.succeeded
    assert target_registration_error_mm(result, motion) < 0.5


def test_the_head_of_somebody_else_is_reported_as_a_failure():
    post = generate_study(PhantomSpec.small(seed=1)).t1_post
    other = generate_study(PhantomSpec.small(seed=2)).t1
    quality = register(*(Volume(scan.voxels_kji, scan.grid, "", ()) for scan in (post, other))).quality
    assert quality.correlation > 0.2, "close enough to look like a match"
    assert not quality.succeeded


def test_the_size_of_the_motion_is_reported(t1_post):
    quality = register(t1_post, t1_of_moved_patient(rigid((0, 0, 10), (0, 0, 0)))).quality
    assert quality.rotation_deg == pytest.approx(10, abs=0.3)
