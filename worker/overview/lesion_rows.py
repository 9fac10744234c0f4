"""A row a lesion: three planes of it, its measures, and where in the slice it lies."""

from __future__ import annotations

from core.lesion import Lesion
from worker.overview import wording
from worker.overview.content import Overview
from worker.overview.lettering import LINE_HEIGHT, fitted
from worker.overview.pictures import aim_at_lesion, draw_locator, draw_picture
from worker.overview.sheet import MARGIN_PX, SHEET_WIDTH_PX, Ink, Patch, Picture, Sheet, Text
from worker.overview.views import hangings

PICTURED_LESIONS = 40
"""The largest ones: a study of more is one for the viewer, not for a picture book."""

ROWS_ON_A_SHEET = 4
ROW_PX = 300
PICTURE_PX, GAP_PX = 256, 8
HEADING_PX, HEADING_SIZE = 30, 19.0
DETAIL_SIZE = 14.0
DETAILS_X = MARGIN_PX + 3 * (PICTURE_PX + GAP_PX) + GAP_PX
DETAILS_WIDTH_PX = SHEET_WIDTH_PX - MARGIN_PX - DETAILS_X
LOCATOR_PX = 160


def lesion_sheets(overview: Overview) -> list[Sheet]:
    """Return the sheets of the lesions that have pictures."""
    shown = overview.report.lesions[:PICTURED_LESIONS]
    groups = [shown[n : n + ROWS_ON_A_SHEET] for n in range(0, len(shown), ROWS_ON_A_SHEET)]
    sheets = [_sheet(overview, group) for group in groups]
    more = len(overview.report.lesions) - len(shown)
    if more:
        text = f"and {more} more, smaller than these, without pictures"
        sheets[-1] += Sheet((Text(MARGIN_PX, ROWS_ON_A_SHEET * ROW_PX + 24, text, DETAIL_SIZE, Ink.FAINT),))
    return sheets


def shown_slices(overview: Overview) -> tuple[int, ...]:
    """Return the acquired slices that lesions are shown in, ascending."""
    return tuple(sorted({lesion.slice_index_k for lesion in overview.report.lesions[:PICTURED_LESIONS]}))


def _sheet(overview: Overview, lesions: tuple[Lesion, ...]) -> Sheet:
    sheet = Sheet()
    for n, lesion in enumerate(lesions):
        sheet += _row(overview, lesion, MARGIN_PX + n * ROW_PX)
    return sheet


def _row(overview: Overview, lesion: Lesion, y: float) -> Sheet:
    below = y + HEADING_PX
    pictures = []
    for n, hanging in enumerate(hangings(overview.grid)):
        aim = aim_at_lesion(overview, lesion.number, hanging)
        x = MARGIN_PX + n * (PICTURE_PX + GAP_PX)
        pictures.append(Picture(x, below, draw_picture(overview, aim, PICTURE_PX)))
    locator = draw_locator(overview, lesion.number, LOCATOR_PX)
    pictures.append(Picture(DETAILS_X, below + PICTURE_PX - LOCATOR_PX, locator))
    return _heading(overview, lesion, y) + Sheet(_details(lesion, below), pictures=tuple(pictures))


def _heading(overview: Overview, lesion: Lesion, y: float) -> Sheet:
    words = (wording.place(lesion.location), wording.volume(lesion.volume_mm3), wording.axes(lesion))
    name = Text(MARGIN_PX + 28, y, lesion.tracking_id, HEADING_SIZE, bold=True)
    where = f"{overview.slice_word} {overview.slice_names[lesion.slice_index_k]}"
    text = fitted(", ".join((*words, where)), HEADING_SIZE, SHEET_WIDTH_PX - MARGIN_PX - 140)
    patch = Patch(MARGIN_PX, y + 3, 17, overview.colours[lesion.number - 1])
    return Sheet((name, Text(140, y, text, HEADING_SIZE)), patches=(patch,))


def _details(lesion: Lesion, y: float) -> tuple[Text, ...]:
    lines = (
        f"enhancing {wording.volume(lesion.volume_mm3)}",
        f"filled {wording.volume(lesion.filled_volume_mm3)}",
        f"3D extent {lesion.longest_diameter_mm:.1f} mm",
        f"{wording.members(lesion)} members",
    )
    step = DETAIL_SIZE * LINE_HEIGHT
    return tuple(
        Text(DETAILS_X, y + n * step, fitted(line, DETAIL_SIZE, DETAILS_WIDTH_PX), DETAIL_SIZE)
        for n, line in enumerate(lines)
    )
