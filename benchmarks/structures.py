"""What volume a small lesion has in a planning system: spheres as structure sets, ours and rt-utils'.

    python -m benchmarks.structures [--spheres 12] [--seed 0] [--json FILE]

Spheres of known volume become a structure set; plastimatch (Debian package of that name) rasterises it on
pixels of 0.1 mm, as an independent planning system would. rt-utils draws the same masks in an environment of
its own, .tools/rt-utils, which is made if missing. Exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset

from benchmarks.spheres import (
    CENTRES,
    DIAMETERS_MM,
    FOUND,
    Sphere,
    Triple,
    find,
    grid_for,
    lay_out,
    volumes_in_cells,
)
from core.geometry import Grid
from core.lesion import FindingsReport, ModelIdentity
from core.provenance import Provenance
from core.results import StructureStyle
from core.study import AnalysisMode
from core.uids import derive_uid
from phantom.classic_mr import classic_datasets
from phantom.mr_headers import SeriesHeader
from worker.encoding import EncodingSources, to_bytes
from worker.encoding.codes import DEFAULT_SITE_CODES
from worker.encoding.identity import read_identity
from worker.encoding.part10 import file_meta_for
from worker.encoding.provenance import Stamp
from worker.encoding.structures.build import build_structure_set
from worker.encoding.structures.verify import verify_structure_set
from worker.lesions import Findings
from worker.volumes import SliceReference

Errors = dict[str, tuple[float, float]]
"""Relative errors of the volume by what was measured: their mean and the largest."""

SPACINGS_KJI_MM = ((1.0, 1.0, 1.0), (1.5, 0.7, 0.7))
FINE_MM = 0.1
"""Pixels on which contours are rasterised, in their own planes."""

GOALS = ((5.0, 0.10), (3.0, 0.20))
"""Smallest diameter in mm, and the largest mean error of the volume from there to the next goal."""

VOXELS, OURS, THEIRS = "voxels", "metserve", "rt-utils"

RT_UTILS = Path(".tools/rt-utils")
DRAW_WITH_RT_UTILS = """
import sys, numpy
from rt_utils import RTStructBuilder
folder, masks, target = sys.argv[1:]
structure_set = RTStructBuilder.create_new(dicom_series_path=folder)
labels = numpy.load(masks)
for n in range(1, labels.max() + 1):
    mask = numpy.ascontiguousarray((labels == n).transpose(1, 2, 0))
    structure_set.add_roi(mask=mask, name=f"BM{n:02d}")
structure_set.save(target)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured over the spheres of a size."""

    masks: str
    spacing_kji_mm: Triple
    diameter_mm: float
    errors: Errors


def main() -> None:
    """Measure, print a table, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spheres", type=int, default=12, help="of every size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    rows = [
        row
        for masks in (CENTRES, FOUND)
        for spacing_kji_mm in SPACINGS_KJI_MM
        for row in measure(masks, spacing_kji_mm, options.spheres, options.seed)
    ]
    print(as_markdown(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    missed = missed_goals(rows)
    print("\n".join(missed) or "every goal is met")
    sys.exit(1 if missed else 0)


def measure(masks: str, spacing_kji_mm: Triple, count: int, seed: int) -> list[Row]:
    """Return a row for every diameter on one grid."""
    spheres = lay_out(count, np.random.default_rng(seed))
    grid = grid_for(spheres, spacing_kji_mm)
    findings = find(spheres, grid, masks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = write_series(grid, folder / "images")
        write_ours(findings, images, folder / f"{OURS}.dcm")
        draw_with_rt_utils(findings, folder)
        fine = fine_grid(grid)
        ours, theirs = (rasterise(folder / f"{who}.dcm", folder, fine) for who in (OURS, THEIRS))
    measured = {VOXELS: (findings.label_map_kji > 0, grid), OURS: (ours, fine), THEIRS: (theirs, fine)}
    volumes = {what: volumes_in_cells(mask, on, spheres) for what, (mask, on) in measured.items()}
    return [
        Row(masks, spacing_kji_mm, diameter_mm, errors)
        for diameter_mm, errors in summarise(spheres, volumes).items()
    ]


def write_series(grid: Grid, folder: Path) -> tuple[Dataset, ...]:
    """Write the grid as a series of empty MR images and return them in its order."""
    header = SeriesHeader(
        patient_name="SPHERES",
        patient_id="SPHERES",
        study_date="20260105",
        study_instance_uid=derive_uid("spheres", "study"),
        series_instance_uid=derive_uid("spheres", "series"),
        frame_of_reference_uid=derive_uid("spheres", "frame of reference"),
        instance_uid_of=lambda number: derive_uid("spheres", "image", str(number)),
        concept_uid_of=lambda kind: derive_uid("spheres", kind),
        series_number=1,
        series_description="SPHERES",
        acquisition_time="101500",
        has_contrast=True,
    )
    folder.mkdir()
    images = tuple(classic_datasets(np.zeros(grid.shape_kji, dtype="<u2"), grid, header))
    for number, image in enumerate(images):
        image.file_meta = file_meta_for(image)
        (folder / f"{number:04d}.dcm").write_bytes(to_bytes(image))
    return images


def write_ours(findings: Findings, images: tuple[Dataset, ...], path: Path) -> None:
    """Write metserve's structure set."""
    slices = tuple(SliceReference(str(i.SOPClassUID), str(i.SOPInstanceUID), None) for i in images)
    sources = EncodingSources(images, None, slices)
    model = ModelIdentity("spheres", "1", "0" * 64, "full")
    study_uid, series_uid = str(images[0].StudyInstanceUID), str(images[0].SeriesInstanceUID)
    provenance = Provenance(study_uid, 1, model, "0", datetime(2026, 1, 5, tzinfo=UTC))
    mode = AnalysisMode.T1_POST_ONLY
    lesions = findings.lesions
    report = FindingsReport(study_uid, series_uid, 1, mode, 0.5, model, lesions, (), None, 0.0, "0")
    style = StructureStyle.NEUTRAL
    built = build_structure_set(findings, report, sources, provenance, style)
    stamp = Stamp(read_identity(images[0]), provenance, DEFAULT_SITE_CODES)
    content = to_bytes(stamp.applied_to(built))
    verify_structure_set(content, findings, sources, style)
    path.write_bytes(content)


def draw_with_rt_utils(findings: Findings, folder: Path) -> None:
    """Let rt-utils write the same masks."""
    python = RT_UTILS / "bin" / "python"
    if not python.exists():
        venv.create(RT_UTILS, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "rt-utils==1.2.7"], check=True)
    np.save(folder / "masks.npy", findings.label_map_kji)
    arguments = [folder / "images", folder / "masks.npy", folder / f"{THEIRS}.dcm"]
    subprocess.run([python, "-c", DRAW_WITH_RT_UTILS, *map(str, arguments)], check=True, capture_output=True)


def fine_grid(grid: Grid) -> Grid:
    """Return fine pixels in the same slices."""
    slices, rows, columns = grid.shape_kji
    _, row_mm, column_mm = grid.spacing_kji_mm
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[1, 1] = affine[0, 2] = FINE_MM
    affine[:2, 3] = FINE_MM / 2
    return Grid((slices, round(rows * row_mm / FINE_MM), round(columns * column_mm / FINE_MM)), affine)


def rasterise(structure_set: Path, folder: Path, grid: Grid) -> NDArray[np.bool_]:
    """Return what plastimatch finds inside the contours, on an axial grid."""
    fixed = SimpleITK.Image(grid.shape_kji[::-1], SimpleITK.sitkUInt8)
    fixed.SetSpacing(grid.spacing_kji_mm[::-1])
    fixed.SetOrigin(grid.affine_kji_to_lps_mm[:3, 3].tolist())
    SimpleITK.WriteImage(fixed, folder / "fixed.mha")
    command = ["plastimatch", "convert", "--input", structure_set, "--fixed", folder / "fixed.mha"]
    output = folder / f"{structure_set.stem}.mha"
    command += ["--referenced-ct", folder / "images", "--output-labelmap", output]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(output)) > 0
    if mask.shape != grid.shape_kji:
        raise ValueError(f"plastimatch wrote an image of {mask.shape}, expected {grid.shape_kji}")
    return np.asarray(mask)


def summarise(spheres: Sequence[Sphere], volumes: dict[str, list[float]]) -> dict[float, Errors]:
    """Return relative errors by diameter."""
    truth_mm3 = np.array([sphere.volume_mm3 for sphere in spheres])
    errors: dict[float, Errors] = {}
    for diameter_mm in DIAMETERS_MM:
        of_size = [n for n, sphere in enumerate(spheres) if sphere.diameter_mm == diameter_mm]
        for what, volumes_mm3 in volumes.items():
            relative = (np.array(volumes_mm3) / truth_mm3 - 1)[of_size]
            worst = relative[np.abs(relative).argmax()]
            errors.setdefault(diameter_mm, {})[what] = (float(relative.mean()), float(worst))
    return errors


def missed_goals(rows: Sequence[Row]) -> list[str]:
    """Return a line for every mean error beyond its goal."""
    missed = []
    for row in rows:
        goal = next((goal for smallest_mm, goal in GOALS if row.diameter_mm >= smallest_mm), None)
        mean = row.errors[OURS][0]
        if row.masks == CENTRES and goal is not None and abs(mean) > goal:
            missed.append(f"{row.diameter_mm:g} mm: {mean:+.0%}, goal {goal:.0%}")
    return missed


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    heads = [f"{what}, {value}" for what in (VOXELS, OURS, THEIRS) for value in ("mean", "worst")]
    lines = [
        "| " + " | ".join(["masks", "voxel, mm", "diameter, mm", *heads]) + " |",
        "|---" * (3 + len(heads)) + "|",
    ]
    for row in rows:
        voxel = " × ".join(f"{edge:g}" for edge in reversed(row.spacing_kji_mm))
        errors = [f"{error:+.0%}" for what in (VOXELS, OURS, THEIRS) for error in row.errors[what]]
        lines.append("| " + " | ".join([row.masks, voxel, f"{row.diameter_mm:g}", *errors]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
