"""Pictures: one plane, magnified, with outlines, orientation letters and a scale bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from worker.overview.content import Box, Overview
from worker.overview.lettering import font, width_px
from worker.overview.sheet import RGB
from worker.overview.views import Hanging, hangings

INK: RGB = (235, 235, 235)
LETTER_SIZE, CAPTION_SIZE = 15.0, 13.0
INSET_PX = 5
OUTLINE_PX = 2

NARROWEST_FIELD_MM = 60.0
LESION_SHARE = 1.5
"""A field is so many times as wide as its lesion, at least."""
FIELD_STEP_MM = 10.0
SCALE_BARS_MM = (10.0, 50.0)
LONGEST_BAR_SHARE = 0.4
"""The longest bar that takes no more of the field's width is shown."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What a picture shows.

    Parameters
    ----------
    hanging, index
        The plane.
    centre
        Row and column in the middle of the picture.
    field_mm
        Width and height shown.
    lesion
        Number of the lesion it is about; None for all alike.
    """

    hanging: Hanging
    index: int
    centre: tuple[float, float]
    field_mm: float
    lesion: int | None = None


def aim_at_lesion(overview: Overview, number: int, hanging: Hanging) -> Aim:
    """Aim at a lesion: the slice that was measured, or the plane that shows most of it."""
    box = overview.boxes[number - 1]
    extents_mm = [(s.stop - s.start) * mm for s, mm in zip(box, overview.grid.spacing_kji_mm, strict=True)]
    wanted_mm = max(NARROWEST_FIELD_MM, LESION_SHARE * max(extents_mm))
    field_mm = float(np.ceil(wanted_mm / FIELD_STEP_MM) * FIELD_STEP_MM)
    index = overview.report.lesions[number - 1].slice_index_k
    if not hanging.is_acquired:
        others = tuple(axis for axis in range(3) if axis != hanging.normal)
        areas = (overview.label_map_kji[box] == number).sum(axis=others)
        index = box[hanging.normal].start + int(areas.argmax())
    return Aim(hanging, index, hanging.place(middle(box), overview.grid), field_mm, number)


def aim_at_head(overview: Overview, hanging: Hanging, index: int | None = None) -> Aim:
    """Aim at the whole head, in its middle or at a given plane."""
    box, grid = overview.head_box, overview.grid
    extents_mm = [
        (box[a].stop - box[a].start) * grid.spacing_kji_mm[a] for a in (hanging.down, hanging.right)
    ]
    field_mm = float(np.ceil(1.05 * max(extents_mm) / FIELD_STEP_MM) * FIELD_STEP_MM)
    centre = middle(box)
    chosen = round(float(centre[hanging.normal])) if index is None else index
    chosen = min(chosen, grid.shape_kji[hanging.normal] - 1)
    return Aim(hanging, chosen, hanging.place(centre, grid), field_mm)


def middle(box: Box) -> NDArray[np.float64]:
    """Return the index in the middle of a box."""
    return np.array([(s.start + s.stop - 1) / 2 for s in box])


def draw_picture(overview: Overview, aim: Aim, size_px: int) -> NDArray[np.uint8]:
    """Return a square picture with outlines, letters, scale bar and the name of the plane."""
    image = Image.fromarray(draw_plane(overview, aim, size_px))
    drawing = ImageDraw.Draw(image)
    _write_letters(drawing, aim.hanging.letters(overview.grid), size_px)
    _draw_scale(drawing, aim.field_mm, size_px)
    _write(drawing, (INSET_PX, INSET_PX), caption(overview, aim), CAPTION_SIZE)
    return np.asarray(image).copy()


def draw_locator(overview: Overview, number: int, size_px: int) -> NDArray[np.uint8]:
    """Return the whole acquired slice of a lesion, small, with the lesion framed."""
    hanging = next(h for h in hangings(overview.grid) if h.is_acquired)
    close = aim_at_lesion(overview, number, hanging)
    aim = aim_at_head(overview, hanging, close.index)
    image = Image.fromarray(draw_plane(overview, aim, size_px))
    per_px = aim.field_mm / size_px
    spacing_mm = hanging.spacing_mm(overview.grid)
    y, x = (
        (size_px - 1) / 2 + (wanted - here) * mm / per_px
        for wanted, here, mm in zip(close.centre, aim.centre, spacing_mm, strict=True)
    )
    half = close.field_mm / per_px / 2
    frame = [(x - half, y - half), (x + half, y + half)]
    ImageDraw.Draw(image).rectangle(frame, outline=overview.colours[number - 1])
    return np.asarray(image).copy()


def draw_plane(overview: Overview, aim: Aim, size_px: int) -> NDArray[np.uint8]:
    """Return the magnified plane with the outlines of the lesions in it, RGB."""
    rows, columns = _sampled_places(overview, aim, size_px)
    plane = aim.hanging.plane(overview.t1_post_kji, aim.index).astype(np.float64)
    labels = aim.hanging.plane(overview.label_map_kji, aim.index)
    black, white = overview.window
    places = np.meshgrid(rows, columns, indexing="ij")
    values = ndimage.map_coordinates(plane, places, order=1, mode="constant", cval=black)
    grey = np.rint(np.clip((values - black) / (white - black), 0, 1) * 255).astype(np.uint8)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    _outline(picture, _nearest(labels, rows, columns), overview, aim.lesion)
    return picture


def caption(overview: Overview, aim: Aim) -> str:
    """Return which plane a picture shows."""
    if not aim.hanging.is_acquired:
        return f"{aim.hanging.view} reformat"
    return f"{aim.hanging.view}, {overview.slice_word} {overview.slice_names[aim.index]}"


def _sampled_places(
    overview: Overview, aim: Aim, size_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row of every picture row and the column of every picture column, in voxels."""
    offsets_mm = (np.arange(size_px) - (size_px - 1) / 2) * aim.field_mm / size_px
    row_mm, column_mm = aim.hanging.spacing_mm(overview.grid)
    return aim.centre[0] + offsets_mm / row_mm, aim.centre[1] + offsets_mm / column_mm


def _nearest(labels: NDArray[Any], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[Any]:
    """Return the label under every pixel; none outside the image."""
    padded = np.pad(labels, 1)
    at_row = np.clip(np.rint(rows).astype(int) + 1, 0, labels.shape[0] + 1)
    at_column = np.clip(np.rint(columns).astype(int) + 1, 0, labels.shape[1] + 1)
    return np.asarray(padded[np.ix_(at_row, at_column)])


def _outline(
    picture: NDArray[np.uint8], labels: NDArray[np.uint16], overview: Overview, lesion: int | None
) -> None:
    """Draw around the voxels of each lesion, outside of them: the one shown thicker than others."""
    for number in np.unique(labels[labels > 0]).tolist():
        mask = labels == number
        width = OUTLINE_PX if number == lesion else 1
        around = ndimage.binary_dilation(mask, iterations=width) & (labels == 0)
        picture[around] = overview.colours[number - 1]


def _write_letters(drawing: ImageDraw.ImageDraw, letters: tuple[str, str, str, str], size_px: int) -> None:
    left, right, top, bottom = letters
    half, edge = size_px / 2, size_px - INSET_PX
    middle_y = half - LETTER_SIZE / 2
    _write(drawing, (INSET_PX, middle_y), left, LETTER_SIZE)
    _write(drawing, (edge - width_px(right, LETTER_SIZE), middle_y), right, LETTER_SIZE)
    below_caption = 2 * INSET_PX + CAPTION_SIZE
    _write(drawing, (half - width_px(top, LETTER_SIZE) / 2, below_caption), top, LETTER_SIZE)
    bottom_y = edge - LETTER_SIZE - 2
    _write(drawing, (half - width_px(bottom, LETTER_SIZE) / 2, bottom_y), bottom, LETTER_SIZE)


def _draw_scale(drawing: ImageDraw.ImageDraw, field_mm: float, size_px: int) -> None:
    fitting = [mm for mm in SCALE_BARS_MM if mm <= LONGEST_BAR_SHARE * field_mm]
    length_mm = max(fitting, default=SCALE_BARS_MM[0])
    end, y = size_px - 2 * INSET_PX, size_px - 2 * INSET_PX
    start = round(end - length_mm / field_mm * size_px)
    drawing.line([(start, y), (end, y)], INK, 2)
    label = f"{length_mm:.0f} mm"
    _write(drawing, (end - width_px(label, CAPTION_SIZE), y - CAPTION_SIZE - 6), label, CAPTION_SIZE)


def _write(drawing: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: float) -> None:
    """Write with a dark rim: readable on fat and on air."""
    where = (round(place[0]), round(place[1]))
    drawing.text(where, text, INK, font(size, bold=False), stroke_width=1, stroke_fill=(0, 0, 0))
