"""Writing the report: four files in a folder, the same bytes for the same results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.figures.results import EvaluationResults, Summary
from evaluation.report.csv_files import lesions_csv, scans_csv
from evaluation.report.page import render_page


@dataclass(frozen=True, slots=True)
class StressRun:
    """The same networks measured on other scans, for the stress table; no summary where all were refused."""

    name: str
    summary: Summary | None


def write_report(
    results: EvaluationResults, folder: Path, *, command: str, stress: Sequence[StressRun] = ()
) -> tuple[Path, ...]:
    """Write ``results.json``, ``lesions.csv``, ``scans.csv`` and ``report.html``.

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
        "lesions.csv": lesions_csv(results.released, results.header.members),
        "scans.csv": scans_csv(results.released),
        "report.html": render_page(results, command, [(run.name, run.summary) for run in stress]),
    }
    paths = []
    for name, content in contents.items():
        path = folder / name
        path.write_text(content, encoding="utf-8", newline="\n")
        paths.append(path)
    return tuple(paths)
