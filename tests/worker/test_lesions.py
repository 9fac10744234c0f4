from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from core.geometry import Grid
from core.study import AnalysisMode
from tests.synthetic import SAGITTAL, Sphere, distance_mm, grid_points, make_grid
from worker.ensemble import LesionProbability
from worker.lesions import Findings, find_lesions
from worker.model_set import OperatingPoint

POINT = OperatingPoint(threshold=0.4, minimum_component_voxels=4)
GRID = make_grid((60, 60, 60), (1, 1, 1))
THICK = make_grid((12, 60, 60), (5.0, 1.0, 1.0))


def identify(number: int) -> tuple[str, str]:
    return f"BM-{number:02d}", f"2.25.{number}"


def probability_of(
    spheres: Sequence[Sphere], grid: Grid = GRID, peak: float = 0.9, members: Sequence[float] = (1.0, 0.3)
) -> LesionProbability:
    """At a sphere's radius the value falls through half the peak, over two voxels."""
    mean = np.zeros(grid.shape_kji)
    points = grid_points(grid)
    for sphere in spheres:
        distance = distance_mm(points, sphere)
        mean = np.maximum(mean, peak * np.clip(0.5 + (sphere.radius_mm - distance) / 2, 0, 1))
    mean = mean.astype(np.float32)
    return probability_from(mean, grid, members)


def probability_from(mean, grid: Grid, members: Sequence[float] = (1.0,)) -> LesionProbability:
    return LesionProbability(
        grid=grid,
        mean_kji=mean,
        member_names=tuple(f"member {n}" for n in range(len(members))),
        members_kji=tuple((mean * share).astype(np.float16) for share in members),
        brain_mask_kji=np.ones(grid.shape_kji, dtype=bool),
        mode=AnalysisMode.FULL,
    )


def find(probability: LesionProbability, source: Grid = GRID) -> Findings:
    return find_lesions(probability, source, POINT, identify)


def test_no_probability_is_no_lesion():
    findings = find(probability_of([]))
    assert findings.lesions == ()
    assert not findings.label_map_kji.any()


def test_a_sphere_is_one_lesion_with_its_place_and_volume():
    (lesion,) = find(probability_of([Sphere((5, -6, 7), 8)])).lesions
    np.testing.assert_allclose(lesion.centroid_lps_mm, (5, -6, 7), atol=0.1)
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 8.1**3, rel=0.05)
    assert lesion.peak_probability == pytest.approx(0.9, abs=1e-3)
    assert 0.4 < lesion.mean_probability < 0.9


def test_lesions_are_numbered_from_the_largest():
    spheres = [Sphere((-15, 0, 0), 3), Sphere((15, 0, 0), 6), Sphere((0, 15, 0), 4)]
    findings = find(probability_of(spheres))
    assert [round(n.centroid_lps_mm[0]) for n in findings.lesions] == [15, 0, -15]
    assert [(n.number, n.tracking_id, n.tracking_uid) for n in findings.lesions] == [
        (1, "BM-01", "2.25.1"),
        (2, "BM-02", "2.25.2"),
        (3, "BM-03", "2.25.3"),
    ]
    for lesion in findings.lesions:
        count = np.count_nonzero(findings.label_map_kji == lesion.number)
        assert count * GRID.voxel_volume_mm3 == pytest.approx(lesion.volume_mm3)


def test_equal_lesions_are_numbered_from_the_lowest_slice():
    spheres = [Sphere((0, 0, 15), 4), Sphere((0, 0, -15), 4)]
    assert [round(n.centroid_lps_mm[2]) for n in find(probability_of(spheres)).lesions] == [-15, 15]


def test_two_touching_spheres_are_one_lesion():
    assert len(find(probability_of([Sphere((-4, 0, 0), 5), Sphere((4, 0, 0), 5)])).lesions) == 1


def test_voxels_that_share_a_corner_are_one_lesion():
    mean = np.zeros(GRID.shape_kji, dtype=np.float32)
    for n in range(4):
        mean[20 + n, 20 + n, 20 + n] = 0.8
    assert len(find(probability_from(mean, GRID)).lesions) == 1


def test_fewer_than_four_voxels_are_no_lesion():
    mean = np.zeros(GRID.shape_kji, dtype=np.float32)
    mean[20, 20, 20:23] = 0.8
    mean[40, 40, 40:44] = 0.8
    findings = find(probability_from(mean, GRID))
    assert [n.volume_mm3 for n in findings.lesions] == [pytest.approx(4.0)]


def test_the_threshold_itself_counts_as_lesion():
    mean = np.zeros(GRID.shape_kji, dtype=np.float32)
    mean[20, 20, 20:24] = 0.4
    assert len(find(probability_from(mean, GRID)).lesions) == 1


def test_nothing_is_found_outside_the_brain():
    probability = probability_of([Sphere((0, 0, 0), 5)])
    probability.brain_mask_kji[:] = False
    assert find(probability).lesions == ()


def test_members_that_reach_the_threshold_alone_are_counted():
    (lesion,) = find(probability_of([Sphere((0, 0, 0), 5)], members=(1.0, 0.5, 0.3))).lesions
    assert (lesion.members_agreeing, lesion.members_total) == (2, 3)


def test_no_small_lesion_is_lost_on_thick_slices():
    rng = np.random.default_rng(0)
    lattice = np.stack(np.meshgrid(*[np.arange(-22, 23, 11)] * 3), axis=-1).reshape(-1, 3)
    spheres = [Sphere(tuple(place + rng.uniform(-2, 2, 3)), 1.4) for place in lattice]
    probability = probability_of(spheres)
    on_analysis_grid, on_thick_slices = find(probability), find(probability, THICK)
    assert len(on_analysis_grid.lesions) == len(spheres)
    assert len(on_thick_slices.lesions) == len(spheres)
    assert set(np.unique(on_thick_slices.label_map_kji)) == set(range(len(spheres) + 1))
    for lesion in on_thick_slices.lesions:
        assert min(np.linalg.norm(np.subtract(lesion.centroid_lps_mm, s.centre_lps_mm)) for s in spheres) < 4


def test_two_lesions_between_two_slices_each_keep_a_voxel_of_their_own():
    mean = np.zeros(GRID.shape_kji, dtype=np.float32)
    # Both lie on one side of slice positions 27.0 and 32.0, in the columns of the same source voxels.
    mean[29, 29:31, 28:30] = 0.9
    mean[29, 29:31, 31:33] = 0.9
    coarse = make_grid((12, 12, 12), (5.0, 5.0, 5.0))
    findings = find(probability_from(mean, GRID), coarse)
    assert len(findings.lesions) == 2
    assert set(np.unique(findings.label_map_kji)) == {0, 1, 2}


def test_neighbours_keep_their_identity_on_a_finer_grid():
    fine = make_grid((100, 100, 100), (0.5, 0.5, 0.5))
    probability = probability_of([Sphere((-6, 0, 0), 4), Sphere((6, 0, 0), 5)])
    findings = find(probability, fine)
    assert [round(n.centroid_lps_mm[0]) for n in findings.lesions] == [6, -6]
    x = grid_points(fine)[0]
    assert (x[findings.label_map_kji == 1] > 0).all()
    assert (x[findings.label_map_kji == 2] < 0).all()


def test_a_sagittal_t1_post_gets_its_lesions_where_they_are():
    source = make_grid((40, 55, 50), (1.3, 0.9, 0.9), SAGITTAL, centre_lps_mm=(2, 1, -1))
    (lesion,) = find(probability_of([Sphere((5, -6, 7), 6)]), source).lesions
    np.testing.assert_allclose(lesion.centroid_lps_mm, (5, -6, 7), atol=0.2)
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 6.1**3, rel=0.08)
