"""Scores of studies -> the figures of a whole cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from evaluation.cohorts.case import CaseGroup, Cohort
from evaluation.figures.outcomes import FalsePositive, LesionOutcome, StudyOutcome
from evaluation.figures.pooled import OperatingFigures, PooledFigures, SizeSensitivity, StructureCount
from evaluation.figures.results import GroupSummary, SkippedStudy, Summary
from evaluation.figures.size_classes import SIZE_CLASSES, in_size_class
from evaluation.figures.sweeps import SummarySensitivity
from evaluation.scoring.statistics import (
    bland_altman,
    bootstrap_ratio,
    distribution,
    pearson,
    proportion,
    share,
)
from evaluation.scoring.study import StudyScore
from worker.model_set import OperatingPoint


def pool(
    scores: Sequence[StudyScore], member_names: tuple[str, ...], point: OperatingPoint
) -> OperatingFigures:
    """Put the scores of one operating point together."""
    studies = tuple(score.study for score in scores)
    lesions = tuple(lesion for score in scores for lesion in score.lesions)
    invented = tuple(found for score in scores for found in score.false_positives)
    return OperatingFigures(
        threshold=point.threshold,
        minimum_component_voxels=point.minimum_component_voxels,
        members=member_names,
        pooled=_pool_figures(studies, lesions),
        studies=studies,
        lesions=lesions,
        false_positives=invented,
        false_positive_structures=_count_structures(invented),
    )


def summarise(figures: OperatingFigures) -> Summary:
    """Return the paper's table."""
    pooled = figures.pooled
    by_size = {row.size: row.detected.value for row in pooled.sensitivity}
    return Summary(
        sensitivity=SummarySensitivity(
            by_size["all"], by_size["ge_3mm"], by_size["ge_5mm"], by_size["ge_6mm"]
        ),
        fp_per_scan=pooled.n_false_positives / pooled.n_studies,
        ppv=pooled.ppv.value,
        median_dice=pooled.dice.median,
        median_hd95_mm=pooled.hd95_mm.median,
        volume_r=pooled.volume_r,
        count_r=pooled.count_r,
        n_studies=pooled.n_studies,
        n_lesions=pooled.n_lesions,
        threshold=figures.threshold,
        members=len(figures.members),
    )


def summarise_groups(
    cohort: Cohort,
    scores: Sequence[StudyScore],
    skipped: Sequence[SkippedStudy],
    member_names: tuple[str, ...],
    point: OperatingPoint,
) -> tuple[GroupSummary, ...]:
    """Return the same table for each kind of studies, of which any was run.

    Parameters
    ----------
    cohort
        Says which case is of which kind; without groups, all are of the one that is called like it.
    scores, skipped
        Of all studies that were run.
    """
    summaries: list[GroupSummary] = []
    for group in cohort.groups or (CaseGroup(cohort.name, cohort.case_names),):
        names = set(group.case_names)
        own = [score for score in scores if score.study.name in names]
        refused = tuple(study for study in skipped if study.name in names)
        if own or refused:
            summary = summarise(pool(own, member_names, point)) if own else None
            missed = count_refused([lesion for score in own for lesion in score.lesions], refused)
            summaries.append(GroupSummary(cohort.name, group.name, refused, summary, missed))
    return tuple(summaries)


def count_refused(
    lesions: Sequence[LesionOutcome], skipped: Sequence[SkippedStudy]
) -> SummarySensitivity | None:
    """Return the sensitivity with the lesions of refused studies counted as missed.

    Returns
    -------
    SummarySensitivity | None
        None when no study was refused, or nobody knows the lesions of one that was.
    """
    known = [study.lesion_volumes_mm3 for study in skipped if study.lesion_volumes_mm3 is not None]
    if not skipped or len(known) < len(skipped):
        return None
    sizes = [(lesion.size_mm3, lesion.detected) for lesion in lesions]
    sizes += [(volume_mm3, False) for volumes in known for volume_mm3 in volumes]

    def sensitivity(size: str) -> float | None:
        found = [detected for volume_mm3, detected in sizes if in_size_class(volume_mm3, size)]
        return share(sum(found), len(found))

    return SummarySensitivity(*(sensitivity(size) for size in ("all", "ge_3mm", "ge_5mm", "ge_6mm")))


def _pool_figures(studies: Sequence[StudyOutcome], lesions: Sequence[LesionOutcome]) -> PooledFigures:
    with_lesions = [study for study in studies if study.n_reference]
    without = [study.n_false_positives for study in studies if not study.n_reference]
    detected = [lesion for lesion in lesions if lesion.detected]
    invented = [study.n_false_positives for study in studies]
    return PooledFigures(
        n_studies=len(studies),
        n_lesions=len(lesions),
        n_false_positives=sum(invented),
        sensitivity=tuple(_sensitivity(lesions, size) for size in SIZE_CLASSES),
        strict_sensitivity=proportion(sum(lesion.strictly_detected for lesion in lesions), len(lesions)),
        ppv=proportion(len(detected), len(detected) + sum(invented)),
        fp_per_scan=bootstrap_ratio([study.anatomy for study in studies], invented, [1] * len(studies)),
        fp_per_scan_without_lesions=share(sum(without), len(without)),
        dice=distribution(_known(study.dice for study in studies)),
        hd95_mm=distribution(_known(lesion.hd95_mm for lesion in lesions)),
        hd95_symmetric_mm=distribution(_known(lesion.hd95_symmetric_mm for lesion in lesions)),
        lesion_dice=distribution([lesion.dice for lesion in detected]),
        surface_dice=distribution(_known(lesion.surface_dice for lesion in lesions)),
        case_sensitivity=distribution(_known(study.sensitivity for study in studies)),
        case_fn_rate=distribution(_known(study.fn_rate for study in studies)),
        case_fd_rate=distribution(_known(study.fd_rate for study in studies)),
        volume_r=_correlate_volumes(with_lesions),
        count_r=_correlate_counts(with_lesions),
        volume_r_all_scans=_correlate_volumes(studies),
        count_r_all_scans=_correlate_counts(studies),
        log_volume_dice_r=pearson(
            [float(np.log10(study.reference_volume_mm3)) for study in with_lesions],
            _known(study.dice for study in with_lesions),
        ),
        log_lesion_volume_dice_r=pearson(
            [float(np.log10(lesion.volume_mm3)) for lesion in detected], [lesion.dice for lesion in detected]
        ),
        volume_agreement=bland_altman(
            [study.predicted_volume_mm3 for study in studies],
            [study.reference_volume_mm3 for study in studies],
        ),
        brats_dice=_mean(_known(study.brats.dice for study in studies)),
        brats_hd95_mm=_mean(_known(study.brats.hd95_mm for study in studies)),
    )


def _correlate_volumes(studies: Sequence[StudyOutcome]) -> float | None:
    return pearson(
        [study.reference_volume_mm3 for study in studies], [study.predicted_volume_mm3 for study in studies]
    )


def _correlate_counts(studies: Sequence[StudyOutcome]) -> float | None:
    return pearson([study.n_reference for study in studies], [study.n_predicted for study in studies])


def _sensitivity(lesions: Sequence[LesionOutcome], size: str) -> SizeSensitivity:
    chosen = [lesion for lesion in lesions if in_size_class(lesion.size_mm3, size)]
    found = [lesion.detected for lesion in chosen]
    return SizeSensitivity(
        size=size,
        detected=proportion(sum(found), len(found)),
        bootstrap=bootstrap_ratio([lesion.anatomy for lesion in chosen], found, [1] * len(chosen)),
    )


def _count_structures(invented: Sequence[FalsePositive]) -> tuple[StructureCount, ...] | None:
    names = [found.structure for found in invented if found.structure is not None]
    if invented and not names:
        return None
    return tuple(
        StructureCount(name, count, count / len(names)) for name, count in Counter(names).most_common()
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
