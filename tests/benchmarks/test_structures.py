"""The benchmark's own arithmetic: spheres in cells, what is found of them, and the errors told."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.spheres import (
    CELL_MM,
    CENTRES,
    DIAMETERS_MM,
    FOUND,
    Sphere,
    Triple,
    find,
    grid_for,
    lay_out,
    volumes_in_cells,
)
from benchmarks.structures import (
    OURS,
    SPACINGS_KJI_MM,
    Row,
    as_markdown,
    fine_grid,
    missed_goals,
    summarise,
)


@pytest.fixture(scope="module")
def spheres() -> list[Sphere]:
    return lay_out(2, np.random.default_rng(0))


def test_every_sphere_lies_in_a_cell_of_its_own(spheres: list[Sphere]) -> None:
    cells = {tuple(np.floor(np.array(s.centre_kji_mm) / CELL_MM)) for s in spheres}
    assert len(cells) == len(spheres) == 2 * len(DIAMETERS_MM)
    for sphere in spheres:
        in_cell = np.array(sphere.centre_kji_mm) % CELL_MM
        assert in_cell.min() > sphere.diameter_mm / 2
        assert in_cell.max() < CELL_MM - sphere.diameter_mm / 2


@pytest.mark.parametrize("spacing", SPACINGS_KJI_MM)
@pytest.mark.parametrize("masks", [CENTRES, FOUND])
def test_every_sphere_is_found_in_its_cell(spheres: list[Sphere], spacing: Triple, masks: str) -> None:
    grid = grid_for(spheres, spacing)
    findings = find(spheres, grid, masks)
    assert len(findings.lesions) == len(spheres)
    volumes = volumes_in_cells(findings.label_map_kji > 0, grid, spheres)
    assert sum(volumes) == pytest.approx(sum(lesion.volume_mm3 for lesion in findings.lesions))
    large = [(v, s.volume_mm3) for v, s in zip(volumes, spheres, strict=True) if s.diameter_mm >= 8]
    assert all(found == pytest.approx(true, rel=0.1) for found, true in large)


def test_fine_pixels_cover_the_same_place(spheres: list[Sphere]) -> None:
    grid = grid_for(spheres, SPACINGS_KJI_MM[1])
    fine = fine_grid(grid)
    first = fine.to_lps_mm([0, -0.5, -0.5]) - grid.to_lps_mm([0, -0.5, -0.5])
    last = [n - 0.5 for n in fine.shape_kji[1:]], [n - 0.5 for n in grid.shape_kji[1:]]
    end = fine.to_lps_mm([0, *last[0]]) - grid.to_lps_mm([0, *last[1]])
    np.testing.assert_allclose([first, end], 0, atol=1e-9)
    assert fine.shape_kji[0] == grid.shape_kji[0]


def test_errors_are_told_by_size_with_their_sign(spheres: list[Sphere]) -> None:
    factors = [1.1 if n % 2 else 0.7 for n in range(len(spheres))]
    volumes = {OURS: [f * s.volume_mm3 for f, s in zip(factors, spheres, strict=True)]}
    errors = summarise(spheres, volumes)
    assert list(errors) == list(DIAMETERS_MM)
    for of_size in errors.values():
        assert of_size[OURS] == pytest.approx((-0.1, -0.3))


def row_of(diameter_mm: float, mean: float, masks: str = CENTRES) -> Row:
    return Row(
        masks, (1.5, 0.7, 0.7), diameter_mm, dict.fromkeys(("voxels", OURS, "rt-utils"), (mean, 2 * mean))
    )


@pytest.mark.parametrize(
    ("diameter_mm", "mean", "is_missed"),
    [(2, -0.9, False), (3, -0.19, False), (4, 0.21, True), (5, 0.11, True), (10, -0.09, False)],
)
def test_a_goal_holds_from_its_size_on(diameter_mm: float, mean: float, is_missed: bool) -> None:
    assert bool(missed_goals([row_of(diameter_mm, mean)])) == is_missed


def test_goals_are_of_the_contours_not_of_the_find_stage() -> None:
    assert missed_goals([row_of(5, -0.5, FOUND)]) == []


def test_the_table_has_a_line_for_every_row() -> None:
    *_, line = as_markdown([row_of(3, -0.08)]).splitlines()
    assert line == "| voxel centres | 0.7 × 0.7 × 1.5 | 3 | -8% | -16% | -8% | -16% | -8% | -16% |"
