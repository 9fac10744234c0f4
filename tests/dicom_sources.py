"""Synthetic MR series that a DICOM validator accepts: classic and Enhanced, in any orientation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from core.geometry import Grid
from core.uids import derive_uid
from worker.volumes import SliceReference

MR = UID("1.2.840.10008.5.1.4.1.1.4")
ENHANCED_MR = UID("1.2.840.10008.5.1.4.1.1.4.1")
STUDY_UID = derive_uid("test study")
FRAME_OF_REFERENCE_UID = derive_uid("test frame of reference")

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
OBLIQUE = ((0.96, 0.28, 0.0), (-0.224, 0.768, 0.6))
"""Row and column direction in LPS; exact in the decimals of a DS."""

Orientation = tuple[tuple[float, float, float], tuple[float, float, float]]


def make_grid(
    shape_kji: tuple[int, int, int] = (12, 24, 20),
    spacing_kji_mm: tuple[float, float, float] = (2.0, 0.9, 0.8),
    orientation: Orientation = AXIAL,
    origin_lps_mm: tuple[float, float, float] = (-31.5, -40.25, 12.5),
) -> Grid:
    row, column = np.array(orientation[0]), np.array(orientation[1])
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * spacing_kji_mm[0]
    affine[:3, 1] = column * spacing_kji_mm[1]
    affine[:3, 2] = row * spacing_kji_mm[2]
    affine[:3, 3] = origin_lps_mm
    return Grid(shape_kji, affine)


def classic_series(
    grid: Grid, name: str = "t1 post", patient: Dataset | None = None
) -> tuple[tuple[Dataset, ...], tuple[SliceReference, ...]]:
    """The instances in an order that has nothing to do with position, and the references in k order."""
    instances = [_classic_instance(grid, k, name, patient) for k in range(grid.shape_kji[0])]
    references = tuple(SliceReference(str(MR), str(d.SOPInstanceUID), None) for d in instances)
    shuffled = np.random.default_rng(7).permutation(len(instances))
    return tuple(instances[n] for n in shuffled), references


def enhanced_series(
    grid: Grid, name: str = "t1 post", patient: Dataset | None = None
) -> tuple[tuple[Dataset, ...], tuple[SliceReference, ...]]:
    """One multi-frame instance whose frames are not in the order of their positions."""
    k_of_frame = np.random.default_rng(7).permutation(grid.shape_kji[0]).tolist()
    dataset = _enhanced_instance(grid, k_of_frame, name, patient)
    frame_of_k = {k: frame for frame, k in enumerate(k_of_frame, 1)}
    references = tuple(
        SliceReference(str(ENHANCED_MR), str(dataset.SOPInstanceUID), frame_of_k[k])
        for k in range(grid.shape_kji[0])
    )
    return (dataset,), references


def make_patient(name: str = "Doe^Jane", character_set: str | Sequence[str] | None = None) -> Dataset:
    patient = Dataset()
    if character_set is not None:
        patient.SpecificCharacterSet = character_set
    patient.PatientName = name
    patient.PatientID = "MET-0001"
    patient.PatientBirthDate = "19600229"
    patient.PatientSex = "F"
    patient.PatientAge = "066Y"
    patient.PatientWeight = "61.5"
    return patient


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _common(grid: Grid, name: str, patient: Dataset | None) -> Dataset:
    dataset = Dataset()
    dataset.update(patient if patient is not None else make_patient())
    dataset.StudyInstanceUID = STUDY_UID
    dataset.StudyDate, dataset.StudyTime = "20261123", "101500"
    dataset.ReferringPhysicianName, dataset.StudyID, dataset.AccessionNumber = "", "1", "ACC1"
    dataset.StudyDescription = "SRS planning"
    dataset.SeriesInstanceUID = derive_uid("test series", name)
    dataset.SeriesNumber, dataset.Modality, dataset.SeriesDescription = 5, "MR", name
    dataset.PatientPosition, dataset.BodyPartExamined = "HFS", "BRAIN"
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = FRAME_OF_REFERENCE_UID, ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "Test", "Phantom scanner"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1.0"
    dataset.Rows, dataset.Columns = grid.shape_kji[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.AcquisitionNumber, dataset.InstanceNumber = 1, 1
    dataset.ContentDate, dataset.ContentTime = "20261123", "102000"
    return dataset


def _pixels(grid: Grid, frames: int) -> bytes:
    return np.zeros((frames, *grid.shape_kji[1:]), dtype=np.uint16).tobytes()


def _orientation(grid: Grid) -> list[float]:
    directions = grid.directions_lps.round(10)
    return [*directions[:, 2].tolist(), *directions[:, 1].tolist()]


def _spacing(grid: Grid) -> list[float]:
    return [round(spacing_mm, 10) for spacing_mm in grid.spacing_kji_mm]


def _position(grid: Grid, k: int) -> list[float]:
    return [float(v) for v in grid.to_lps_mm([k, 0, 0]).round(8)]


def _classic_instance(grid: Grid, k: int, name: str, patient: Dataset | None) -> Dataset:
    dataset = _common(grid, name, patient)
    dataset.SOPClassUID, dataset.SOPInstanceUID = MR, derive_uid("test instance", name, str(k))
    dataset.InstanceNumber = grid.shape_kji[0] - k
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = _position(grid, k), _orientation(grid)
    dataset.PixelSpacing = _spacing(grid)[1:]
    dataset.SliceThickness = _spacing(grid)[0]
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "MP", ""
    dataset.MRAcquisitionType, dataset.EchoTrainLength = "3D", 1
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = "2000", "3", "9"
    dataset.PixelData = _pixels(grid, 1)
    dataset.file_meta = _file_meta(dataset)
    return dataset


def _enhanced_instance(grid: Grid, k_of_frame: list[int], name: str, patient: Dataset | None) -> Dataset:
    dataset = _common(grid, name, patient)
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENHANCED_MR, derive_uid("test instance", name)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "T1", "NONE"]
    dataset.NumberOfFrames = len(k_of_frame)
    dataset.BurnedInAnnotation, dataset.LossyImageCompression, dataset.PresentationLUTShape = (
        "NO",
        "00",
        "IDENTITY",
    )
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique, dataset.ComplexImageComponent = "NONE", "MAGNITUDE"
    dataset.AcquisitionContrast, dataset.ContentQualification = "T1", "PRODUCT"
    dataset.AcquisitionContextSequence = []
    _add_acquisition(dataset)
    _add_dimensions(dataset)
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(grid)]
    dataset.PerFrameFunctionalGroupsSequence = [_frame_groups(grid, k) for k in k_of_frame]
    dataset.PixelData = _pixels(grid, len(k_of_frame))
    dataset.file_meta = _file_meta(dataset)
    return dataset


def _add_acquisition(dataset: Dataset) -> None:
    dataset.AcquisitionDateTime, dataset.AcquisitionDuration = "20261123102000", 240.0
    dataset.ResonantNucleus, dataset.KSpaceFiltering = "1H", "NONE"
    dataset.MagneticFieldStrength, dataset.ApplicableSafetyStandardAgency = "3", "IEC"
    dataset.ApplicableSafetyStandardDescription = "IEC 60601-2-33"
    dataset.PulseSequenceName, dataset.MRAcquisitionType = "TFE", "3D"
    dataset.EchoPulseSequence = "GRADIENT"
    dataset.MultiPlanarExcitation, dataset.PhaseContrast = "NO", "NO"
    dataset.TimeOfFlightContrast = "NO"
    dataset.SteadyStatePulseSequence, dataset.EchoPlanarPulseSequence = "NONE", "NO"
    dataset.SaturationRecovery, dataset.SpectrallySelectedSuppression = "NO", "NONE"
    dataset.OversamplingPhase, dataset.GeometryOfKSpaceTraversal = "NONE", "RECTILINEAR"
    dataset.RectilinearPhaseEncodeReordering, dataset.SegmentedKSpaceTraversal = "LINEAR", "SINGLE"
    dataset.CoverageOfKSpace, dataset.NumberOfKSpaceTrajectories = "FULL", 1


def _add_dimensions(dataset: Dataset) -> None:
    organization, position = Dataset(), Dataset()
    organization.DimensionOrganizationUID = derive_uid("test dimensions")
    position.DimensionOrganizationUID = organization.DimensionOrganizationUID
    position.DimensionIndexPointer = 0x00200032
    position.FunctionalGroupPointer = 0x00209113
    dataset.DimensionOrganizationSequence, dataset.DimensionIndexSequence = [organization], [position]


def _shared_groups(grid: Grid) -> Dataset:
    """What is the same for every frame; the orientation is not here, as with some vendors."""
    groups = Dataset()
    groups.PixelMeasuresSequence = [_item(PixelSpacing=_spacing(grid)[1:], SliceThickness=_spacing(grid)[0])]
    groups.FrameAnatomySequence = [
        _item(FrameLaterality="U", AnatomicRegionSequence=[_code("12738006", "SCT", "Brain")])
    ]
    groups.PixelValueTransformationSequence = [
        _item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")
    ]
    groups.MRImageFrameTypeSequence = [
        _item(
            FrameType=["ORIGINAL", "PRIMARY", "T1", "NONE"],
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
            ComplexImageComponent="MAGNITUDE",
            AcquisitionContrast="T1",
        )
    ]
    groups.MRTimingAndRelatedParametersSequence = [_timing()]
    _add_acquisition_groups(groups, grid)
    return groups


def _add_acquisition_groups(groups: Dataset, grid: Grid) -> None:
    groups.MRFOVGeometrySequence = [
        _item(
            InPlanePhaseEncodingDirection="ROW",
            MRAcquisitionFrequencyEncodingSteps=grid.shape_kji[2],
            MRAcquisitionPhaseEncodingStepsInPlane=grid.shape_kji[1],
            MRAcquisitionPhaseEncodingStepsOutOfPlane=grid.shape_kji[0],
            PercentSampling="100",
            PercentPhaseFieldOfView="100",
        )
    ]
    groups.MREchoSequence = [_item(EffectiveEchoTime=3.0)]
    groups.MRModifierSequence = [_modifier()]
    groups.MRImagingModifierSequence = [
        _item(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=127.7,
            PixelBandwidth="200",
        )
    ]
    groups.MRReceiveCoilSequence = [
        _item(
            ReceiveCoilName="HEAD",
            ReceiveCoilManufacturerName="",
            ReceiveCoilType="VOLUME",
            QuadratureReceiveCoil="NO",
        )
    ]
    groups.MRTransmitCoilSequence = [
        _item(TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY")
    ]
    groups.MRAveragesSequence = [_item(NumberOfAverages="1")]


def _timing() -> Dataset:
    return _item(
        RepetitionTime="2000",
        FlipAngle="9",
        EchoTrainLength=1,
        RFEchoTrainLength=0,
        GradientEchoTrainLength=1,
        SpecificAbsorptionRateSequence=[
            _item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.5)
        ],
        OperatingModeSequence=[_item(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL")],
        GradientOutputType="DB_DT",
        GradientOutput=50.0,
    )


def _modifier() -> Dataset:
    return _item(
        InversionRecovery="NO",
        FlowCompensation="NONE",
        Spoiling="RF",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )


def _frame_groups(grid: Grid, k: int) -> Dataset:
    groups = Dataset()
    groups.FrameContentSequence = [
        _item(
            FrameAcquisitionDateTime="20261123102000",
            FrameReferenceDateTime="20261123102000",
            FrameAcquisitionDuration=240000.0,
            DimensionIndexValues=[k + 1],
        )
    ]
    groups.PlanePositionSequence = [_item(ImagePositionPatient=_position(grid, k))]
    groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=_orientation(grid))]
    return groups


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
