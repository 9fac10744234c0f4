"""What classic and Enhanced MR objects of a phantom have in common: patient, study, series, equipment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.valuerep import DSfloat

from core.geometry import Grid

REPETITION_TIME_MS, ECHO_TIME_MS, INVERSION_TIME_MS, FLIP_ANGLE_DEG = 8.8, 3.3, 450.0, 11.0
"""An inversion-prepared spoiled gradient echo, as planning studies are acquired."""

FIELD_STRENGTH_T, IMAGING_FREQUENCY_MHZ = 3.0, 127.74
CONTRAST_AGENT = "GADOBUTROL"
CONTRAST_VOLUME_ML = 7.5

Stored = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class SeriesHeader:
    """Everything a series' instances say alike.

    Parameters
    ----------
    instance_uid_of
        SOP Instance UID by instance number.
    concept_uid_of
        Other UIDs of the series (dimension organisation, acquisition) by name.
    """

    patient_name: str
    patient_id: str
    study_date: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    instance_uid_of: Callable[[int], str]
    concept_uid_of: Callable[[str], str]
    series_number: int
    series_description: str
    acquisition_time: str
    has_contrast: bool


def start_dataset(header: SeriesHeader) -> Dataset:
    """Return a dataset with the patient, study, series, frame of reference and equipment modules."""
    dataset = Dataset()
    _add_patient_and_study(dataset, header)
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID = header.series_instance_uid
    dataset.SeriesNumber = header.series_number
    dataset.SeriesDescription = header.series_description
    dataset.SeriesDate = header.study_date
    dataset.SeriesTime = header.acquisition_time
    dataset.ProtocolName = "BRAIN SRS PLANNING"
    dataset.PatientPosition = "HFS"
    dataset.BodyPartExamined = "BRAIN"
    dataset.FrameOfReferenceUID = header.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = "metserve phantom"
    dataset.ManufacturerModelName = "synthetic head"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = "1"
    return dataset


def add_pixels(dataset: Dataset, stored: Stored) -> None:
    """Fill the image pixel module with 16-bit unsigned values; ``stored`` is (rows, columns) or more."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = (int(n) for n in stored.shape[-2:])
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OW", np.ascontiguousarray(stored).tobytes())


def window(stored: Stored) -> tuple[float, float]:
    """Return centre and width of a window that shows brain and enhancement."""
    upper = float(np.percentile(stored[::4, ::4, ::4], 99.5))
    return round(upper / 2), max(round(upper), 1)


def decimals(values: Iterable[float]) -> list[DSfloat]:
    """Return values as decimal strings of at most 16 characters."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def orientation(grid: Grid) -> list[DSfloat]:
    """Return ImageOrientationPatient: direction of increasing column index, then of increasing row index."""
    directions = grid.directions_lps
    return decimals(np.concatenate([directions[:, 2], directions[:, 1]]))


def position(grid: Grid, index_k: int) -> list[DSfloat]:
    """Return ImagePositionPatient of a slice: the centre of its first voxel."""
    return decimals(grid.to_lps_mm([index_k, 0, 0]))


def _add_patient_and_study(dataset: Dataset, header: SeriesHeader) -> None:
    dataset.PatientName = header.patient_name
    dataset.PatientID = header.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.PatientAge = "060Y"
    dataset.PatientWeight = "75"
    dataset.StudyInstanceUID = header.study_instance_uid
    dataset.StudyDate = header.study_date
    dataset.StudyTime = "100000"
    dataset.StudyID = "1"
    dataset.StudyDescription = "MR BRAIN SRS PLANNING"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
