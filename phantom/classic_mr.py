"""A phantom series as classic MR Image Storage (PS3.3 A.4): one instance a slice."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

from core.geometry import Grid
from core.headers import MR_IMAGE_STORAGE
from phantom.mr_headers import (
    CONTRAST_AGENT,
    CONTRAST_VOLUME_ML,
    ECHO_TIME_MS,
    FIELD_STRENGTH_T,
    FLIP_ANGLE_DEG,
    IMAGING_FREQUENCY_MHZ,
    INVERSION_TIME_MS,
    REPETITION_TIME_MS,
    SeriesHeader,
    Stored,
    add_pixels,
    decimals,
    orientation,
    position,
    start_dataset,
    window,
)


def classic_datasets(stored: Stored, grid: Grid, header: SeriesHeader) -> Iterator[Dataset]:
    """Yield one MR Image for each slice, in the order of the grid.

    Parameters
    ----------
    stored
        (slices, rows, columns), stored values.
    grid
        Where they lie.
    header
        Of the series.
    """
    centre, width = window(stored)
    for index_k in range(len(stored)):
        dataset = start_dataset(header)
        _add_image(dataset, header, index_k)
        _add_plane(dataset, grid, index_k)
        _add_sequence(dataset)
        if header.has_contrast:
            _add_contrast(dataset)
        dataset.WindowCenter, dataset.WindowWidth = centre, width
        add_pixels(dataset, stored[index_k])
        yield dataset


def _add_image(dataset: Dataset, header: SeriesHeader, index_k: int) -> None:
    """SOP Common and General Image modules."""
    dataset.SOPClassUID = MR_IMAGE_STORAGE
    dataset.SOPInstanceUID = header.instance_uid_of(index_k + 1)
    dataset.InstanceNumber = index_k + 1
    dataset.AcquisitionNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    dataset.AcquisitionDate = dataset.ContentDate = header.study_date
    dataset.AcquisitionTime = dataset.ContentTime = header.acquisition_time


def _add_plane(dataset: Dataset, grid: Grid, index_k: int) -> None:
    """Image Plane module."""
    slice_mm, row_mm, column_mm = grid.spacing_kji_mm
    dataset.PixelSpacing = decimals([row_mm, column_mm])
    dataset.SliceThickness, dataset.SpacingBetweenSlices = decimals([slice_mm, slice_mm])
    dataset.ImageOrientationPatient = orientation(grid)
    dataset.ImagePositionPatient = position(grid, index_k)


def _add_sequence(dataset: Dataset) -> None:
    """MR Image module."""
    dataset.ScanningSequence = ["GR", "IR"]
    dataset.SequenceVariant = ["SP", "MP"]
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "3D"
    dataset.SequenceName = "SPGR"
    dataset.RepetitionTime = REPETITION_TIME_MS
    dataset.EchoTime = ECHO_TIME_MS
    dataset.InversionTime = INVERSION_TIME_MS
    dataset.FlipAngle = FLIP_ANGLE_DEG
    dataset.EchoTrainLength = 1
    dataset.EchoNumbers = 1
    dataset.NumberOfAverages = 1
    dataset.MagneticFieldStrength = FIELD_STRENGTH_T
    dataset.ImagingFrequency = IMAGING_FREQUENCY_MHZ
    dataset.ImagedNucleus = "1H"


def _add_contrast(dataset: Dataset) -> None:
    """Contrast/Bolus module."""
    dataset.ContrastBolusAgent = CONTRAST_AGENT
    dataset.ContrastBolusRoute = "IV"
    dataset.ContrastBolusVolume = CONTRAST_VOLUME_ML
