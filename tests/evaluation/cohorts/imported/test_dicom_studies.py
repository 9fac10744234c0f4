from pathlib import Path

import numpy as np
import pytest
from highdicom.seg.enum import SegmentationTypeValues
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from core.errors import InvalidInput
from evaluation.cohorts.imported.dicom_studies import DicomStudy, read_dicom_study
from evaluation.cohorts.imported.study import ImportOptions
from tests.dicom_sources import AXIAL, OBLIQUE, SAGITTAL, classic_series, make_grid
from tests.evaluation.reference_seg import make_seg, renumber, save
from worker.volumes import SourceImages

NO_OPTIONS = ImportOptions()
BINARY = SegmentationTypeValues.BINARY
LARGE, SMALL = (slice(2, 6), slice(3, 9), slice(4, 12)), (slice(7, 8), slice(14, 17), slice(2, 5))


class Study:
    """A T1-post series and a SEG with two lesions on it, in a folder."""

    def __init__(self, folder: Path, orientation=AXIAL) -> None:
        self.folder = folder
        self.grid = make_grid(orientation=orientation)
        shuffled, references = classic_series(self.grid)
        by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in shuffled}
        self.sources = [by_uid[reference.sop_instance_uid] for reference in references]
        self.images = SourceImages(shuffled, None)
        self.labels = np.zeros(self.grid.shape_kji, dtype=np.uint8)
        self.labels[LARGE], self.labels[SMALL] = 1, 2

    def read(self, *segmentations: Path, options: ImportOptions = NO_OPTIONS):
        return read_dicom_study(self.folder, options, lambda _: DicomStudy(self.images, segmentations))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study-1")


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
def test_the_reference_lies_where_it_was_drawn(tmp_path, orientation):
    study = Study(tmp_path / "study-1", orientation)
    path = save(make_seg(study.sources, study.labels), tmp_path / "seg.dcm")

    read = study.read(path)

    assert np.array_equal(read.reference_kji, study.labels)
    drawn_lps_mm = study.grid.to_lps_mm(np.argwhere(study.labels == 2).mean(axis=0))
    read_lps_mm = read.t1_post.grid.to_lps_mm(
        np.argwhere(read.reference_kji[SMALL[0]]).mean(axis=0) + np.array([7, 0, 0])
    )
    assert read_lps_mm == pytest.approx(drawn_lps_mm, abs=0.01)


def test_planes_may_come_in_any_order(study, tmp_path):
    path = save(make_seg(study.sources[::-1], study.labels[::-1]), tmp_path / "seg.dcm")

    assert np.array_equal(study.read(path).reference_kji, study.labels)


def test_segments_may_have_any_numbers(study, tmp_path):
    path = save(renumber(make_seg(study.sources, study.labels), add=6), tmp_path / "seg.dcm")

    assert np.array_equal(study.read(path).reference_kji, study.labels)


@pytest.mark.parametrize("kind", [SegmentationTypeValues.FRACTIONAL, SegmentationTypeValues.LABELMAP])
def test_other_kinds_of_segmentation_are_read(study, tmp_path, kind):
    path = save(make_seg(study.sources, study.labels, kind=kind), tmp_path / "seg.dcm")

    assert np.array_equal(study.read(path).reference_kji, study.labels)


def test_the_services_own_result_is_no_reference(study, tmp_path):
    path = save(make_seg(study.sources, study.labels, manufacturer="metserve"), tmp_path / "seg.dcm")

    with pytest.raises(InvalidInput, match=r"seg.dcm was made by metserve itself"):
        study.read(path)


@pytest.mark.parametrize("count", [0, 2])
def test_one_segmentation_is_expected(study, tmp_path, count):
    path = save(make_seg(study.sources, study.labels), tmp_path / "seg.dcm")

    with pytest.raises(InvalidInput, match=f"study study-1 has {count} segmentations .*expected 1"):
        study.read(*[path] * count)


def test_a_study_listed_without_lesions_needs_no_segmentation(study):
    assert not study.read(options=ImportOptions(without_lesions=("study-1",))).reference_kji.any()


def test_a_segmentation_in_another_frame_of_reference_is_refused(study, tmp_path):
    seg = make_seg(study.sources, study.labels)
    seg.FrameOfReferenceUID = "2.25.99"
    path = save(seg, tmp_path / "seg.dcm")

    with pytest.raises(InvalidInput, match=r"has frame of reference 2\.25\.99, expected"):
        study.read(path)


def test_a_segmentation_between_the_voxels_is_refused(study, tmp_path):
    seg = make_seg(study.sources, study.labels)
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[2] += 0.8  # of 2 mm
    path = save(seg, tmp_path / "seg.dcm")

    with pytest.raises(InvalidInput, match=r"seg.dcm has pixels 0\.40 voxels from those of T1-post"):
        study.read(path)


def test_a_segmentation_that_leaves_the_scan_is_refused(study, tmp_path):
    seg = make_seg(study.sources, study.labels)
    for group in seg.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[2] += 40
    path = save(seg, tmp_path / "seg.dcm")

    with pytest.raises(InvalidInput, match="outside T1-post"):
        study.read(path)


def described(study: Study, folder: Path, *labels: str, code: Code = codes.SCT.Tissue, kind=BINARY) -> Path:
    """The study's two segments, called and coded as another program does."""
    seg = make_seg(study.sources, study.labels, kind=kind)
    lesions = [segment for segment in seg.SegmentSequence if segment.SegmentNumber > 0]
    for segment, label in zip(lesions, labels, strict=True):
        segment.SegmentLabel = label
        segment.SegmentedPropertyTypeCodeSequence[0].CodeValue = code.value
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = code.meaning
    return save(seg, folder / "seg.dcm")


@pytest.mark.parametrize("kind", [BINARY, SegmentationTypeValues.FRACTIONAL, SegmentationTypeValues.LABELMAP])
@pytest.mark.parametrize(
    ("lesion", "other"),
    [
        ("Metastasis left", "Brainstem"),
        ("enhancing tumour", "peritumoral edema"),
        ("Enhancing tumor", "Non-enhancing tumor core"),
        ("mass", "resection cavity"),
    ],
)
def test_segments_that_are_no_metastases_stay_out(study, tmp_path, kind, lesion, other):
    path = described(study, tmp_path, lesion, other, kind=kind)

    assert np.array_equal(study.read(path).reference_kji, study.labels == 1)


def test_a_segment_may_say_what_it_is_by_its_code_alone(study, tmp_path):
    path = described(study, tmp_path, "1", "oedema", code=codes.SCT.Neoplasm)

    assert np.array_equal(study.read(path).reference_kji, study.labels == 1)


def test_segments_that_all_say_nothing_are_refused_with_their_labels(study, tmp_path):
    path = described(study, tmp_path, "Segment_1", "Segment_2")

    with pytest.raises(InvalidInput, match=r"seg.dcm has segments 'Segment_1' \(Tissue\), 'Segment_2'"):
        study.read(path)


def test_the_options_name_segments(study, tmp_path):
    path = described(study, tmp_path, "Segment_1", "Metastasis")

    assert np.array_equal(
        study.read(path, options=ImportOptions(segments=("segment_1",))).reference_kji, study.labels == 1
    )
    with pytest.raises(InvalidInput, match=r"expected one of \['GTV'\]"):
        study.read(path, options=ImportOptions(segments=("GTV",)))


def test_studies_of_one_patient_share_a_name_that_is_not_the_id(study, tmp_path):
    path = save(make_seg(study.sources, study.labels), tmp_path / "seg.dcm")
    for dataset in study.images.t1_post:
        dataset.PatientID = "Mustermann-19700101"
    first = study.read(path).patient
    study.folder = tmp_path / "study-2"

    assert study.read(path).patient == first
    assert first.startswith("patient-")
    assert "Mustermann" not in first


def test_a_study_without_an_id_is_a_patient_of_its_own(study, tmp_path):
    path = save(make_seg(study.sources, study.labels), tmp_path / "seg.dcm")
    for dataset in study.images.t1_post:
        dataset.PatientID = ""

    assert study.read(path).patient == "study-1"
