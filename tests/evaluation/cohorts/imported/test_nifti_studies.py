from pathlib import Path

import nibabel
import numpy as np
import pytest

from core.errors import InvalidInput
from evaluation.cohorts.imported.nifti_studies import is_nifti_study, patient_of, read_nifti_study
from evaluation.cohorts.imported.study import ImportOptions
from tests.evaluation.nifti_files import (
    AXIAL,
    FLIPPED_SLICES,
    RADIOLOGICAL,
    SAGITTAL,
    SHAPE_XYZ,
    lps_of,
    make_labels,
    make_scan,
    oblique,
    write,
    write_study,
)

NAME = "BraTS-MET-00002-000"
NO_OPTIONS = ImportOptions()
AFFINES = {
    "axial": AXIAL,
    "radiological": RADIOLOGICAL,
    "sagittal": SAGITTAL,
    "slices from the top": FLIPPED_SLICES,
    "oblique": oblique(),
    "oblique and mirrored": oblique() @ np.diag([-1.0, 1, 1, 1]),
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / NAME)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_a_lesion_comes_back_where_it_is(tmp_path, affine):
    bright = make_scan(2)
    bright[13, 5, 11] = 5000
    write_study(tmp_path / NAME, affine)
    write(tmp_path / NAME / f"{NAME}-t1c.nii.gz", bright, affine)

    read = read_nifti_study(tmp_path / NAME, NO_OPTIONS)

    grid = read.t1_post.grid
    expected = lps_of(affine, (13, 5, 11))
    (lesion_kji,) = np.argwhere(read.reference_kji)
    brightest_kji = np.unravel_index(read.t1_post.voxels_kji.argmax(), grid.shape_kji)
    assert grid.to_lps_mm(lesion_kji) == pytest.approx(expected, abs=1e-4)
    assert grid.to_lps_mm(brightest_kji) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_slices_are_counted_along_row_times_column_direction_as_in_dicom(tmp_path, affine):
    write_study(tmp_path / NAME, affine)

    k, j, i = read_nifti_study(tmp_path / NAME, NO_OPTIONS).t1_post.grid.directions_lps.T

    assert np.cross(i, j) == pytest.approx(k, abs=1e-6)


def test_every_slice_has_a_reference_of_its_own(study):
    volume = read_nifti_study(study, NO_OPTIONS).t1_post

    assert len({reference.sop_instance_uid for reference in volume.slices}) == SHAPE_XYZ[2]
    assert volume.frame_of_reference_uid


def test_only_the_enhancing_label_is_reference(study):
    labels = make_labels(3)
    labels[2:6, 2:6, 2:6] = 2  # oedema
    labels[13, 5, 10] = 1  # core
    write(study / f"{NAME}-seg.nii.gz", labels)

    assert np.count_nonzero(read_nifti_study(study, NO_OPTIONS).reference_kji) == 1


def test_label_4_is_enhancing_where_the_options_say_so(study):
    write(study / f"{NAME}-seg.nii.gz", make_labels(4))

    read = read_nifti_study(study, ImportOptions(enhancing_label=4))

    assert np.count_nonzero(read.reference_kji) == 1


def test_label_4_without_3_is_ambiguous(study):
    write(study / f"{NAME}-seg.nii.gz", make_labels(4))

    with pytest.raises(InvalidInput, match=rf"{NAME}-seg.nii.gz holds labels \[4\], expected 3"):
        read_nifti_study(study, NO_OPTIONS)


def test_an_empty_reference_is_a_study_without_lesions(study):
    write(study / f"{NAME}-seg.nii.gz", make_labels(0))

    assert not read_nifti_study(study, NO_OPTIONS).reference_kji.any()


@pytest.mark.parametrize(
    "names",
    [
        ("t1.nii.gz", "t1ce.nii.gz", "mask.nii.gz"),
        ("P7_t1.nii", "P7_t1_post.nii", "P7_mask.nii"),
        ("a-T1N.nii.gz", "a-T1C.nii.gz", "a-t1c-mask.nii.gz"),
        ("7A_T1pre.nii.gz", "7A_T1post.nii.gz", "7A_mask.nii.gz"),
        ("sub-7_T1w.nii.gz", "sub-7_ce-gadolinium_T1w.nii.gz", "sub-7_label-lesion_mask.nii.gz"),
        ("sub-7_ses-1_run-1_T1w.nii.gz", "sub-7_ses-1_ce-gd_run-1_T1w.nii.gz", "sub-7_mask.nii.gz"),
    ],
)
def test_other_names_are_understood(tmp_path, names):
    t1, t1_post, mask = names
    folder = tmp_path / "study"
    write(folder / t1, make_scan(1))
    write(folder / t1_post, make_scan(2))
    write(folder / mask, make_labels(7))
    write(folder / "a-t2f.nii.gz", make_scan(3))

    read = read_nifti_study(folder, NO_OPTIONS)

    assert read.t1 is not None
    assert read.t1.voxels_kji.ravel().tolist() == make_scan(1).T.ravel().tolist()
    assert read.t1_post.voxels_kji.ravel().tolist() == make_scan(2).T.ravel().tolist()
    assert np.count_nonzero(read.reference_kji) == 1


def test_the_core_joins_the_pieces_of_a_rim_and_is_no_reference(study):
    labels = make_labels(3, (10, 10, 6)) + make_labels(3, (10, 10, 10)) + make_labels(3, (2, 2, 2))
    labels[10, 10, 7:10] = 1
    labels[15, 20, 10] = 1  # a core without a rim is no lesion
    write(study / f"{NAME}-seg.nii.gz", labels)

    reference = read_nifti_study(study, NO_OPTIONS).reference_kji

    assert np.bincount(reference.ravel())[1:].tolist() == [1, 2]
    assert reference[6, 10, 10] == reference[10, 10, 10]


@pytest.mark.parametrize(
    "name",
    [
        "brain_mask.nii.gz",
        "P7_brain-mask.nii",
        "sub-7_desc-brain_mask.nii.gz",
        "head_mask.nii",
        "tissue_seg.nii",
    ],
)
def test_a_mask_of_the_brain_is_no_reference(study, name):
    write(study / name, make_labels(3, (1, 1, 1)))
    assert np.count_nonzero(read_nifti_study(study, NO_OPTIONS).reference_kji) == 1

    (study / f"{NAME}-seg.nii.gz").unlink()
    with pytest.raises(InvalidInput, match="a mask of brain or head is none"):
        read_nifti_study(study, NO_OPTIONS)


def test_of_the_two_references_of_ucsf_bmsr_the_plain_one_is_taken(tmp_path):
    folder = tmp_path / "7A"
    write(folder / "7A_T1post.nii.gz", make_scan(2))
    write(folder / "7A_BraTS-seg.nii.gz", make_labels(3, (2, 2, 2)))
    write(folder / "7A_seg.nii.gz", make_labels(1, (4, 4, 4)))
    options = ImportOptions(enhancing_label=1)

    assert read_nifti_study(folder, options).reference_kji[4, 4, 4] == 1

    (folder / "7A_seg.nii.gz").unlink()
    assert read_nifti_study(folder, options).reference_kji[2, 2, 2] == 1


def test_bids_labels_are_labels(study):
    (study / f"{NAME}-seg.nii.gz").rename(study / "sub-7_dseg.nii.gz")

    assert np.count_nonzero(read_nifti_study(study, NO_OPTIONS).reference_kji) == 1


def test_a_study_may_have_no_t1(study):
    (study / f"{NAME}-t1n.nii.gz").unlink()

    assert read_nifti_study(study, NO_OPTIONS).t1 is None


def test_a_study_listed_without_lesions_needs_no_reference(study):
    (study / f"{NAME}-seg.nii.gz").unlink()

    read = read_nifti_study(study, ImportOptions(without_lesions=(NAME,)))

    assert not read.reference_kji.any()


def test_a_reference_of_a_study_listed_without_lesions_is_a_contradiction(study):
    with pytest.raises(InvalidInput, match="without_lesions but has"):
        read_nifti_study(study, ImportOptions(without_lesions=(NAME,)))


@pytest.mark.parametrize(("role", "expected"), [("t1c", "t1c.nii.gz"), ("seg", "mask.nii.gz")])
def test_a_missing_file_is_named(study, role, expected):
    (study / f"{NAME}-{role}.nii.gz").unlink()

    with pytest.raises(InvalidInput, match=rf"study {NAME} has no .*expected .*{expected}"):
        read_nifti_study(study, NO_OPTIONS)


def test_two_files_of_one_role_are_refused(study):
    write(study / "other_t1ce.nii.gz", make_scan(2))

    with pytest.raises(InvalidInput, match=r"t1c\.nii\.gz and other_t1ce\.nii\.gz, expected one T1-post"):
        read_nifti_study(study, NO_OPTIONS)


def test_labels_and_mask_together_are_refused(study):
    write(study / "mask.nii.gz", make_labels())

    with pytest.raises(InvalidInput, match=r"seg\.nii\.gz and mask\.nii\.gz, expected one reference"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_mask_of_another_shape_is_refused_with_both_shapes(study):
    write(study / f"{NAME}-seg.nii.gz", np.zeros((20, 24, 15), dtype=np.uint8))

    with pytest.raises(InvalidInput, match=r"seg.nii.gz has shape \(20, 24, 15\), expected \(20, 24, 16\)"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_mask_elsewhere_is_refused_with_the_distance(study):
    shifted = AXIAL.copy()
    shifted[0, 3] += 1.5
    write(study / f"{NAME}-seg.nii.gz", make_labels(3), shifted)

    with pytest.raises(InvalidInput, match=r"seg.nii.gz lies up to 1\.50 mm from"):
        read_nifti_study(study, NO_OPTIONS)


@pytest.mark.parametrize("value", [0.37, -1.0])
def test_a_mask_that_holds_no_labels_is_refused(study, value):
    labels = make_labels(3).astype(np.float32)
    labels[0, 0, 0] = value
    write(study / f"{NAME}-seg.nii.gz", labels)

    with pytest.raises(InvalidInput, match=rf"holds {value:g}, expected labels"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_file_cut_off_is_refused(study):
    path = study / f"{NAME}-t1c.nii.gz"
    path.write_bytes(path.read_bytes()[:4000])

    with pytest.raises(InvalidInput, match=r"t1c\.nii\.gz cannot be read"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_text_file_is_no_image(study):
    (study / f"{NAME}-t1c.nii.gz").write_text("not an image")

    with pytest.raises(InvalidInput, match=r"t1c\.nii\.gz cannot be read"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_file_without_orientation_is_refused(study):
    image = nibabel.Nifti1Image(make_scan(2), AXIAL)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nibabel.save(image, study / f"{NAME}-t1c.nii.gz")

    with pytest.raises(InvalidInput, match="does not say where it lies"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_sheared_affine_is_refused(study):
    sheared = AXIAL.copy()
    sheared[0, 1] = 0.2
    write(study / f"{NAME}-t1c.nii.gz", make_scan(2), sheared)

    with pytest.raises(InvalidInput, match="sheared"):
        read_nifti_study(study, NO_OPTIONS)


def test_a_series_of_volumes_is_refused(study):
    write(study / f"{NAME}-t1c.nii.gz", np.zeros((*SHAPE_XYZ, 2), dtype=np.int16))

    with pytest.raises(InvalidInput, match=r"has shape \(20, 24, 16, 2\), expected three axes"):
        read_nifti_study(study, NO_OPTIONS)


def test_voxels_that_are_no_number_are_refused(study):
    voxels = make_scan(2).astype(np.float32)
    voxels[3, 4, 5] = np.nan
    write(study / f"{NAME}-t1c.nii.gz", voxels)

    with pytest.raises(InvalidInput, match="holds 1 voxels that are no finite number"):
        read_nifti_study(study, NO_OPTIONS)


def test_timepoints_of_a_brats_patient_belong_together():
    assert patient_of("BraTS-MET-00002-000") == patient_of("BraTS-MET-00002-001") == "BraTS-MET-00002"
    assert patient_of("patient-7") == "patient-7"


def test_sessions_of_a_bids_subject_belong_together():
    assert patient_of("sub-07_ses-1") == patient_of("sub-07_ses-2") == patient_of("sub-07") == "sub-07"


def test_a_folder_of_dicom_is_no_nifti_study(tmp_path):
    (tmp_path / "0001.dcm").write_bytes(b"")

    assert not is_nifti_study(tmp_path)
