"""What a series is, read from its headers: weighting, contrast, sequence, anatomy, geometry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.headers import ANALYSED_SOP_CLASSES
from core.study import InstanceHeader, Series
from service.selection import series_words as words
from service.selection.acquisition_times import Moment, earliest_acquisition
from service.selection.image_kinds import DixonPart, dixon_part, useless_kind
from service.selection.series_stacks import Stack, find_stack
from service.selection.series_weighting import Family, Weighting, read_weighting

OWN_MANUFACTURER = "metserve"
RESULT_MODALITIES = frozenset({"SEG", "SR", "RTSTRUCT", "KO", "PR"})
"""Results, ours or others': never a source."""

MIN_SLICES = 20
"""Fewer do not hold a head at a spacing that shows metastases."""

_NO_AGENT = frozenset(
    {"NONE", "NO", "N/A", "NA", "N", "NEIN", "OHNE", "KEIN", "KEINE", "NON", "SANS", "NATIV", "WITHOUT"}
)
"""Written into Contrast/Bolus Agent by people who mean that none was given."""

_REFORMAT_IMAGE_TYPES = frozenset({"MPR", "REFORMATTED", "CSAPARALLEL", "CURVED_MPR", "RESAMPLED"})


class Contrast(StrEnum):
    """Whether contrast agent had been given."""

    GIVEN = "given"
    NOT_GIVEN = "not given"
    UNKNOWN = "unknown"


class Correction(StrEnum):
    """Correction of gradient distortion; without it, positions are off by millimetres."""

    THREE_D = "3-D distortion corrected"
    TWO_D = "2-D distortion corrected"
    NONE = "not distortion corrected"
    UNKNOWN = "distortion correction unknown"


class Anatomy(StrEnum):
    """What was scanned."""

    HEAD = "head"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SeriesTraits:
    """One series, as assembly sees it.

    Parameters
    ----------
    first
        A header that stands for all of the stack.
    line
        The description, normalised; the protocol's name where there is none.
    contrast_source
        Where the contrast is known from, in words.
    not_a_scan
        What the images are when they are no acquired stack (a projection, a localiser); else empty.
    dixon_part
        Which image of a Dixon scan this is, None for other scans.
    acquired_at
        When the first slice was acquired, None when unknown.
    """

    series: Series
    first: InstanceHeader
    line: str
    stack: Stack | None
    weighting: Weighting
    family: Family
    contrast: Contrast
    contrast_source: str
    correction: Correction
    anatomy: Anatomy
    not_a_scan: str
    dixon_part: DixonPart | None
    is_reformatted: bool
    acquired_at: Moment | None

    @property
    def is_mr(self) -> bool:
        """True for an MR image, classic or Enhanced."""
        return self.first.modality == "MR" and self.first.sop_class_uid in ANALYSED_SOP_CLASSES

    @property
    def is_result(self) -> bool:
        """True for an object that somebody computed from a study, metserve included."""
        own = self.first.manufacturer.lower() == OWN_MANUFACTURER
        return own or self.first.modality in RESULT_MODALITIES

    @property
    def is_derived(self) -> bool:
        """True for images computed from others: a reformat, a filtered copy."""
        return self.is_reformatted or "DERIVED" in {value.upper() for value in self.first.image_type}

    @property
    def is_3d(self) -> bool:
        """True for a 3-D acquisition."""
        return self.first.mr_acquisition_type == "3D"

    @property
    def label(self) -> str:
        """The series' name for people."""
        number = "without number" if self.first.series_number is None else str(self.first.series_number)
        return f"series {number}"


def read_traits(series: Series) -> SeriesTraits:
    """Read what a series is from its headers."""
    stack = find_stack(series.instances)
    first = stack.instances[0] if stack else series.instances[0]
    line = words.normalise(first.series_description) or words.normalise(first.protocol_name)
    weighting, family = read_weighting(first, line)
    contrast, contrast_source = _contrast(first, line)
    return SeriesTraits(
        series=series,
        first=first,
        line=line,
        stack=stack,
        weighting=weighting,
        family=family,
        contrast=contrast,
        contrast_source=contrast_source,
        correction=_correction(first, line),
        anatomy=_anatomy(first),
        not_a_scan=_not_a_scan(first, line, stack),
        dixon_part=dixon_part(first),
        is_reformatted=_is_reformatted(first, line),
        acquired_at=earliest_acquisition(stack.instances if stack else series.instances),
    )


def _contrast(header: InstanceHeader, line: str) -> tuple[Contrast, str]:
    agent = header.contrast_bolus_agent.strip()
    if agent.upper() in _NO_AGENT:
        return Contrast.NOT_GIVEN, "Contrast/Bolus Agent says none"
    if agent and words.says_contrast(line) is False:
        return Contrast.UNKNOWN, "Contrast/Bolus Agent is filled in, the description says native"
    if agent:
        return Contrast.GIVEN, "Contrast/Bolus Agent is filled in"
    for name, text in (("description", header.series_description), ("protocol name", header.protocol_name)):
        said = words.says_contrast(words.normalise(text))
        if said is not None:
            return (Contrast.GIVEN if said else Contrast.NOT_GIVEN), f"by its {name}"
    return Contrast.UNKNOWN, "neither Contrast/Bolus Agent nor the description says"


def _correction(header: InstanceHeader, line: str) -> Correction:
    values = {value.upper() for value in header.image_type}
    if "DIS3D" in values or words.says_corrected(line):
        return Correction.THREE_D
    if "DIS2D" in values:
        return Correction.TWO_D
    if "ND" in values or words.says_corrected(line) is False:
        return Correction.NONE
    return Correction.UNKNOWN


def _anatomy(header: InstanceHeader) -> Anatomy:
    tagged = words.normalise(header.body_part_examined)
    described = words.normalise(header.series_description, header.protocol_name)
    if words.names_head(tagged):
        return Anatomy.HEAD
    if words.names_other_anatomy(tagged) or (not tagged and words.names_other_anatomy(described)):
        return Anatomy.UNKNOWN if words.names_head(described) else Anatomy.OTHER
    return Anatomy.HEAD if words.names_head(described) else Anatomy.UNKNOWN


def _not_a_scan(header: InstanceHeader, line: str, stack: Stack | None) -> str:
    few_slices = stack is None or stack.slices < MIN_SLICES or bool(stack.irregularity)
    return useless_kind(header) or words.not_a_scan(line, few_slices=few_slices) or ""


def _is_reformatted(header: InstanceHeader, line: str) -> bool:
    values = {value.upper() for value in header.image_type}
    derived = "DERIVED" in values
    return bool(values & _REFORMAT_IMAGE_TYPES) or (derived and words.says_reformatted(line))
