"""The first sheets: what was found in a few words, what a reader must know, every lesion's measures."""

from __future__ import annotations

from core.lesion import FindingsReport
from core.provenance import NOT_A_DEVICE
from worker.overview import wording
from worker.overview.content import Overview
from worker.overview.lettering import fitted, paragraph
from worker.overview.pictures import aim_at_head, draw_picture
from worker.overview.sheet import MARGIN_PX, SHEET_WIDTH_PX, Ink, Patch, Picture, Rule, Sheet, Text
from worker.overview.views import hangings

TITLE = "AI result - not for diagnosis without review"
TITLE_SIZE, COUNT_SIZE, BODY_SIZE, SMALL_SIZE = 34.0, 40.0, 20.0, 16.0
WIDTH_PX = SHEET_WIDTH_PX - 2 * MARGIN_PX

LAST_ROW_Y = 1200.0
"""Below stands the footer."""

ROW_PX = 26.0
TABLE_SIZE = 15.0
PATCH_PX = 13.0
COLUMNS = (
    ("lesion", 0.0),
    ("place", 106.0),
    ("enhancing", 326.0),
    ("filled", 446.0),
    ("long × short axis", 566.0),
    ("3D extent", 736.0),
    ("members", 836.0),
    ("", 926.0),
)
"""Headings and where they start; the last is the source's word for a slice."""

LISTED_LESIONS = 120
"""More than these are noise to a reader; the report has them all."""

HEAD_PICTURE_PX = 316
NEGATIVE_CAUTION = "Small lesions can be missed. The images are to be read as usual."


def summary_sheets(overview: Overview) -> list[Sheet]:
    """Return the first sheet, and more where the table of lesions needs them."""
    sheet, y = _head(overview)
    if not overview.report.lesions:
        return [sheet + _mid_brain(overview, y)]
    sheets, rows = [sheet], _rows(overview)
    more = len(overview.report.lesions) - LISTED_LESIONS
    y = _start_table(sheets, overview, y)
    for row in rows:
        if y + ROW_PX > LAST_ROW_Y:
            sheets.append(Sheet())
            y = _start_table(sheets, overview, float(MARGIN_PX))
        sheets[-1] += _table_row(row, y)
        y += ROW_PX
    if more > 0:
        text = f"and {more} more, in the structured report"
        sheets[-1] += Sheet((Text(MARGIN_PX, y, text, TABLE_SIZE, Ink.FAINT),))
    return sheets


def model_line(report: FindingsReport) -> str:
    """Return what made the result."""
    model = report.model
    return (
        f"metserve {report.software_version}, model set {model.name} {model.version}, "
        f"profile {model.profile}, revision {report.revision}"
    )


def _head(overview: Overview) -> tuple[Sheet, float]:
    """Return the sheet's upper part and the y below it."""
    report, left = overview.report, float(MARGIN_PX)
    lines = [
        (TITLE, TITLE_SIZE, Ink.ALERT, True),
        (NOT_A_DEVICE, BODY_SIZE, Ink.ALERT, True),
        (wording.counted(len(report.lesions)), COUNT_SIZE, Ink.TEXT, True),
        (_totals(report), BODY_SIZE, Ink.TEXT, False),
        (model_line(report), SMALL_SIZE, Ink.FAINT, False),
        *((remark, SMALL_SIZE, Ink.FAINT, False) for remark in overview.remarks),
    ]
    sheet, y = Sheet(), left
    for text, size, ink, bold in lines:
        part, y = paragraph(text, (left, y), WIDTH_PX, size, ink, bold=bold)
        sheet += part
    return sheet, y + MARGIN_PX / 2


def _totals(report: FindingsReport) -> str:
    if not report.lesions:
        return NEGATIVE_CAUTION
    enhancing, filled = report.total_volume_mm3, report.total_filled_volume_mm3
    return f"Total enhancing volume {wording.volume(enhancing)}, filled {wording.volume(filled)}"


def _start_table(sheets: list[Sheet], overview: Overview, y: float) -> float:
    texts = tuple(
        Text(MARGIN_PX + x, y, heading or overview.slice_word, TABLE_SIZE, Ink.FAINT)
        for heading, x in COLUMNS
    )
    sheets[-1] += Sheet(texts, (Rule(MARGIN_PX, y + ROW_PX - 4, WIDTH_PX),))
    return y + ROW_PX + 4


def _rows(overview: Overview) -> list[tuple[tuple[str, ...], Patch]]:
    rows: list[tuple[tuple[str, ...], Patch]] = []
    for lesion, colour in zip(overview.report.lesions[:LISTED_LESIONS], overview.colours, strict=False):
        cells = (
            lesion.tracking_id,
            wording.place(lesion.location),
            wording.volume(lesion.volume_mm3),
            wording.volume(lesion.filled_volume_mm3),
            wording.axes(lesion),
            f"{lesion.longest_diameter_mm:.1f} mm",
            wording.members(lesion),
            overview.slice_names[lesion.slice_index_k],
        )
        rows.append((cells, Patch(MARGIN_PX, 0, PATCH_PX, colour)))
    return rows


def _table_row(row: tuple[tuple[str, ...], Patch], y: float) -> Sheet:
    cells, patch = row
    ends = [x for _, x in COLUMNS[1:]] + [WIDTH_PX]
    texts = []
    for n, (cell, (_, x), end) in enumerate(zip(cells, COLUMNS, ends, strict=True)):
        start = x + (PATCH_PX + 8 if n == 0 else 0)
        shown = fitted(cell, TABLE_SIZE, end - start - 6)
        texts.append(Text(MARGIN_PX + start, y, shown, TABLE_SIZE))
    return Sheet(tuple(texts), patches=(Patch(patch.x, y + 3, patch.size, patch.colour),))


def _mid_brain(overview: Overview, y: float) -> Sheet:
    """Return the middle of the head in three planes, for a study without lesions."""
    pictures = []
    for n, hanging in enumerate(hangings(overview.grid)):
        pixels = draw_picture(overview, aim_at_head(overview, hanging), HEAD_PICTURE_PX)
        x = MARGIN_PX + n * (HEAD_PICTURE_PX + (WIDTH_PX - 3 * HEAD_PICTURE_PX) // 2)
        pictures.append(Picture(x, y + MARGIN_PX, pixels))
    return Sheet(pictures=tuple(pictures))
