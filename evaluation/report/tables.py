"""Table: what the page shows in rows; and the tables of a single operating point."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.figures.pooled import OperatingFigures, PooledFigures
from evaluation.report import paper
from evaluation.report.formats import (
    NO_VALUE,
    SIZE_NAMES,
    estimate,
    estimate_interval,
    interval,
    mean,
    median,
    number,
    percent,
    proportion,
    structure_name,
    words,
)
from evaluation.report.paper import NOT_REPORTED, PaperFigure

NOT_MEASURED = PaperFigure(NOT_REPORTED)
"""For our figures that the paper does not have."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; the first cell of a row names it.

    Parameters
    ----------
    caption
        A sentence that says what is counted, for whom.
    columns
        Headings.
    rows
        As many cells each as there are columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def beside_paper(figures: OperatingFigures) -> Table:
    """Set our figures beside each of the paper's."""
    pooled = figures.pooled
    rows = (
        *_sensitivity_rows(pooled),
        *_error_rows(pooled),
        *_outline_rows(pooled),
        *_correlation_rows(pooled),
    )
    return Table(
        f"Figures of {pooled.n_studies} scans with {pooled.n_lesions} metastases at threshold "
        f"{figures.threshold:g}, beside those the paper reports of 100 patients' scans with 708 metastases "
        f"at threshold {paper.THRESHOLD:g}. Ranges in parentheses are 95 % intervals; of medians, quartiles.",
        ("figure", "this run", "paper, ensemble", "paper, two neuroradiologists"),
        tuple((name, ours, theirs.ensemble, theirs.readers) for name, ours, theirs in rows),
    )


Row = tuple[str, str, PaperFigure]


def _sensitivity_rows(pooled: PooledFigures) -> tuple[Row, ...]:
    return (
        *(
            (
                f"sensitivity, {SIZE_NAMES[row.size]}",
                proportion(row.detected),
                paper.SENSITIVITY.get(row.size, NOT_MEASURED),
            )
            for row in pooled.sensitivity
        ),
        ("sensitivity, one-to-one matching", proportion(pooled.strict_sensitivity), NOT_MEASURED),
        ("mean sensitivity of a scan", mean(pooled.case_sensitivity, 1, "%", 100), paper.CASE_SENSITIVITY),
        ("mean FN / (TP + FN) of a scan", mean(pooled.case_fn_rate, 1, "%", 100), paper.CASE_FN_RATE),
    )


def _error_rows(pooled: PooledFigures) -> tuple[Row, ...]:
    return (
        ("false positives a scan", estimate(pooled.fp_per_scan), paper.FP_PER_SCAN),
        (
            "false positives a scan without metastases",
            number(pooled.fp_per_scan_without_lesions),
            NOT_MEASURED,
        ),
        ("positive predictive value", proportion(pooled.ppv), paper.PPV),
        ("mean FP / (TP + FN) of a scan", mean(pooled.case_fd_rate, 1, "%", 100), NOT_MEASURED),
    )


def _outline_rows(pooled: PooledFigures) -> tuple[Row, ...]:
    return (
        ("median Dice of a scan (quartiles)", median(pooled.dice), paper.MEDIAN_DICE),
        ("mean Dice of a scan", mean(pooled.dice), paper.MEAN_DICE),
        ("median Dice of a detected metastasis (quartiles)", median(pooled.lesion_dice), NOT_MEASURED),
        ("mean HD95, prediction to reference", mean(pooled.hd95_mm, 1, "mm"), paper.MEAN_HD95_MM),
        (
            "median HD95, prediction to reference (quartiles)",
            median(pooled.hd95_mm, 1, "mm"),
            paper.MEDIAN_HD95_MM,
        ),
    )


def _correlation_rows(pooled: PooledFigures) -> tuple[Row, ...]:
    return (
        ("r of volumes, scans with metastases", number(pooled.volume_r), paper.VOLUME_R),
        ("r of counts, scans with metastases", number(pooled.count_r), paper.COUNT_R),
        ("r of volumes, all scans", number(pooled.volume_r_all_scans), NOT_MEASURED),
        ("r of counts, all scans", number(pooled.count_r_all_scans), NOT_MEASURED),
        ("r of log10 volume and Dice, scans", number(pooled.log_volume_dice_r), paper.LOG_VOLUME_DICE_R),
        (
            "r of log10 volume and Dice, detected metastases",
            number(pooled.log_lesion_volume_dice_r),
            paper.LOG_LESION_VOLUME_DICE_R,
        ),
    )


def sensitivity_by_size(figures: OperatingFigures) -> Table:
    """Show every size class with both intervals."""
    rows = tuple(
        (
            SIZE_NAMES[row.size],
            f"{row.detected.events} / {row.detected.trials}",
            percent(row.detected.value),
            interval(row.detected.low, row.detected.high, 1, 100) or NO_VALUE,
            estimate_interval(row.bootstrap, 1, 100) or NO_VALUE,
        )
        for row in figures.pooled.sensitivity
    )
    return Table(
        "Detected metastases by equivalent diameter. Wilson's interval takes metastases as independent; the "
        "bootstrap draws whole heads, since those of one head go together.",
        ("diameter", "detected", "sensitivity", "95 %, Wilson", "95 %, heads drawn"),
        rows,
    )


def distances(figures: OperatingFigures) -> Table:
    """Show surface distances both ways, and the BraTS-METS scores."""
    pooled = figures.pooled
    rows = (
        (
            "HD95 of detected metastases, prediction to reference",
            mean(pooled.hd95_mm, 1, "mm"),
            median(pooled.hd95_mm, 1, "mm"),
        ),
        (
            "HD95 of detected metastases, larger of both directions",
            mean(pooled.hd95_symmetric_mm, 1, "mm"),
            median(pooled.hd95_symmetric_mm, 1, "mm"),
        ),
        (
            "surface Dice at 1 mm of detected metastases",
            mean(pooled.surface_dice),
            median(pooled.surface_dice),
        ),
        ("BraTS-METS lesion-wise Dice", number(pooled.brats_dice), NO_VALUE),
        ("BraTS-METS lesion-wise HD95", number(pooled.brats_hd95_mm, 1, "mm"), NO_VALUE),
    )
    return Table(
        "Distances of surfaces, and the lesion-wise scores of BraTS-METS, in which a missed metastasis and a "
        "false positive count as Dice 0 and HD95 374 mm.",
        ("figure", "mean ± standard deviation", "median (quartiles)"),
        rows,
    )


def false_positive_structures(figures: OperatingFigures) -> Table | None:
    """Count what the false positives sit on; None where nobody knows."""
    counts = figures.false_positive_structures
    if counts is None:
        return None
    rows = tuple(
        (structure_name(count.structure), str(count.false_positives), percent(count.share))
        for count in counts
    )
    return Table(
        f"The {len(figures.false_positives)} false positives by the structure they sit on.",
        ("structure", "false positives", "share"),
        rows,
    )


def scans(figures: OperatingFigures) -> Table:
    """Show every scan."""
    rows = tuple(
        (
            study.name,
            study.anatomy,
            f"{study.n_detected} / {study.n_reference}",
            str(study.n_false_positives),
            number(study.dice),
            number(study.reference_volume_mm3 / 1000, 2),
            number(study.predicted_volume_mm3 / 1000, 2),
            number(study.brats.dice),
            number(study.brats.hd95_mm, 1),
            ", ".join(map(words, study.flags)) or NO_VALUE,
        )
        for study in figures.studies
    )
    return Table(
        "Every scan; volumes are totals of the scan.",
        (
            "scan",
            "head",
            "detected",
            "false positives",
            "Dice",
            "reference, cm³",
            "found, cm³",
            "BraTS Dice",
            "BraTS HD95, mm",
            "remarks",
        ),
        rows,
    )
