"""encode: same in, same out; contradictions are refused; every kind of source and study goes through."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import Defect
from core.lesion import Lesion
from core.provenance import MANUFACTURER
from core.uids import derive_uid
from tests.dicom_sources import OBLIQUE, SAGITTAL, classic_series, enhanced_series, make_grid, make_patient
from tests.encoded_study import LARGE, ON_FIRST_SLICE, ONE_VOXEL, SMALL, EncodedStudy, SeriesMaker, make_study
from worker.encoding import SiteChoices, SiteCodes, encode, to_bytes
from worker.encoding.part10 import from_bytes


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
@pytest.mark.parametrize("orientation", [OBLIQUE, SAGITTAL])
def test_every_orientation_and_kind_of_source_is_encoded_and_checked(series, orientation) -> None:
    boxes = (LARGE, SMALL, ON_FIRST_SLICE, ONE_VOXEL)
    results = make_study(boxes, make_grid(orientation=orientation), series).encode()
    assert results.seg is not None
    assert len(results.seg.SegmentSequence) == len(boxes)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_the_same_study_gives_the_same_bytes(series: SeriesMaker) -> None:
    first, second = make_study(series=series).encode(), make_study(series=series).encode()
    assert to_bytes(_seg(first)) == to_bytes(_seg(second))
    assert to_bytes(first.sr) == to_bytes(second.sr)


def test_an_object_is_written_again_with_the_bytes_that_were_checked() -> None:
    results = make_study().encode()
    for dataset in (_seg(results), results.sr):
        content = to_bytes(dataset)
        assert to_bytes(from_bytes(content)) == content


def test_a_study_without_lesions_has_a_report_and_no_segmentation() -> None:
    results = make_study(boxes=()).encode()
    assert results.seg is None
    assert results.sr.CompletionFlag == "COMPLETE"


def test_nothing_comes_from_the_clock() -> None:
    results = make_study().encode()
    for dataset in (_seg(results), results.sr):
        for what in ("Series", "Content", "InstanceCreation"):
            assert dataset[f"{what}Date"].value == "20261123"
            assert dataset[f"{what}Time"].value == "103015.250000"


def test_every_uid_is_of_the_sources_or_derived() -> None:
    study = make_study()
    results = study.encode()
    known = _uids(*study.sources.t1_post, *(study.sources.t1 or ()))
    kinds = (("seg", "series"), ("seg", "instance"), ("seg", "dimensions"))
    kinds += (("sr", "series"), ("sr", "instance"), ("sr", "summary"))
    known |= {study.provenance.uid(*kind) for kind in kinds} | {study.provenance.device_uid}
    known |= {lesion.tracking_uid for lesion in study.report.lesions}
    unknown = _uids(_seg(results), results.sr) - known
    assert {uid for uid in unknown if not uid.startswith("1.2.840.10008.")} == set()


def test_a_new_revision_is_a_new_series_that_says_so_and_names_its_predecessor() -> None:
    first = make_study()
    old = first.encode()
    provenance = replace(first.provenance, revision=2)
    sources = replace(first.sources, predecessor=old.sr)
    new = encode(first.findings, first.report, sources, provenance)
    assert new.sr.SeriesInstanceUID != old.sr.SeriesInstanceUID
    assert _seg(new).SeriesInstanceUID != _seg(old).SeriesInstanceUID
    assert _seg(new).SeriesDescription == "metserve metastases r2 (AI, research use)"
    predecessor = new.sr.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == old.sr.SOPInstanceUID


def test_equipment_names_the_algorithm_and_its_digest() -> None:
    study = make_study()
    results = study.encode()
    for dataset in (_seg(results), results.sr):
        assert dataset.Manufacturer == MANUFACTURER
        assert dataset.DeviceSerialNumber == study.report.model.digest[:16]
        assert dataset.ManufacturerModelName
        assert list(dataset.SoftwareVersions) == ["metserve 0.1.0", "test-set 2026.11.0"]
        (equipment,) = dataset.ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert equipment.DeviceUID == study.provenance.device_uid
        assert study.report.model.digest in equipment.ContributionDescription
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_site_may_choose_its_own_codes() -> None:
    study = make_study()
    site = SiteCodes(Code("MRBRAIN", "99SITE", "MR brain"), Code("1630", "99IHE", "Processing Algorithm"))
    results = encode(study.findings, study.report, study.sources, study.provenance, site=SiteChoices(site))
    codes = [i.ConceptCodeSequence[0].CodeValue for i in results.sr.ContentSequence if i.ValueType == "CODE"]
    assert "MRBRAIN" in codes
    purpose = results.sr.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0]
    assert purpose.CodingSchemeDesignator == "99IHE"


def test_a_report_about_other_lesions_is_refused() -> None:
    study = make_study()
    report = replace(study.report, lesions=study.report.lesions[:1])
    with pytest.raises(Defect, match="report lists 1 lesions, findings 2"):
        encode(study.findings, report, study.sources, study.provenance)


def test_a_missing_slice_reference_is_refused() -> None:
    study = make_study()
    with pytest.raises(Defect, match="11 slice references for 12 slices"):
        study.with_sources(replace(study.sources, slices=study.sources.slices[1:])).encode()


def test_a_reference_to_an_unknown_instance_is_refused() -> None:
    study = make_study()
    other = replace(study.sources.slices[0], sop_instance_uid=derive_uid("other"))
    with pytest.raises(Defect, match="not one of 12 sources"):
        study.with_sources(replace(study.sources, slices=(other, *study.sources.slices[1:]))).encode()


def test_a_lesion_whose_measures_are_of_another_place_is_refused() -> None:
    study = make_study()
    x, y, z = study.findings.lesions[0].centroid_lps_mm
    moved = replace(study.findings.lesions[0], centroid_lps_mm=(x + 0.02, y, z))
    with pytest.raises(Defect, match="BM-01 lies at"):
        _with_first_lesion(study, moved).encode()


def test_a_lesion_of_another_volume_is_refused() -> None:
    study = make_study()
    lesion = study.findings.lesions[0]
    with pytest.raises(Defect, match="BM-01 has"):
        _with_first_lesion(study, replace(lesion, volume_mm3=lesion.volume_mm3 * 1.006)).encode()


def test_a_scanner_s_own_rounding_of_positions_is_no_defect() -> None:
    study = make_study(grid=make_grid(orientation=OBLIQUE))
    for dataset in study.sources.t1_post:
        dataset.ImagePositionPatient = [round(float(v), 1) for v in dataset.ImagePositionPatient]
    assert study.encode().seg is not None


def test_uids_that_are_not_conformant_are_referred_to_as_they_are() -> None:
    study = make_study(boxes=(LARGE,))
    with_zeros = {}
    for n, dataset in enumerate(study.sources.t1_post):
        old = str(dataset.SOPInstanceUID)
        with_zeros[old] = f"1.2.3.0{n}"
        dataset["SOPInstanceUID"]._value = with_zeros[old]  # as a reader that does not validate leaves it
    slices = tuple(replace(s, sop_instance_uid=with_zeros[s.sop_instance_uid]) for s in study.sources.slices)
    results = study.with_sources(replace(study.sources, slices=slices)).encode()
    with disable_value_validation():
        referenced = _seg(results).ReferencedSeriesSequence[0].ReferencedInstanceSequence
        found = {str(item.ReferencedSOPInstanceUID) for item in referenced}
    assert found == set(with_zeros.values())


def test_a_multi_frame_source_may_hold_frames_that_are_no_slice_of_the_volume() -> None:
    study = make_study(boxes=(LARGE,), series=enhanced_series)
    (source,) = study.sources.t1_post
    source.PerFrameFunctionalGroupsSequence.append(source.PerFrameFunctionalGroupsSequence[0])
    source.NumberOfFrames += 1
    assert _seg(study.encode()).NumberOfFrames == 4


def test_an_unknown_character_set_in_a_file_costs_no_result() -> None:
    study = make_study(boxes=(LARGE,), patient=make_patient("Doe^Jane", "ISO_IR 100"), with_t1=False)
    contents = [to_bytes(d).replace(b"ISO_IR 100", b"ISO_IR 999") for d in study.sources.t1_post]
    with pytest.warns(UserWarning, match="Unknown encoding"):
        sources = replace(study.sources, t1_post=tuple(from_bytes(content) for content in contents))
    assert _seg(study.with_sources(sources).encode()).PatientName == "Doe^Jane"


def _with_first_lesion(study: EncodedStudy, lesion: Lesion) -> EncodedStudy:
    lesions = (lesion, *study.findings.lesions[1:])
    findings, report = replace(study.findings, lesions=lesions), replace(study.report, lesions=lesions)
    return replace(study, findings=findings, report=report)


def _seg(results) -> Dataset:
    assert results.seg is not None
    return results.seg


def _uids(*datasets: Dataset) -> set[str]:
    found: set[str] = set()
    for dataset in datasets:
        for element in dataset.iterall():
            if element.VR == "UI":
                found |= {
                    str(v) for v in ([element.value] if isinstance(element.value, str) else element.value)
                }
    return found
