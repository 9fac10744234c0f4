"""A cohort and a model set -> EvaluationResults: the page to read first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.errors import InvalidInput
from core.provenance import NOT_A_DEVICE
from core.study import AnalysisMode
from evaluation.cohorts.case import Cohort
from evaluation.figures.pooled import OperatingFigures
from evaluation.figures.results import EvaluationResults, Header, Origin, Precision, SkippedStudy
from evaluation.figures.sweeps import OperatingPointChoice
from evaluation.inference.cache import EVALUATION_VERSION
from evaluation.inference.stored_study import StoredStudy
from evaluation.scoring.pooling import count_refused, pool, summarise, summarise_groups
from evaluation.scoring.study import Peaks, StudyScore, score_study
from evaluation.sweep.agreement import AgreementSums, correlate_members, measure_reliability, sum_agreement
from evaluation.sweep.candidates import Candidates, find_candidates
from evaluation.sweep.comparison import compare_with_best_member
from evaluation.sweep.froc import choose_operating_point, pool_sweep
from evaluation.sweep.study import StudyTally, Subset, list_subsets, sweep_study
from worker.model_set import ModelSet, OperatingPoint

MAX_FP_PER_SCAN = 0.5
"""False positives a scan that a suggested operating point may have: about the paper's 0.46."""


@dataclass(frozen=True)
class Contestant:
    """The ensemble that is measured.

    Parameters
    ----------
    model_set, profile
        Its members, operating points and identity.
    precision
        In which the studies were inferred.
    software_version
        Of metserve.
    """

    model_set: ModelSet
    profile: str
    precision: Precision
    software_version: str

    @property
    def member_names(self) -> tuple[str, ...]:
        """Every member of the profile."""
        return tuple(member.name for member in self.model_set.select_profile(self.profile).members)

    @property
    def t1_post_names(self) -> tuple[str, ...]:
        """Those that need no T1."""
        members = self.model_set.select_profile(self.profile).members
        return tuple(member.name for member in members if member.input == "t1_post")

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """The ensembles that are swept."""
        return list_subsets(self.model_set.select_profile(self.profile).members)

    def point(self, mode: AnalysisMode) -> OperatingPoint:
        """Return the released operating point."""
        return self.model_set.operating_point(mode)


@dataclass(frozen=True, eq=False)
class _Measured:
    """One study, measured: what is left when its voxels are let go."""

    released: StudyScore
    t1_post_only: StudyScore | None
    tally: StudyTally
    agreement: AgreementSums


def evaluate(
    cohort: Cohort,
    studies: Iterable[StoredStudy | SkippedStudy],
    contestant: Contestant,
    max_fp_per_scan: float = MAX_FP_PER_SCAN,
) -> EvaluationResults:
    """Measure studies one at a time, then put them together.

    Parameters
    ----------
    studies
        From ``run_cohort``.
    max_fp_per_scan
        For the suggested operating points.

    Raises
    ------
    InvalidInput
        Every study was skipped.
    """
    measured: list[_Measured] = []
    skipped: list[SkippedStudy] = []
    for study in studies:
        if isinstance(study, SkippedStudy):
            skipped.append(study)
        else:
            measured.append(_measure(study, contestant))
    if not measured:
        reasons = ", ".join(f"{study.name}: {study.message}" for study in skipped)
        raise InvalidInput(f"no study of cohort {cohort.name} could be measured: {reasons}")
    return _assemble(cohort, measured, tuple(skipped), contestant, max_fp_per_scan)


def add_stress(results: EvaluationResults, stress: EvaluationResults) -> EvaluationResults:
    """Put the kinds of studies of a harder cohort beside those of the cohort itself."""
    return replace(results, groups=(*results.groups, *stress.groups))


def _measure(study: StoredStudy, contestant: Contestant) -> _Measured:
    candidates = find_candidates(study)
    peaks = _peaks(candidates, contestant.member_names)
    full_point = contestant.point(AnalysisMode.FULL)
    t1_post = contestant.t1_post_names
    alone = None
    if t1_post:
        mode = AnalysisMode.T1_POST_ONLY
        alone = score_study(study, t1_post, mode, contestant.point(mode), peaks)
    return _Measured(
        released=score_study(study, study.member_names, study.mode, contestant.point(study.mode), peaks),
        t1_post_only=alone,
        tally=sweep_study(study, contestant.subsets, full_point.minimum_component_voxels, candidates),
        agreement=sum_agreement(candidates, contestant.member_names),
    )


def _peaks(candidates: Candidates, member_names: tuple[str, ...]) -> Peaks:
    found = candidates.lesion_peaks
    rows = {name: found[n].tolist() for n, name in enumerate(candidates.member_names)}
    return {
        lesion + 1: tuple(rows[name][lesion] if name in rows else None for name in member_names)
        for lesion in range(found.shape[1])
    }


def _assemble(
    cohort: Cohort,
    measured: Sequence[_Measured],
    skipped: tuple[SkippedStudy, ...],
    contestant: Contestant,
    max_fp_per_scan: float,
) -> EvaluationResults:
    point = contestant.point(AnalysisMode.FULL)
    minimum = point.minimum_component_voxels
    scores = [study.released for study in measured]
    released = pool(scores, contestant.member_names, point)
    tallies = [study.tally for study in measured]
    agreement = [study.agreement for study in measured]
    subsets = contestant.subsets
    sweeps = (pool_sweep(tallies, subset, minimum) for subset in subsets)
    single = [subset for subset in subsets if len(subset.member_names) == 1]
    return EvaluationResults(
        header=_head(cohort, released, skipped, contestant),
        summary=summarise(released),
        released=released,
        t1_post_only=_pool_t1_post(measured, contestant),
        sweeps=tuple(sweep for sweep in sweeps if sweep is not None),
        comparison=compare_with_best_member(tallies, subsets[0], single, point.threshold, minimum),
        correlation=correlate_members(agreement, contestant.member_names),
        reliability=measure_reliability(agreement),
        choices=_suggest(tallies, contestant, max_fp_per_scan),
        groups=summarise_groups(cohort, scores, skipped, contestant.member_names, point),
        with_refused=count_refused(released.lesions, skipped),
    )


def _suggest(
    tallies: Sequence[StudyTally], contestant: Contestant, max_fp_per_scan: float
) -> tuple[OperatingPointChoice, ...]:
    """Choose an operating point for all members, and one for those of T1-post."""
    asked = (contestant.member_names, contestant.t1_post_names)
    subsets = [subset for subset in contestant.subsets if subset.member_names in asked]
    return tuple(choose_operating_point(tallies, subset, max_fp_per_scan) for subset in subsets)


def _pool_t1_post(measured: Sequence[_Measured], contestant: Contestant) -> OperatingFigures | None:
    scores = [study.t1_post_only for study in measured if study.t1_post_only is not None]
    point = contestant.point(AnalysisMode.T1_POST_ONLY)
    return pool(scores, contestant.t1_post_names, point) if scores else None


def _head(
    cohort: Cohort, released: OperatingFigures, skipped: tuple[SkippedStudy, ...], contestant: Contestant
) -> Header:
    manifest = contestant.model_set.manifest
    return Header(
        model_set=manifest.name,
        model_version=manifest.version,
        model_digest=contestant.model_set.digest,
        profile=contestant.profile,
        precision=contestant.precision,
        members=contestant.member_names,
        cohort=cohort.name,
        cohort_digest=cohort.digest,
        origin=cohort.origin,
        software_version=contestant.software_version,
        evaluation_version=EVALUATION_VERSION,
        n_studies=released.pooled.n_studies,
        n_lesions=released.pooled.n_lesions,
        skipped=skipped,
        threshold=released.threshold,
        research_use=describe_use(manifest.trained_on, cohort.origin),
        n_cases=len(cohort.case_names),
    )


def describe_use(trained_on: str, origin: Origin) -> str:
    """Say what the networks are not, what they were trained on (the manifest's words), and measured on."""
    measured_on = "synthetic studies" if origin == "synthetic" else "studies of patients"
    return f"{NOT_A_DEVICE} The networks were trained on {trained_on.rstrip('.')}. Measured on {measured_on}."
