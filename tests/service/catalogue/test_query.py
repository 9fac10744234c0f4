"""Searching: what matches, who sees it, and page by page."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from core.errors import InvalidInput
from core.job import JobState
from service.access.principal import EVERYBODY, Principal, Role
from service.catalogue.query import Level, search, unmatched_keys
from tests.service.catalogued import SENDER, index, mr_slice, receive, slice_uid
from tests.service.service_records import NOON, STUDY_UID, Records

OTHER_STUDY = f"{STUDY_UID}0"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def keys(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def find(
    records: Records,
    level: Level = Level.STUDY,
    *,
    principal: Principal = EVERYBODY,
    limit: int = 100,
    offset: int = 0,
    **attributes: object,
) -> list[Dataset]:
    with records.read_sessions() as session:
        return search(session, level, keys(**attributes), principal, limit=limit, offset=offset)


def receive_two_studies(records: Records) -> None:
    receive(
        records,
        mr_slice(1),
        patient_name="Doe^Jane",
        patient_id="A-1",
        study_date="20261101",
        study_time="101500.5",
    )
    receive(
        records,
        mr_slice(1, study_uid=OTHER_STUDY),
        patient_name="Roe^Jim=Ro^J",
        patient_id="B_2",
        study_date="20261123",
        study_time="1810",
    )


def studies(found: list[Dataset]) -> list[str]:
    return [answer.StudyInstanceUID for answer in found]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientName", "doe^jane"),
        ("PatientName", "DOE*"),
        ("PatientName", "D?e^*"),
        ("PatientID", "A-1"),
        ("PatientID", "?-1"),
        ("PatientID", "A*"),
        ("StudyInstanceUID", STUDY_UID),
        ("StudyInstanceUID", [STUDY_UID, "1.2.3"]),
        ("StudyDate", "20261101"),
        ("StudyDate", "20261101-20261122"),
        ("StudyDate", "-20261122"),
        ("StudyTime", "1015"),
        ("StudyTime", "-1015"),
        ("StudyTime", "10-11"),
    ],
)
def test_a_key_finds_the_study_that_matches_and_no_other(
    records: Records, keyword: str, value: object
) -> None:
    receive_two_studies(records)

    assert studies(find(records, **{keyword: value})) == [STUDY_UID]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "a-1"),
        ("PatientID", "a*"),
        ("PatientID", "A%"),
        ("PatientID", "B?3"),
        ("PatientID", "[A]*"),
        ("PatientID", "' OR 1=1 --"),
        ("PatientName", "Do%"),
        ("StudyDate", "20261124-"),
        ("StudyInstanceUID", "1.2.3"),
        ("ModalitiesInStudy", "CT"),
    ],
)
def test_what_does_not_match_is_not_found(records: Records, keyword: str, value: object) -> None:
    receive_two_studies(records)

    assert find(records, **{keyword: value}) == []


def test_no_keys_find_every_study_the_newest_first(records: Records) -> None:
    receive_two_studies(records)

    assert studies(find(records)) == [OTHER_STUDY, STUDY_UID]


def test_a_component_group_finds_a_name(records: Records) -> None:
    receive_two_studies(records)

    assert studies(find(records, PatientName="ro^j")) == [OTHER_STUDY]


def test_pages_hold_every_study_once(records: Records) -> None:
    receive_two_studies(records)

    pages = [studies(find(records, limit=1, offset=offset)) for offset in range(3)]

    assert pages == [[OTHER_STUDY], [STUDY_UID], []]


def test_a_study_says_what_it_holds(records: Records) -> None:
    receive(records, mr_slice(1), accession_number="ACC7")
    receive(records, mr_slice(2))
    receive(records, mr_slice(1, series=2))
    records.add_job()
    index(records)

    (study,) = find(records, ModalitiesInStudy="SEG")

    assert list(study.ModalitiesInStudy) == ["MR", "SEG", "SR"]
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (4, 5)
    assert (study.AccessionNumber, study.SpecificCharacterSet) == ("ACC7", "ISO_IR 192")


def test_series_are_received_ones_and_results(records: Records) -> None:
    receive(records, mr_slice(1))
    receive(records, mr_slice(2))
    records.add_job()
    index(records)

    found = find(records, Level.SERIES, StudyInstanceUID=STUDY_UID)

    sizes = {series.Modality: series.NumberOfSeriesRelatedInstances for series in found}
    assert sizes == {"MR": 2, "SEG": 1, "SR": 1}
    assert studies(find(records, Level.SERIES, Modality="SEG", PatientID="*")) == [STUDY_UID]
    assert find(records, Level.SERIES, SeriesNumber=9) == []


def test_an_image_says_what_it_is(records: Records) -> None:
    receive(records, mr_slice(1))
    receive(records, mr_slice(2))

    (image,) = find(records, Level.IMAGE, SeriesInstanceUID=f"{STUDY_UID}.1", InstanceNumber=2)

    assert image.SOPInstanceUID == slice_uid(2)
    assert (image.Rows, image.Columns, image.InstanceNumber) == (4, 6, 2)
    assert image.AvailableTransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_images_are_paged_in_order(records: Records) -> None:
    for number in (3, 1, 2):
        receive(records, mr_slice(number))

    pages = [find(records, Level.IMAGE, limit=2, offset=offset) for offset in (0, 2)]

    assert [[image.InstanceNumber for image in page] for page in pages] == [[1, 2], [3]]


def test_patients_are_listed_once(records: Records) -> None:
    receive(records, mr_slice(1))
    receive(records, mr_slice(1, study_uid=OTHER_STUDY))

    assert [patient.PatientID for patient in find(records, Level.PATIENT)] == ["PID-CANARY"]


def test_only_the_newest_published_revision_is_listed(records: Records) -> None:
    receive(records, mr_slice(1))
    records.add_job("job-1", state=JobState.DELIVERED)
    records.add_job("job-2", revision=2, kinds=("sr",))
    index(records)

    assert sorted(series.Modality for series in find(records, Level.SERIES)) == ["MR", "SR"]
    assert find(records, ModalitiesInStudy="SEG") == []


def test_a_notice_of_a_newer_revision_hides_no_results(records: Records) -> None:
    receive(records, mr_slice(1))
    records.add_job("job-1", kinds=("seg",))
    records.add_job("job-2", revision=2, state=JobState.UNSUITABLE)
    records.add_notice("job-2")
    index(records)

    assert len(find(records, Level.IMAGE)) == 3


def test_an_object_that_was_sent_back_is_listed_once(records: Records) -> None:
    receive(records, mr_slice(1))
    records.add_job(kinds=("seg",))
    index(records)
    (ours,) = find(records, Level.IMAGE, Modality="SEG")
    back = mr_slice(1)
    back.Modality, back.SOPClassUID = "SEG", ours.SOPClassUID
    back.SOPInstanceUID, back.SeriesInstanceUID = ours.SOPInstanceUID, ours.SeriesInstanceUID
    receive(records, back)

    assert [image.SOPInstanceUID for image in find(records, Level.IMAGE, Modality="SEG")] == [
        ours.SOPInstanceUID
    ]
    (series,) = find(records, Level.SERIES, Modality="SEG")
    assert series.NumberOfSeriesRelatedInstances == 1


def test_a_restricted_principal_sees_the_studies_of_its_senders(records: Records) -> None:
    receive(records, mr_slice(1))
    receive(records, mr_slice(1, study_uid=OTHER_STUDY), sender="ELSEWHERE")
    records.add_job(study_uid=OTHER_STUDY)
    index(records)
    restricted = Principal("key", frozenset({Role.VIEWER}), frozenset({SENDER}))

    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        assert set(studies(find(records, level, principal=restricted))) == {STUDY_UID}


def test_a_purged_study_is_not_listed(records: Records) -> None:
    receive(records, mr_slice(1), purged_at=NOON)

    assert find(records) == []


def test_a_key_that_cannot_be_read_is_named(records: Records) -> None:
    broken = Dataset()
    broken.add_new("SeriesNumber", "IS", "5")
    broken["SeriesNumber"]._value = object()

    with records.read_sessions() as session:
        assert search(session, Level.SERIES, broken, EVERYBODY, limit=1) == []

    too_many = keys(StudyInstanceUID=["1.2"] * 10_001)
    with records.read_sessions() as session, pytest.raises(InvalidInput, match="StudyInstanceUID has 10001"):
        search(session, Level.STUDY, too_many, EVERYBODY, limit=1)


def test_keys_that_are_not_matched_are_told() -> None:
    asked = keys(QueryRetrieveLevel="STUDY", PatientID="1", StudyID="7", StudyDate="", Modality="MR")

    assert unmatched_keys(Level.STUDY, asked) == ["Modality", "StudyID"]
