import pytest

from evaluation.figures.pooled import Distribution, Estimate, Proportion
from evaluation.figures.sweeps import FalsePositiveLevel
from evaluation.report.formats import (
    ensemble_name,
    estimate,
    false_positive_level,
    interval,
    mean,
    median,
    number,
    percent,
    proportion,
    structure_name,
)
from tests.evaluation.made_up_results import NO_LEVEL


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(1.239), "1.24"),
        (number(-0.001), "0.00"),
        (number(-2.5, 1, "mm"), "-2.5 mm"),
        (percent(0.7005), "70.0 %"),
        (interval(0.1, 0.25, 1, 100), "(10.0 to 25.0)"),
        (interval(None, 0.25), ""),
        (proportion(Proportion(496, 708, 0.7006, 0.6659, 0.7332)), "70.1 % (66.6 to 73.3), 496 / 708"),
        (estimate(Estimate(0.46, 0.31, 0.64, 20)), "0.46 (0.31 to 0.64, 20 heads)"),
        (estimate(Estimate(0.46, None, None, 1)), "0.46"),
        (
            false_positive_level(FalsePositiveLevel(0.5, Estimate(0.61, 0.5, 0.7, 20), reached=True)),
            "61.0 % (50.0 to 70.0, 20 heads)",
        ),
        (
            false_positive_level(FalsePositiveLevel(0.5, Estimate(0.79, None, None, 20), reached=False)),
            "≤ 79.0 %, not reached",
        ),
        (median(Distribution(9, 0.7, 0.1, 0.75, 0.67, 0.83)), "0.75 (0.67 to 0.83)"),
        (mean(Distribution(9, 1.9, 1.6, 1.5, 1.0, 2.0), 1, "mm"), "1.9 ± 1.6 mm"),
        (mean(Distribution(1, 0.825, None, 0.8, 0.8, 0.8), 1, "%", 100), "82.5 %"),
        (ensemble_name("t1_post-balanced_cross_entropy"), "T1-post, balanced cross entropy"),
        (ensemble_name("subtraction-soft_dice"), "subtraction, soft Dice"),
        (structure_name("CHOROID_PLEXUS"), "choroid plexus"),
        (structure_name("NONE"), "nothing that enhances"),
    ],
)
def test_figures_are_written_as_people_read_them(written, expected):
    assert plain(written) == expected


def test_a_figure_without_a_value_is_a_dash():
    nothing = Distribution(0, None, None, None, None, None)

    assert number(None) == percent(None) == mean(nothing) == median(nothing) == "–"
    assert proportion(Proportion(0, 0, None, None, None)) == "–"
    assert estimate(Estimate(None, None, None, 0)) == false_positive_level(NO_LEVEL) == "–"
