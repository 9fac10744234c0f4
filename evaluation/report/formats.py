"""Figures as people read them; a figure without a value is a dash."""

from __future__ import annotations

from evaluation.figures.pooled import Distribution, Estimate, Proportion
from evaluation.figures.sweeps import FalsePositiveLevel

NO_VALUE = "–"
MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"

SIZE_NAMES = {
    "all": "all",
    "lt_3mm": "< 3 mm",
    "lt_5mm": "< 5 mm",
    "lt_6mm": "< 6 mm",
    "from_3_to_6mm": "3–6 mm",
    "from_6_to_10mm": "6–10 mm",
    "ge_3mm": "≥ 3 mm",
    "ge_5mm": "≥ 5 mm",
    "ge_6mm": "≥ 6 mm",
    "ge_10mm": "≥ 10 mm",
}
"""Size class -> what a reader calls it (equivalent diameter)."""


def number(value: float | None, decimals: int = 2, unit: str = "") -> str:
    """Write 1.234 as ``1.23``, with its unit on the same line; never a negative zero."""
    if value is None:
        return NO_VALUE
    text = f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)
    return f"{text}{NO_BREAK}{unit}" if unit else text


def percent(value: float | None, decimals: int = 1) -> str:
    """Write a share of 0..1 in percent."""
    return NO_VALUE if value is None else number(100 * value, decimals, "%")


def interval(low: float | None, high: float | None, decimals: int = 2, scale: float = 1.0) -> str:
    """Write ``(0.12 to 0.34)``, or nothing."""
    if low is None or high is None:
        return ""
    return f"({number(scale * low, decimals)} to {number(scale * high, decimals)})"


def proportion(figure: Proportion) -> str:
    """Write ``70.0 % (66.5 to 73.3), 496 / 708``."""
    if figure.value is None:
        return NO_VALUE
    limits = interval(figure.low, figure.high, 1, 100)
    return f"{percent(figure.value)} {limits}, {figure.events} / {figure.trials}"


def estimate(figure: Estimate, decimals: int = 2) -> str:
    """Write ``0.46 (0.31 to 0.64, 20 heads)``."""
    return f"{number(figure.value, decimals)} {estimate_interval(figure, decimals)}".strip()


def estimate_interval(figure: Estimate, decimals: int = 2, scale: float = 1.0) -> str:
    """Write ``(0.31 to 0.64, 20 heads)``, or nothing."""
    limits = interval(figure.low, figure.high, decimals, scale)
    return limits and f"{limits.removesuffix(')')}, {figure.n_anatomies}{NO_BREAK}heads)"


def false_positive_level(level: FalsePositiveLevel) -> str:
    """Write ``61.0 % (52.1 to 68.8, 20 heads)``, or that the curve does not get to so few false positives."""
    figure = level.sensitivity
    if figure.value is None:
        return NO_VALUE
    if not level.reached:
        return f"≤ {percent(figure.value)}, not reached"
    return f"{percent(figure.value)} {estimate_interval(figure, 1, 100)}".strip()


def median(figure: Distribution, decimals: int = 2, unit: str = "") -> str:
    """Write ``0.75 (0.67 to 0.83)``: median and quartiles."""
    limits = interval(figure.q1, figure.q3, decimals)
    return f"{number(figure.median, decimals, unit)} {limits}".strip()


def mean(figure: Distribution, decimals: int = 2, unit: str = "", scale: float = 1.0) -> str:
    """Write ``0.73 ± 0.14``: mean and standard deviation."""
    if figure.mean is None:
        return NO_VALUE
    spread = "" if figure.sd is None else f" ± {number(scale * figure.sd, decimals)}"
    return f"{number(scale * figure.mean, decimals)}{spread}{NO_BREAK * bool(unit)}{unit}"


def ensemble_name(name: str) -> str:
    """Write ``t1_post-soft_dice`` as ``T1-post, soft Dice``."""
    return ", ".join(
        part.replace("t1_post", "T1-post").replace("dice", "Dice").replace("_", " ")
        for part in name.split("-")
    )


def structure_name(name: str) -> str:
    """Write the name of an ``Enhancing``."""
    return "nothing that enhances" if name == "NONE" else words(name)


def words(name: str) -> str:
    """Write an identifier as words: ``CHOROID_PLEXUS`` as ``choroid plexus``."""
    return name.replace("_", " ").lower()
