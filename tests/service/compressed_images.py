"""MR images of 64 x 48 pixels in every transfer syntax that is stored, with what they decode to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.mr_headers import SIEMENS_MPRAGE, series, with_file_meta

DCMTK = {JPEGLosslessSV1: ["dcmcjpeg", "+e1"], JPEGLossless: ["dcmcjpeg", "+el"]}
LOSSLESS = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)

ROWS, COLUMNS = 48, 64


def ramp(index: int = 0) -> NDArray[np.uint16]:
    """Values of 12 bits, another picture for each index."""
    j, i = np.mgrid[:ROWS, :COLUMNS]
    return np.asarray((j * 37 + i * 11 + index * 500) % 4096, dtype=np.uint16)


def image(index: int = 0, frames: int = 1, **elements: object) -> Dataset:
    """An uncompressed image; frame n shows ``ramp(index + n)``."""
    dataset = series(2, "T1", SIEMENS_MPRAGE, slices=index + 1)[index]
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.PixelData = b"".join(ramp(index + frame).tobytes() for frame in range(frames))
    if frames > 1:
        dataset.NumberOfFrames = frames
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def write_image(folder: Path, syntax: UID, dataset: Dataset) -> Path:
    """Write an uncompressed data set in a transfer syntax."""
    path = folder / f"{dataset.SOPInstanceUID}-{syntax}.dcm"
    native = ImplicitVRLittleEndian if syntax == ImplicitVRLittleEndian else ExplicitVRLittleEndian
    dataset = with_file_meta(dataset, native)
    if syntax in (JPEGLSLossless, JPEG2000Lossless, RLELossless):
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    if syntax in DCMTK:
        subprocess.run([*DCMTK[syntax], "+un", str(path), str(path)], check=True)
    if syntax == JPEGBaseline8Bit:
        subprocess.run(["dcmcjpeg", "+eb", "+un", str(path), str(path)], check=True)
    return path
