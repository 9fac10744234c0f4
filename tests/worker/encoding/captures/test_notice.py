"""The notice of a study that was not analysed: valid, filed in its study, the same twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from core.errors import Defect, UnsuitableReason
from core.provenance import Provenance
from tests.dicom_sources import STUDY_UID, classic_series, enhanced_series, make_grid, make_patient
from tests.encoded_study import CREATED_AT, MODEL
from tests.judges import validation_errors
from worker.encoding import to_bytes
from worker.encoding.captures.notice import draw_notice, encode_notice
from worker.encoding.captures.verify import verify_notice
from worker.encoding.part10 import from_bytes

PROVENANCE = Provenance(STUDY_UID, 1, MODEL, "0.1.0", CREATED_AT)
MESSAGE = "The study has 3 MR series; none of them was acquired after contrast agent."


def notice_of(source: Dataset, reason: str = UnsuitableReason.NO_POST_CONTRAST) -> Dataset:
    return encode_notice(source, reason, MESSAGE, PROVENANCE)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
@pytest.mark.parametrize(
    ("name", "character_set"),
    [("Doe^Jane", None), ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])],
)
def test_the_validator_finds_no_error(series, name: str, character_set, tmp_path: Path) -> None:
    source = series(make_grid(), patient=make_patient(name, character_set))[0][0]
    path = tmp_path / "notice.dcm"
    path.write_bytes(to_bytes(notice_of(source)))
    assert validation_errors(path) == []


def test_a_notice_is_filed_in_its_study_under_its_patient() -> None:
    notice = notice_of(classic_series(make_grid())[0][0])
    assert (notice.StudyInstanceUID, notice.PatientID) == (STUDY_UID, "MET-0001")
    assert notice.SeriesInstanceUID != notice.SOPInstanceUID


def test_a_header_without_any_attribute_has_its_notice_too() -> None:
    assert notice_of(Dataset()).StudyInstanceUID == STUDY_UID


def test_the_same_arguments_give_the_same_bytes() -> None:
    source = classic_series(make_grid())[0][0]
    assert to_bytes(notice_of(source)) == to_bytes(notice_of(source))


def test_nobodys_name_is_drawn() -> None:
    one, other = (
        notice_of(classic_series(make_grid(), patient=make_patient(name))[0][0])
        for name in ("Doe^Jane", "Roe^Mary")
    )
    assert one.PixelData == other.PixelData
    assert one.BurnedInAnnotation == "NO"


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "SOPClassUID"),
        ("StudyInstanceUID", "1.2.3", "StudyInstanceUID"),
        ("PlanarConfiguration", 1, "PlanarConfiguration"),
        ("Rows", 640, "size"),
        ("NumberOfFrames", 2, "number of frames"),
    ],
)
def test_a_wrong_header_is_caught(keyword: str, value: object, message: str) -> None:
    notice = from_bytes(to_bytes(notice_of(classic_series(make_grid())[0][0])))
    setattr(notice, keyword, value)
    page = draw_notice(UnsuitableReason.NO_POST_CONTRAST, MESSAGE, PROVENANCE)
    with pytest.raises(Defect, match=message):
        verify_notice(to_bytes(notice), page, STUDY_UID)


def test_another_page_is_caught() -> None:
    notice = notice_of(classic_series(make_grid())[0][0])
    other = draw_notice(UnsuitableReason.NO_BRAIN_FOUND, MESSAGE, PROVENANCE)
    with pytest.raises(Defect, match="does not show the page"):
        verify_notice(to_bytes(notice), other, STUDY_UID)
