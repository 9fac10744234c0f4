"""Each way a report could lie about a lesion is broken in once; each must be caught."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom import Dataset

from core.errors import Defect
from core.lesion import Location, Region, Side
from tests.dicom_sources import OBLIQUE, make_grid
from tests.encoded_study import LARGE, SMALL, EncodedStudy, make_study
from tests.located_study import placed
from worker.encoding import to_bytes
from worker.encoding.part10 import from_bytes
from worker.encoding.report.verify import verify_report

Mutation = Callable[[Dataset], None]


@pytest.fixture(scope="module")
def study() -> EncodedStudy:
    places = [Location(Region.TEMPORAL_LOBE, Side.LEFT), Location(Region.DEEP_GREY_MATTER, Side.RIGHT)]
    return placed(make_study(boxes=(LARGE, SMALL), grid=make_grid(orientation=OBLIQUE)), places)


@pytest.fixture(scope="module")
def objects(study: EncodedStudy) -> tuple[bytes, bytes]:
    results = study.encode()
    assert results.seg is not None
    return to_bytes(results.seg), to_bytes(results.sr)


def check_sr(study: EncodedStudy, objects: tuple[bytes, bytes], mutate: Mutation) -> None:
    sr = from_bytes(objects[1])
    mutate(sr)
    verify_report(to_bytes(sr), from_bytes(objects[0]), study.findings.grid, study.report, study.sources)


def test_an_untouched_report_passes(study, objects) -> None:
    check_sr(study, objects, lambda sr: None)


def _groups(sr: Dataset) -> list[Dataset]:
    return list(sr.ContentSequence[-1].ContentSequence)


def _item(group: Dataset, code: str) -> Dataset:
    return next(i for i in group.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == code)


def _value(group: Dataset, code: str) -> Dataset:
    return _item(group, code).MeasuredValueSequence[0]


def count_one_lesion_less(sr: Dataset) -> None:
    _value(_groups(sr)[0], "246206008").NumericValue = 1


def drop_a_lesion(sr: Dataset) -> None:
    del sr.ContentSequence[-1].ContentSequence[-2:]


def drop_the_summary(sr: Dataset) -> None:
    del sr.ContentSequence[-1].ContentSequence[0]


def write_volume_in_millilitres(sr: Dataset) -> None:
    value = _value(_groups(sr)[1], "118565006")
    value.NumericValue = float(value.NumericValue) / 1000


def call_millimetres_centimetres(sr: Dataset) -> None:
    _value(_groups(sr)[1], "103339001").MeasurementUnitsCodeSequence[0].CodeValue = "cm"


def swap_long_and_short_axis(sr: Dataset) -> None:
    long_axis, short_axis = _value(_groups(sr)[1], "103339001"), _value(_groups(sr)[1], "103340004")
    long_axis.NumericValue, short_axis.NumericValue = short_axis.NumericValue, long_axis.NumericValue


def swap_lesions(sr: Dataset) -> None:
    groups = _groups(sr)
    first, second = _item(groups[1], "112040"), _item(groups[3], "112040")
    first.UID, second.UID = second.UID, first.UID


def refer_to_another_segment(sr: Dataset) -> None:
    _item(_groups(sr)[1], "121191").ReferencedSOPSequence[0].ReferencedSegmentNumber = 2


def swap_columns_and_rows(sr: Dataset) -> None:
    region = _item(_groups(sr)[2], "111030")
    a, b, c, d = region.GraphicData
    region.GraphicData = [b, a, d, c]


def forget_half_a_pixel(sr: Dataset) -> None:
    region = _item(_groups(sr)[2], "111030")
    region.GraphicData = [v - 0.5 for v in region.GraphicData]


def draw_on_the_next_slice(sr: Dataset) -> None:
    groups = _groups(sr)
    first, other = (_item(groups[n], "111030").ContentSequence[0] for n in (2, 4))
    first.ReferencedSOPSequence = other.ReferencedSOPSequence


def draw_on_a_stranger(sr: Dataset) -> None:
    library = next(i for i in sr.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "111028")
    stranger = library.ContentSequence[1].ContentSequence[-1].ReferencedSOPSequence
    _item(_groups(sr)[2], "111030").ContentSequence[0].ReferencedSOPSequence = stranger


def lose_evidence(sr: Dataset) -> None:
    del sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def report_in_another_frame_of_reference(sr: Dataset) -> None:
    library = next(i for i in sr.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "111028")
    _item(library.ContentSequence[0], "112227").UID = "1.2.3"


def leave_the_core_out(sr: Dataset) -> None:
    _value(_groups(sr)[1], "filled-volume").NumericValue = 1.0


def leave_the_cores_out_of_the_total(sr: Dataset) -> None:
    _value(_groups(sr)[0], "filled-volume").NumericValue = 1.0


def move_to_the_other_side(sr: Dataset) -> None:
    _site(_groups(sr)[1]).ContentSequence[0].ConceptCodeSequence[0].CodeValue = "24028007"


def forget_the_side_of_the_axis(sr: Dataset) -> None:
    del _site(_groups(sr)[2]).ContentSequence


def call_every_place_temporal(sr: Dataset) -> None:
    for group in _groups(sr):
        _site(group).ConceptCodeSequence[0].CodeValue = "78277001"


def _site(group: Dataset) -> Dataset:
    return _item(group, "363698007")


def open_the_summary_elsewhere(sr: Dataset) -> None:
    number = _item(_groups(sr)[0], "246206008")
    image = next(c for c in number.ContentSequence if c.ValueType == "SCOORD").ContentSequence[0]
    other = (
        sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[-1]
    )
    image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = other.ReferencedSOPInstanceUID


def leave_a_total_without_image(sr: Dataset) -> None:
    number = _item(_groups(sr)[0], "118565006")
    number.ContentSequence = [c for c in number.ContentSequence if c.ValueType != "SCOORD"]


def measure_twice(sr: Dataset) -> None:
    group = _groups(sr)[1]
    group.ContentSequence.append(_item(group, "118565006"))


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (count_one_lesion_less, "246206008"),
        (drop_a_lesion, "groups of TID 1411"),
        (drop_the_summary, "0 summary groups"),
        (write_volume_in_millilitres, "118565006"),
        (call_millimetres_centimetres, "103339001"),
        (swap_long_and_short_axis, "103339001"),
        (swap_lesions, "groups of TID 1411"),
        (refer_to_another_segment, "refers to segment"),
        (swap_columns_and_rows, "mm off"),
        (forget_half_a_pixel, "mm off"),
        (draw_on_the_next_slice, "mm off"),
        (draw_on_a_stranger, "no slice of the T1-post"),
        (lose_evidence, "as evidence"),
        (report_in_another_frame_of_reference, "FrameOfReferenceUID"),
        (leave_the_core_out, "filled-volume"),
        (leave_the_cores_out_of_the_total, "filled-volume"),
        (move_to_the_other_side, "finding site of BM-01"),
        (forget_the_side_of_the_axis, "finding site of BM-01"),
        (call_every_place_temporal, "the summary's finding site"),
        (open_the_summary_elsewhere, "the summary.s numbers"),
        (leave_a_total_without_image, "the summary.s numbers"),
        (measure_twice, "2 numbers"),
    ],
)
def test_a_wrong_report_is_caught(study, objects, mutate: Mutation, message: str) -> None:
    with pytest.raises(Defect, match=message):
        check_sr(study, objects, mutate)
