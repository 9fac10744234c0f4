"""Run the conformance matrix and write what other programs read to docs/conformance."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.conformance.geometries import GEOMETRIES, Geometry  # noqa: E402
from tests.conformance.outside_judges import judge_versions  # noqa: E402

FOLDER = ROOT / "docs" / "conformance"
BEGIN, END = "<!-- begin: written by scripts/conformance.py -->", "<!-- end -->"

Figures = dict[str, dict[str, Any]]


class Collector:
    """A pytest plugin: keeps the figures that passing tests leave, and counts the outcomes."""

    def __init__(self) -> None:
        self.figures: Figures = {}
        self.outcomes = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one test's figures, from failed ones too: a bad figure is to be seen."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == "conformance":
                case, figures = value
                self.figures.setdefault(case, {}).update(figures)


def main() -> int:
    """Write results.json and the table of the README; fail unless every test ran and passed."""
    collector = Collector()
    code = pytest.main(["-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "conformance")], [collector])
    results = {
        "judges": judge_versions(),
        "tests": collector.outcomes,
        "geometries": {g.name: _described(g) | collector.figures.get(g.name, {}) for g in GEOMETRIES},
        "refused": collector.figures.pop("refused", {}),
        "studies": {
            name: figures
            for name, figures in collector.figures.items()
            if name not in {geometry.name for geometry in GEOMETRIES}
        },
    }
    _write(results)
    return int(code) or int(collector.outcomes["skipped"] > 0)


def _described(geometry: Geometry) -> dict[str, Any]:
    return {
        "kind": str(geometry.kind),
        "matrix_kji": list(geometry.shape_kji),
        "orientation": [v for axis in geometry.orientation for v in axis],
        "order": str(geometry.order),
        "patient_position": geometry.patient_position,
        "spacing_kji_mm": list(geometry.spacing_kji_mm),
    }


def _write(results: Mapping[str, Any]) -> None:
    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False)
    (FOLDER / "results.json").write_text(text + "\n", encoding="utf-8")
    readme = FOLDER / "README.md"
    head, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, tail = rest.split(END)
    readme.write_text(f"{head}{BEGIN}\n{_table(results)}\n{END}{tail}", encoding="utf-8")


def _table(results: Mapping[str, Any]) -> str:
    counted = ", ".join(f"{n} {outcome}" for outcome, n in results["tests"].items())
    judges = ", ".join(f"{name} {version}" for name, version in results["judges"].items())
    lines = [f"Tests: {counted}. Judges: {judges}.", ""]
    columns = ["geometry", "SEG centroid mm", "SEG volume %", "RTSTRUCT centroid mm", "RTSTRUCT volume %"]
    columns += ["SR volume %", "sides right", "validator errors"]
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join(lines + [_row(name, case) for name, case in results["geometries"].items()])


def _row(name: str, case: Mapping[str, Any]) -> str:
    seg, regions, report = (case.get(kind, {}) for kind in ("seg", "rtstruct", "sr"))
    sides = all(kind.get("lateralities_right", False) for kind in (seg, regions))
    errors = case.get("validators", {}).get("dciodvfy_errors")
    figures = [
        *(
            kind.get(key, "-")
            for kind in (seg, regions)
            for key in ("centroid_error_mm", "volume_error_percent")
        ),
        report.get("volume_error_percent", "-"),
        "yes" if sides else "no",
        "-" if errors is None else sum(errors.values()),
    ]
    return f"| {name} | " + " | ".join(str(figure) for figure in figures) + " |"


if __name__ == "__main__":
    sys.exit(main())
