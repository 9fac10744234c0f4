import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from core.geometry import Grid
from core.headers import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE, read_instance_header
from phantom.dicom import PhantomIdentity, write_study, write_truth
from phantom.study import PhantomSpec, generate_study


@pytest.fixture(scope="module")
def study(head):
    spec = PhantomSpec(
        seed=12,
        large_lesions=2,
        small_lesions=0,
        spacing_kji_mm=(5, 3, 2.5),
        orientation="sagittal",
        oblique_deg=12.0,
    )
    return generate_study(spec, head)


@pytest.fixture(scope="module")
def classic(study, tmp_path_factory):
    return [pydicom.dcmread(p) for p in write_study(study, tmp_path_factory.mktemp("classic"))]


@pytest.fixture(scope="module")
def enhanced(study, tmp_path_factory):
    return [
        pydicom.dcmread(p) for p in write_study(study, tmp_path_factory.mktemp("enhanced"), enhanced=True)
    ]


def post_slices(datasets):
    return [d for d in datasets if "POST" in d.SeriesDescription]


def grid_from_headers(datasets) -> Grid:
    first, second = datasets[:2]
    origin = np.array(first.ImagePositionPatient, float)
    row_direction, column_direction = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0] = np.array(second.ImagePositionPatient, float) - origin
    affine[:3, 1] = column_direction * float(first.PixelSpacing[0])
    affine[:3, 2] = row_direction * float(first.PixelSpacing[1])
    affine[:3, 3] = origin
    return Grid((len(datasets), first.Rows, first.Columns), affine)


def test_the_headers_give_back_the_grid(study, classic):
    assert grid_from_headers(post_slices(classic)).is_close_to(study.t1_post.grid)


def test_the_pixels_are_the_studys_voxels(study, classic):
    stored = np.stack([d.pixel_array for d in post_slices(classic)])
    assert stored.dtype == np.uint16
    np.testing.assert_allclose(stored, study.t1_post.voxels_kji, atol=0.5001)


def test_both_series_share_study_patient_and_frame_of_reference(classic):
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "FrameOfReferenceUID"):
        assert len({str(d[keyword].value) for d in classic}) == 1
    assert len({d.SeriesInstanceUID for d in classic}) == 2
    assert len({d.SOPInstanceUID for d in classic}) == len(classic)
    assert (str(classic[0].PatientName), classic[0].PatientID) == ("PHANTOM^SEED12", "PHANTOM-0012")


def test_only_the_series_after_contrast_names_an_agent(classic):
    headers = [read_instance_header(d) for d in classic]
    assert all(bool(h.contrast_bolus_agent) == ("POST" in h.series_description) for h in headers)


def test_an_enhanced_series_is_one_instance_with_the_same_geometry(study, enhanced):
    assert [d.SOPClassUID for d in enhanced] == [ENHANCED_MR_IMAGE_STORAGE] * 2
    header = read_instance_header(enhanced[1])
    expected = study.t1_post.grid.to_lps_mm([[k, 0, 0] for k in range(study.t1_post.grid.shape_kji[0])])
    np.testing.assert_allclose(header.frame_positions_lps_mm, expected, atol=1e-3)
    np.testing.assert_allclose(enhanced[1].pixel_array, study.t1_post.voxels_kji, atol=0.5001)


def test_a_study_without_t1_has_one_series(head, tmp_path):
    spec = PhantomSpec(large_lesions=1, small_lesions=0, spacing_kji_mm=(6, 4, 4), with_t1=False)
    paths = write_study(generate_study(spec, head), tmp_path)
    assert {p.parent.name for p in paths} == {"t1_post"}
    assert pydicom.dcmread(paths[0]).SOPClassUID == MR_IMAGE_STORAGE


def test_writing_twice_gives_the_same_bytes(study, tmp_path):
    first, second = write_study(study, tmp_path / "a"), write_study(study, tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_another_specification_has_other_uids():
    one, other = PhantomIdentity.of(PhantomSpec(seed=1)), PhantomIdentity.of(PhantomSpec(seed=1, noise=0.05))
    assert one.uid("study") != other.uid("study")


def test_the_truth_lies_beside_the_images_and_says_what_was_inserted(study, tmp_path):
    write_study(study, tmp_path)
    path = write_truth(study, tmp_path)
    truth = json.loads(path.read_text())
    assert path.parent == tmp_path
    assert [lesion["volume_mm3"] for lesion in truth["lesions"]] == [
        lesion.volume_mm3 for lesion in study.truth.lesions
    ]
    np.testing.assert_allclose(truth["t1_to_t1_post_lps"], study.truth.t1_to_t1_post_lps)


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed"
)
@pytest.mark.parametrize("enhanced", [False, True])
def test_dciodvfy_finds_neither_error_nor_warning(study, tmp_path, enhanced):
    paths = write_study(study, tmp_path, enhanced=enhanced)
    for path in (paths[0], paths[-1]):
        report = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True).stderr
        assert "Error" not in report, report
        assert "Warning" not in report, report
