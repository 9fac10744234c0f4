"""Tables that set operating points, ensembles and cohorts beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.figures.pooled import OperatingFigures
from evaluation.figures.results import EvaluationResults, SkippedStudy, Summary
from evaluation.figures.sweeps import EnsembleSweep, OperatingPointChoice, PairedComparison, SweepPoint
from evaluation.report.formats import (
    NO_VALUE,
    ensemble_name,
    estimate,
    estimate_interval,
    false_positive_level,
    median,
    number,
    percent,
    proportion,
    words,
)
from evaluation.report.stress_run import StressRun
from evaluation.report.tables import Table

LAST_IN_HUNDREDTHS = 0.99
"""Thresholds above it need more digits."""

SUMMARY_COLUMNS = (
    "scans",
    "metastases",
    "sensitivity",
    "≥ 3 mm",
    "≥ 5 mm",
    "≥ 6 mm",
    "false positives a scan",
    "PPV",
    "median Dice",
)


def thresholds(sweep: EnsembleSweep) -> Table:
    """Show the whole ensemble at every threshold."""
    rows = tuple(
        (
            f"{point.threshold:.2f}" if point.threshold <= LAST_IN_HUNDREDTHS else f"{point.threshold:g}",
            *_point_cells(point),
            percent(point.mean_fn_rate),
            percent(point.mean_fd_rate),
        )
        for point in sweep.points
    )
    return Table(
        "All members at other thresholds.",
        (
            "threshold",
            "sensitivity",
            "≥ 3 mm",
            "≥ 6 mm",
            "false positives a scan",
            "PPV",
            "median Dice",
            "mean FN / (TP + FN)",
            "mean FP / (TP + FN)",
        ),
        rows,
    )


def false_positive_levels(sweep: EnsembleSweep) -> Table:
    """Read the FROC curve at a few numbers of false positives."""
    rows = tuple((number(level.fp_per_scan), false_positive_level(level)) for level in sweep.levels)
    return Table(
        "Sensitivity of all members where their curve reaches a number of false positives a scan.",
        ("false positives a scan", "sensitivity (95 %, heads drawn)"),
        rows,
    )


def ensembles(results: EvaluationResults) -> Table:
    """Compare all members, some, and each alone, at one threshold and at equal false positives."""
    levels = [level.fp_per_scan for level in results.sweeps[0].levels]
    shown = [fp for fp in levels if fp in (0.5, 1.0)]
    rows = tuple(
        (
            ensemble_name(sweep.name),
            str(len(sweep.members)),
            *_point_cells(sweep.at(results.header.threshold)),
            *(false_positive_level(level) for level in sweep.levels if level.fp_per_scan in shown),
        )
        for sweep in results.sweeps
    )
    return Table(
        f"Ensembles and single members at threshold {results.header.threshold:g}, and their sensitivity at "
        "equal false positives a scan, which is the fair comparison.",
        (
            "ensemble",
            "members",
            "sensitivity",
            "≥ 3 mm",
            "≥ 6 mm",
            "false positives a scan",
            "PPV",
            "median Dice",
            *(f"sensitivity at {fp:g} a scan" for fp in shown),
        ),
        rows,
    )


def paired_comparison(comparison: PairedComparison) -> Table:
    """Set the ensemble against its best member."""
    difference = comparison.difference
    value = number(None if difference.value is None else 100 * difference.value, 1)
    fewest = (
        ""
        if comparison.member_reached
        else " No threshold leaves that member so few: it is given its sensitivity at its fewest, which "
        "favours it too."
    )
    return Table(
        f"Paired bootstrap of {comparison.replicates} replicates over {difference.n_anatomies} heads, both "
        f"at {number(comparison.fp_per_scan)} false positives a scan. The best of all members was chosen on "
        f"these very scans, which favours it.{fewest}",
        ("compared", "sensitivity", "best member's", "difference in points (95 %)", "p, two-sided"),
        (
            (
                f"{ensemble_name(comparison.ensemble)} against {ensemble_name(comparison.best_member)}",
                percent(comparison.ensemble_sensitivity),
                percent(comparison.member_sensitivity),
                f"{value} {estimate_interval(difference, 1, 100)}".strip(),
                number(comparison.p_value, 4),
            ),
        ),
    )


def suggestions(choices: Sequence[OperatingPointChoice]) -> Table:
    """Show the most sensitive operating points within a number of false positives."""
    return Table(
        "Most sensitive operating points within a number of false positives a scan; a dash where none stays "
        "within it.",
        (
            "ensemble",
            "allowed a scan",
            "threshold",
            "smallest finding, mm³",
            "sensitivity",
            "false positives a scan",
        ),
        tuple(
            (
                ensemble_name(choice.ensemble),
                number(choice.max_fp_per_scan),
                number(choice.threshold),
                number(choice.minimum_component_voxels, 0),
                percent(choice.sensitivity),
                number(choice.fp_per_scan),
            )
            for choice in choices
        ),
    )


def without_t1(released: OperatingFigures, alone: OperatingFigures) -> Table:
    """Set the released operating point beside that of the T1-post members alone."""
    return Table(
        "The same scans as if none had a T1: the T1-post members alone, at their own operating point.",
        (
            "members",
            "threshold",
            "smallest finding, mm³",
            "sensitivity (95 %)",
            "false positives a scan (95 %)",
            "PPV (95 %)",
            "median Dice (quartiles)",
        ),
        tuple(
            (
                f"{name} ({len(figures.members)})",
                number(figures.threshold),
                str(figures.minimum_component_voxels),
                proportion(figures.pooled.sensitivity[0].detected),
                estimate(figures.pooled.fp_per_scan),
                proportion(figures.pooled.ppv),
                median(figures.pooled.dice),
            )
            for name, figures in (("all", released), ("T1-post alone", alone))
        ),
    )


def stress(results: EvaluationResults, runs: Sequence[StressRun]) -> Table:
    """Show the same networks on harder cohorts, each at its released operating point."""
    own = StressRun("this report's", results.summary, results.with_refused)
    return Table(
        "The same networks on scans that are worse than those they are meant for, or empty. The last column "
        "counts the metastases of refused scans as missed; a dash where none was refused.",
        ("cohort", *SUMMARY_COLUMNS, "sensitivity with refused scans"),
        tuple((run.name, *_summary_cells(run.summary), _counted_as_missed(run)) for run in (own, *runs)),
    )


def refused(results: EvaluationResults) -> Table:
    """List the studies that took no part, those of stress cohorts too, each with its reason."""
    stressed = [group for group in results.groups if group.cohort != results.header.cohort]
    listed = [(results.header.cohort, study) for study in results.header.skipped]
    listed += [
        (f"{group.cohort}, {words(group.name)}", study) for group in stressed for study in group.skipped
    ]
    return Table(
        "Studies that were not measured. Unless it is said, they count neither as found nor as missed.",
        ("study", "cohort", "metastases", "reason", "what was found, what was expected"),
        tuple(
            (study.name, cohort, _lesion_count(study), words(study.reason), study.message)
            for cohort, study in listed
        ),
    )


def _lesion_count(study: SkippedStudy) -> str:
    return NO_VALUE if study.lesion_volumes_mm3 is None else str(len(study.lesion_volumes_mm3))


def _counted_as_missed(run: StressRun) -> str:
    return NO_VALUE if run.with_refused is None else percent(run.with_refused.all)


def _point_cells(point: SweepPoint) -> tuple[str, ...]:
    return (
        percent(point.sensitivity.all),
        percent(point.sensitivity.ge_3mm),
        percent(point.sensitivity.ge_6mm),
        number(point.fp_per_scan),
        percent(point.ppv),
        number(point.median_dice),
    )


def _summary_cells(summary: Summary | None) -> tuple[str, ...]:
    if summary is None:
        return ("0", *(NO_VALUE for _ in SUMMARY_COLUMNS[1:]))
    return (
        str(summary.n_studies),
        str(summary.n_lesions),
        percent(summary.sensitivity.all),
        percent(summary.sensitivity.ge_3mm),
        percent(summary.sensitivity.ge_5mm),
        percent(summary.sensitivity.ge_6mm),
        number(summary.fp_per_scan),
        percent(summary.ppv),
        number(summary.median_dice),
    )
