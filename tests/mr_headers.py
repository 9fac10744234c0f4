"""MR datasets as scanners of several vendors write them: headers are true to life, pixels tiny."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from core.headers import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE, group_into_studies, read_instance_header
from core.study import Study

STUDY_UID = "2.25.5001"
FRAME_OF_REFERENCE_UID = "2.25.6001"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)

SIEMENS_MPRAGE: dict[str, Any] = {
    "Manufacturer": "SIEMENS",
    "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SK", "SP", "MP"],
    "SequenceName": "*tfl3d1_16ns",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 2300,
    "EchoTime": 2.98,
    "InversionTime": 900,
    "FlipAngle": 9,
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D"],
}
GE_BRAVO: dict[str, Any] = {
    "Manufacturer": "GE MEDICAL SYSTEMS",
    "ScanningSequence": ["GR"],
    "SequenceVariant": ["SS", "SP", "SK"],
    "MRAcquisitionType": "3D",
    "RepetitionTime": 8.2,
    "EchoTime": 3.2,
    "InversionTime": 450,
    "FlipAngle": 12,
    "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
}
PHILIPS_TFE: dict[str, Any] = {
    "Manufacturer": "Philips Medical Systems",
    "ScanningSequence": "GR",
    "SequenceVariant": "MP",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 8.1,
    "EchoTime": 3.7,
    "FlipAngle": 8,
    "ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"],
}
T1_VIBE: dict[str, Any] = {
    "Manufacturer": "SIEMENS",
    "ScanningSequence": "GR",
    "SequenceVariant": "SP",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 6.1,
    "EchoTime": 2.4,
    "FlipAngle": 11,
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"],
}
T1_SPIN_ECHO: dict[str, Any] = {
    "Manufacturer": "SIEMENS",
    "ScanningSequence": "SE",
    "SequenceVariant": "SP",
    "MRAcquisitionType": "2D",
    "RepetitionTime": 550,
    "EchoTime": 9.4,
    "FlipAngle": 90,
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"],
}
T2_TURBO_SPIN_ECHO: dict[str, Any] = {
    **T1_SPIN_ECHO,
    "SequenceVariant": ["SK", "SP"],
    "RepetitionTime": 5200,
    "EchoTime": 98,
}
T2_FLAIR_3D: dict[str, Any] = {
    **T1_SPIN_ECHO,
    "ScanningSequence": ["SE", "IR"],
    "MRAcquisitionType": "3D",
    "RepetitionTime": 5000,
    "EchoTime": 388,
    "InversionTime": 1800,
}
TIME_OF_FLIGHT: dict[str, Any] = {
    **SIEMENS_MPRAGE,
    "ScanningSequence": "GR",
    "SequenceVariant": ["SP", "MTC"],
    "SequenceName": "*fl3d1r_t70",
    "RepetitionTime": 21,
    "EchoTime": 3.4,
    "InversionTime": None,
    "FlipAngle": 18,
    "AngioFlag": "Y",
}
SUSCEPTIBILITY: dict[str, Any] = {
    **SIEMENS_MPRAGE,
    "ScanningSequence": "GR",
    "InversionTime": None,
    "RepetitionTime": 28,
    "EchoTime": 20,
}
DIFFUSION: dict[str, Any] = {**T1_SPIN_ECHO, "ScanningSequence": "EP", "RepetitionTime": 6000, "EchoTime": 90}


def series(
    number: int,
    description: str,
    protocol: dict[str, Any],
    *,
    slices: int = 40,
    spacing_mm: float = 4.0,
    orientation: Sequence[float] = AXIAL,
    contrast: str | None = None,
    time: str = "",
    offset_mm: float = 0.0,
    study_uid: str = STUDY_UID,
    **elements: Any,
) -> list[Dataset]:
    """A classic series; by default 40 slices of 4 mm, so that tests stay quick."""
    row, column = np.reshape(orientation, (2, 3))
    normal = np.cross(row, column)
    datasets = []
    for index in range(slices):
        dataset = _instance(number, description, study_uid, f"{study_uid}.{number}.{index + 1}")
        dataset.InstanceNumber = index + 1
        dataset.ImageOrientationPatient = list(orientation)
        position = normal * (index * spacing_mm + offset_mm) - 100 * (row + column)
        dataset.ImagePositionPatient = [round(float(value), 4) for value in position]
        dataset.SliceThickness = spacing_mm
        if contrast is not None:
            dataset.ContrastBolusAgent = contrast
        if time:
            dataset.AcquisitionTime = time
        _set(dataset, {**protocol, **elements})
        datasets.append(dataset)
    return datasets


def enhanced(
    number: int,
    description: str,
    *,
    slices: int = 40,
    spacing_mm: float = 4.0,
    contrast: bool = False,
    **elements: Any,
) -> list[Dataset]:
    """An Enhanced MR instance of a T1 gradient echo, as Siemens XA writes it."""
    dataset = _instance(number, description, STUDY_UID, f"{STUDY_UID}.{number}.1")
    dataset.SOPClassUID = ENHANCED_MR_IMAGE_STORAGE
    dataset.NumberOfFrames = slices
    dataset.PixelData = dataset.PixelData * slices
    enhanced_elements = {
        "Manufacturer": "Siemens Healthineers",
        "EchoPulseSequence": "GRADIENT",
        "InversionRecovery": "YES",
        "Spoiling": "RF",
        "MRAcquisitionType": "3D",
        "AcquisitionContrast": "T1",
        "ImageType": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
    }
    _set(dataset, {**enhanced_elements, **elements})
    if contrast:
        dataset.ContrastBolusAgentSequence = [_of(CodeMeaning="Gadobutrol")]
    shared = Dataset()
    shared.PlaneOrientationSequence = [_of(ImageOrientationPatient=list(AXIAL))]
    shared.PixelMeasuresSequence = [_of(PixelSpacing=[1.0, 1.0], SliceThickness=spacing_mm)]
    shared.MRTimingAndRelatedParametersSequence = [_of(RepetitionTime=2300.0, FlipAngle=9.0)]
    shared.MREchoSequence = [_of(EffectiveEchoTime=2.98)]
    shared.MRModifierSequence = [_of(InversionTimes=[900.0])]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _of(PlanePositionSequence=[_of(ImagePositionPatient=[-100.0, -100.0, index * spacing_mm])])
        for index in range(slices)
    ]
    return [dataset]


def ct_series(number: int = 1, slices: int = 30) -> list[Dataset]:
    """A CT: received and kept, never analysed."""
    return series(
        number, "Schaedel nativ", {}, slices=slices, Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"
    )


def own_segmentation(number: int = 99) -> Dataset:
    """A result of ours that a PACS routed back."""
    dataset = _instance(number, "metserve", STUDY_UID, f"{STUDY_UID}.{number}.1")
    _set(
        dataset,
        {"Modality": "SEG", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Manufacturer": "metserve"},
    )
    return dataset


def nested_sequences(depth: int) -> bytes:
    """Sequences within sequences, Explicit VR Little Endian, each without a length of its own."""
    sequence = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    item_end, sequence_end = b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
    return (sequence + item) * depth + (item_end + sequence_end) * depth


def study_of(*series_of_datasets: Sequence[Dataset]) -> Study:
    """The study assembly sees when these series were received."""
    headers = [read_instance_header(dataset) for datasets in series_of_datasets for dataset in datasets]
    return group_into_studies(headers)[0]


def with_file_meta(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Dataset:
    """Add the file meta information a DICOM file needs."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _instance(number: int, description: str, study_uid: str, sop_instance_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = MR_IMAGE_STORAGE
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.{number}"
    dataset.FrameOfReferenceUID = FRAME_OF_REFERENCE_UID
    dataset.PatientID, dataset.PatientName = "PID-CANARY", "Canary^Patient"
    dataset.Modality = "MR"
    dataset.SeriesNumber = number
    dataset.SeriesDescription = description
    dataset.BodyPartExamined = "HEAD"
    dataset.Rows, dataset.Columns = 4, 4
    dataset.PixelSpacing = [1.0, 1.0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = bytes(4 * 4 * 2)
    return dataset


def _set(dataset: Dataset, elements: dict[str, Any]) -> None:
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)


def _of(**elements: Any) -> Dataset:
    dataset = Dataset()
    _set(dataset, elements)
    return dataset
