"""Overview and PDF: valid, true to the findings, the same twice, and nobody's name on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pypdf import PdfReader

from core.errors import Defect
from core.results import ResultKind
from core.study import QualityFlag
from tests.dicom_sources import OBLIQUE, classic_series, enhanced_series, make_grid, make_patient
from tests.encoded_study import LARGE, SMALL, Box, EncodedStudy, SeriesMaker, make_study
from tests.judges import validation_errors
from worker.encoding import DEFAULT_SITE_CODES, to_bytes
from worker.encoding.captures.encode import encode_captures
from worker.encoding.captures.verify import verify_overview, verify_pdf
from worker.encoding.identity import read_identity
from worker.encoding.part10 import from_bytes
from worker.encoding.provenance import Stamp
from worker.encoding.remarks import FLAG_SENTENCES
from worker.overview import wording

EIGHTY = tuple(
    (slice(k, k + 2), slice(j, j + 3), slice(i, i + 3))
    for k in (0, 3, 6, 9, 12)
    for j in (2, 8, 14, 20)
    for i in (1, 6, 11, 16)
)


def pixels_of(study: EncodedStudy) -> NDArray[np.float32]:
    """Noise, brighter inside lesions."""
    noise = np.random.default_rng(5).normal(100, 10, study.findings.grid.shape_kji)
    return (noise + 80 * (study.findings.label_map_kji > 0)).astype(np.float32)


def captures_of(study: EncodedStudy) -> dict[ResultKind, Dataset]:
    stamp = Stamp(read_identity(study.sources.t1_post[0]), study.provenance, DEFAULT_SITE_CODES)
    return encode_captures(study.findings, study.report, study.sources, stamp, pixels_of(study))


def document_in(dataset: Dataset) -> bytes:
    return bytes(dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength])


def text_of(dataset: Dataset) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(document_in(dataset))).pages)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
@pytest.mark.parametrize("boxes", [(), (LARGE,), EIGHTY], ids=["no lesion", "one", "eighty"])
def test_the_validator_finds_no_error(series: SeriesMaker, boxes: Sequence[Box], tmp_path: Path) -> None:
    study = make_study(boxes, make_grid((16, 24, 20), orientation=OBLIQUE), series)
    for kind, dataset in captures_of(study).items():
        path = tmp_path / f"{kind}.dcm"
        path.write_bytes(to_bytes(dataset))
        assert validation_errors(path) == []


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second = (captures_of(make_study((LARGE, SMALL))) for _ in range(2))
    for kind in (ResultKind.OVERVIEW, ResultKind.PDF):
        assert to_bytes(first[kind]) == to_bytes(second[kind])


def test_each_is_a_series_of_its_own_in_the_study() -> None:
    study = make_study((LARGE,))
    made = captures_of(study)
    assert len({dataset.SeriesInstanceUID for dataset in made.values()}) == len(made)
    assert {dataset.StudyInstanceUID for dataset in made.values()} == {study.report.study_instance_uid}


def test_the_pages_say_count_volumes_axes_and_flags() -> None:
    study = make_study((LARGE, SMALL), flags=(QualityFlag.THICK_SLICES,))
    text = text_of(captures_of(study)[ResultKind.PDF])
    for lesion in study.report.lesions:
        measures = (wording.volume(lesion.volume_mm3), wording.axes(lesion), wording.members(lesion))
        for expected in (lesion.tracking_id, *measures):
            assert expected in text
    for expected in (
        "2 lesions",
        "not for diagnosis without review",
        FLAG_SENTENCES[QualityFlag.THICK_SLICES],
    ):
        assert expected in text
    assert wording.volume(study.report.total_volume_mm3) in text


def test_a_study_without_lesions_says_so() -> None:
    made = captures_of(make_study(()))
    assert "No lesion found" in text_of(made[ResultKind.PDF])
    assert made[ResultKind.OVERVIEW].NumberOfFrames == 1


def test_lesions_beyond_those_pictured_are_told() -> None:
    text = text_of(captures_of(make_study(EIGHTY, make_grid((16, 24, 20))))[ResultKind.PDF])
    assert "80 lesions" in text
    assert "and 40 more" in text


def test_overview_and_pdf_have_the_same_pages() -> None:
    made = captures_of(make_study((LARGE, SMALL)))
    pages = PdfReader(BytesIO(document_in(made[ResultKind.PDF]))).pages
    assert len(pages) == made[ResultKind.OVERVIEW].NumberOfFrames


def test_nobodys_name_is_drawn() -> None:
    one, other = (captures_of(make_study((LARGE,), patient=make_patient(n))) for n in ("Doe^Jane", "Roe^Ann"))
    assert one[ResultKind.OVERVIEW].PixelData == other[ResultKind.OVERVIEW].PixelData
    assert document_in(one[ResultKind.PDF]) == document_in(other[ResultKind.PDF])


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_slices_are_named_as_the_viewer_counts_them(series: SeriesMaker) -> None:
    study = make_study((SMALL,), series=series)
    k = study.report.lesions[0].slice_index_k
    source = study.sources.slices[k]
    by_uid = {d.SOPInstanceUID: d for d in study.sources.t1_post}
    expected = f"image {by_uid[source.sop_instance_uid].InstanceNumber}"
    if source.frame_number is not None:
        expected = f"frame {source.frame_number}"
    assert expected in text_of(captures_of(study)[ResultKind.PDF])


def test_images_of_another_shape_are_refused() -> None:
    study = make_study((LARGE,))
    stamp = Stamp(read_identity(study.sources.t1_post[0]), study.provenance, DEFAULT_SITE_CODES)
    with pytest.raises(Defect, match="T1-post images have shape"):
        encode_captures(study.findings, study.report, study.sources, stamp, pixels_of(study)[1:])


def swap_red_and_blue(dataset: Dataset) -> None:
    frames = np.frombuffer(dataset.PixelData, np.uint8).reshape(-1, 3)
    dataset.PixelData = frames[:, ::-1].tobytes()


def lose_a_frame(dataset: Dataset) -> None:
    dataset.NumberOfFrames -= 1


def forget_the_slices(dataset: Dataset) -> None:
    dataset.SourceImageSequence = []


def refer_to_a_stranger(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (swap_red_and_blue, "does not show the page"),
        (lose_a_frame, "number of frames"),
        (forget_the_slices, "does not refer to the slice of BM-01"),
        (refer_to_a_stranger, "no slices of the T1-post"),
    ],
)
def test_a_wrong_overview_is_caught(mutate: Callable[[Dataset], None], message: str) -> None:
    study = make_study((LARGE, SMALL))
    overview = captures_of(study)[ResultKind.OVERVIEW]
    pages = list(overview.pixel_array)
    wrong = from_bytes(to_bytes(overview))
    mutate(wrong)
    with pytest.raises(Defect, match=message):
        verify_overview(to_bytes(wrong), pages, study.report, study.sources)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-100], "length"),
        (lambda content: content[:-6] + b"xxxxxx", "ends with"),
        (lambda content: content[:500] + b"!" + content[501:], "not the one that was drawn"),
    ],
)
def test_a_wrong_document_is_caught(change: Callable[[bytes], bytes], message: str) -> None:
    study = make_study((LARGE, SMALL))
    pdf = captures_of(study)[ResultKind.PDF]
    document = document_in(pdf)
    pages = len(PdfReader(BytesIO(document)).pages)
    changed = change(document)
    pdf.EncapsulatedDocument = changed + b"\0" * (len(changed) % 2)
    pdf.EncapsulatedDocumentLength = len(changed)
    with pytest.raises(Defect, match=message):
        verify_pdf(to_bytes(pdf), document, pages, study.report, study.sources)


def test_a_report_of_another_study_is_caught() -> None:
    study = make_study((LARGE,))
    overview = captures_of(study)[ResultKind.OVERVIEW]
    other = replace(study.report, study_instance_uid="1.2.3")
    with pytest.raises(Defect, match="StudyInstanceUID"):
        verify_overview(to_bytes(overview), list(overview.pixel_array), other, study.sources)
