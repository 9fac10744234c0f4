"""The demo's study: made of the MNI152 head, or of a T1 series the user has."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from cli.analyze import with_cache_of_user
from cli.folders import read_study_folder
from core.errors import InvalidInput
from core.geometry import Grid
from core.settings import CommonSettings, WorkerSettings, load
from core.study import Series
from phantom.dicom import PhantomIdentity, write_study, write_truth
from phantom.head import Head, head_from_volume
from phantom.study import PhantomSpec, PhantomStudy, generate_study
from worker.canonical import canonical_grid
from worker.main import open_models
from worker.resampling import resample_linear
from worker.stage_context import read_instance
from worker.volumes import load_volume

MARKER = ".metserve-demo"
"""Says that a folder is a demo's and may be emptied by the next one."""

LEAST_IMAGES = 20
"""A series with fewer images is a localiser, not a head."""


@dataclass(frozen=True)
class DemoRequest:
    """What the user asked for; see `metserve demo --help`."""

    out: Path
    seed: int
    source: Path | None
    spacing_kji_mm: tuple[float, float, float]
    oblique_deg: float
    profile: str | None


def make_study(request: DemoRequest, console: Console) -> tuple[PhantomStudy, PhantomIdentity, Path]:
    """Make the study and write it as DICOM; return it, its identity, and the folder of its images.

    Raises
    ------
    InvalidInput
        The series to build on is not a readable head.
    """
    spec = PhantomSpec(
        seed=request.seed, spacing_kji_mm=request.spacing_kji_mm, oblique_deg=request.oblique_deg
    )
    prepare_folder(request.out)
    anatomy = "MNI152" if request.source is None else str(request.source)
    console.print(f"making a study with known lesions: seed {request.seed}, anatomy {anatomy}")
    head = None if request.source is None else head_of(request.source)
    study = generate_study(spec, head)
    identity = PhantomIdentity.of(spec, anatomy)
    folder = request.out / "study"
    paths = write_study(study, folder, identity=identity)
    truth = write_truth(study, request.out)
    console.print(f"{len(paths)} images in {folder}, the truth in {truth}")
    return study, identity, folder


def prepare_folder(out: Path) -> None:
    """Empty an earlier demo's folder, or make a new one; somebody's own files are never removed.

    Raises
    ------
    InvalidInput
        The folder holds something, and no demo made it.
    """
    marker = out / MARKER
    if out.exists() and not marker.is_file() and any(out.iterdir()):
        raise InvalidInput(f"{out} is not empty and no earlier demo made it; expected a new or empty folder")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    marker.write_text("Made by `metserve demo`, which empties this folder each time.\n", encoding="utf-8")


def head_of(folder: Path) -> Head:
    """Read the largest MR series of a folder and find its brain."""
    found = read_study_folder(folder)
    series = max(found.study.series, key=_number_of_images)
    if _number_of_images(series) < LEAST_IMAGES:
        raise InvalidInput(
            f"{folder}: the largest MR series has {_number_of_images(series)} images, "
            f"expected a T1 of a whole head with at least {LEAST_IMAGES}"
        )
    paths = [found.paths[header.sop_instance_uid] for header in series.instances]
    volume = load_volume([read_instance(path, with_pixels=True) for path in paths])
    return head_from_volume(volume.voxels_kji, volume.grid, _brain_mask(volume.voxels_kji, volume.grid))


def _number_of_images(series: Series) -> int:
    return sum(header.number_of_frames for header in series.instances if header.modality == "MR")


def _brain_mask(voxels_kji: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """Find the brain with the released network; phantom itself knows no network."""
    models = open_models(load(CommonSettings), with_cache_of_user(load(WorkerSettings, profile="preview")))
    target = canonical_grid(grid, models.ensemble.input_spec.spacing_mm)
    mask = models.brain(resample_linear(voxels_kji, grid, target), target)
    return resample_linear(mask.astype(np.float32), target, grid) >= 0.5  # half of the voxel is brain
