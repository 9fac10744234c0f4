"""The codes our objects use, from the context groups of PS3.16; private ones stand together at the end."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.coding import Code

# Segments (CID 7150, CID 7159, CID 4, CID 7162).
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM_SECONDARY = Code("14799000", "SCT", "Neoplasm, Secondary")
BRAIN = Code("12738006", "SCT", "Brain")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

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
MEAN_NETWORK_OUTPUT = Code("mean-output", PRIVATE_SCHEME, "Mean network output over lesion (uncalibrated)")
PEAK_NETWORK_OUTPUT = Code("peak-output", PRIVATE_SCHEME, "Peak network output in lesion (uncalibrated)")
MEMBERS_AGREEING = Code("members-agreeing", PRIVATE_SCHEME, "Ensemble members agreeing")
MEMBERS_TOTAL = Code("members-total", PRIVATE_SCHEME, "Ensemble members taking part")
IN_PLANE_AXIS = Code("in-plane-axis", PRIVATE_SCHEME, "In-plane axis between outer voxel edges")
LARGEST_3D_EXTENT = Code("extent-3d", PRIVATE_SCHEME, "Largest 3D extent between outer voxel edges")
ENSEMBLE_MEAN = Code("ensemble-mean", PRIVATE_SCHEME, "Unweighted mean of the ensemble members")
MEMBER_ABOVE_THRESHOLD = Code("member-threshold", PRIVATE_SCHEME, "Member reaches threshold inside lesion")

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
