"""Plots of agreement: of volumes and counts, of members with each other, of outputs with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter

from evaluation.figures.pooled import OperatingFigures
from evaluation.figures.sweeps import MemberCorrelation, Reliability
from evaluation.report.drawing import BLUE, INK, ORANGE, PAPER, VERMILION, Plot, sheet
from evaluation.report.formats import ensemble_name, number

SMALLEST_SHOWN_CM3 = 1e-3
"""1 mm3; a scan in which nothing is, or nothing was found, is drawn here."""

HEAT = LinearSegmentedColormap.from_list("blues", ["#f2f6fa", "#9ecae1", "#2f78b5", "#08306b"])
"""Light to dark, so that it reads in grey too."""

LABEL_MARGIN_IN = 0.2
"""Beside the heat map: its labels are long, and the page's font may be wider than the one laid out in."""

DARK_CELL = 0.6
"""Share of the colour range from which a cell's number is white."""


def plot_volumes(figures: OperatingFigures) -> Plot:
    """Draw found against reference volume of each scan."""
    reference, found = _volumes_cm3(figures)
    r = figures.pooled.volume_r
    with sheet("volumes", 4.4, 4.2) as drawn:
        axes = drawn.figure.subplots()
        ends = [SMALLEST_SHOWN_CM3 / 2, 2 * max([1.0, *reference, *found])]
        axes.plot(ends, ends, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        shown = [np.maximum(values, SMALLEST_SHOWN_CM3) for values in (reference, found)]
        _scatter(axes, *shown)
        axes.set(
            xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal",
            xlabel="reference volume a scan, cm³", ylabel="found volume a scan, cm³",
            title=f"r = {number(r)}",
        )  # fmt: skip
        _write_plainly(axes.xaxis, axes.yaxis)
    said = (
        f"Found against reference volume of {len(found)} scans; Pearson's r of those with metastases is "
        f"{number(r)}."
    )
    return Plot("volumes", "Total volume a scan, less than 0.001 cm³ drawn there", said, drawn.svg)


def plot_counts(figures: OperatingFigures) -> Plot:
    """Draw found against reference number of metastases of each scan."""
    reference = [study.n_reference for study in figures.studies]
    found = [study.n_predicted for study in figures.studies]
    r = figures.pooled.count_r
    with sheet("counts", 4.4, 4.2) as drawn:
        axes = drawn.figure.subplots()
        end = 1.06 * max([1, *reference, *found])
        axes.plot([0, end], [0, end], color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        _scatter(axes, reference, found)
        axes.set(
            xlim=(-0.03 * end, end), ylim=(-0.03 * end, end), aspect="equal",
            xlabel="metastases a scan", ylabel="findings a scan", title=f"r = {number(r)}",
        )  # fmt: skip
    said = f"Findings against metastases of {len(found)} scans; Pearson's r of those with any is {number(r)}."
    return Plot("counts", "Number a scan", said, drawn.svg)


def plot_bland_altman(figures: OperatingFigures) -> Plot:
    """Draw differences of volumes over their mean, with bias and limits."""
    reference, found = _volumes_cm3(figures)
    limits = figures.pooled.volume_agreement
    with sheet("bland-altman") as drawn:
        axes = drawn.figure.subplots()
        mean = np.maximum((reference + found) / 2, SMALLEST_SHOWN_CM3)
        _scatter(axes, mean, found - reference)
        for value, line in ((limits.bias_mm3, "-"), (limits.low_mm3, "--"), (limits.high_mm3, "--")):
            if value is not None:
                axes.axhline(value / 1000, color=VERMILION, linewidth=1.2, linestyle=line)
                axes.annotate(
                    number(value / 1000), (1, value / 1000), (2, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", color=VERMILION, annotation_clip=False,
                )  # fmt: skip
        axes.set(
            xscale="log", xlabel="mean of found and reference volume, cm³", ylabel="found − reference, cm³"
        )
        _write_plainly(axes.xaxis)
    bias, low, high = (
        number(None if value is None else value / 1000, 2, "cm³")
        for value in (limits.bias_mm3, limits.low_mm3, limits.high_mm3)
    )
    said = f"Found minus reference volume is {bias} on average, limits of agreement {low} to {high}."
    return Plot("bland-altman", "Bland–Altman plot of the volume a scan", said, drawn.svg)


def plot_dice(figures: OperatingFigures) -> Plot:
    """Draw the Dice of each metastasis over its volume; the missed below 0."""
    detected = [lesion for lesion in figures.lesions if lesion.detected]
    missed = [lesion for lesion in figures.lesions if not lesion.detected]
    r = figures.pooled.log_lesion_volume_dice_r
    with sheet("dice") as drawn:
        axes = drawn.figure.subplots()
        _scatter(
            axes, [x.volume_mm3 / 1000 for x in detected], [x.dice for x in detected],
            label=f"detected ({len(detected)})",
        )  # fmt: skip
        axes.plot(
            [x.volume_mm3 / 1000 for x in missed], [-0.03] * len(missed), "|", color=ORANGE, markersize=8,
            label=f"missed ({len(missed)})",
        )  # fmt: skip
        axes.set(xscale="log", xlabel="volume of the metastasis, cm³", ylabel="Dice", ylim=(-0.07, 1.03))
        _write_plainly(axes.xaxis)
        drawn.figure.legend(loc="outside lower center", ncols=2)
    said = (
        f"{len(detected)} detected and {len(missed)} missed metastases; of the detected, log10 volume and "
        f"Dice correlate by r = {number(r)}."
    )
    return Plot("dice", "Dice of each metastasis over its volume", said, drawn.svg)


def plot_reliability(reliability: Reliability) -> Plot:
    """Draw the share of lesion among voxels of like output, and how many voxels there are."""
    bins = [one for one in reliability.bins if one.mean_output is not None]
    error = number(reliability.expected_calibration_error, 3)
    with sheet("reliability", height_in=4.6) as drawn:
        axes, counts = drawn.figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (2, 2)), label="calibrated")
        shares = [one.lesion_share for one in bins]
        axes.plot([one.mean_output for one in bins], shares, "o-", color=BLUE, label="all members")
        axes.set(ylabel="share that is metastasis", ylim=(-0.02, 1.02))
        axes.legend(loc="upper left")
        edges = [one.low for one in reliability.bins]
        widths = [one.high - one.low for one in reliability.bins]
        heights = [one.voxels for one in reliability.bins]
        counts.bar(edges, heights, widths, align="edge", color=BLUE, edgecolor=PAPER, linewidth=0.8)
        counts.set(xlabel="mean output of the members", ylabel="voxels", xlim=(0, 1))
        if any(heights):
            counts.set(yscale="log", ylim=(1, None))
    said = (
        f"Voxels with a mean output of at least {reliability.floor:g}; expected calibration error {error}. "
        "Below the dotted line the networks claim more than is there."
    )
    return Plot("reliability", "Reliability of the mean output", said, drawn.svg)


def plot_correlation(correlation: MemberCorrelation, kind: str) -> Plot:
    """Draw the heat map of the members' correlation: ``lesion_peaks`` or ``voxels``."""
    rows: Sequence[Sequence[float | None]] = getattr(correlation, kind)
    values = np.array([[np.nan if r is None else r for r in row] for row in rows], dtype=np.float64)
    numbers = [str(n + 1) for n in range(len(correlation.members))]
    names = [f"{ensemble_name(member)}  {n}" for n, member in zip(numbers, correlation.members, strict=True)]
    lowest = float(np.floor(10 * np.nanmin(values)) / 10) if np.isfinite(values).any() else 0.0
    lowest = min(lowest, 0.9)
    with sheet(f"correlation-{kind}", 6.6, 4.2) as drawn:
        axes = drawn.figure.subplots()
        drawn.figure.set_layout_engine("constrained", w_pad=LABEL_MARGIN_IN)
        axes.set_aspect("equal")
        axes.pcolormesh(values, cmap=HEAT, vmin=lowest, vmax=1, edgecolors=PAPER, linewidth=1.5)
        for (row, column), r in np.ndenumerate(values):
            dark = np.isfinite(r) and (r - lowest) / (1 - lowest) > DARK_CELL
            axes.text(
                column + 0.5, row + 0.5, number(None if np.isnan(r) else float(r)), ha="center", va="center",
                fontsize=8.5, color="#ffffff" if dark else "#1a1a1a" if np.isfinite(r) else INK,
            )  # fmt: skip
        centres = np.arange(len(numbers)) + 0.5
        axes.set_xticks(centres, numbers)
        axes.set_yticks(centres, names)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    what = {
        "lesion_peaks": "highest output inside each reference metastasis",
        "voxels": "output of voxels that any member takes for 0.05 or more",
    }[kind]
    return Plot(f"correlation-{kind}", f"Correlation of members: {what}", _say_correlation(values), drawn.svg)


def _say_correlation(values: Any) -> str:
    others = values[~np.eye(len(values), dtype=bool)]
    others = others[np.isfinite(others)]
    if not others.size:
        return "No two members can be compared."
    return (
        f"Between two members Pearson's r is {number(float(others.min()))} to {number(float(others.max()))}, "
        f"{number(float(np.median(others)))} in the median."
    )


def _volumes_cm3(figures: OperatingFigures) -> tuple[Any, Any]:
    studies = figures.studies
    reference = np.array([study.reference_volume_mm3 for study in studies]) / 1000
    return reference, np.array([study.predicted_volume_mm3 for study in studies]) / 1000


def _write_plainly(*logarithmic: Any) -> None:
    """Write 0.01 and not a power of ten."""
    for axis in logarithmic:
        axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))


def _scatter(axes: Any, x: Any, y: Any, label: str | None = None) -> None:
    axes.plot(x, y, "o", color=BLUE, alpha=0.6, markersize=5.5, markeredgewidth=0, label=label)
