"""Plots of what is found: by size, against false positives, over thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluation.figures.pooled import OperatingFigures, SizeSensitivity
from evaluation.figures.sweeps import EnsembleSweep, SweepPoint
from evaluation.report import paper
from evaluation.report.drawing import BLUE, FAINT, GREEN, INK, ORANGE, PAPER, PURPLE, VERMILION, Plot, sheet
from evaluation.report.formats import (
    SIZE_NAMES,
    ensemble_name,
    false_positive_level,
    number,
    percent,
    structure_name,
)

MOST_FALSE_POSITIVES_SHOWN = 10.0
"""Right end of the FROC curve: beyond, nobody would read the findings."""

FEWEST_FALSE_POSITIVES_SHOWN = 0.02
"""Left end: one in fifty scans; a point without any is drawn there."""

COUNT_LIMIT = 12
"""Bars shown of the structures under false positives."""


def plot_sensitivity(figures: OperatingFigures) -> Plot:
    """Draw each size class with its interval, beside the paper's ensemble and readers."""
    rows = [row for row in figures.pooled.sensitivity if row.detected.value is not None]
    with sheet("sensitivity", width_in=7.2) as drawn:
        axes = drawn.figure.subplots()
        _draw_own_sensitivity(axes, rows)
        for n, row in enumerate(rows):
            ensemble, readers = paper.SENSITIVITY_SHARES.get(row.size, (None, None))
            if ensemble is not None:
                axes.plot(n + 0.18, 100 * ensemble, "s", color=VERMILION, markersize=6)
            if readers is not None:
                axes.plot(n + 0.34, 100 * readers, "^", color=GREEN, markersize=6.5)
        axes.plot([], [], "s", color=VERMILION, label="paper, ensemble (patients)")
        axes.plot([], [], "^", color=GREEN, label="paper, two readers (patients)")
        axes.set_xticks(range(len(rows)), [f"{SIZE_NAMES[r.size]}\nn = {r.detected.trials}" for r in rows])
        axes.set(xlabel="equivalent diameter", ylabel="detected, %", ylim=(0, 104))
        axes.grid(visible=False, axis="x")
        _legend_below(axes, 3)
    said = (
        "; ".join(f"{SIZE_NAMES[row.size]} {percent(row.detected.value)}" for row in rows) or "no metastases"
    )
    return Plot("sensitivity", "Sensitivity by size, with 95 % intervals over heads", f"{said}.", drawn.svg)


def _draw_own_sensitivity(axes: Any, rows: Sequence[SizeSensitivity]) -> None:
    for n, row in enumerate(rows):
        value = 100 * (row.detected.value or 0)
        low, high = row.bootstrap.low, row.bootstrap.high
        if low is not None and high is not None:
            axes.plot([n, n], [100 * low, 100 * high], color=BLUE, linewidth=2.2, solid_capstyle="butt")
        axes.plot(n, value, "o", color=BLUE, markersize=7, label="this run" if n == 0 else None)


def plot_froc(sweeps: Sequence[EnsembleSweep], threshold: float) -> Plot:
    """Draw sensitivity against false positives: all members, both inputs, and the released point."""
    shown = [sweep for sweep in sweeps if sweep.name in {"all", "t1_post", "subtraction"}]
    styles = {"all": (BLUE, "-"), "t1_post": (ORANGE, "--"), "subtraction": (GREEN, "-.")}
    with sheet("froc") as drawn:
        axes = drawn.figure.subplots()
        for sweep in shown:
            colour, line = styles[sweep.name]
            points = [point for point in sweep.points if point.sensitivity.all is not None]
            axes.plot(_false_positives(points), _detected(points), line, color=colour, label=_members(sweep))
        for sweep in shown[:1]:
            point = sweep.at(threshold)
            axes.plot(
                _false_positives([point]), _detected([point]), "o", color=BLUE, markersize=9,
                markeredgecolor=PAPER, markeredgewidth=1.5, label=f"released, threshold {threshold:g}",
            )  # fmt: skip
        axes.plot(
            paper.FP_PER_SCAN_VALUE,
            70.0,
            "s",
            color=VERMILION,
            markersize=7,
            label="paper, ensemble (patients)",
        )
        axes.set(
            xscale="log",
            xlim=(FEWEST_FALSE_POSITIVES_SHOWN, MOST_FALSE_POSITIVES_SHOWN),
            ylim=(0, 104),
            xlabel="false positives a scan (logarithmic)",
            ylabel="detected, %",
        )
        ticks = [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 10]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        _legend_below(axes, 2)
    return Plot("froc", "Free-response curve (FROC)", _say_froc(shown, threshold), drawn.svg)


def _say_froc(shown: Sequence[EnsembleSweep], threshold: float) -> str:
    if not shown:
        return "No ensemble was swept."
    levels = "; ".join(
        f"{false_positive_level(level)} at {level.fp_per_scan:g} false positives a scan"
        for level in shown[0].levels
    )
    point = shown[0].at(threshold)
    return (
        f"All members: {levels}. At threshold {threshold:g}: {percent(point.sensitivity.all)} at "
        f"{number(point.fp_per_scan)} false positives a scan."
    )


def plot_thresholds(sweep: EnsembleSweep, threshold: float) -> Plot:
    """Draw sensitivity, predictive value, Dice and false positives over the threshold."""
    at = [point.threshold for point in sweep.points]
    with sheet("thresholds", height_in=4.6) as drawn:
        shares, counts = drawn.figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        shares.plot(at, _detected(sweep.points), "-", color=BLUE, label="sensitivity, all")
        large = [_percent(point.sensitivity.ge_6mm) for point in sweep.points]
        shares.plot(at, large, "--", color=GREEN, label="sensitivity, ≥ 6 mm")
        shares.plot(at, [_percent(p.ppv) for p in sweep.points], "-.", color=ORANGE, label="PPV")
        dice = [_percent(p.median_dice) for p in sweep.points]
        shares.plot(at, dice, ":", color=PURPLE, label="median Dice × 100")
        shares.set(ylabel="%", ylim=(0, 104))
        counts.plot(at, [point.fp_per_scan for point in sweep.points], color=VERMILION)
        counts.set(xlabel="threshold of the mean output", ylabel="false positives\na scan", ylim=(0, None))
        for axes in (shares, counts):
            axes.axvline(threshold, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        shares.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, columnspacing=1.2, handlelength=2.2
        )
    first, last = sweep.points[0], sweep.points[-1]
    said = (
        f"From threshold {first.threshold:g} to {last.threshold:g}, sensitivity goes from "
        f"{percent(first.sensitivity.all)} to {percent(last.sensitivity.all)} and false positives a scan "
        f"from {number(first.fp_per_scan)} to {number(last.fp_per_scan)}. The dotted line is the released "
        "threshold."
    )
    return Plot("thresholds", "All members over the threshold", said, drawn.svg)


def plot_structures(figures: OperatingFigures) -> Plot | None:
    """Draw what the false positives sit on, most frequent first; None without any."""
    counts = (figures.false_positive_structures or ())[:COUNT_LIMIT]
    if not counts:
        return None
    with sheet("structures", height_in=0.9 + 0.3 * len(counts)) as drawn:
        axes = drawn.figure.subplots()
        places = range(len(counts))[::-1]
        axes.barh(places, [count.false_positives for count in counts], color=ORANGE, height=0.7)
        for place, count in zip(places, counts, strict=True):
            axes.annotate(
                str(count.false_positives), (count.false_positives, place), (4, 0),
                textcoords="offset points", va="center",
            )  # fmt: skip
        axes.set_yticks(places, [structure_name(count.structure) for count in counts])
        axes.set(xlabel="false positives in all scans")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_color(FAINT)
    said = ", ".join(f"{structure_name(count.structure)} {count.false_positives}" for count in counts)
    return Plot("structures", "False positives by structure", f"{said}.", drawn.svg)


def _detected(points: Sequence[SweepPoint]) -> list[float]:
    return [_percent(point.sensitivity.all) for point in points]


def _false_positives(points: Sequence[SweepPoint]) -> list[float]:
    return [max(point.fp_per_scan, FEWEST_FALSE_POSITIVES_SHOWN) for point in points]


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100 * value


def _members(sweep: EnsembleSweep) -> str:
    name = "all members" if sweep.name == "all" else f"{ensemble_name(sweep.name)} members"
    return f"{name} ({len(sweep.members)})"


def _legend_below(axes: Any, columns: int) -> None:
    axes.figure.legend(loc="outside lower center", ncols=columns, columnspacing=1.4)
