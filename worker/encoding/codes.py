"""The codes our objects use, from the context groups of PS3.16; private ones stand together at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.sr.coding import Code

from core.lesion import Region, Side

# Segments (CID 7150, CID 7159, CID 4, CID 7162).
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM_SECONDARY = Code("14799000", "SCT", "Neoplasm, Secondary")
BRAIN = Code("12738006", "SCT", "Brain")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# Parts of the brain (CID 4, CID 7153) and sides (CID 2, CID 244).
FRONTAL_LOBE = Code("83251001", "SCT", "Frontal lobe")
PARIETAL_LOBE = Code("16630005", "SCT", "Parietal lobe")
TEMPORAL_LOBE = Code("78277001", "SCT", "Temporal lobe")
OCCIPITAL_LOBE = Code("31065004", "SCT", "Occipital lobe")
INSULA = Code("36169008", "SCT", "Insula")
CEREBELLUM = Code("113305005", "SCT", "Cerebellum")
BRAIN_STEM = Code("119238007", "SCT", "Brain Stem")
LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")

# Report (CID 7021, CID 29, CID 218, CID 7469, CID 7464, CID 7474).
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
REFERENCED_SEGMENT = Code("121191", "DCM", "Referenced Segment")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
COMMENT = Code("121106", "DCM", "Comment")
DEVICE = Code("121007", "DCM", "Device")
METASTASIS = Code("128462008", "SCT", "Metastasis")
SOURCE = Code("260753009", "SCT", "Source")
MODALITY = Code("121139", "DCM", "Modality")
MAGNETIC_RESONANCE = Code("MR", "DCM", "Magnetic Resonance")
FRAME_OF_REFERENCE_UID = Code("112227", "DCM", "Frame of Reference UID")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_PIXEL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")

NUMBER_OF_LESIONS = Code("246206008", "SCT", "Number of lesions")
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
DIAMETER = Code("81827009", "SCT", "Diameter")
TOTAL = Code("255619001", "SCT", "Total")
MAXIMUM = Code("56851009", "SCT", "Maximum")
MEAN = Code("373098007", "SCT", "Mean")
SUM_OF_SEGMENTED_VOXELS = Code("126030", "DCM", "Sum of segmented voxel method for volume")

# Rejection note (CID 7031).
REJECTED_FOR_QUALITY_REASONS = Code("113001", "DCM", "Rejected for Quality Reasons")

# Units (CID 7181).
CUBIC_MILLIMETER = Code("mm3", "UCUM", "cubic millimeter")
MILLIMETER = Code("mm", "UCUM", "millimeter")
LESIONS = Code("{lesions}", "UCUM", "lesions")
MEMBERS = Code("{members}", "UCUM", "members")
PIXELS = Code("{pixels}", "UCUM", "pixels")
NO_UNITS = Code("1", "UCUM", "no units")

# Ours: what no public code names. None of them is a certainty of finding.
PRIVATE_SCHEME = "99METSERVE"
PRIVATE_SCHEME_NAME = "metserve private codes"
FILLED_VOLUME = Code("filled-volume", PRIVATE_SCHEME, "Volume with enclosed parts")
"""A name of its own: viewers list numbers by name, and cannot tell two of the name Volume apart."""
DEEP_GREY_MATTER = Code("deep-grey-matter", PRIVATE_SCHEME, "Deep grey matter")
"""Thalamus and basal ganglia as one; no context group has a code for them together."""
MEAN_NETWORK_OUTPUT = Code("mean-output", PRIVATE_SCHEME, "Mean network output over lesion (uncalibrated)")
PEAK_NETWORK_OUTPUT = Code("peak-output", PRIVATE_SCHEME, "Peak network output in lesion (uncalibrated)")
MEMBERS_AGREEING = Code("members-agreeing", PRIVATE_SCHEME, "Ensemble members agreeing")
MEMBERS_TOTAL = Code("members-total", PRIVATE_SCHEME, "Ensemble members taking part")
IN_PLANE_AXIS = Code("in-plane-axis", PRIVATE_SCHEME, "In-plane axis between outer voxel edges")
LARGEST_3D_EXTENT = Code("extent-3d", PRIVATE_SCHEME, "Largest 3D extent between outer voxel edges")
ENSEMBLE_MEAN = Code("ensemble-mean", PRIVATE_SCHEME, "Unweighted mean of the ensemble members")
MEMBER_ABOVE_THRESHOLD = Code("member-threshold", PRIVATE_SCHEME, "Member reaches threshold inside lesion")

REGIONS: Mapping[Region, Code] = MappingProxyType(
    {
        Region.BRAIN: BRAIN,
        Region.FRONTAL_LOBE: FRONTAL_LOBE,
        Region.PARIETAL_LOBE: PARIETAL_LOBE,
        Region.TEMPORAL_LOBE: TEMPORAL_LOBE,
        Region.OCCIPITAL_LOBE: OCCIPITAL_LOBE,
        Region.INSULA: INSULA,
        Region.DEEP_GREY_MATTER: BRAIN,
        Region.CEREBELLUM: CEREBELLUM,
        Region.BRAIN_STEM: BRAIN_STEM,
    }
)
REGION_MODIFIERS: Mapping[Region, Code] = MappingProxyType({Region.DEEP_GREY_MATTER: DEEP_GREY_MATTER})
"""Said besides the code where that is wider than the region: a reader of public codes still gets Brain."""
SIDES: Mapping[Side, Code] = MappingProxyType({Side.LEFT: LEFT, Side.RIGHT: RIGHT})

# What a site may replace.
MRI_UNSPECIFIED_BODY_REGION = Code("25056-3", "LN", "MRI unspecified body region")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")


@dataclass(frozen=True, slots=True)
class SiteCodes:
    """Codes a site may replace.

    Parameters
    ----------
    procedure_reported
        The imaging procedure (CID 100), not the algorithm. CID 100 has no brain MR of its own.
    equipment_purpose
        Purpose of the algorithm's Contributing Equipment item (CID 7005). IHE AIR means to have a
        code for "Processing Algorithm"; there is none yet.
    """

    procedure_reported: Code = MRI_UNSPECIFIED_BODY_REGION
    equipment_purpose: Code = PROCESSING_EQUIPMENT


DEFAULT_SITE_CODES = SiteCodes()
