import numpy as np
import pytest

from core.errors import InvalidInput
from core.geometry import Grid
from phantom.lesions import GAP_MM, LesionKind, place_lesions, rasterise
from phantom.scanner import rigid_matrix


@pytest.fixture(scope="module")
def lesions(head):
    return place_lesions(head, np.zeros(head.grid.shape_kji, np.float32), 12, 12, np.random.default_rng(5))


def fine_grid(lesion) -> Grid:
    step = max(0.5, lesion.reach_mm / 10)
    half = np.ceil(lesion.reach_mm / step) + 2
    affine = np.diag([step, step, step, 1.0])[[2, 1, 0, 3]]
    affine[:3, 3] = lesion.body.centre_lps_mm - step * half
    return Grid((int(2 * half + 1),) * 3, affine)


def test_half_of_the_lesions_are_large_and_half_small(lesions):
    diameters = np.array([lesion.truth.equivalent_diameter_mm for lesion in lesions])
    assert (diameters > 6).sum() == 12
    assert ((diameters >= 3) & (diameters < 6)).sum() == 12


def test_numbers_follow_the_volume(lesions):
    volumes = [lesion.truth.volume_mm3 for lesion in lesions]
    assert volumes == sorted(volumes, reverse=True)
    assert [lesion.truth.number for lesion in lesions] == list(range(1, 25))


def test_the_volume_stated_is_the_volume_painted(lesions):
    for lesion in lesions:
        grid = fine_grid(lesion)
        fractions = rasterise(lesion, grid)
        assert fractions.enhancing.sum() * grid.voxel_volume_mm3 == pytest.approx(
            lesion.truth.volume_mm3, rel=0.02
        )
        filled = (fractions.enhancing + fractions.core).sum() * grid.voxel_volume_mm3
        assert filled == pytest.approx(lesion.truth.filled_volume_mm3, rel=0.02)


def test_the_centroid_stated_is_the_centroid_painted(lesions):
    for lesion in lesions:
        grid = fine_grid(lesion)
        fractions = rasterise(lesion, grid)
        index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in fractions.box), indexing="ij"), -1)
        weights = fractions.enhancing.astype(np.float64)
        mean = (index * weights[..., None]).reshape(-1, 3).sum(axis=0) / weights.sum()
        np.testing.assert_allclose(grid.to_lps_mm(mean), lesion.truth.centroid_lps_mm, atol=0.1)


def test_lesions_keep_their_distance(lesions):
    for n, one in enumerate(lesions):
        for other in lesions[n + 1 :]:
            apart = np.linalg.norm(one.body.centre_lps_mm - other.body.centre_lps_mm)
            assert apart >= one.reach_mm + other.reach_mm + GAP_MM


def test_lesions_lie_in_the_brain(lesions, head):
    for lesion in lesions:
        fractions = rasterise(lesion, head.grid)
        covered = (fractions.enhancing + fractions.core) > 0.01
        assert head.brain_mask[fractions.box][covered].all()


def test_only_a_ring_has_a_core(lesions):
    kinds = {lesion.truth.kind for lesion in lesions}
    assert kinds == {LesionKind.SOLID, LesionKind.RING}
    for lesion in lesions:
        has_core = lesion.truth.filled_volume_mm3 > lesion.truth.volume_mm3 * 1.001
        assert has_core == (lesion.truth.kind is LesionKind.RING)


def test_no_lesion_lies_where_it_is_blocked(head):
    blocked = (
        head.mni_to_index_kji(np.array([[0.0, 0, 0]]))[0, 2] < np.arange(head.grid.shape_kji[2])
    ).astype(np.float32)  # the left half
    volume = np.broadcast_to(blocked, head.grid.shape_kji)
    placed = place_lesions(head, volume, 3, 3, np.random.default_rng(1))
    assert all(lesion.truth.centroid_lps_mm[0] < 0 for lesion in placed)


def test_a_brain_without_room_is_refused(head):
    with pytest.raises(InvalidInput, match="no room"):
        place_lesions(head, np.ones(head.grid.shape_kji, np.float32), 1, 0, np.random.default_rng(0))


def test_a_moved_patients_lesion_is_painted_where_the_patient_went(lesions):
    lesion = lesions[0]
    matrix = rigid_matrix(20.0, 30.0, np.zeros(3), np.random.default_rng(2))
    still = fine_grid(lesion)
    moved = Grid(still.shape_kji, np.linalg.inv(matrix) @ still.affine_kji_to_lps_mm)
    there, here = (np.zeros(still.shape_kji), np.zeros(still.shape_kji))
    for canvas, fractions in ((there, rasterise(lesion, moved, matrix)), (here, rasterise(lesion, still))):
        canvas[fractions.box] = fractions.enhancing
    assert np.abs(there - here).max() < 0.05


def test_a_lesion_outside_the_grid_leaves_no_trace(lesions):
    affine = np.eye(4)[[2, 1, 0, 3]]
    affine[:3, 3] = [500, 500, 500]
    assert rasterise(lesions[0], Grid((8, 8, 8), affine)) is None
