import csv
import io
import json

import pytest

from evaluation.figures.results import EvaluationResults
from evaluation.report import StressRun, write_report
from evaluation.report.csv_files import scans_csv
from tests.evaluation.made_up_results import MEMBERS, make_results, rename_study


@pytest.fixture(scope="module")
def results():
    return make_results(12)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "new"
    write_report(results, path, command="metserve evaluate", stress=[StressRun("noise", results.summary)])
    return path


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_five_files_are_written(folder):
    names = sorted(path.name for path in folder.iterdir())

    assert names == ["lesions.csv", "report.html", "results.json", "scans.csv", "summary.json"]


def test_the_summary_says_what_was_measured_with_what(folder, results):
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    assert set(summary) == {
        "sensitivity", "fp_per_scan", "ppv", "median_dice", "median_hd95_mm", "volume_r", "count_r",
        "n_studies", "n_lesions", "threshold", "members", "cohort", "model_digest", "precision",
    }  # fmt: skip
    assert set(summary["sensitivity"]) == {"all", "ge_3mm", "ge_5mm", "ge_6mm"}
    assert summary["fp_per_scan"] == results.summary.fp_per_scan
    assert summary["cohort"] == results.header.cohort


def test_the_results_come_back(folder, results):
    text = (folder / "results.json").read_text(encoding="utf-8")

    assert EvaluationResults.from_json(text) == results


def test_each_lesion_has_a_row_with_every_members_peak(folder, results):
    rows = rows_of(folder / "lesions.csv")

    assert len(rows) == results.header.n_lesions
    first, lesion = rows[0], results.released.lesions[0]
    assert (first["study"], int(first["number"])) == (lesion.study, lesion.number)
    assert float(first["volume_mm3"]) == pytest.approx(lesion.volume_mm3, rel=1e-5)
    assert first["detected"] == str(int(lesion.detected))
    assert float(first[f"peak {MEMBERS[3]}"]) == pytest.approx(lesion.member_peaks[3], rel=1e-5)


def test_a_figure_without_a_value_is_an_empty_cell(folder, results):
    missed = next(n for n, lesion in enumerate(results.released.lesions) if not lesion.detected)

    assert rows_of(folder / "lesions.csv")[missed]["hd95_mm"] == ""


def test_each_scan_has_a_row(folder, results):
    rows = rows_of(folder / "scans.csv")

    assert [row["study"] for row in rows] == [study.name for study in results.released.studies]
    assert rows[3]["flags"] == "thick_slices"
    assert float(rows[3]["reference_volume_mm3"]) == pytest.approx(
        results.released.studies[3].reference_volume_mm3, rel=1e-5
    )


def test_a_spreadsheet_runs_no_name(results):
    named = rename_study(results, '=HYPERLINK("x")')

    first = next(csv.DictReader(io.StringIO(scans_csv(named.released))))

    assert first["study"] == '\'=HYPERLINK("x")'


def test_the_same_results_give_the_same_bytes(folder, results, tmp_path):
    again = EvaluationResults.from_json(results.to_json())
    write_report(again, tmp_path, command="metserve evaluate", stress=[StressRun("noise", again.summary)])

    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
