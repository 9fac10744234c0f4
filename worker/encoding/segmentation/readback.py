"""Our objects read from their own bytes with plain pydicom: nothing here is shared with the writers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.headers import frame_groups
from core.lesion import Location
from worker.encoding.locations import code_key, read_location
from worker.encoding.planes import Plane, read_plane
from worker.volumes import SliceReference


@dataclass(frozen=True, eq=False)
class SegmentFrame:
    """One frame of a segmentation: ``mask_ji`` is bool, (rows, columns)."""

    segment_number: int
    source: SliceReference
    plane: Plane
    mask_ji: NDArray[np.bool_]


def read_segment_frames(seg: Dataset) -> Iterator[SegmentFrame]:
    """Yield the frames of a BINARY segmentation, one in memory at a time."""
    rows, columns, size = int(seg.Rows), int(seg.Columns), int(seg.Rows) * int(seg.Columns)
    packed = np.frombuffer(seg.PixelData, dtype=np.uint8)
    for frame, group in enumerate(seg.PerFrameFunctionalGroupsSequence):
        first_byte, first_bit = divmod(frame * size, 8)
        chunk = packed[first_byte : first_byte + (first_bit + size + 7) // 8]
        bits = np.unpackbits(chunk, bitorder="little")[first_bit : first_bit + size]  # PS3.5 8.1.1
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        yield SegmentFrame(
            segment_number=int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            source=_reference(image),
            plane=read_plane(list(frame_groups(seg, frame))),
            mask_ji=bits.reshape(rows, columns).astype(bool),
        )


@dataclass(frozen=True, eq=False)
class FractionFrame:
    """One frame of a fractional segmentation: ``stored_ji`` is uint8, (rows, columns)."""

    source: SliceReference
    plane: Plane
    stored_ji: NDArray[np.uint8]


def read_fraction_frames(seg: Dataset) -> Iterator[FractionFrame]:
    """Yield the frames of a FRACTIONAL segmentation, eight bits a voxel."""
    rows, columns = int(seg.Rows), int(seg.Columns)
    stored = np.frombuffer(seg.PixelData, dtype=np.uint8)
    for frame, group in enumerate(seg.PerFrameFunctionalGroupsSequence):
        first = frame * rows * columns
        yield FractionFrame(
            source=_reference(group.DerivationImageSequence[0].SourceImageSequence[0]),
            plane=read_plane(list(frame_groups(seg, frame))),
            stored_ji=stored[first : first + rows * columns].reshape(rows, columns),
        )


def read_segment_location(segment: Dataset) -> Location:
    """Return the place that a segment description states."""
    region = segment.AnatomicRegionSequence[0]
    modifiers = region.get("AnatomicRegionModifierSequence") or []
    return read_location(code_key(region), [code_key(modifier) for modifier in modifiers])


def read_voxel_volume_mm3(seg: Dataset) -> float:
    """Return the volume of a voxel from the segmentation's own pixel measures."""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    row_mm, column_mm = (float(v) for v in measures.PixelSpacing)
    return row_mm * column_mm * float(measures.SpacingBetweenSlices)


def _reference(item: Dataset) -> SliceReference:
    frame = item.get("ReferencedFrameNumber")
    return SliceReference(
        str(item.ReferencedSOPClassUID),
        str(item.ReferencedSOPInstanceUID),
        None if frame is None else int(frame),
    )
