"""Other people's programs that read structure sets, compare objects and check reports."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
import SimpleITK

from tests.judges import program

PIXELMED = Path("/usr/share/java/pixelmed.jar")
PIXELMED_LIMITS = [f"-Djdk.xml.xpath{limit}=0" for limit in ("ExprGrpLimit", "ExprOpLimit", "TotalOpLimit")]
"""Java refuses the validator's own style sheets as too large without them."""


def regions_read_by_plastimatch(rtstruct: Path, images: Path, folder: Path) -> dict[str, SimpleITK.Image]:
    """Return each region's mask on the images' grid, by its name.

    Parameters
    ----------
    images
        Folder of the classic images that the regions were drawn in.
    """
    command = [program("plastimatch"), "convert", "--input", str(rtstruct), "--referenced-ct", str(images)]
    command += ["--output-prefix", str(folder), "--prefix-format", "nrrd"]
    subprocess.run(command, check=True, capture_output=True)
    return {path.stem: SimpleITK.ReadImage(str(path)) for path in sorted(folder.glob("*.nrrd"))}


def remarks_of_dcentvfy(paths: Iterable[Path]) -> list[str]:
    """Return what the validator of entities says of files that belong to one patient."""
    command = [program("dcentvfy"), *(str(path) for path in paths)]
    run = subprocess.run(command, capture_output=True, text=True)
    return [re.sub(r" for file <.*", "", line) for line in (run.stdout + run.stderr).splitlines() if line]


def remarks_of_pixelmed(report: Path) -> list[str]:
    """Return the errors and warnings of PixelMed's validator of structured reports, each kind once."""
    if not PIXELMED.exists():
        pytest.skip("PixelMed is not installed")
    command = [program("java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *PIXELMED_LIMITS]
    command += ["-cp", str(PIXELMED), "com.pixelmed.validate.DicomSRValidator", str(report)]
    run = subprocess.run(command, capture_output=True, text=True)
    lines = (run.stdout + run.stderr).splitlines()
    assert "IOD validation complete" in lines, f"the validator did not finish: {lines[:3]}"
    said = [line for line in lines if line.startswith(("Error", "Warning"))]
    return sorted({_without_place(line) for line in said})


def _without_place(line: str) -> str:
    """Return a remark without the place in the tree, but for the group that an error lies in."""
    line = re.sub(r"within (?:\d+\.)*(\d+): /.*?/CONTAINER \(125007,\S+ \S+\): ", r"in group \1: ", line)
    return re.sub(r"(?:\d+\.)+\d+: /.*/(?=[A-Z0-9]+ \()", "", line)


def judge_versions() -> dict[str, str]:
    """Return the versions of the programs and of the readers between them and the tests."""
    return {
        "dcmqi": version("dcmqi"),
        "dicom3tools": _said_by(["dciodvfy", "-version"], r"Version: (\S+)"),
        "PixelMed": PIXELMED.resolve().stem.removeprefix("pixelmed-"),
        "plastimatch": _said_by(["plastimatch", "--version"], r"version (\S+)"),
        "SimpleITK": version("SimpleITK"),
    }


def _said_by(command: Sequence[str], pattern: str) -> str:
    run = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True)
    found = re.search(pattern, run.stdout + run.stderr)
    assert found, f"{command[0]} does not say its version"
    return found[1]
