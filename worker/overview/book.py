"""All sheets of an analysis: summary, then lesions, each with its footer."""

from __future__ import annotations

from core.provenance import NOT_A_DEVICE
from worker.overview.content import Overview
from worker.overview.lesion_rows import lesion_sheets
from worker.overview.sheet import MARGIN_PX, SHEET_HEIGHT_PX, Ink, Sheet, Text
from worker.overview.summary import TITLE, summary_sheets

FOOTER_SIZE = 14.0


def overview_sheets(overview: Overview) -> list[Sheet]:
    """Return the sheets in their order."""
    sheets = [*summary_sheets(overview), *lesion_sheets(overview)]
    return [sheet + _footer(number, len(sheets)) for number, sheet in enumerate(sheets, 1)]


def _footer(number: int, count: int) -> Sheet:
    text = f"Page {number} of {count}. {TITLE}. {NOT_A_DEVICE}"
    y = SHEET_HEIGHT_PX - MARGIN_PX - FOOTER_SIZE
    return Sheet((Text(MARGIN_PX, y, text, FOOTER_SIZE, Ink.FAINT),))
