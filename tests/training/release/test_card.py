from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import InvalidInput
from evaluation.figures.results import EvaluationResults
from tests.evaluation.made_up_results import make_bare_results, make_results
from training.release.card import fill_card, render_figures
from training.release.evaluation import summarise


def figures(results: EvaluationResults, trained_on: frozenset[str] = frozenset()) -> str:
    return render_figures(results, summarise(results, trained_on)).replace("\N{NO-BREAK SPACE}", " ")


def words_of(results: EvaluationResults, trained_on: frozenset[str] = frozenset()) -> str:
    """The block on a single line: where it is wrapped does not matter."""
    return " ".join(figures(results, trained_on).split())


def test_only_what_stands_between_the_markers_is_replaced():
    card = "before <!-- figures -->\nold\n<!-- /figures --> after"
    assert fill_card(card, "new") == "before <!-- figures -->\n\nnew\n\n<!-- /figures --> after"


def test_a_filled_card_can_be_filled_again():
    card = "<!-- figures --><!-- /figures -->"
    assert fill_card(fill_card(card, "old"), "new") == fill_card(card, "new")


@pytest.mark.parametrize(
    "card",
    [
        "no markers",
        "<!-- figures --> no end",
        "no begin <!-- /figures -->",
        "<!-- /figures --> turned around <!-- figures -->",
        "<!-- figures --><!-- /figures --> twice <!-- figures --><!-- /figures -->",
        "<!-- figures --><!-- figures --><!-- /figures -->",
    ],
)
def test_a_card_without_one_pair_of_markers_is_refused(card):
    with pytest.raises(InvalidInput, match="expected one of each in this order"):
        fill_card(card, "figures")


def test_the_papers_figures_stand_beside_ours():
    (row,) = [
        line for line in figures(make_results()).splitlines() if line.startswith("| sensitivity, all |")
    ]
    assert "123 / 191" in row
    assert "496 / 708" in row


def test_the_operating_point_without_t1_has_its_own_table():
    assert "| T1-post alone (4) | 0.50 | 6 |" in figures(make_results())
    assert "T1-post alone" not in figures(replace(make_results(), t1_post_only=None))


def test_the_block_tells_what_was_measured():
    text = words_of(make_results())
    assert (
        "Cohort test-100 (synthetic studies, no patients; digest `a7a7a7a7a7a7`): 30 scans of 7 heads" in text
    )
    assert "2 more the service would have turned down (invalid input, no enhancement)" in text


@pytest.mark.parametrize(
    ("trained_on", "words"),
    [((), "none of them trained on"), (("head-1", "head-2", "head-9"), "2 of them trained on")],
)
def test_the_block_tells_whether_the_heads_were_held_out(trained_on, words):
    assert words in words_of(make_results(), frozenset(trained_on))


def test_patients_are_not_called_heads():
    results = make_results()
    patients = replace(results, header=replace(results.header, origin="patients"))
    assert "(patients' scans; digest `a7a7a7a7a7a7`): 30 scans of 7 patients" in words_of(patients)


def test_figures_that_are_undefined_are_dashes():
    (row,) = [
        line for line in figures(make_bare_results()).splitlines() if line.startswith("| sensitivity, all |")
    ]
    assert row.startswith("| sensitivity, all | – |")


def test_tables_are_markdown_with_equally_many_cells():
    rows = [line for line in figures(make_results()).splitlines() if line.startswith("|")]
    header, rule = rows[:2]
    assert rule == "| --- | --- | --- | --- |"
    assert {row.count(" | ") for row in rows[: rows.index(header) + 20]} == {3}


def test_a_cohorts_name_cannot_break_the_block():
    results = make_results()
    hostile = replace(results, header=replace(results.header, cohort="a | b <!-- /figures -->"))
    card = fill_card("<!-- figures --><!-- /figures -->", figures(hostile))
    assert card.count("<!-- /figures -->") == 1
