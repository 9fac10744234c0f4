"""Captures and documents, read back from their bytes, must hold what was drawn; else nothing leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.results import SOP_CLASSES, ResultKind
from worker.encoding.agreement import check_same
from worker.encoding.part10 import from_bytes

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
