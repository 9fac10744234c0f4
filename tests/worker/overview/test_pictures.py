"""What is drawn lies where it was found: in the middle, on the right side, to scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.geometry import Grid
from core.lesion import FindingsReport
from tests.dicom_sources import AXIAL, SAGITTAL
from tests.dicom_sources import make_grid as make_slices
from tests.encoded_study import make_findings, make_study
from worker.overview.content import Overview
from worker.overview.pictures import aim_at_head, aim_at_lesion, draw_plane
from worker.overview.views import View, hangings

ORANGE, BLUE = (230, 159, 0), (0, 114, 178)
SIZE_PX = 240


def make_overview(boxes, grid: Grid) -> Overview:
    findings = make_findings(boxes, grid)
    report: FindingsReport = replace(make_study(()).report, lesions=findings.lesions)
    images = np.full(grid.shape_kji, 100, np.float32)
    images[:, :2] = 0
    names = tuple(str(k) for k in range(grid.shape_kji[0]))
    return Overview(
        report, (), images, findings.label_map_kji, grid, names, "image", (ORANGE, BLUE)[: len(boxes)]
    )


def where(picture: NDArray[np.uint8], colour) -> NDArray[np.int64]:
    """Rows and columns of the pixels in a colour."""
    return np.argwhere((picture == colour).all(axis=2))


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL])
@pytest.mark.parametrize("view", View)
def test_a_lesion_is_outlined_in_the_middle_at_its_size(orientation, view: View) -> None:
    grid = make_slices((40, 60, 50), (2.0, 1.0, 1.0), orientation)
    overview = make_overview([(slice(10, 14), slice(20, 32), slice(10, 26))], grid)
    hanging = next(h for h in hangings(grid) if h.view is view)
    picture = draw_plane(overview, aim_at_lesion(overview, 1, hanging), SIZE_PX)
    outline = where(picture, ORANGE)
    low, high = outline.min(axis=0), outline.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, (SIZE_PX - 1) / 2, atol=1)
    extents_mm = np.array([8.0, 12.0, 16.0])[[hanging.down, hanging.right]]
    inner_px = high - low + 1 - 4  # two pixels of outline lie outside on either side
    np.testing.assert_allclose(inner_px, extents_mm * SIZE_PX / 60, atol=2)


def test_a_lesion_on_the_patients_left_lies_right_of_another_one() -> None:
    grid = make_slices((20, 60, 60), (2.0, 1.0, 1.0), SAGITTAL)  # k runs from right to left or back
    overview = make_overview(
        [(slice(4, 6), slice(30, 34), slice(30, 34)), (slice(14, 16), slice(30, 34), slice(30, 34))], grid
    )
    axial = next(h for h in hangings(grid) if h.view is View.AXIAL)
    picture = draw_plane(overview, aim_at_head(overview, axial, 32), SIZE_PX)
    columns = [where(picture, colour)[:, 1].mean() for colour in (ORANGE, BLUE)]
    lefts = [lesion.centroid_lps_mm[0] for lesion in overview.report.lesions]
    assert (columns[0] < columns[1]) == (lefts[0] < lefts[1])


def test_the_outline_covers_no_voxel_of_its_lesion() -> None:
    grid = make_slices((10, 60, 60), (2.0, 1.0, 1.0))
    overview = make_overview([(slice(4, 5), slice(30, 31), slice(30, 31))], grid)
    picture = draw_plane(overview, aim_at_lesion(overview, 1, hangings(grid)[0]), SIZE_PX)
    middle = picture[SIZE_PX // 2 - 1 : SIZE_PX // 2 + 1, SIZE_PX // 2 - 1 : SIZE_PX // 2 + 1]
    assert (middle[..., 0] == middle[..., 2]).all()


def test_images_of_one_value_are_drawn_too() -> None:
    grid = make_slices()
    overview = replace(make_overview([], grid), t1_post_kji=np.zeros(grid.shape_kji, np.float32))
    assert draw_plane(overview, aim_at_head(overview, hangings(grid)[0]), SIZE_PX).shape == (
        SIZE_PX,
        SIZE_PX,
        3,
    )
