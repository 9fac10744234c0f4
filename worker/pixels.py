"""Stored pixels -> modality values: limits checked on the header before a decoder runs."""

from __future__ import annotations

import math
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

MAX_SERIES_VOXELS = 512 * 512 * 384
"""Largest series decoded, 1.5 times the largest head scan.

Decoding takes up to 20 bytes a voxel beside the 4 of the volume that is kept: two series of this size stay
below 3 GB, which leaves room for the networks within the 4 GB of a worker.
"""

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
        The headers claim more than ``MAX_SERIES_VOXELS``, or no pixels at all.
    """
    total = sum(math.prod(_frame_shape(dataset)) for dataset in datasets)
    if total > MAX_SERIES_VOXELS:
        raise _unreadable(f"the series has {total} voxels, expected at most {MAX_SERIES_VOXELS}")


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
    frames *= slopes[:, None, None]  # in place: an Enhanced instance holds a whole series
    frames += intercepts[:, None, None]
    return frames


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
