"""EvaluationResults -> Section: the page in order, each part with its words, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.figures.results import EvaluationResults
from evaluation.report import comparison_tables, paper, tables
from evaluation.report.agreement_plots import (
    plot_bland_altman,
    plot_correlation,
    plot_counts,
    plot_dice,
    plot_reliability,
    plot_volumes,
)
from evaluation.report.detection_plots import plot_froc, plot_sensitivity, plot_structures, plot_thresholds
from evaluation.report.drawing import Plot
from evaluation.report.formats import percent
from evaluation.report.stress_run import StressRun
from evaluation.report.tables import Table


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    name
        Of its anchor.
    text
        One paragraph before figures and tables.
    """

    name: str
    heading: str
    text: str
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()


def build_sections(results: EvaluationResults, stress: Sequence[StressRun]) -> tuple[Section, ...]:
    """Lay out everything that was measured; what was not measured is said, not left out."""
    return (
        _paper(results),
        _sizes(results),
        _froc(results),
        _thresholds(results),
        _ensembles(results),
        _volumes(results),
        _outlines(results),
        _calibration(results),
        _false_positives(results),
        _without_t1(results),
        _stress(results, stress),
        _refused(results),
        _scans(results),
    )


def _paper(results: EvaluationResults) -> Section:
    here = "synthetic studies" if results.header.origin == "synthetic" else f"cohort {results.header.cohort}"
    return Section(
        "paper",
        "Beside the paper",
        f"This run was measured on {here}, the paper on patients of one centre ({paper.CITATION}). The "
        "columns say where this ensemble stands by the same definitions, not how both would do on the same "
        "scans.",
        tables=(tables.beside_paper(results.released),),
    )


def _sizes(results: EvaluationResults) -> Section:
    return Section(
        "size",
        "Sensitivity by size",
        "Small metastases are the hard ones: of those below 3 mm the paper's ensemble found one in seven.",
        (plot_sensitivity(results.released),),
        (tables.sensitivity_by_size(results.released),),
    )


def _froc(results: EvaluationResults) -> Section:
    return Section(
        "froc",
        "Sensitivity against false positives",
        "Each point of a curve is one threshold; the smallest finding is the released one throughout.",
        (plot_froc(results.sweeps, results.header.threshold),),
        (comparison_tables.false_positive_levels(results.sweeps[0]),) if results.sweeps else (),
    )


def _thresholds(results: EvaluationResults) -> Section:
    if not results.sweeps:
        return Section("thresholds", "Thresholds", "No threshold but the released one was measured.")
    whole = results.sweeps[0]
    suggested = (comparison_tables.suggestions(results.choices),) if results.choices else ()
    return Section(
        "thresholds",
        "Thresholds",
        f"The service works at {results.header.threshold:g}. The suggestions are the most sensitive settings "
        "of these very scans within a number of false positives: confirm them on others.",
        (plot_thresholds(whole, results.header.threshold),),
        (comparison_tables.thresholds(whole), *suggested),
    )


def _ensembles(results: EvaluationResults) -> Section:
    shown = [comparison_tables.ensembles(results)] if results.sweeps else []
    if results.comparison is not None:
        shown.append(comparison_tables.paired_comparison(results.comparison))
    kinds = ("lesion_peaks", "voxels") if len(results.header.members) > 1 else ()
    return Section(
        "members",
        "Members and ensembles",
        "An ensemble gains where its members err differently, that is where their correlation is low.",
        tuple(plot_correlation(results.correlation, kind) for kind in kinds),
        tuple(shown),
    )


def _volumes(results: EvaluationResults) -> Section:
    return Section(
        "agreement",
        "Volumes and counts",
        "One point is one scan; on the dotted line found and reference are equal. The correlations are over "
        "scans with metastases, which all of the paper's have; the points are all scans.",
        (
            plot_volumes(results.released),
            plot_counts(results.released),
            plot_bland_altman(results.released),
        ),
    )


def _outlines(results: EvaluationResults) -> Section:
    return Section(
        "outlines",
        "Outlines",
        "Small metastases have low Dice whoever outlines them: one voxel more or less weighs more.",
        (plot_dice(results.released),),
        (tables.distances(results.released),),
    )


def _calibration(results: EvaluationResults) -> Section:
    return Section(
        "calibration",
        "Calibration",
        "An output of 0.7 would be calibrated if 70 % of the voxels that get it were metastasis.",
        (plot_reliability(results.reliability),),
    )


def _false_positives(results: EvaluationResults) -> Section:
    plot, table = plot_structures(results.released), tables.false_positive_structures(results.released)
    text = "What lies under a finding that is no metastasis, from the synthesis' own label map."
    if table is None:
        text = (
            "Nobody knows what lies under the false positives: these studies have no label map of structures."
        )
    elif plot is None:
        text, table = "There was no false positive.", None
    return Section(
        "false-positives",
        "False positives by structure",
        text,
        () if plot is None else (plot,),
        () if table is None else (table,),
    )


def _without_t1(results: EvaluationResults) -> Section:
    if results.t1_post_only is None:
        return Section("t1-post-only", "Without a T1", "Not measured in this run.")
    return Section(
        "t1-post-only",
        "Without a T1",
        "Where a study has no usable T1, the T1-post members are asked alone, and every result says so.",
        tables=(comparison_tables.without_t1(results.released, results.t1_post_only),),
    )


def _stress(results: EvaluationResults, runs: Sequence[StressRun]) -> Section:
    if not runs:
        return Section("stress", "Stress", "No stress cohort was given to this report.")
    return Section(
        "stress",
        "Stress",
        "How much is lost where a scan is worse than it should be.",
        tables=(comparison_tables.stress(results, runs),),
    )


def _refused(results: EvaluationResults) -> Section:
    table = comparison_tables.refused(results)
    if not table.rows:
        return Section("refused", "Refused studies", "No study was refused.")
    return Section("refused", "Refused studies", _say_refused(results), tables=(table,))


def _say_refused(results: EvaluationResults) -> str:
    skipped, found = len(results.header.skipped), results.with_refused
    if not skipped:
        return "No study of this cohort was refused, but some of the stress cohort."
    said = f"{skipped} of {skipped + results.header.n_studies} studies could not be measured."
    if found is None:
        return f"{said} How many metastases were in them is not known of all."
    return (
        f"{said} With their metastases counted as missed, sensitivity is {percent(found.all)}, and "
        f"{percent(found.ge_6mm)} of those of 6 mm or more."
    )


def _scans(results: EvaluationResults) -> Section:
    return Section(
        "scans",
        "Scans",
        "The same, with every decimal, is in scans.csv; every metastasis is in lesions.csv.",
        tables=(tables.scans(results.released),),
    )
