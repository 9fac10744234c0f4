"""What other people's programs make of DICOM objects: David Clunie's validator and dcmqi's readers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray


def program(name: str) -> str:
    """Return the path of a program, of this environment's own first; skip the test without it."""
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def validation_errors(path: Path) -> list[str]:
    """Return the errors dciodvfy finds in a file."""
    run = subprocess.run([program("dciodvfy"), str(path)], capture_output=True, text=True)
    lines = (run.stdout + run.stderr).splitlines()
    assert lines, "the validator names at least the object's class"
    return [line for line in lines if "Error" in line]


def masks_read_by_dcmqi(seg: Path, folder: Path) -> dict[str, SimpleITK.Image]:
    """Return each segment's mask by its label."""
    command = [program("segimage2itkimage"), "--inputDICOM", str(seg), "--outputDirectory", str(folder)]
    subprocess.run([*command, "-t", "nrrd", "-p", "mask"], check=True, capture_output=True)
    groups = json.loads((folder / "mask-meta.json").read_text())["segmentAttributes"]
    return {
        segment["SegmentLabel"]: SimpleITK.ReadImage(str(folder / f"mask-{n}.nrrd")) == segment["labelID"]
        for n, group in enumerate(groups, 1)
        for segment in group
    }


def voxels_lps_mm(mask: SimpleITK.Image) -> NDArray[np.float64]:
    """Return the centres of a mask's voxels, shape (n, 3)."""
    indices = np.argwhere(SimpleITK.GetArrayFromImage(mask))[:, ::-1]
    return np.array([mask.TransformIndexToPhysicalPoint([int(n) for n in index]) for index in indices])


def measurements_read_by_dcmqi(sr: Path, folder: Path) -> list[dict[str, Any]]:
    """Return the measurement groups of a report: the summary, then one a lesion."""
    output = folder / "sr.json"
    command = [program("tid1500reader"), "--inputDICOM", str(sr), "--outputMetadata", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return list(json.loads(output.read_text())["Measurements"])


def values_of(group: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Return concept code -> value and unit of a measurement group."""
    return {
        item["quantity"]["CodeValue"]: (float(item["value"]), item["units"]["CodeValue"])
        for item in group["measurementItems"]
    }
