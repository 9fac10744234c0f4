"""The report: TID 1500 as viewers expect it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset

from core.lesion import Location, Region, Side
from core.provenance import RESEARCH_USE_NOTICE
from core.study import AnalysisMode, QualityFlag
from tests.dicom_sources import classic_series, enhanced_series
from tests.encoded_study import LARGE, SMALL, EncodedStudy, SeriesMaker, make_study
from tests.located_study import placed
from worker.encoding.remarks import FLAG_SENTENCES, LOCATION_NOTICE, remarks_of
from worker.encoding.report.readback import ReadGroup, read_evidence_uids, read_groups


def groups_of(study: EncodedStudy) -> list[ReadGroup]:
    return read_groups(study.encode().sr)


def test_it_is_a_preliminary_unverified_measurement_report() -> None:
    sr = make_study().encode().sr
    assert sr.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert sr.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    flags = (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_the_observer_is_a_device() -> None:
    items = {_name(item): item for item in make_study().encode().sr.ContentSequence}
    assert items["121005"].ConceptCodeSequence[0].CodeValue == "121007"
    assert items["121058"].ConceptCodeSequence[0].CodeValue == "25056-3"
    assert {"121012", "121013", "121014", "121015", "121016"} <= items.keys()


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_the_image_library_holds_t1_post_first_then_t1(series: SeriesMaker) -> None:
    study = make_study(series=series)
    library = next(item for item in study.encode().sr.ContentSequence if _name(item) == "111028")
    listed = [
        [
            i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for i in group.ContentSequence
            if i.ValueType == "IMAGE"
        ]
        for group in library.ContentSequence
    ]
    expected = [study.sources.t1_post, study.sources.t1 or ()]
    assert listed == [[d.SOPInstanceUID for d in series] for series in expected]


def test_evidence_lists_t1_post_t1_and_the_segmentation() -> None:
    study = make_study()
    results = study.encode()
    assert results.seg is not None
    images = {str(d.SOPInstanceUID) for d in (*study.sources.t1_post, *(study.sources.t1 or ()))}
    assert read_evidence_uids(results.sr) == {*images, str(results.seg.SOPInstanceUID)}


def test_a_negative_study_says_zero_lesions() -> None:
    (summary,) = groups_of(make_study(boxes=()))
    assert summary.quantity(("SCT", "246206008")).value == 0
    assert summary.quantity(("SCT", "118565006")).value == 0
    assert summary.quantity(("99METSERVE", "filled-volume")).value == 0


def test_filled_volumes_have_a_name_of_their_own() -> None:
    study = make_study(boxes=(LARGE,))
    labels = study.findings.label_map_kji.copy()
    labels[3:5, 5:7, 7:9] = 0  # a core in the middle: 8 of 192 voxels, the centroid stays
    voxel_mm3 = study.findings.grid.voxel_volume_mm3
    lesions = (replace(study.report.lesions[0], volume_mm3=184 * voxel_mm3),)
    findings = replace(study.findings, label_map_kji=labels, lesions=lesions)
    hollow = replace(study, findings=findings, report=replace(study.report, lesions=lesions))
    summary, lesion, *_ = groups_of(hollow)
    for group in (summary, lesion):
        enhancing = group.quantity(("SCT", "118565006"))
        assert enhancing.value == pytest.approx(184 * voxel_mm3, abs=1e-3)
        filled = group.quantity(("99METSERVE", "filled-volume"))
        assert filled.value == pytest.approx(192 * voxel_mm3, abs=1e-3)


def test_a_region_travels_with_its_reservation() -> None:
    located = placed(make_study(boxes=(LARGE,)), [Location(Region.INSULA, Side.LEFT)])
    assert LOCATION_NOTICE in remarks_of(located.report)
    assert LOCATION_NOTICE not in remarks_of(make_study(boxes=(LARGE,)).report)


def test_a_lesion_has_a_volumetric_and_a_planar_group_of_one_tracking_uid() -> None:
    study = make_study(boxes=(LARGE, SMALL))
    first, second = (lesion.tracking_uid for lesion in study.report.lesions)
    found = [(group.template, group.tracking_uid) for group in groups_of(study)[1:]]
    assert found == [("1411", first), ("1410", first), ("1411", second), ("1410", second)]


def test_every_number_has_a_child_that_says_how_it_was_got() -> None:
    sr = make_study().encode().sr
    measurements = next(item for item in sr.ContentSequence if _name(item) == "126010")
    numbers = [item for item in _walk(measurements) if item.ValueType == "NUM"]
    assert len(numbers) == 3 + 9 * 2
    assert all(item.ContentSequence[0].ValueType == "CODE" for item in numbers)


def test_network_output_is_never_called_a_certainty() -> None:
    names = {_name(item) for item in _walk(make_study().encode().sr) if "ConceptNameCodeSequence" in item}
    assert "mean-output" in names
    assert "111012" not in names


def test_private_codes_name_their_scheme() -> None:
    sr = make_study().encode().sr
    assert [s.CodingSchemeDesignator for s in sr.CodingSchemeIdentificationSequence] == ["99METSERVE"]


def test_the_long_axis_is_drawn_in_image_coordinates_of_its_slice() -> None:
    study = make_study(boxes=(LARGE,), series=enhanced_series)
    region = groups_of(study)[2].item_of_type("SCOORD")
    assert region.GraphicType == "POLYLINE"
    # Row 3 (centre 3.5), from the left edge of column 4 to the right edge of column 11.
    assert list(region.GraphicData) == pytest.approx([4.0, 3.5, 12.0, 3.5], abs=1e-4)
    image = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedFrameNumber == study.sources.slices[LARGE[0].start].frame_number


def test_remarks_travel_as_comments() -> None:
    study = make_study(with_t1=False, flags=(QualityFlag.PREVIEW_PROFILE,))
    summary = groups_of(study)[0]
    comments = [i.TextValue for i in summary.items if i.ValueType == "TEXT" and _name(i) == "121106"]
    assert comments[0] == RESEARCH_USE_NOTICE
    assert FLAG_SENTENCES[QualityFlag.T1_POST_ONLY] in comments
    assert FLAG_SENTENCES[QualityFlag.PREVIEW_PROFILE] in comments
    assert len(comments) == len(set(comments))


def test_every_flag_has_its_sentence() -> None:
    assert set(FLAG_SENTENCES) == set(QualityFlag)


def test_t1_post_only_is_said_once() -> None:
    report = make_study(with_t1=False, flags=(QualityFlag.T1_POST_ONLY,)).report
    assert report.mode is AnalysisMode.T1_POST_ONLY
    assert remarks_of(report).count(FLAG_SENTENCES[QualityFlag.T1_POST_ONLY]) == 1


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence") or []:
        yield from _walk(child)
