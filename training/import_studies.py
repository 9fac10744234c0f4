"""python -m training.import_studies FOLDER --out POOL: real studies, prepared as the synthetic ones are.

Needs no torch, but what the worker needs: each study goes through the worker's own preparation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cli.chosen_study import choose_dicom_study
from core.errors import InvalidInput, UnsuitableStudy
from core.geometry import Grid
from core.headers import quiet_pydicom
from core.settings import bundled_models_dir
from evaluation.cohorts.case import close_gaps
from evaluation.cohorts.imported.cohort import read_study, study_folders
from evaluation.cohorts.imported.study import ImportedStudy, read_options
from evaluation.inference.preparation import Preparation
from training.prepared import PreparedStudy
from worker.brain import NetworkBrainExtraction
from worker.model_set import verify_model_set
from worker.resampling import resample_linear
from worker.sessions import choose_engine

Box = tuple[slice, ...]

RECIPE = "imported"
"""``PreparedStudy.recipe`` of a scan that nobody synthesised."""

HALF_FILLED = 0.5
"""Share of a 1 mm voxel from which it is lesion."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """One study: written with its number of lesions, or ``refused`` with the reason."""

    name: str
    lesions: int
    refused: str | None


def import_studies(folder: Path, pool: Path, preparation: Preparation) -> Iterator[ImportOutcome]:
    """Write each study of a folder into a training pool; a bad one is reported and the others go on.

    Parameters
    ----------
    folder
        As for ``evaluation.cohorts.imported.cohort.open_imported``.
    pool
        Gets a folder for each study, in the format of ``training.prepared``.
    preparation
        From the folder's own options: ``Preparation.of``.

    Raises
    ------
    InvalidInput
        The folder has no studies, or options that cannot be used.
    """
    options = read_options(folder)
    for study_folder in study_folders(folder):
        try:
            study = read_study(study_folder, options, choose_dicom_study)
            prepared = prepare_for_training(study, preparation)
        except (InvalidInput, UnsuitableStudy) as error:
            yield ImportOutcome(study_folder.name, 0, str(error))
            continue
        prepared.write(pool / study.name)
        yield ImportOutcome(study.name, len(prepared.lesions), None)


def prepare_for_training(study: ImportedStudy, preparation: Preparation) -> PreparedStudy:
    """Prepare a study as the service would, and bring its reference onto the analysis grid.

    Raises
    ------
    InvalidInput
        There is no T1, or none that could be registered: the pool trains the subtraction members too.
    UnsuitableStudy
        The service would turn the study down.
    """
    prepared = preparation.prepare(study.t1_post, study.t1)
    if prepared.subtraction_kji is None:
        why = ", ".join(prepared.flags)
        raise InvalidInput(f"study {study.name} gives no subtraction ({why}), expected a usable T1")
    return PreparedStudy.from_kji(
        name=study.name,
        anatomy=study.patient,
        seed=None,
        recipe=RECIPE,
        t1_post_kji=prepared.t1_post_kji,
        subtraction_kji=prepared.subtraction_kji,
        labels_kji=resample_reference(study.reference_kji, study.t1_post.grid, prepared.grid),
    )


def resample_reference(reference_kji: NDArray[np.uint16], source: Grid, target: Grid) -> NDArray[np.uint16]:
    """Return the numbered lesions on another grid; one too small for it keeps its fullest voxel.

    A voxel that lesions fill by half is of the one that fills most of it: pieces of a broken rim keep their
    common number.
    """
    labels = np.zeros(target.shape_kji, dtype=np.uint16)
    total, most = (np.zeros(target.shape_kji, dtype=np.float32) for _ in range(2))
    fullest_kji: dict[int, tuple[int, ...]] = {}
    for number, box in enumerate(ndimage.find_objects(reference_kji), start=1):
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        lesion, lattice = reference_kji[around] == number, _part(source, around)
        region = _cover(lattice, target)
        filled = resample_linear(lesion.astype(np.float32), lattice, _part(target, region))
        is_most = filled > most[region]
        labels[region][is_most] = number
        most[region][is_most] = filled[is_most]
        total[region] += filled
        voxels = _voxels_of(lesion, lattice, target)
        at = tuple((voxels - [s.start for s in region]).T)
        fullest_kji[number] = tuple(voxels[filled[at].argmax()])
    labels[total < HALF_FILLED] = 0
    for number in fullest_kji.keys() - set(np.unique(labels).tolist()):
        labels[fullest_kji[number]] = number
    return close_gaps(labels).astype(np.uint16)


def _part(grid: Grid, box: Box) -> Grid:
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = grid.to_lps_mm([s.start for s in box])
    k, j, i = (len(range(*s.indices(n))) for s, n in zip(box, grid.shape_kji, strict=True))
    return Grid((k, j, i), affine)


def _cover(part: Grid, target: Grid) -> Box:
    """Return the box of the target's voxels that hold a part of another grid."""
    corners_kji = np.array(list(product((0, 1), repeat=3))) * (np.array(part.shape_kji) - 1)
    index_kji = target.to_index_kji(part.to_lps_mm(corners_kji))
    last_kji = np.array(target.shape_kji) - 1
    first_kji = np.clip(np.floor(index_kji.min(axis=0)), 0, last_kji).astype(int)
    stop_kji = np.clip(np.ceil(index_kji.max(axis=0)), 0, last_kji).astype(int) + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(first_kji, stop_kji, strict=True))


def _voxels_of(lesion_kji: NDArray[np.bool_], source: Grid, target: Grid) -> NDArray[np.int64]:
    """Return the target voxels (n, 3) in which the centres of a lesion's voxels lie."""
    index_kji = np.rint(target.to_index_kji(source.to_lps_mm(np.argwhere(lesion_kji)))).astype(np.int64)
    return np.asarray(np.clip(index_kji, 0, np.array(target.shape_kji) - 1))


def main(arguments: list[str] | None = None) -> int:
    """Import a folder; the exit code is 1 when a study was refused."""
    given = _parser().parse_args(arguments)
    quiet_pydicom()
    model_set = verify_model_set(given.models)
    brain = NetworkBrainExtraction.load(model_set, choose_engine(given.threads))
    preparation = Preparation.of(read_options(given.folder), brain, model_set.manifest.input)
    refused = 0
    for outcome in import_studies(given.folder, given.out, preparation):
        refused += outcome.refused is not None
        print(f"{outcome.name}: {outcome.refused or f'{outcome.lesions} lesions'}")
    return min(refused, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.import_studies", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="one study a sub-folder: NIfTI, BraTS-METS, or DICOM with a SEG"
    )
    parser.add_argument("--out", type=Path, required=True, help="the training pool")
    parser.add_argument("--models", type=Path, default=bundled_models_dir(), help="for its brain extraction")
    parser.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
