"""Stored pixels -> modality values: limits checked on the header before a decoder runs."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from core.errors import UnsuitableReason, UnsuitableStudy
from core.headers import frame_groups

MAX_DECODED_BYTES = 2**30
"""Largest series decoded, as float32: 1 GiB is 512 x 512 x 1024, four times the largest head scan."""

MIN_BYTES_PER_VOXEL = 4
"""Voxels are kept as float32, whatever the stored depth."""

STORED_BITS_ALLOCATED = frozenset({8, 16, 32})
"""Bits Allocated of integer pixels a decoder is asked for (PS3.5 8.1.1)."""

DECODERS: Mapping[UID, str] = MappingProxyType(
    {
        JPEGLossless: "gdcm",
        JPEGLosslessSV1: "gdcm",
        JPEGLSLossless: "pyjpegls",
        JPEG2000Lossless: "pylibjpeg",
        RLELossless: "pydicom",
    }
)
"""pydicom's plugin for each compressed transfer syntax the service accepts.

Without a name pydicom takes the first plugin that happens to be installed, and the next when that
one fails: which code made the voxels would depend on the machine.
"""

DECODER_ERRORS = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError, struct.error)
"""What pydicom and its plugins raise on damaged or unsupported pixels."""


def check_decoded_size(datasets: Sequence[Dataset]) -> None:
    """Refuse a series that would not fit, from its headers alone.

    Raises
    ------
    UnsuitableStudy
        The headers claim more than ``MAX_DECODED_BYTES``, or no pixels at all.
    """
    total = sum(_decoded_bytes(dataset) for dataset in datasets)
    if total > MAX_DECODED_BYTES:
        raise _unreadable(f"the series decodes to {total} bytes, expected at most {MAX_DECODED_BYTES}")


def read_frames(dataset: Dataset) -> NDArray[np.float32]:
    """Decode every frame and apply its rescale slope and intercept.

    Parameters
    ----------
    dataset
        Classic or Enhanced MR with pixels, any transfer syntax pydicom has a decoder for.

    Returns
    -------
    NDArray[np.float32]
        (frames, rows, columns), modality values.

    Raises
    ------
    UnsuitableStudy
        The pixels are not MONOCHROME2, are damaged, or cannot be decoded here.
    """
    _check_pixel_description(dataset)
    stored = _decode(dataset)
    frames = stored.reshape(_frame_shape(dataset)).astype(np.float32)
    slopes, intercepts = np.array([_rescale(dataset, n) for n in range(len(frames))], dtype=np.float32).T
    return np.asarray(frames * slopes[:, None, None] + intercepts[:, None, None])


def _decoded_bytes(dataset: Dataset) -> int:
    frames, rows, columns = _frame_shape(dataset)
    bytes_per_voxel = max(int(dataset.get("BitsAllocated") or 0) // 8, MIN_BYTES_PER_VOXEL)
    return frames * rows * columns * bytes_per_voxel


def _frame_shape(dataset: Dataset) -> tuple[int, int, int]:
    try:
        shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
    except (AttributeError, TypeError, ValueError) as error:
        raise _unreadable(f"no usable Rows, Columns, NumberOfFrames: {error}") from error
    if min(shape) < 1:
        raise _unreadable(f"frames, rows, columns are {shape}, expected at least 1 of each")
    return shape


def _check_pixel_description(dataset: Dataset) -> None:
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric != "MONOCHROME2" or dataset.get("SamplesPerPixel", 1) != 1:
        raise _unreadable(f"PhotometricInterpretation is {photometric!r}, expected 'MONOCHROME2'")
    if dataset.get("BitsAllocated") not in STORED_BITS_ALLOCATED:
        raise _unreadable(
            f"BitsAllocated is {dataset.get('BitsAllocated')}, "
            f"expected one of {sorted(STORED_BITS_ALLOCATED)}"
        )


def _decode(dataset: Dataset) -> NDArray[np.integer]:
    expected = int(np.prod(_frame_shape(dataset)))
    try:
        _check_native_length(dataset, expected)
        plugin = DECODERS.get(dataset.file_meta.TransferSyntaxUID, "")
        stored = pixel_array(dataset, raw=True, decoding_plugin=plugin)
    except DECODER_ERRORS as error:
        uid = dataset.get("SOPInstanceUID", "without UID")
        raise _unreadable(f"the pixels of instance {uid} cannot be decoded: {error}") from error
    if stored.size != expected:
        raise _unreadable(f"decoded {stored.size} pixels, expected {expected}")
    return np.asarray(stored)


def _check_native_length(dataset: Dataset, expected_pixels: int) -> None:
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    expected = expected_pixels * int(dataset.BitsAllocated) // 8
    if len(dataset.PixelData) < expected:
        raise ValueError(f"PixelData has {len(dataset.PixelData)} bytes, expected {expected}")


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    """Return slope and intercept of one frame (PS3.3 C.11.1.1.2; C.7.6.16.2.9 for Enhanced)."""
    for place in (dataset, *frame_groups(dataset, frame)):
        if place.get("RescaleSlope") is not None:
            slope, intercept = float(place.RescaleSlope), float(place.get("RescaleIntercept") or 0.0)
            if slope == 0 or not np.isfinite([slope, intercept]).all():
                raise _unreadable(f"RescaleSlope is {slope}, RescaleIntercept {intercept}")
            return slope, intercept
    return 1.0, 0.0


def _unreadable(message: str) -> UnsuitableStudy:
    return UnsuitableStudy(UnsuitableReason.UNREADABLE_PIXELS, message)
