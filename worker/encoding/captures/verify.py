"""Captures and documents, read back from their bytes, must hold what was drawn; else nothing leaves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.lesion import FindingsReport
from core.results import SOP_CLASSES, ResultKind
from worker.encoding.agreement import check_same
from worker.encoding.part10 import from_bytes
from worker.encoding.sources import EncodingSources
from worker.overview.lesion_rows import PICTURED_LESIONS

Pages = Sequence[NDArray[np.uint8]]

CAPTURE_PIXELS = {
    "SamplesPerPixel": 3,
    "PhotometricInterpretation": "RGB",
    "PlanarConfiguration": 0,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
}
"""How the pixels of a capture lie in memory: a viewer that is told otherwise shows noise."""

PDF_HEAD, PDF_TAIL = b"%PDF-", b"%%EOF"
PDF_PAGE = re.compile(rb"/Type\s*/Page\b")


def verify_overview(
    content: bytes, pages: Pages, report: FindingsReport, sources: EncodingSources
) -> Dataset:
    """Read an overview back, compare it with the pages drawn, and return it as read.

    Raises
    ------
    Defect
        It is of another class or study, shows something else, or does not refer to a slice it shows.
    """
    dataset = _verify_capture(content, ResultKind.OVERVIEW, pages, report.study_instance_uid)
    _check_references(dataset.SourceImageSequence, report, sources)
    return dataset


def verify_pdf(
    content: bytes, document: bytes, pages: int, report: FindingsReport, sources: EncodingSources
) -> Dataset:
    """Read an encapsulated PDF back, compare it with the document drawn, and return it as read.

    Parameters
    ----------
    pages
        How many the document has.

    Raises
    ------
    Defect
        It is of another class or study, holds another document, or one that is cut off.
    """
    dataset = _read(content, ResultKind.PDF, report.study_instance_uid)
    held = dataset.EncapsulatedDocument[: int(dataset.EncapsulatedDocumentLength)]
    check_same("length of the document", len(held), len(document))
    if not held.startswith(PDF_HEAD) or not held.rstrip().endswith(PDF_TAIL):
        raise Defect(f"the document starts with {held[:5]!r} and ends with {held[-6:]!r}, expected a PDF")
    check_same("pages of the document", len(PDF_PAGE.findall(held)), pages)
    if hashlib.sha256(held).digest() != hashlib.sha256(document).digest():
        raise Defect("the document is not the one that was drawn")
    _check_references(dataset.SourceInstanceSequence, report, sources)
    return dataset


def verify_notice(content: bytes, page: NDArray[np.uint8], study_instance_uid: str) -> Dataset:
    """Read a notice back, compare it with the page drawn, and return it as read.

    Raises
    ------
    Defect
        It is of another class or study, or shows something else.
    """
    return _verify_capture(content, ResultKind.NOTICE, [page], study_instance_uid)


def _verify_capture(content: bytes, kind: ResultKind, pages: Pages, study_instance_uid: str) -> Dataset:
    dataset = _read(content, kind, study_instance_uid)
    for keyword, expected in CAPTURE_PIXELS.items():
        check_same(keyword, dataset[keyword].value, expected)
    check_same("number of frames", int(dataset.NumberOfFrames), len(pages))
    for number, page in enumerate(pages, 1):
        check_same("size", (int(dataset.Rows), int(dataset.Columns), 3), page.shape)
        _check_frame(dataset, number, page)
    return dataset


def _read(content: bytes, kind: ResultKind, study_instance_uid: str) -> Dataset:
    dataset = from_bytes(content)
    check_same("SOPClassUID", str(dataset.SOPClassUID), SOP_CLASSES[kind])
    check_same("StudyInstanceUID", str(dataset.StudyInstanceUID), str(study_instance_uid))
    check_same("BurnedInAnnotation", str(dataset.BurnedInAnnotation), "NO")
    return dataset


def _check_frame(dataset: Dataset, number: int, page: NDArray[np.uint8]) -> None:
    """Compare one frame's bytes, cut out by the sizes the header states, with the page."""
    length = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    check_same("bytes of pixels", len(dataset.PixelData), (n := length * int(dataset.NumberOfFrames)) + n % 2)
    frame = dataset.PixelData[(number - 1) * length : number * length]
    if hashlib.sha256(frame).digest() != hashlib.sha256(page.tobytes()).digest():
        raise Defect(f"frame {number} does not show the page that was drawn")


def _check_references(items: Sequence[Dataset], report: FindingsReport, sources: EncodingSources) -> None:
    """Check that the slice of every lesion with pictures is referred to, and no stranger is.

    An item without frames stands for its whole instance.
    """
    found = {pair for item in items for pair in _referenced(item)}
    known = {(s.sop_instance_uid, s.frame_number) for s in sources.slices}
    known |= {(s.sop_instance_uid, None) for s in sources.slices}
    if not found <= known:
        raise Defect(
            f"refers to {sorted(map(str, found - known))}, which are no slices of the T1-post series"
        )
    for lesion in report.lesions[:PICTURED_LESIONS]:
        source = sources.slices[lesion.slice_index_k]
        if found.isdisjoint(
            {(source.sop_instance_uid, source.frame_number), (source.sop_instance_uid, None)}
        ):
            raise Defect(f"does not refer to the slice of {lesion.tracking_id}, {source}")


def _referenced(item: Dataset) -> list[tuple[str, int | None]]:
    uid, frames = str(item.ReferencedSOPInstanceUID), item.get("ReferencedFrameNumber")
    if frames is None:
        return [(uid, None)]
    numbers = [frames] if isinstance(frames, int) else frames
    return [(uid, int(number)) for number in numbers]
