"""A phantom series as one Enhanced MR Image (PS3.3 A.36.2): all slices are frames of it."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from core.errors import Defect
from core.geometry import Grid
from core.headers import ENHANCED_MR_IMAGE_STORAGE
from phantom.mr_headers import (
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

STACK_ID = "1"
ACQUISITION_DURATION_S = 300.0
AGENT_CONCENTRATION_MMOL_PER_ML = 1.0
SPECIFIC_ABSORPTION_RATE_W_PER_KG = 0.5
GRADIENT_OUTPUT_PERCENT = 50.0
PIXEL_BANDWIDTH_HZ = 244.0


def enhanced_dataset(stored: Stored, grid: Grid, header: SeriesHeader) -> Dataset:
    """Return the multi-frame image of a series; frame order is the order of the grid's slices."""
    dataset = start_dataset(header)
    _add_image(dataset, header)
    _add_acquisition(dataset, header)
    _add_dimensions(dataset, header)
    if header.has_contrast:
        dataset.ContrastBolusAgentSequence = [_contrast_agent()]
    dataset.NumberOfFrames = len(stored)
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(stored, grid, header)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame_groups(grid, header, index_k) for index_k in range(len(stored))
    ]
    add_pixels(dataset, stored)
    return dataset


def _add_image(dataset: Dataset, header: SeriesHeader) -> None:
    """SOP Common, Multi-frame and Enhanced MR Image modules."""
    dataset.SOPClassUID = ENHANCED_MR_IMAGE_STORAGE
    dataset.SOPInstanceUID = header.instance_uid_of(1)
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = header.study_date, header.acquisition_time
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    _add_frame_kind(dataset)
    dataset.ContentQualification = "RESEARCH"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.AcquisitionContextSequence = []


def _add_frame_kind(dataset: Dataset) -> None:
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "MAGNITUDE"
    dataset.AcquisitionContrast = "T1"


def _add_acquisition(dataset: Dataset, header: SeriesHeader) -> None:
    """MR Pulse Sequence module and the acquisition part of Enhanced MR Image."""
    dataset.AcquisitionNumber = 1
    dataset.AcquisitionDateTime = header.study_date + header.acquisition_time
    dataset.AcquisitionDuration = ACQUISITION_DURATION_S
    dataset.ResonantNucleus = "1H"
    dataset.KSpaceFiltering = "NONE"
    dataset.MagneticFieldStrength = FIELD_STRENGTH_T
    dataset.ApplicableSafetyStandardAgency = "IEC"
    dataset.PulseSequenceName = "SPGR"
    dataset.MRAcquisitionType = "3D"
    dataset.EchoPulseSequence = "GRADIENT"
    dataset.MultiPlanarExcitation = "NO"
    dataset.PhaseContrast = "NO"
    dataset.TimeOfFlightContrast = "NO"
    dataset.SteadyStatePulseSequence = "NONE"
    dataset.EchoPlanarPulseSequence = "NO"
    dataset.SaturationRecovery = "NO"
    dataset.SpectrallySelectedSuppression = "NONE"
    dataset.OversamplingPhase = "NONE"
    dataset.GeometryOfKSpaceTraversal = "RECTILINEAR"
    dataset.RectilinearPhaseEncodeReordering = "LINEAR"
    dataset.SegmentedKSpaceTraversal = "SINGLE"
    dataset.CoverageOfKSpace = "FULL"
    dataset.NumberOfKSpaceTrajectories = 1


def _add_dimensions(dataset: Dataset, header: SeriesHeader) -> None:
    """Multi-frame Dimension module: stack, then position in the stack."""
    uid = header.concept_uid_of("dimension organization")
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    dataset.DimensionOrganizationSequence = [organization]
    dataset.DimensionOrganizationType = "3D"
    dataset.DimensionIndexSequence = [
        _dimension(uid, "StackID"),
        _dimension(uid, "InStackPositionNumber"),
    ]


def _dimension(organization_uid: str, keyword: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = organization_uid
    item.DimensionIndexPointer = _tag(keyword)
    item.FunctionalGroupPointer = _tag("FrameContentSequence")
    item.DimensionDescriptionLabel = keyword
    return item


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise Defect(f"{keyword!r} is no keyword of the DICOM dictionary")
    return tag


def _contrast_agent() -> Dataset:
    """Item of the Enhanced Contrast/Bolus module (PS3.3 C.7.6.4b)."""
    agent = _coded(codes.cid12.Gadobutrol)
    agent.ContrastBolusAgentNumber = 1
    agent.ContrastBolusAdministrationRouteSequence = [_coded(codes.cid11.IntravenousRoute)]
    agent.ContrastBolusIngredientCodeSequence = [_coded(codes.cid13.Gadolinium)]
    agent.ContrastBolusVolume = CONTRAST_VOLUME_ML
    agent.ContrastBolusIngredientConcentration = AGENT_CONCENTRATION_MMOL_PER_ML
    return agent


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _shared_groups(stored: Stored, grid: Grid, header: SeriesHeader) -> Dataset:
    """Functional groups that all frames share."""
    groups = Dataset()
    groups.PixelMeasuresSequence = [_pixel_measures(grid)]
    plane = Dataset()
    plane.ImageOrientationPatient = orientation(grid)
    groups.PlaneOrientationSequence = [plane]
    groups.FrameAnatomySequence = [_anatomy()]
    groups.PixelValueTransformationSequence = [_identity_transformation()]
    groups.FrameVOILUTSequence = [_voi(stored)]
    groups.MRImageFrameTypeSequence = [_frame_type()]
    groups.MRTimingAndRelatedParametersSequence = [_timing()]
    groups.MREchoSequence = [_item(EffectiveEchoTime=ECHO_TIME_MS)]
    groups.MRAveragesSequence = [_item(NumberOfAverages=1.0)]
    groups.MRFOVGeometrySequence = [_field_of_view(stored)]
    groups.MRModifierSequence = [_modifier()]
    groups.MRImagingModifierSequence = [_imaging_modifier()]
    groups.MRReceiveCoilSequence = [_receive_coil()]
    groups.MRTransmitCoilSequence = [_transmit_coil()]
    if header.has_contrast:
        usage = _item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES")
        usage.ContrastBolusAgentDetected = "YES"
        usage.ContrastBolusAgentPhase = "POST_CONTRAST"
        groups.ContrastBolusUsageSequence = [usage]
    return groups


def _frame_groups(grid: Grid, header: SeriesHeader, index_k: int) -> Dataset:
    """Functional groups of one frame: its place in the stack and in the patient."""
    moment = header.study_date + header.acquisition_time
    content = _item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime=moment,
        FrameAcquisitionDateTime=moment,
        FrameAcquisitionDuration=ACQUISITION_DURATION_S * 1000,
        StackID=STACK_ID,
        InStackPositionNumber=index_k + 1,
        DimensionIndexValues=[1, index_k + 1],
    )
    return _item(
        FrameContentSequence=[content],
        PlanePositionSequence=[_item(ImagePositionPatient=position(grid, index_k))],
    )


def _item(**elements: object) -> Dataset:
    """Return a sequence item with elements given by keyword."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _pixel_measures(grid: Grid) -> Dataset:
    slice_mm, row_mm, column_mm = grid.spacing_kji_mm
    thickness, spacing, row, column = decimals([slice_mm, slice_mm, row_mm, column_mm])
    return _item(SliceThickness=thickness, SpacingBetweenSlices=spacing, PixelSpacing=[row, column])


def _anatomy() -> Dataset:
    return _item(FrameLaterality="B", AnatomicRegionSequence=[_coded(codes.SCT.Brain)])


def _identity_transformation() -> Dataset:
    return _item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")


def _voi(stored: Stored) -> Dataset:
    centre, width = window(stored)
    return _item(WindowCenter=centre, WindowWidth=width)


def _frame_type() -> Dataset:
    item = _item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    _add_frame_kind(item)
    return item


def _timing() -> Dataset:
    absorption = _item(
        SpecificAbsorptionRateDefinition="IEC_HEAD",
        SpecificAbsorptionRateValue=SPECIFIC_ABSORPTION_RATE_W_PER_KG,
    )
    return _item(
        RepetitionTime=REPETITION_TIME_MS,
        FlipAngle=FLIP_ANGLE_DEG,
        EchoTrainLength=1,
        RFEchoTrainLength=0,
        GradientEchoTrainLength=1,
        SpecificAbsorptionRateSequence=[absorption],
        OperatingModeSequence=[
            _item(OperatingModeType=kind, OperatingMode="IEC_NORMAL")
            for kind in ("STATIC FIELD", "RF", "GRADIENT")
        ],
        GradientOutputType="DB_DT",
        GradientOutput=GRADIENT_OUTPUT_PERCENT,
    )


def _field_of_view(stored: Stored) -> Dataset:
    return _item(
        InPlanePhaseEncodingDirection="ROW",
        MRAcquisitionFrequencyEncodingSteps=stored.shape[2],
        MRAcquisitionPhaseEncodingStepsInPlane=stored.shape[1],
        MRAcquisitionPhaseEncodingStepsOutOfPlane=stored.shape[0],
        PercentSampling=100.0,
        PercentPhaseFieldOfView=100.0,
    )


def _modifier() -> Dataset:
    return _item(
        InversionRecovery="YES",
        InversionTimes=INVERSION_TIME_MS,
        FlowCompensation="NONE",
        Spoiling="RF",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )


def _imaging_modifier() -> Dataset:
    return _item(
        MagnetizationTransfer="NONE",
        BloodSignalNulling="NO",
        Tagging="NONE",
        TransmitterFrequency=IMAGING_FREQUENCY_MHZ,
        PixelBandwidth=PIXEL_BANDWIDTH_HZ,
    )


def _receive_coil() -> Dataset:
    return _item(
        ReceiveCoilName="HEAD",
        ReceiveCoilManufacturerName="",
        ReceiveCoilType="VOLUME",
        QuadratureReceiveCoil="YES",
    )


def _transmit_coil() -> Dataset:
    return _item(TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY")
