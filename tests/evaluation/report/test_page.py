import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from evaluation.figures.results import GroupSummary, SkippedStudy, SummarySensitivity
from evaluation.report import StressRun
from evaluation.report.page import render_page
from tests.evaluation.made_up_results import make_bare_results, make_results, rename_study

COMMAND = "metserve evaluate --cohort test.toml --out report"
NOTHING_FOUND = SummarySensitivity(0.0, 0.0, 0.0, 0.0)
HOSTILE = '"><img src=x onerror=alert(1)>&{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def results():
    return make_results()


@pytest.fixture(scope="module")
def page(results) -> str:
    return render_page(
        results, COMMAND, [StressRun("thick slices", replace(results.summary, fp_per_scan=1.25))]
    )


def parse(page: str) -> ET.Element:
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>"))


def text_of(page: str) -> str:
    words = " ".join("".join(parse(page).find("body").itertext()).split())
    return words.replace("\N{NO-BREAK SPACE}", " ")


def test_every_figure_of_the_summary_is_there(page, results):
    summary, said = results.summary, text_of(page)
    shares = (
        summary.sensitivity.all, summary.sensitivity.ge_3mm, summary.sensitivity.ge_5mm,
        summary.sensitivity.ge_6mm, summary.ppv,
    )  # fmt: skip
    for share in shares:
        assert f"{100 * share:.1f} %" in said
    for value in (summary.fp_per_scan, summary.median_dice, summary.volume_r, summary.count_r):
        assert f"{value:.2f}" in said
    assert f"{summary.median_hd95_mm:.1f} mm" in said
    assert f"{summary.n_studies} scans" in said
    assert f"{summary.n_lesions} metastases" in said


def test_the_paper_stands_beside_it(page):
    said = text_of(page)

    for figure in (
        "70.0 % (496 / 708)",
        "96.4 % (217 / 225)",
        "87.9 %",
        "0.75 (0.67–0.83)",
        "0.85 (0.80–0.89)",
    ):
        assert figure in said


def test_it_says_first_that_it_is_research_and_synthetic(page, results):
    notice = next(e for e in parse(page).iter("p") if e.get("class") == "notice")

    said = "".join(notice.itertext())
    assert results.header.research_use in said
    assert "does not follow from these figures" in " ".join(said.split())


def test_of_patients_it_says_neither_computed_nor_what_lies_under_false_positives(results):
    header = replace(results.header, origin="patients")
    released = replace(results.released, false_positive_structures=None)

    said = text_of(render_page(replace(results, header=header, released=released), COMMAND, []))

    assert "computed heads" not in said
    assert "Other patients" in said
    assert "Nobody knows what lies under" in said


def test_nothing_is_loaded(page):
    assert "http" not in page
    assert not re.search(r"@import|<link|<script|<img|<iframe|<image|\bsrc\s*=", page)
    references = re.findall(r"""(?:href=["']|url\()([^"')]*)""", page)
    assert references
    assert all(reference.startswith("#") for reference in references)


def test_every_reference_has_its_one_target(page):
    root = parse(page)
    ids = [e.get("id") for e in root.iter() if e.get("id")]

    assert len(ids) == len(set(ids))
    wanted = {r[1:] for r in re.findall(r"""(?:href=["']|url\()(#[^"')]*)""", page)}
    named = {i for e in root.iter() for i in (e.get("aria-labelledby") or "").split()}
    assert wanted | named <= set(ids)


def test_colours_follow_the_page(page):
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)

    assert len(drawings) == 11
    assert all("var(--ink)" in drawing and "<metadata" not in drawing for drawing in drawings)


def test_figures_and_tables_are_described(page):
    root = parse(page)

    assert all((e.get("aria-label") or "").endswith(".") for e in root.iter() if e.get("role") == "img")
    for table in root.iter("table"):
        assert "".join(table.find("caption").itertext())
        columns = table.findall("thead/tr/th")
        assert all(column.get("scope") == "col" for column in columns)
        for row in table.findall("tbody/tr"):
            assert len(row) == len(columns)
            assert row[0].get("scope") == "row"


def test_refused_studies_are_listed_with_their_reason(page):
    said = text_of(page)

    assert "2 of 32 studies could not be measured" in said
    assert "vessels exceed T1 by 0.01, expected at least 0.05" in said


def test_sensitivity_with_the_metastases_of_refused_studies_missed_is_said_where_they_are_known(results):
    known = replace(results, with_refused=SummarySensitivity(0.512, 0.6, 0.7, 0.803))

    assert "How many metastases were in them is not known of all" in text_of(
        render_page(results, COMMAND, [])
    )
    said = text_of(render_page(known, COMMAND, []))
    assert "counted as missed, sensitivity is 51.2 %, and 80.3 % of those of 6 mm or more" in said


def test_refused_studies_of_a_stress_cohort_are_listed(results):
    refused = SkippedStudy("truncated-000", "no_brain_found", "0.1 L, expected 0.3 to 3 L", (30.0, 80.0))
    stressed = replace(results, groups=(GroupSummary("stress", "truncated", (refused,), None),))

    page = render_page(stressed, COMMAND, [])

    row = next(r for r in parse(page).iter("tr") if "".join(r[0].itertext()) == "truncated-000")
    assert ["".join(cell.itertext()) for cell in row[1:4]] == ["stress, truncated", "2", "no brain found"]


def test_thresholds_near_1_keep_their_digits(page):
    heads = ["".join(row[0].itertext()) for row in parse(page).iter("tr")]

    assert {"0.95", "0.99", "0.9995"} <= set(heads)


def test_stress_cohorts_have_a_row(page):
    row = next(r for r in parse(page).iter("tr") if "".join(r[0].itertext()) == "thick slices")

    assert "1.25" in ["".join(cell.itertext()) for cell in row]


def test_a_stress_cohort_that_was_refused_whole_has_dashes(results):
    page = render_page(results, COMMAND, [StressRun("truncated (7 refused)", None, NOTHING_FOUND)])
    row = next(r for r in parse(page).iter("tr") if "".join(r[0].itertext()) == "truncated (7 refused)")

    first, *others, last = ["".join(cell.itertext()) for cell in row[1:]]
    assert first == "0"
    assert set(others) == {"–"}
    assert last == "0.0\N{NO-BREAK SPACE}%"


def test_the_command_is_printed(page):
    assert COMMAND in text_of(page)


def test_names_are_text_and_nothing_else(results):
    named = rename_study(results, HOSTILE)
    members = (HOSTILE, *results.header.members[1:])
    named = replace(named, correlation=replace(results.correlation, members=members))

    page = render_page(named, f"metserve evaluate {HOSTILE}", [StressRun(HOSTILE, results.summary)])

    assert "<img" not in page
    assert text_of(page).count(HOSTILE) >= 8


def test_the_same_results_give_the_same_page(page, results):
    again = type(results).from_json(results.to_json())

    assert (
        render_page(again, COMMAND, [StressRun("thick slices", replace(results.summary, fp_per_scan=1.25))])
        == page
    )


def test_figures_without_a_value_are_dashes():
    said = text_of(render_page(make_bare_results(), COMMAND, []))

    assert "None" not in said
    assert "nan" not in said.split()
    assert "There was no false positive." in said
    assert "Not measured in this run." in said
    assert "No study was refused." in said
