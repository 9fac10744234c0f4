"""Writing the report: five files in a folder, the same bytes for the same results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.figures.results import EvaluationResults
from evaluation.report.csv_files import lesions_csv, scans_csv
from evaluation.report.page import render_page
from evaluation.report.stress_run import StressRun


def write_report(
    results: EvaluationResults, folder: Path, *, command: str, stress: Sequence[StressRun] = ()
) -> tuple[Path, ...]:
    """Write ``results.json``, ``summary.json``, ``lesions.csv``, ``scans.csv`` and ``report.html``.

    Parameters
    ----------
    folder
        Made if missing; files of these names are replaced.
    command
        What a reader types to get the same results.
    stress
        Measured apart, each at its released operating point.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "results.json": results.to_json() + "\n",
        "summary.json": results.summary_json() + "\n",
        "lesions.csv": lesions_csv(results.released, results.header.members),
        "scans.csv": scans_csv(results.released),
        "report.html": render_page(results, command, stress),
    }
    paths = []
    for name, content in contents.items():
        path = folder / name
        path.write_text(content, encoding="utf-8", newline="\n")
        paths.append(path)
    return tuple(paths)
