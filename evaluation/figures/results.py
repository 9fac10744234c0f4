"""EvaluationResults: everything that was measured, as one frozen tree that JSON can hold.

Figures without a value (nothing to divide by) are None. Volumes are in mm3, lengths in mm, on the
T1-post grid. Shares are 0..1.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter

from evaluation.figures.outcomes import BratsScore, FalsePositive, LesionOutcome, StudyOutcome
from evaluation.figures.pooled import (
    BlandAltman,
    Distribution,
    Estimate,
    OperatingFigures,
    PooledFigures,
    Proportion,
    SizeSensitivity,
    StructureCount,
)
from evaluation.figures.sweeps import (
    EnsembleSweep,
    FalsePositiveLevel,
    MemberCorrelation,
    OperatingPointChoice,
    PairedComparison,
    Reliability,
    ReliabilityBin,
    SummarySensitivity,
    SweepPoint,
)
from worker.sessions import Precision

__all__ = [
    "BlandAltman",
    "BratsScore",
    "Distribution",
    "EnsembleSweep",
    "Estimate",
    "EvaluationResults",
    "FalsePositive",
    "FalsePositiveLevel",
    "GroupSummary",
    "Header",
    "LesionOutcome",
    "MemberCorrelation",
    "OperatingFigures",
    "OperatingPointChoice",
    "PairedComparison",
    "PooledFigures",
    "Precision",
    "Proportion",
    "Reliability",
    "ReliabilityBin",
    "SizeSensitivity",
    "SkippedStudy",
    "StructureCount",
    "StudyOutcome",
    "Summary",
    "SummarySensitivity",
    "SweepPoint",
]

Origin = Literal["synthetic", "patients"]
"""Where the studies of a cohort come from; every report says it."""


@dataclass(frozen=True, slots=True)
class SkippedStudy:
    """A study the service turns down, and why.

    Parameters
    ----------
    lesion_volumes_mm3
        Of the reference lesions that nobody looked for, as size classes take them; None where the
        reference was not read.
    """

    name: str
    reason: str
    message: str
    lesion_volumes_mm3: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What was measured, with what, on what.

    Parameters
    ----------
    model_set, model_version, model_digest, profile
        Identity of the networks.
    precision
        Of the inference; the service runs f32.
    members
        Names of the ensemble's members, in the order of every list and matrix by member.
    cohort, cohort_digest, origin
        Identity of the studies, and where they come from.
    software_version, evaluation_version
        Of metserve, and of what the cache keeps.
    n_studies, n_lesions
        Evaluated; a run of some of the cohort's cases has fewer than the cohort.
    skipped
        Studies the service would have turned down, each with its reason.
    threshold
        Released, with all members.
    research_use
        The sentence every report shows.
    n_cases
        Of the whole cohort; None in results that do not say.
    """

    model_set: str
    model_version: str
    model_digest: str
    profile: str
    precision: Precision
    members: tuple[str, ...]
    cohort: str
    cohort_digest: str
    origin: Origin
    software_version: str
    evaluation_version: int
    n_studies: int
    n_lesions: int
    skipped: tuple[SkippedStudy, ...]
    threshold: float
    research_use: str
    n_cases: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of the paper's table, at the released operating point; ``members`` is their number."""

    sensitivity: SummarySensitivity
    fp_per_scan: float
    ppv: float | None
    median_dice: float | None
    median_hd95_mm: float | None
    volume_r: float | None
    count_r: float | None
    n_studies: int
    n_lesions: int
    threshold: float
    members: int


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """The same of one kind of studies alone.

    Parameters
    ----------
    cohort, name
        The group's cohort, which may be another than the header's (a stress cohort), and its own name.
    skipped
        Studies of the group that the service would have turned down.
    summary
        None when that was all of them.
    with_refused
        See ``EvaluationResults``.
    """

    cohort: str
    name: str
    skipped: tuple[SkippedStudy, ...]
    summary: Summary | None
    with_refused: SummarySensitivity | None = None


@dataclass(frozen=True, slots=True)
class EvaluationResults:
    """The whole evaluation.

    Parameters
    ----------
    released
        At the released operating point, as the service runs each study.
    t1_post_only
        As if no study had a T1; None when that was not measured.
    sweeps
        ``all`` first, then by input, by loss, and every single member.
    comparison
        None with fewer than two members.
    choices
        What these studies would choose, for all members and for those of T1-post.
    groups
        Kinds of studies of the cohort, then those of a stress cohort, which no other figure here covers.
    with_refused
        Sensitivity with the lesions of skipped studies counted as missed; None without any, or where
        their lesions are not known.
    """

    header: Header
    summary: Summary
    released: OperatingFigures
    t1_post_only: OperatingFigures | None
    sweeps: tuple[EnsembleSweep, ...]
    comparison: PairedComparison | None
    correlation: MemberCorrelation
    reliability: Reliability
    choices: tuple[OperatingPointChoice, ...]
    groups: tuple[GroupSummary, ...] = ()
    with_refused: SummarySensitivity | None = None

    def to_json(self) -> str:
        """Write the tree; ``from_json`` gives it back."""
        return _ADAPTER.dump_json(self, indent=2).decode()

    def summary_json(self) -> str:
        """Write the summary alone, with what it takes to tell whose it is."""
        header = self.header
        whose = {
            "cohort": header.cohort,
            "model_digest": header.model_digest,
            "precision": header.precision,
        }
        return json.dumps(asdict(self.summary) | whose, indent=2)

    @classmethod
    def from_json(cls, text: str) -> EvaluationResults:
        """Read what ``to_json`` wrote."""
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(EvaluationResults)
