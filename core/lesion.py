"""Lesion and FindingsReport: what was found, as people and programs read it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.study import AnalysisMode, QualityFlag, Vector


@dataclass(frozen=True, slots=True)
class Axis:
    """A straight measurement in one slice plane.

    Parameters
    ----------
    start_lps_mm, end_lps_mm
        The two end points, on voxel centres' outer edges, in LPS mm.
    length_mm
        Their distance in mm.
    """

    start_lps_mm: Vector
    end_lps_mm: Vector
    length_mm: float


class Region(StrEnum):
    """A part of the brain that a public atlas tells apart."""

    BRAIN = "brain"
    """Not told apart: T1-post could not be brought onto the atlas, or the place lies in none of its parts."""
    FRONTAL_LOBE = "frontal_lobe"
    PARIETAL_LOBE = "parietal_lobe"
    TEMPORAL_LOBE = "temporal_lobe"
    OCCIPITAL_LOBE = "occipital_lobe"
    INSULA = "insula"
    DEEP_GREY_MATTER = "deep_grey_matter"
    CEREBELLUM = "cerebellum"
    BRAIN_STEM = "brain_stem"


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Location:
    """Where in the brain a lesion lies.

    Parameters
    ----------
    region
        ``BRAIN`` where nothing finer can be said.
    side
        None where the region has no sides, or nothing can be said.
    """

    region: Region = Region.BRAIN
    side: Side | None = None


NO_LOCATION = Location()


@dataclass(frozen=True, slots=True)
class Lesion:
    """One connected enhancing lesion, measured on the T1-post grid.

    Parameters
    ----------
    number
        1..n, largest volume first; also the segment number in the SEG.
    tracking_id, tracking_uid
        Name (BM-01) and UID shared by SEG, SR and every later object.
    volume_mm3
        The enhancing part: voxels of the lesion times voxel volume.
    filled_volume_mm3
        The same with what the enhancing part encloses, such as a necrotic core: what is to be treated.
    centroid_lps_mm
        Mean of the voxel centres.
    extent_min_lps_mm, extent_max_lps_mm
        Corners of the axis-aligned box (in LPS) around the voxels, edges included.
    longest_diameter_mm
        Longest distance between two points of the lesion in three dimensions, voxel edges included.
    slice_index_k
        Slice of the T1-post volume (sorted along its normal) in which the axes were measured.
    long_axis, short_axis
        In-plane axes in the slice with the longest long axis (RECIST-like; short is perpendicular).
    mean_probability, peak_probability
        Ensemble output over the lesion's voxels; an uncalibrated network output, not a certainty.
    members_agreeing, members_total
        How many members, taken alone, reach the operating threshold inside the lesion.
    location
        Part of the brain and side, from a public atlas.
    """

    number: int
    tracking_id: str
    tracking_uid: str
    volume_mm3: float
    filled_volume_mm3: float
    centroid_lps_mm: Vector
    extent_min_lps_mm: Vector
    extent_max_lps_mm: Vector
    longest_diameter_mm: float
    slice_index_k: int
    long_axis: Axis
    short_axis: Axis
    mean_probability: float
    peak_probability: float
    members_agreeing: int
    members_total: int
    location: Location = NO_LOCATION


@dataclass(frozen=True, slots=True)
class RegistrationQuality:
    """How T1 was brought onto T1-post.

    Parameters
    ----------
    succeeded
        False when the analysis fell back to T1-post alone.
    correlation
        Local normalised cross-correlation (0..1) of both images inside the head after registration.
    rotation_deg, translation_mm
        Size of the rigid transform found.
    """

    succeeded: bool
    correlation: float
    rotation_deg: float
    translation_mm: float


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which models made a result.

    Parameters
    ----------
    name, version
        Of the model set (models/ensemble.toml).
    digest
        SHA-256 over members and preprocessing parameters, hexadecimal.
    profile
        Name of the inference profile (``full`` is the one that was measured).
    """

    name: str
    version: str
    digest: str
    profile: str


@dataclass(frozen=True, slots=True)
class FindingsReport:
    """Everything about a finished analysis but the voxels: findings.json, REST and SR say this.

    ``lesions`` is empty for a negative study; volumes are in mm3.
    """

    study_instance_uid: str
    series_instance_uid: str
    revision: int
    mode: AnalysisMode
    threshold: float
    model: ModelIdentity
    lesions: tuple[Lesion, ...]
    flags: tuple[QualityFlag, ...]
    registration: RegistrationQuality | None
    brain_volume_mm3: float
    software_version: str

    @property
    def total_volume_mm3(self) -> float:
        """Sum of the lesions' enhancing volumes."""
        return sum(lesion.volume_mm3 for lesion in self.lesions)

    @property
    def total_filled_volume_mm3(self) -> float:
        """Sum of the lesions' filled volumes."""
        return sum(lesion.filled_volume_mm3 for lesion in self.lesions)
