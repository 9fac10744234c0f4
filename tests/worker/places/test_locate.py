"""Places of lesions: a head whose MNI152 coordinates are known, upright and turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from core.geometry import Grid
from core.lesion import NO_LOCATION, Location, Region, Side
from phantom.anatomy import template_head
from phantom.head import Head
from tests.encoded_study import make_findings
from worker.lesions import Findings
from worker.places.atlas import ATLAS_FILE, load_atlas
from worker.places.locate import fit_to_atlas, locate_lesions
from worker.preprocessing import PreparedVolumes

SPOTS: dict[tuple[float, float, float], Location] = {
    (-30, 45, 20): Location(Region.FRONTAL_LOBE, Side.LEFT),
    (30, 45, 20): Location(Region.FRONTAL_LOBE, Side.RIGHT),
    (-35, -55, 50): Location(Region.PARIETAL_LOBE, Side.LEFT),
    (35, -55, 50): Location(Region.PARIETAL_LOBE, Side.RIGHT),
    (-55, -15, -20): Location(Region.TEMPORAL_LOBE, Side.LEFT),
    (55, -15, -20): Location(Region.TEMPORAL_LOBE, Side.RIGHT),
    (-20, -90, 5): Location(Region.OCCIPITAL_LOBE, Side.LEFT),
    (20, -90, 5): Location(Region.OCCIPITAL_LOBE, Side.RIGHT),
    (-38, 5, 2): Location(Region.INSULA, Side.LEFT),
    (14, -18, 7): Location(Region.DEEP_GREY_MATTER, Side.RIGHT),
    (-25, 3, 2): Location(Region.DEEP_GREY_MATTER, Side.LEFT),
    (-28, -65, -40): Location(Region.CEREBELLUM, Side.LEFT),
    (28, -65, -40): Location(Region.CEREBELLUM, Side.RIGHT),
    (3, -28, -32): Location(Region.BRAIN_STEM),
    (0, 50, 20): Location(Region.FRONTAL_LOBE),
    (0, -70, -25): Location(Region.CEREBELLUM),
}
"""MNI152 coordinates in mm (right, anterior, superior)."""

TURNS_DEG = [(0, 0, 0), (30, 0, 0), (-25, 0, 0), (0, 25, 0), (0, -25, 0), (0, 0, 30), (15, -15, 20)]


@pytest.fixture(scope="module")
def head() -> Head:
    return template_head(np.random.default_rng(5))


def turned(head: Head, turn_deg: tuple[float, float, float]) -> Grid:
    """Turn and shift the head as a patient can lie: its voxels stay, their places move."""
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    move[:3, 3] = (12.0, -30.0, 55.0)
    return Grid(head.grid.shape_kji, move @ head.grid.affine_kji_to_lps_mm)


def findings_at(head: Head, grid: Grid) -> Findings:
    corners = np.rint(head.mni_to_index_kji(np.array(list(SPOTS)))).astype(int)
    boxes = [(slice(k - 1, k + 2), slice(j - 1, j + 2), slice(i - 1, i + 2)) for k, j, i in corners]
    return make_findings(boxes, grid)


def prepared(mask: NDArray[np.bool_], grid: Grid) -> PreparedVolumes:
    blank = np.zeros(1, dtype=np.float32)
    return PreparedVolumes(grid, blank, None, mask, grid, (), None, 1.4e6, ())


@pytest.mark.parametrize("turn_deg", TURNS_DEG)
def test_regions_and_sides_are_those_of_the_head_however_it_lies(head: Head, turn_deg) -> None:
    grid = turned(head, turn_deg)
    located = locate_lesions(findings_at(head, grid), prepared(head.brain_mask, grid))
    found = {spot: lesion.location for spot, lesion in zip(SPOTS, located.lesions, strict=True)}
    assert found == SPOTS


def test_voxels_stored_from_the_other_side_change_no_side(head: Head) -> None:
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = head.grid.shape_kji[2] - 1
    grid = Grid(head.grid.shape_kji, head.grid.affine_kji_to_lps_mm @ flip)
    findings = findings_at(head, head.grid)
    mirrored = replace(findings, label_map_kji=findings.label_map_kji[:, :, ::-1].copy(), grid=grid)
    located = locate_lesions(mirrored, prepared(head.brain_mask[:, :, ::-1].copy(), grid))
    assert [lesion.location for lesion in located.lesions] == list(SPOTS.values())


def test_the_same_brain_gives_the_same_fit(head: Head) -> None:
    first, second = (fit_to_atlas(head.brain_mask, head.grid, load_atlas()) for _ in range(2))
    assert first is not None
    np.testing.assert_array_equal(first, second)


def test_half_a_brain_is_not_placed(head: Head) -> None:
    half = head.brain_mask.copy()
    half[half.shape[0] // 2 :] = False
    located = locate_lesions(findings_at(head, head.grid), prepared(half, head.grid))
    assert {lesion.location for lesion in located.lesions} == {NO_LOCATION}


def test_what_is_no_brain_is_not_placed(head: Head) -> None:
    box = np.zeros_like(head.brain_mask)
    box[20:60, 20:180, 20:60] = True
    located = locate_lesions(findings_at(head, head.grid), prepared(box, head.grid))
    assert {lesion.location for lesion in located.lesions} == {NO_LOCATION}


@pytest.mark.parametrize("edge", [1, 4])
def test_a_mask_that_no_atlas_can_be_fitted_to_costs_the_places_and_not_the_result(
    head: Head, edge: int
) -> None:
    crumb = np.zeros_like(head.brain_mask)
    crumb[20 : 20 + edge, 20 : 20 + edge, 20 : 20 + edge] = True
    located = locate_lesions(findings_at(head, head.grid), prepared(crumb, head.grid))
    assert {lesion.location for lesion in located.lesions} == {NO_LOCATION}


def test_without_lesions_nothing_is_fitted(head: Head) -> None:
    negative = make_findings((), head.grid)
    assert locate_lesions(negative, prepared(np.zeros((1, 1, 1), dtype=np.bool_), head.grid)) is negative


def test_the_atlas_is_small_and_symmetric() -> None:
    values = load_atlas().values_kji
    np.testing.assert_array_equal(values, values[:, :, ::-1])
    assert ATLAS_FILE.stat().st_size < 50_000
