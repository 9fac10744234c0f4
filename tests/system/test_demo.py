"""`metserve demo` as a newcomer runs it: every member, the released stride, found against inserted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.peers import REPOSITORY, free_port

pytestmark = [pytest.mark.system, pytest.mark.full_ensemble, pytest.mark.timeout(1800)]

LEAST_SENSITIVITY = 0.8
"""Share of the lesions above 6 mm."""

LARGEST_MEDIAN_VOLUME_ERROR_PERCENT = 30


def test_the_demo_finds_the_lesions_it_inserted(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    told = run_demo(out, tmp_path / "data")
    found, inserted = numbers(r"above 6 mm: (\d+) of (\d+) found", told)
    assert inserted > 0
    assert found >= LEAST_SENSITIVITY * inserted
    (error_percent,) = numbers(r"median volume error above 6 mm: (\d+)%", told)
    assert error_percent <= LARGEST_MEDIAN_VOLUME_ERROR_PERCENT
    assert "found against inserted" in told
    assert "profile full" in told
    assert {
        "seg.dcm",
        "rtstruct.dcm",
        "sr.dcm",
        "overview.dcm",
        "pdf.dcm",
        "findings.json",
        "truth.json",
    } <= {path.name for path in out.iterdir()}


def run_demo(out: Path, data: Path) -> str:
    """Run it in an environment without settings; return what it told."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METSERVE_")}
    environment |= {
        "METSERVE_API_PORT": str(free_port()),  # nobody answers there, so the demo starts its own service
        "METSERVE_DATA_DIR": str(data),
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "cli.main", "demo", "--out", str(out), "--seed", "0"]
    run = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def numbers(pattern: str, text: str) -> list[int]:
    match = re.search(pattern, text)
    assert match is not None, f"the demo did not tell {pattern!r}"
    return [int(group) for group in match.groups()]
