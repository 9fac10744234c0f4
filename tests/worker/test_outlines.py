"""Outlines enclose the voxels they were drawn around, with their area, and cross no neighbour's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from worker import outlines
from worker.filling import fill_lesions
from worker.outlines import MOST_POINTS, Outline, outline_lesions, polygon_area

Points = NDArray[np.float64]


def one_slice(*rows: str) -> NDArray[np.uint16]:
    """A slice drawn with digits, '.' is background."""
    return np.array([[[0 if c == "." else int(c) for c in row] for row in rows]], dtype=np.uint16)


def ball(diameter: float, centre: tuple[float, float, float], size: int = 24) -> NDArray[np.uint16]:
    distance = np.linalg.norm(np.indices((size,) * 3) - np.reshape(centre, (3, 1, 1, 1)), axis=0)
    return (distance <= diameter / 2).astype(np.uint16)


def random_shapes(seed: int, size: int = 40) -> NDArray[np.uint16]:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 1.5)
    return ndimage.binary_fill_holes(noise > np.quantile(noise, 0.75)).astype(np.uint16)[None]


def area(polygons: tuple[Outline, ...]) -> float:
    return sum(abs(polygon_area(outline.points_ji)) for outline in polygons)


def inside(points: Points, at_ji: Points) -> NDArray[np.bool_]:
    """Even-odd rule by angles' sum: an own one, for the tests."""
    (y, x), winding = at_ji.T, np.zeros(len(at_ji), dtype=int)
    for (y0, x0), (y1, x1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
        winding += ((y0 <= y) & (y1 > y) & (side > 0)).astype(int) - ((y1 <= y) & (y0 > y) & (side < 0))
    return winding != 0


def enclosed_centres(polygons: tuple[Outline, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    centres = np.argwhere(np.ones(shape[1:], dtype=bool)).astype(float)
    found = np.zeros(shape, dtype=bool)
    for outline in polygons:
        found[outline.k] |= inside(outline.points_ji, centres).reshape(shape[1:])
    return found


def crossings(first: Points, second: Points) -> int:
    """How many sides of two polygons cross each other away from their ends."""
    a, b = first[:, None], np.roll(first, -1, axis=0)[:, None]
    c, d = second[None], np.roll(second, -1, axis=0)[None]

    def side(p: Points, q: Points, r: Points) -> Points:
        values = (q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0]
        return np.where(np.abs(values) < 1e-9, 0, np.sign(values))

    cross = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
    return int(cross.sum())


@pytest.mark.parametrize("diameter", [1.5, 2, 3, 5, 10])
def test_a_ball_keeps_the_volume_of_its_voxels(diameter: float) -> None:
    labels = ball(diameter, (11.7, 12.2, 11.4))
    assert area(outline_lesions(labels)[1]) == pytest.approx(labels.sum(), rel=0.01)


@pytest.mark.parametrize("voxels", [(1, 1), (1, 2), (1, 3), (2, 2), (3, 1)])
def test_the_smallest_parts_have_an_outline_with_their_area(voxels: tuple[int, int]) -> None:
    labels = np.zeros((1, 9, 9), dtype=np.uint16)
    labels[0, 3 : 3 + voxels[0], 4 : 4 + voxels[1]] = 1
    (outline,) = outline_lesions(labels)[1]
    assert len(outline.points_ji) >= 3
    assert area((outline,)) == pytest.approx(voxels[0] * voxels[1], rel=0.01)
    np.testing.assert_allclose(outline.points_ji.mean(axis=0), np.argwhere(labels[0]).mean(axis=0), atol=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_any_shape_keeps_its_area_and_encloses_its_voxel_centres_and_no_other(seed: int) -> None:
    labels = random_shapes(seed)
    polygons = outline_lesions(labels)[1]
    assert area(polygons) == pytest.approx(labels.sum(), rel=0.01)
    np.testing.assert_array_equal(enclosed_centres(polygons, labels.shape), labels == 1)


@pytest.mark.parametrize("seed", range(3))
def test_no_outline_crosses_itself(seed: int) -> None:
    for outline in outline_lesions(random_shapes(seed))[1]:
        assert crossings(outline.points_ji, outline.points_ji) == 0


def test_a_lesion_at_the_border_of_the_image_has_outlines_too() -> None:
    labels = np.zeros((3, 8, 8), dtype=np.uint16)
    labels[0, 0:2, 6:8] = 1
    (outline,) = outline_lesions(labels)[1]
    assert outline.k == 0
    assert area((outline,)) == pytest.approx(4, rel=0.01)


def test_parts_in_one_slice_are_outlines_of_their_own() -> None:
    labels = one_slice(".......", ".11..1.", ".11..1.", ".......")
    assert sorted(round(area((o,))) for o in outline_lesions(labels)[1]) == [2, 4]


def test_lesions_a_voxel_apart_do_not_cross() -> None:
    labels = one_slice("........", ".11.22..", ".111.22.", ".11.222.", "........")
    first, second = (polygons[0] for polygons in outline_lesions(labels).values())
    assert crossings(first.points_ji, second.points_ji) == 0


def test_touching_lesions_share_voxel_edges() -> None:
    labels = one_slice("......", ".1122.", ".1222.", "......")
    (first,), (second,) = outline_lesions(labels).values()
    assert crossings(first.points_ji, second.points_ji) == 0
    assert (area((first,)), area((second,))) == (3, 5)
    assert set(np.unique(first.points_ji % 1)) == {0.5}


def test_lesions_that_touch_at_a_corner_do_not_cross() -> None:
    labels = one_slice("......", ".11...", ".11...", "...22.", "...22.", "......")
    (first,), (second,) = outline_lesions(labels).values()
    assert crossings(first.points_ji, second.points_ji) == 0
    assert (area((first,)), area((second,))) == (4, 4)


def test_a_lesion_inside_another_one_is_left_out_by_a_keyhole() -> None:
    labels = one_slice(".......", ".11111.", ".1...1.", ".1.2.1.", ".1...1.", ".11111.", ".......")
    outer, inner = outline_lesions(fill_lesions(labels)).values()
    assert (area(outer), area(inner)) == (24, 1)
    assert len(outer) == 1


def test_voxels_that_meet_at_a_corner_around_another_lesion_stay_two_outlines() -> None:
    labels = one_slice(".....", ".12..", ".21..", ".....")
    for polygons in outline_lesions(labels).values():
        assert [area((outline,)) for outline in polygons] == [1, 1]


def test_a_straight_edge_has_no_point_between_its_ends() -> None:
    labels = one_slice("........", ".111111.", ".111111.", "22222222")
    (outline,) = outline_lesions(labels)[1]
    assert len(outline.points_ji) == 4


def test_a_jump_of_the_area_leads_to_voxel_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "AREA_TOLERANCE", -1.0)
    labels = one_slice(".....", ".11..", ".1...", ".....")
    (outline,) = outline_lesions(labels)[1]
    assert set(np.unique(outline.points_ji % 1)) == {0.5}


def test_a_thin_tail_does_not_move_the_centre() -> None:
    rows = [".........................", ".111111..................", ".1111111111111111111111..", "." * 25]
    labels = one_slice(*rows)
    (outline,) = outline_lesions(labels)[1]
    grid = np.stack(np.meshgrid(np.arange(-0.95, 4, 0.1), np.arange(-0.95, 25, 0.1), indexing="ij"), axis=-1)
    fine = grid.reshape(-1, 2)
    centre = fine[inside(outline.points_ji, fine)].mean(axis=0)
    np.testing.assert_allclose(centre, np.argwhere(labels[0]).mean(axis=0), atol=0.25)


def test_no_outline_has_more_points_than_can_be_written() -> None:
    labels = np.zeros((1, 402, 402), dtype=np.uint16)
    labels[0, 1:401, 1] = 1
    labels[0, 1:401:3, 1:400] = 1  # a comb
    polygons = outline_lesions(labels)[1]
    assert all(len(outline.points_ji) <= MOST_POINTS for outline in polygons)
    assert area(polygons) == pytest.approx(labels.sum(), rel=0.02)


def test_a_part_too_ragged_for_one_outline_is_drawn_as_several() -> None:
    noise = np.random.default_rng(5).random((1, 200, 200)) < 0.5
    labels = fill_lesions(noise.astype(np.uint16))
    drawn = outline_lesions(labels)[1]
    assert max(len(outline.points_ji) for outline in drawn) <= MOST_POINTS
    assert np.array_equal(enclosed_centres(drawn, labels.shape), labels == 1)


def test_numbers_without_voxels_have_no_outlines() -> None:
    labels = np.zeros((2, 6, 6), dtype=np.uint16)
    labels[1, 2:4, 2:4] = 3
    assert outline_lesions(labels).keys() == {3}
