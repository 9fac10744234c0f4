"""python -m training.import_studies FOLDER --out POOL: real studies, prepared as the synthetic ones are.

Needs no torch, but what the worker needs: each study goes through the worker's own preparation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.chosen_study import choose_dicom_study
from core.errors import InvalidInput, UnsuitableStudy
from core.geometry import Grid
from core.headers import quiet_pydicom
from core.settings import bundled_models_dir
from evaluation.cohorts.case import label_lesions
from evaluation.cohorts.imported.cohort import read_study, study_folders
from evaluation.cohorts.imported.study import ImportedStudy, read_options
from evaluation.inference.preparation import Preparation
from training.prepared import PreparedStudy
from worker.brain import NetworkBrainExtraction
from worker.model_set import verify_model_set
from worker.resampling import resample_linear
from worker.sessions import choose_engine

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


def resample_reference(reference_kji: NDArray[np.bool_], source: Grid, target: Grid) -> NDArray[np.uint16]:
    """Return the numbered lesions of a mask on another grid; one too small for it keeps its fullest voxel."""
    filled = resample_linear(reference_kji.astype(np.float32), source, target)
    mask = filled >= HALF_FILLED
    labels = label_lesions(reference_kji)
    for number in range(1, int(labels.max()) + 1):
        voxels = _voxels_of(labels == number, source, target)
        if not mask[tuple(voxels.T)].any():
            fullest = voxels[np.argmax(filled[tuple(voxels.T)])]
            mask[tuple(fullest)] = True
    return label_lesions(mask)


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
