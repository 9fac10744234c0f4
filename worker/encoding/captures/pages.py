"""What captures and documents show of an analysis, and the slices they were made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from core.errors import Defect
from core.lesion import FindingsReport
from worker.encoding.palette import lesion_colour
from worker.encoding.remarks import remarks_of
from worker.encoding.sources import EncodingSources
from worker.lesions import Findings
from worker.overview.content import Overview
from worker.overview.lesion_rows import shown_slices
from worker.overview.pictures import aim_at_head
from worker.overview.views import hangings

SOURCE_IMAGE_FOR_MONTAGE = Code("121329", "DCM", "Source image for montage")
"""CID 7202."""


def overview_of(
    findings: Findings, report: FindingsReport, sources: EncodingSources, t1_post_kji: NDArray[np.float32]
) -> Overview:
    """Return what the pages are made of.

    Raises
    ------
    Defect
        The images are not on the findings' grid.
    """
    if t1_post_kji.shape != findings.grid.shape_kji:
        raise Defect(f"T1-post images have shape {t1_post_kji.shape}, grid {findings.grid.shape_kji}")
    word, names = _slice_names(sources)
    return Overview(
        report=report,
        remarks=remarks_of(report),
        t1_post_kji=t1_post_kji,
        label_map_kji=findings.label_map_kji,
        grid=findings.grid,
        slice_names=names,
        slice_word=word,
        colours=tuple(lesion_colour(lesion.number) for lesion in report.lesions),
    )


def slices_shown(overview: Overview) -> tuple[int, ...]:
    """Return the acquired slices that the pages show; of a study without lesions the middle one."""
    if overview.report.lesions:
        return shown_slices(overview)
    acquired = next(hanging for hanging in hangings(overview.grid) if hanging.is_acquired)
    return (aim_at_head(overview, acquired).index,)


def source_images(sources: EncodingSources, slices: Sequence[int]) -> list[Dataset]:
    """Return a reference to each slice; the frames of one instance share an item."""
    items: dict[str, Dataset] = {}
    for reference in (sources.slices[k] for k in slices):
        item = items.setdefault(reference.sop_instance_uid, Dataset())
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        if reference.frame_number is not None:
            frames = item.get("ReferencedFrameNumber") or []
            frames = [frames] if isinstance(frames, int) else list(frames)
            item.ReferencedFrameNumber = sorted({*map(int, frames), reference.frame_number})
    return list(items.values())


def source_instances(sources: EncodingSources, slices: Sequence[int]) -> list[Dataset]:
    """Return a reference to the instance of each slice; frames are not told here (PS3.3 10.8)."""
    items = source_images(sources, slices)
    for item in items:
        if "ReferencedFrameNumber" in item:
            del item.ReferencedFrameNumber
    return items


def _slice_names(sources: EncodingSources) -> tuple[str, tuple[str, ...]]:
    """Return how viewers count the slices: by frame, by Instance Number, or else by position."""
    if all(reference.frame_number is not None for reference in sources.slices):
        return "frame", tuple(str(reference.frame_number) for reference in sources.slices)
    numbers = {str(d.SOPInstanceUID): str(d.get("InstanceNumber") or "") for d in sources.t1_post}
    names = tuple(numbers.get(reference.sop_instance_uid, "") for reference in sources.slices)
    if all(names) and len(set(names)) == len(names):
        return "image", names
    return "slice", tuple(str(k + 1) for k in range(len(sources.slices)))
