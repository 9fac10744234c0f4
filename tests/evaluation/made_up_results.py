"""EvaluationResults of networks nobody trained: plausible figures from a seed, pooled by the real code."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from core.study import AnalysisMode, QualityFlag
from evaluation.figures.outcomes import BratsScore, FalsePositive, LesionOutcome, StudyOutcome
from evaluation.figures.pooled import Estimate, OperatingFigures
from evaluation.figures.results import EvaluationResults, Header, SkippedStudy
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
from evaluation.scoring.pooling import pool, summarise
from evaluation.scoring.statistics import share as ratio
from evaluation.scoring.study import StudyScore
from phantom.lesions import equivalent_diameter_mm
from worker.model_set import OperatingPoint

LOSSES = ("cross_entropy", "balanced_cross_entropy", "soft_dice", "focal")
MEMBERS = tuple(f"{kind}-{loss}" for kind in ("t1_post", "subtraction") for loss in LOSSES)
STRUCTURES = ("TRANSVERSE_SINUS", "CHOROID_PLEXUS", "CORTICAL_VEIN", "DURA", "NONE")
THRESHOLDS = (*(round(0.05 * n, 2) for n in range(1, 20)), 0.99, 0.9995)
NO_LEVEL = FalsePositiveLevel(0.5, Estimate(None, None, None, 1), reached=False)


def make_results(n_studies: int = 30, seed: int = 5) -> EvaluationResults:
    """A whole evaluation with every part present."""
    scores = [_score(n, np.random.default_rng([seed, n])) for n in range(n_studies)]
    released = pool(scores, MEMBERS, OperatingPoint(threshold=0.4, minimum_component_voxels=4))
    alone = pool(
        scores[: n_studies // 2], MEMBERS[:4], OperatingPoint(threshold=0.5, minimum_component_voxels=6)
    )
    return EvaluationResults(
        header=_header(released),
        summary=summarise(released),
        released=released,
        t1_post_only=alone,
        sweeps=_sweeps(released),
        comparison=_comparison(),
        correlation=_correlation(np.random.default_rng(seed)),
        reliability=_reliability(),
        choices=(
            OperatingPointChoice("all", 0.5, 0.45, 5, 0.71, 0.48),
            OperatingPointChoice("t1_post", 0.5, None, None, None, None),
        ),
    )


def make_bare_results() -> EvaluationResults:
    """One scan without metastases, one member, nothing found: nearly every figure is undefined."""
    whole = make_results(10)
    study = replace(
        whole.released.studies[0], n_reference=0, n_predicted=0, n_detected=0, n_strictly_detected=0,
        n_false_positives=0, sensitivity=None, fn_rate=None, fd_rate=None, dice=None,
        reference_volume_mm3=0.0, predicted_volume_mm3=0.0, brats=BratsScore(None, None),
    )  # fmt: skip
    point = OperatingPoint(threshold=0.4, minimum_component_voxels=4)
    released = pool([StudyScore(study, (), ())], MEMBERS[:1], point)
    empty = SummarySensitivity(None, None, None, None)
    points = tuple(SweepPoint(t, 1, 0, 0, 0, empty, 0.0, None, None, None, None) for t in THRESHOLDS)
    header = replace(whole.header, members=MEMBERS[:1], n_studies=1, n_lesions=0, skipped=())
    return replace(
        whole,
        header=header,
        summary=summarise(released),
        released=released,
        t1_post_only=None,
        sweeps=(EnsembleSweep("all", MEMBERS[:1], points, (NO_LEVEL,)),),
        comparison=None,
        correlation=MemberCorrelation(MEMBERS[:1], ((None,),), ((None,),)),
        reliability=Reliability(0.05, (ReliabilityBin(0.05, 1.0, 0, None, None),), None),
        choices=(),
    )


def rename_study(results: EvaluationResults, name: str) -> EvaluationResults:
    """Call the first scan, and its head, by another name."""
    first, *others = results.released.studies
    renamed = (replace(first, name=name, anatomy=name), *others)
    skipped = (SkippedStudy(name, "invalid_input", f"{name} is broken"),)
    return replace(
        results,
        header=replace(results.header, cohort=name, skipped=skipped),
        released=replace(results.released, studies=renamed),
    )


def _score(n: int, rng: np.random.Generator) -> StudyScore:
    name, anatomy = f"plain-{n:04d}", f"head-{n % 7}"
    count = 0 if n % 10 == 9 else 1 + int(rng.poisson(5))
    lesions = tuple(_lesion(name, anatomy, number + 1, rng) for number in range(count))
    invented = tuple(_false_positive(name, number + 1, rng) for number in range(int(rng.poisson(0.5))))
    return StudyScore(_study(name, anatomy, lesions, invented, rng), lesions, invented)


def _lesion(study: str, anatomy: str, number: int, rng: np.random.Generator) -> LesionOutcome:
    volume_mm3 = float(np.exp(rng.normal(np.log(50), 1.5)) + 1)
    detected = bool(rng.random() < 1 / (1 + 25 / volume_mm3))
    dice = (
        float(np.clip(0.55 + 0.1 * np.log10(volume_mm3) + rng.normal(0, 0.07), 0.05, 0.97))
        if detected
        else 0.0
    )
    hd95_mm = float(rng.gamma(2, 0.7)) if detected else None
    return LesionOutcome(
        study=study, anatomy=anatomy, number=number, volume_mm3=volume_mm3, true_volume_mm3=None,
        equivalent_diameter_mm=equivalent_diameter_mm(volume_mm3),
        centroid_lps_mm=(float(rng.normal(0, 40)), -12.5, 31.25), detected=detected,
        strictly_detected=detected and number % 9 != 0,
        predicted_volume_mm3=volume_mm3 * float(rng.normal(0.95, 0.15)) if detected else 0.0, dice=dice,
        hd95_mm=hd95_mm, hd95_symmetric_mm=None if hd95_mm is None else 1.4 * hd95_mm,
        surface_dice=None if hd95_mm is None else float(np.exp(-0.1 * hd95_mm)),
        member_peaks=tuple(float(rng.random()) for _ in MEMBERS),
    )  # fmt: skip


def _false_positive(study: str, number: int, rng: np.random.Generator) -> FalsePositive:
    structure = str(rng.choice(STRUCTURES, p=(0.4, 0.25, 0.2, 0.1, 0.05)))
    return FalsePositive(study, number, float(rng.gamma(2, 15)), (1.0, 2.0, 3.0), 0.7, structure)


def _study(
    name: str,
    anatomy: str,
    lesions: tuple[LesionOutcome, ...],
    invented: tuple[FalsePositive, ...],
    rng: np.random.Generator,
) -> StudyOutcome:
    n, found = len(lesions), sum(lesion.detected for lesion in lesions)
    return StudyOutcome(
        name=name, anatomy=anatomy, mode=AnalysisMode.FULL, threshold=0.4,
        flags=(QualityFlag.THICK_SLICES,) if name.endswith("3") else (), brain_volume_mm3=1.4e6, seconds=31.5,
        n_reference=n, n_predicted=found + len(invented), n_detected=found,
        n_strictly_detected=sum(lesion.strictly_detected for lesion in lesions),
        n_false_positives=len(invented),
        sensitivity=found / n if n else None, fn_rate=1 - found / n if n else None,
        fd_rate=len(invented) / n if n else None,
        dice=float(np.clip(rng.normal(0.76, 0.1), 0, 1)) if n else None,
        reference_volume_mm3=sum(lesion.volume_mm3 for lesion in lesions),
        predicted_volume_mm3=sum(lesion.predicted_volume_mm3 for lesion in lesions) + 20.0 * len(invented),
        brats=BratsScore(0.55, 130.0) if n or invented else BratsScore(None, None),
    )  # fmt: skip


def _header(released: OperatingFigures) -> Header:
    return Header(
        model_set="metserve-synthetic", model_version="2026.11.1", model_digest="5f" * 32, profile="full",
        precision="f32", members=MEMBERS, cohort="test-100", cohort_digest="a7" * 32, origin="synthetic",
        software_version="0.2.0", evaluation_version=1, n_studies=released.pooled.n_studies,
        n_lesions=released.pooled.n_lesions,
        skipped=(
            SkippedStudy(
                "plain-0101", "no_enhancement", "vessels exceed T1 by 0.01, expected at least 0.05", (60.0,)
            ),
            SkippedStudy("plain-0102", "invalid_input", "study plain-0102 has no T1-post among t1.nii.gz"),
        ),
        threshold=0.4,
        research_use="Research use only, not a medical device. Networks trained on synthetic studies. "
        "Measured on synthetic studies.",
    )  # fmt: skip


def _sweeps(released: OperatingFigures) -> tuple[EnsembleSweep, ...]:
    names = {"all": MEMBERS, "t1_post": MEMBERS[:4], "subtraction": MEMBERS[4:]}
    names |= {loss: tuple(m for m in MEMBERS if m.endswith(f"-{loss}")) for loss in LOSSES}
    names |= {member: (member,) for member in MEMBERS}
    pooled = released.pooled
    return tuple(
        _sweep(name, members, pooled.n_studies, pooled.n_lesions, 0.04 * rank)
        for rank, (name, members) in enumerate(names.items())
    )


def _sweep(
    name: str, members: tuple[str, ...], n_studies: int, n_lesions: int, worse: float
) -> EnsembleSweep:
    points = []
    for threshold in THRESHOLDS:
        share = (0.93 - 0.4 * worse) * (1 - threshold**2.5) ** 0.6
        detected, invented = int(share * n_lesions), int(n_studies * 4 * (1 + worse) * np.exp(-5 * threshold))
        value = detected / n_lesions
        sensitivity = SummarySensitivity(
            value, min(1, 1.1 * value), min(1, 1.2 * value), min(1, 1.25 * value)
        )
        points.append(
            SweepPoint(
                threshold,
                n_studies,
                n_lesions,
                detected,
                invented,
                sensitivity,
                invented / n_studies,
                ratio(detected, detected + invented),
                0.78 - 0.8 * (threshold - 0.4) ** 2 - 0.3 * worse,
                1 - value,
                invented / n_lesions,
            )
        )
    levels = tuple(
        _level(fp, 0.6 + 0.08 * np.log2(4 * fp) - worse, reached=worse < 0.2 or fp > 1)
        for fp in (0.25, 0.5, 1.0, 2.0, 4.0)
    )
    return EnsembleSweep(name, members, tuple(points), levels)


def _level(fp_per_scan: float, value: float, *, reached: bool) -> FalsePositiveLevel:
    low, high = (value - 0.05, value + 0.04) if reached else (None, None)
    return FalsePositiveLevel(fp_per_scan, Estimate(value, low, high, 7), reached)


def _comparison() -> PairedComparison:
    difference = Estimate(0.047, 0.018, 0.079, 7)
    return PairedComparison("all", MEMBERS[5], 0.46, 0.702, 0.655, True, difference, 0.0016, 10_000)


def _correlation(rng: np.random.Generator) -> MemberCorrelation:
    def matrix(within: float, across: float) -> tuple[tuple[float | None, ...], ...]:
        values = np.where(np.arange(8)[:, None] // 4 == np.arange(8) // 4, within, across)
        values = values + rng.normal(0, 0.03, (8, 8))
        values = (values + values.T) / 2
        np.fill_diagonal(values, 1.0)
        return tuple(tuple(float(v) for v in row) for row in values)

    return MemberCorrelation(MEMBERS, matrix(0.9, 0.72), matrix(0.84, 0.58))


def _reliability() -> Reliability:
    edges = [0.05, *(0.1 * n for n in range(1, 11))]
    bins = tuple(
        ReliabilityBin(low, high, int(40000 * (1.3 - high)), (low + high) / 2, ((low + high) / 2) ** 1.3)
        for low, high in pairwise(edges)
    )
    return Reliability(0.05, bins, 0.047)
