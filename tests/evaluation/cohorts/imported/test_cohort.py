import shutil
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput, UnsuitableReason, UnsuitableStudy
from evaluation.cohorts.imported.cohort import open_imported, skipped
from evaluation.cohorts.imported.dicom_studies import DicomStudy
from tests.evaluation.nifti_files import make_labels, write, write_study


def no_dicom(folder: Path) -> DicomStudy:
    raise InvalidInput(f"{folder} holds no DICOM")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("BraTS-MET-00002-000", "BraTS-MET-00002-001", "other"):
        write_study(tmp_path / "cohort" / name)
    return tmp_path / "cohort"


def test_each_sub_folder_is_a_case(folder):
    cohort = open_imported(folder, no_dicom)

    assert cohort.case_names == ("BraTS-MET-00002-000", "BraTS-MET-00002-001", "other")
    assert (cohort.name, cohort.origin) == ("cohort", "patients")
    assert [cohort.make(name).anatomy for name in cohort.case_names] == ["BraTS-MET-00002"] * 2 + ["other"]


def test_touching_voxels_of_the_reference_are_one_lesion(folder):
    labels = make_labels(3, (3, 3, 3)) + make_labels(3, (4, 4, 4)) + make_labels(3, (10, 10, 10))
    write(folder / "other" / "other-seg.nii.gz", labels)

    case = open_imported(folder, no_dicom).make("other")

    assert np.bincount(case.reference_kji.ravel()).tolist()[1:] == [2, 1]


def test_one_bad_study_leaves_the_others(folder):
    (folder / "other" / "other-t1c.nii.gz").unlink()
    cohort = open_imported(folder, no_dicom)

    assert cohort.make("BraTS-MET-00002-000").reference_kji.any()
    with pytest.raises(InvalidInput, match="study other has no T1-post") as refusal:
        cohort.make("other")
    assert skipped("other", refusal.value).reason == "invalid_input"


def test_a_study_the_service_turns_down_keeps_its_reason():
    error = UnsuitableStudy(UnsuitableReason.NO_POST_CONTRAST, "no series after contrast")

    assert skipped("study", error).reason == "no_post_contrast"
    assert skipped("study", error).message == "no series after contrast"


def test_other_files_are_another_cohort(folder):
    before = open_imported(folder, no_dicom).digest
    assert open_imported(folder, no_dicom).digest == before

    write(folder / "other" / "other-seg.nii.gz", make_labels(3, (1, 1, 1)))

    assert open_imported(folder, no_dicom).digest != before


def test_a_corrected_mask_is_another_case_and_leaves_the_others(folder):
    before = open_imported(folder, no_dicom)
    write(folder / "other" / "other-seg.nii.gz", make_labels(3, (1, 1, 1)))

    after = open_imported(folder, no_dicom)

    changed = [name for name in after.case_names if after.case_digest(name) != before.case_digest(name)]
    assert changed == ["other"]


def test_an_option_about_one_study_leaves_the_others(folder):
    before = open_imported(folder, no_dicom)
    (folder / "cohort.toml").write_text('[patients]\nother = "BraTS-MET-00002"\n')
    named = open_imported(folder, no_dicom)
    (folder / "cohort.toml").write_text("registered = true\n")
    registered = open_imported(folder, no_dicom)

    def changed(cohort):
        return [name for name in cohort.case_names if cohort.case_digest(name) != before.case_digest(name)]

    assert changed(named) == ["other"]
    assert changed(registered) == list(before.case_names)
    assert len({before.digest, named.digest, registered.digest}) == 3


def test_the_same_files_in_studies_of_other_names_are_other_cases(folder):
    shutil.copytree(folder / "other", folder / "copy")
    cohort = open_imported(folder, no_dicom)

    assert cohort.case_digest("copy") != cohort.case_digest("other")


def test_the_options_say_whose_studies_belong_together(folder):
    (folder / "cohort.toml").write_text('[patients]\nother = "BraTS-MET-00002"\n')
    cohort = open_imported(folder, no_dicom)

    assert {cohort.make(name).anatomy for name in cohort.case_names} == {"BraTS-MET-00002"}


def test_patients_names_studies_of_the_folder(folder):
    (folder / "cohort.toml").write_text('[patients]\nanother = "x"\n')

    with pytest.raises(InvalidInput, match=r"patients names \['another'\]"):
        open_imported(folder, no_dicom)


def test_a_folder_without_nifti_is_read_as_dicom(folder):
    (folder / "scanner").mkdir()

    with pytest.raises(InvalidInput, match="scanner holds no DICOM"):
        open_imported(folder, no_dicom).make("scanner")


def test_an_unknown_option_is_refused(folder):
    (folder / "cohort.toml").write_text("skullstripped = true\n")

    with pytest.raises(InvalidInput, match=r"(?s)cohort.toml cannot be used.*skullstripped.*expected only"):
        open_imported(folder, no_dicom)


def test_without_lesions_names_studies_of_the_folder(folder):
    (folder / "cohort.toml").write_text('without_lesions = ["another"]\n')

    with pytest.raises(InvalidInput, match="another"):
        open_imported(folder, no_dicom)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="has no sub-folder"):
        open_imported(tmp_path, no_dicom)
