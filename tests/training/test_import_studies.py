from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from core.errors import InvalidInput
from evaluation.cohorts.imported.study import ImportedStudy, ImportOptions
from evaluation.inference.preparation import Preparation
from tests.evaluation.nifti_files import make_labels, make_scan, write
from tests.evaluation.stripped_head import GRID, LESION, SPEC, make_t1, make_t1_post, unused_brain
from tests.synthetic import distance_mm, grid_points, make_grid
from training.import_studies import import_studies, prepare_for_training, resample_reference
from training.prepared import PreparedStudy
from worker.axes import to_axes
from worker.canonical import canonical_grid

STRIPPED = Preparation.of(ImportOptions(skull_stripped=True, registered=True), unused_brain, SPEC)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def study() -> ImportedStudy:
    inside = distance_mm(grid_points(GRID), LESION) < LESION.radius_mm
    return ImportedStudy("study-1", "patient", make_t1_post(), make_t1(), inside.astype(np.uint16))


def test_an_imported_study_is_what_the_worker_prepares(study, tmp_path):
    prepare_for_training(study, STRIPPED).write(tmp_path / "study-1")

    written = PreparedStudy.open(tmp_path / "study-1")
    expected = STRIPPED.prepare(study.t1_post, study.t1)
    inside = to_axes(expected.brain_mask_kji, ("R", "A", "S"))
    box = tuple(slice(n.min(), n.max() + 1) for n in np.nonzero(inside))
    assert (written.name, written.anatomy, written.recipe) == ("study-1", "patient", "imported")
    assert written.t1_post_ras.dtype == np.float16
    post = to_axes(expected.t1_post_kji, ("R", "A", "S"))[box]
    subtraction = to_axes(expected.subtraction_kji, ("R", "A", "S"))[box]
    assert np.array_equal(written.t1_post_ras, post.astype(np.float16))
    assert np.array_equal(written.subtraction_ras, subtraction.astype(np.float16))


def test_the_label_lies_on_the_lesion(study):
    prepared = prepare_for_training(study, STRIPPED)

    (lesion,) = prepared.lesions
    assert prepared.labels_ras[lesion.centre_ras] == 1
    subtraction = prepared.subtraction_ras.astype(np.float32)
    assert subtraction[prepared.labels_ras == 1].mean() > 3 > subtraction[prepared.labels_ras == 0].mean() + 2


def test_a_study_without_t1_trains_no_subtraction_member(study):
    alone = ImportedStudy("study-1", "patient", study.t1_post, None, study.reference_kji)

    with pytest.raises(InvalidInput, match=r"no subtraction \(t1_post_only\)"):
        prepare_for_training(alone, STRIPPED)


def test_a_bad_study_does_not_end_the_import(study, tmp_path):
    folder = tmp_path / "cohort"
    _write_nifti(folder / "good", study)
    write(folder / "bad" / "t1.nii.gz", make_scan(1))
    write(folder / "bad" / "mask.nii.gz", make_labels())

    outcomes = list(import_studies(folder, tmp_path / "pool", STRIPPED))

    assert [(outcome.name, outcome.lesions) for outcome in outcomes] == [("bad", 0), ("good", 1)]
    assert "study bad has no T1-post" in (outcomes[0].refused or "")
    assert [path.name for path in (tmp_path / "pool").iterdir()] == ["good"]


def test_a_lesion_below_the_grid_keeps_one_voxel():
    fine = make_grid((24, 24, 24), (0.5, 0.5, 0.5))
    target = canonical_grid(fine, 1.0)
    reference = np.zeros(fine.shape_kji, dtype=np.uint16)
    reference[7, 8, 9] = 1
    reference[12:20, 12:20, 12:20] = 2

    labels = resample_reference(reference, fine, target)

    assert sorted(np.bincount(labels.ravel()).tolist()[1:]) == [1, 64]
    (small_kji,) = np.argwhere(labels == np.bincount(labels.ravel())[1:].argmin() + 1)
    apart_mm = target.to_lps_mm(small_kji) - fine.to_lps_mm((7, 8, 9))
    assert np.abs(apart_mm).max() <= 0.5


def test_pieces_of_a_broken_rim_stay_one_lesion_and_touching_lesions_two():
    fine = make_grid((24, 24, 24), (0.5, 0.5, 0.5))
    target = canonical_grid(fine, 1.0)
    reference = np.zeros(fine.shape_kji, dtype=np.uint16)
    reference[2:6, 2:10, 2:10] = reference[10:14, 2:10, 2:10] = 1
    reference[2:14, 10:18, 2:10] = 2

    labels = resample_reference(reference, fine, target)

    assert np.bincount(labels.ravel())[1:].tolist() == [64, 96]
    assert ndimage.label(labels == 1)[1] == 2


def _write_nifti(folder: Path, study: ImportedStudy) -> None:
    affine = LPS_TO_RAS @ GRID.affine_kji_to_lps_mm[:, [2, 1, 0, 3]]
    write(folder / "t1c.nii.gz", study.t1_post.voxels_kji.T, affine)
    assert study.t1 is not None
    write(folder / "t1n.nii.gz", study.t1.voxels_kji.T, affine)
    write(folder / "mask.nii.gz", study.reference_kji.T.astype(np.uint8), affine)
