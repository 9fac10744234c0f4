"""Lesions as a table: CSV that a spreadsheet opens as it is, units in the column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from core.lesion import Lesion
from core.provenance import RESEARCH_USE_NOTICE

Cell = str | int | float

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so for a formula (OWASP: CSV injection)."""

COLUMNS: Mapping[str, Callable[[Lesion], Cell]] = {
    "number": lambda lesion: lesion.number,
    "tracking_id": lambda lesion: lesion.tracking_id,
    "tracking_uid": lambda lesion: lesion.tracking_uid,
    "volume_mm3": lambda lesion: lesion.volume_mm3,
    "filled_volume_mm3": lambda lesion: lesion.filled_volume_mm3,
    "region": lambda lesion: lesion.location.region.value,
    "side": lambda lesion: "" if lesion.location.side is None else lesion.location.side.value,
    "longest_diameter_mm": lambda lesion: lesion.longest_diameter_mm,
    "long_axis_mm": lambda lesion: lesion.long_axis.length_mm,
    "short_axis_mm": lambda lesion: lesion.short_axis.length_mm,
    "slice_index_k": lambda lesion: lesion.slice_index_k,
    "centroid_x_lps_mm": lambda lesion: lesion.centroid_lps_mm[0],
    "centroid_y_lps_mm": lambda lesion: lesion.centroid_lps_mm[1],
    "centroid_z_lps_mm": lambda lesion: lesion.centroid_lps_mm[2],
    "mean_probability": lambda lesion: lesion.mean_probability,
    "peak_probability": lambda lesion: lesion.peak_probability,
    "members_agreeing": lambda lesion: lesion.members_agreeing,
    "members_total": lambda lesion: lesion.members_total,
}


def lesions_csv(lesions: tuple[Lesion, ...], study_instance_uid: str, job_id: str) -> str:
    """Return one line a lesion after a header; a negative study has the header alone.

    Each line names its study and job and carries the research-use notice: lines of several studies
    are often pasted into one sheet.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["study_instance_uid", "job_id", *COLUMNS, "research_use_notice"])
    for lesion in lesions:
        cells = [study_instance_uid, job_id, *(value(lesion) for value in COLUMNS.values())]
        writer.writerow([_harmless(cell) for cell in [*cells, RESEARCH_USE_NOTICE]])
    return text.getvalue()


def _harmless(cell: Cell) -> Cell:
    """Put an apostrophe before text that would run as a formula; numbers stay numbers."""
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell
