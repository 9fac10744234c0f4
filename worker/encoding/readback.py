"""Our objects read from their own bytes with plain pydicom: nothing here is shared with the writers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.headers import frame_groups
from worker.volumes import SliceReference

CORNERS_JI = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""The four corners of an image, as shares of (rows - 1, columns - 1)."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Position of an image in the patient, as its header states it (PS3.3 C.7.6.2.1.1).

    ``origin_lps_mm`` is the centre of the first pixel; ``step_j_lps_mm`` leads to the next row,
    ``step_i_lps_mm`` to the next column.
    """

    origin_lps_mm: NDArray[np.float64]
    step_j_lps_mm: NDArray[np.float64]
    step_i_lps_mm: NDArray[np.float64]

    def to_lps_mm(self, index_ji: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (row, column), shape (n, 2), to LPS mm, shape (n, 3)."""
        steps = np.stack([self.step_j_lps_mm, self.step_i_lps_mm])
        return np.asarray(self.origin_lps_mm + index_ji @ steps)

    def corners_lps_mm(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the centres of the four corner pixels, 4 x 3."""
        return self.to_lps_mm(CORNERS_JI * [rows - 1, columns - 1])


@dataclass(frozen=True, eq=False)
class SegmentFrame:
    """One frame of a segmentation: ``mask_ji`` is bool, (rows, columns)."""

    segment_number: int
    source: SliceReference
    plane: Plane
    mask_ji: NDArray[np.bool_]


def read_plane(places: Sequence[Dataset]) -> Plane:
    """Read a plane from whichever of the places states each of its attributes."""
    orientation = _numbers(places, "ImageOrientationPatient")
    spacing = _numbers(places, "PixelSpacing")
    return Plane(
        origin_lps_mm=_numbers(places, "ImagePositionPatient"),
        step_j_lps_mm=orientation[3:] * spacing[0],
        step_i_lps_mm=orientation[:3] * spacing[1],
    )


def read_source_planes(sources: Sequence[Dataset], slices: Sequence[SliceReference]) -> list[Plane]:
    """Read the plane of every slice from the source headers."""
    by_uid = {str(source.SOPInstanceUID): source for source in sources}
    planes = []
    for reference in slices:
        dataset = by_uid[reference.sop_instance_uid]
        planes.append(read_plane([*frame_groups(dataset, (reference.frame_number or 1) - 1), dataset]))
    return planes


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


def _numbers(places: Sequence[Dataset], keyword: str) -> NDArray[np.float64]:
    value = next(place[keyword].value for place in places if place.get(keyword) not in (None, ""))
    return np.array([float(v) for v in value])
