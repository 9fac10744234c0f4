"""Findings -> overview and PDF: drawn once, built, stamped, written, read back and checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.lesion import FindingsReport
from core.provenance import MANUFACTURER
from core.results import ResultKind
from worker.encoding.captures.overview import build_overview
from worker.encoding.captures.pages import overview_of
from worker.encoding.captures.pdf import DOCUMENT_TITLE, build_pdf
from worker.encoding.captures.verify import verify_overview, verify_pdf
from worker.encoding.part10 import to_bytes
from worker.encoding.provenance import Stamp
from worker.encoding.sources import EncodingSources
from worker.lesions import Findings
from worker.overview.book import overview_sheets
from worker.overview.pdf import draw_pdf
from worker.overview.pixels import draw_pixels


def encode_captures(
    findings: Findings,
    report: FindingsReport,
    sources: EncodingSources,
    stamp: Stamp,
    t1_post_kji: NDArray[np.float32],
) -> dict[ResultKind, Dataset]:
    """Return the overview and the PDF of an analysis as they were read back.

    Parameters
    ----------
    t1_post_kji
        The images on the findings' grid, any scale.

    Raises
    ------
    Defect
        The images are not on the findings' grid, or an object read back does not hold what was drawn.
    """
    overview = overview_of(findings, report, sources, t1_post_kji)
    sheets = overview_sheets(overview)
    pages = [draw_pixels(sheet) for sheet in sheets]
    capture = to_bytes(stamp.applied_to(build_overview(pages, overview, sources, stamp.provenance)))
    document = draw_pdf(sheets, DOCUMENT_TITLE, MANUFACTURER)
    encapsulated = to_bytes(stamp.applied_to(build_pdf(document, overview, sources, stamp.provenance)))
    return {
        ResultKind.OVERVIEW: verify_overview(capture, pages, report, sources),
        ResultKind.PDF: verify_pdf(encapsulated, document, len(sheets), report, sources),
    }
