"""Study, Series, SeriesRole: references and header facts, no pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

Vector = tuple[float, float, float]


class SeriesRole(StrEnum):
    """The part a series plays in the analysis."""

    T1 = "t1"
    T1_POST = "t1_post"


class AnalysisMode(StrEnum):
    """Which members take part."""

    FULL = "full"
    """T1 and T1-post: all members."""
    T1_POST_ONLY = "t1_post_only"
    """No usable T1: the T1-post members alone, at their own threshold, flagged in every result."""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What assembly needs to know of one SOP instance; absent values are '' or None.

    Geometry is in mm and LPS, times in ms. An Enhanced MR instance has one position per frame, a
    classic one a single position.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str = ""
    manufacturer: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    acquisition_date: str = ""
    acquisition_time: str = ""
    series_description: str = ""
    protocol_name: str = ""
    sequence_name: str = ""
    body_part_examined: str = ""
    image_type: tuple[str, ...] = ()
    frame_of_reference_uid: str = ""
    rows: int = 0
    columns: int = 0
    number_of_frames: int = 1
    pixel_spacing_mm: tuple[float, float] | None = None
    slice_thickness_mm: float | None = None
    image_orientation: tuple[float, float, float, float, float, float] | None = None
    frame_positions_lps_mm: tuple[Vector, ...] = ()
    contrast_bolus_agent: str = ""
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    acquisition_contrast: str = ""
    angio_flag: str = ""
    mr_acquisition_type: str = ""
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One DICOM series as received so far."""

    series_instance_uid: str
    instances: tuple[InstanceHeader, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """One DICOM study as received so far."""

    study_instance_uid: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class SelectedSeries:
    """The instances of one series that play a role; a job is bound to exactly these."""

    role: SeriesRole
    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """What assembly made of one series, and why; shown to people as it stands."""

    series_instance_uid: str
    series_number: int | None
    series_description: str
    modality: str
    number_of_instances: int
    role: SeriesRole | None
    score: float
    reasons: tuple[str, ...]


class QualityFlag(StrEnum):
    """A remark that travels with every result of the study."""

    T1_POST_ONLY = "t1_post_only"
    REGISTRATION_FAILED = "registration_failed"
    REGISTRATION_POOR = "registration_poor"
    T1_UNUSABLE = "t1_unusable"
    T1_COVERS_PART = "t1_covers_part"
    BRAIN_TOUCHES_FIRST_SLICE = "brain_touches_first_slice"
    BRAIN_TOUCHES_LAST_SLICE = "brain_touches_last_slice"
    THICK_SLICES = "thick_slices"
    NOT_DISTORTION_CORRECTED = "not_distortion_corrected"
    SEVERAL_POST_CONTRAST_SERIES = "several_post_contrast_series"
    PREVIEW_PROFILE = "preview_profile"
    IMPLAUSIBLE_BRAIN_VOLUME = "implausible_brain_volume"


@dataclass(frozen=True, slots=True)
class Selection:
    """The roles of a study's series, with a verdict on each of them."""

    mode: AnalysisMode
    selected: tuple[SelectedSeries, ...]
    verdicts: tuple[SeriesVerdict, ...]
    flags: tuple[QualityFlag, ...] = field(default=())

    def series_for(self, role: SeriesRole) -> SelectedSeries | None:
        """Return the series that plays a role, or None."""
        return next((s for s in self.selected if s.role is role), None)
