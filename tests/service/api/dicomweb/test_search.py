"""QIDO-RS: matches in DICOM JSON, in bounded pages, with warnings where the search was not what was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.audit import AuditKind
from service.access.principal import Principal, Role
from service.api.dicomweb import search, search_keys
from service.api.parts import principal_of
from tests.mr_headers import SIEMENS_MPRAGE, STUDY_UID, series
from tests.service.dicomweb_desk import DicomWebDesk

STUDIES = "/dicomweb/studies"
OTHER_STUDY = "2.25.5002"


@pytest.fixture
def desk(tmp_path: Path) -> DicomWebDesk:
    desk = DicomWebDesk(tmp_path)
    own = {"StudyDate": "20261123", "AccessionNumber": "ACC1", "StudyDescription": "Schädel"}
    own |= {"SpecificCharacterSet": "ISO_IR 100"}
    desk.store(
        *series(2, "T1", SIEMENS_MPRAGE, slices=3, **own),
        *series(3, "T1 post", SIEMENS_MPRAGE, slices=2, **own),
        *series(2, "T1", SIEMENS_MPRAGE, slices=1, study_uid=OTHER_STUDY, PatientName="Other^One"),
    )
    return desk


def values(reply: Any, key: str) -> list[Any]:
    return [item[key]["Value"][0] for item in reply.json()]


def test_studies_come_with_what_is_known_of_them(desk: DicomWebDesk) -> None:
    reply = desk.client.get(STUDIES, params={"AccessionNumber": "ACC1"})
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/dicom+json"
    (found,) = reply.json()
    assert found["0020000D"]["Value"] == [STUDY_UID]
    assert found["00100010"]["Value"] == [{"Alphabetic": "Canary^Patient"}]
    assert found["00080061"]["Value"] == ["MR"]
    assert found["00201206"]["Value"] == [2]
    assert found["00201208"]["Value"] == [5]
    assert found["00081030"]["Value"] == ["Schädel"]
    assert found["00081190"]["Value"] == [f"http://metserve{STUDIES}/{STUDY_UID}"]
    assert "Warning" not in reply.headers


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"PatientName": "canary*"}, [STUDY_UID]),
        ({"00100010": "Canary^Patient"}, [STUDY_UID]),
        ({"StudyDate": "20261101-20261130"}, [STUDY_UID]),
        ({"StudyInstanceUID": f"{STUDY_UID},{OTHER_STUDY}"}, [STUDY_UID, OTHER_STUDY]),
        ({"StudyInstanceUID": f"{STUDY_UID}\\{OTHER_STUDY}"}, [STUDY_UID, OTHER_STUDY]),
        ({"ModalitiesInStudy": "MR", "PatientID": ""}, [STUDY_UID, OTHER_STUDY]),
    ],
)
def test_studies_match_by_keyword_or_tag(
    desk: DicomWebDesk, parameters: dict[str, str], expected: list[str]
) -> None:
    assert sorted(values(desk.client.get(STUDIES, params=parameters), "0020000D")) == expected


def test_nothing_found_has_no_content(desk: DicomWebDesk) -> None:
    for path in (f"{STUDIES}?PatientID=nobody", f"{STUDIES}/1.2.3/series", f"{STUDIES}?limit=0"):
        reply = desk.client.get(path)
        assert (reply.status_code, reply.content) == (204, b"")


def test_series_and_instances_are_found_below_and_beside_their_study(desk: DicomWebDesk) -> None:
    of_study = desk.client.get(f"{STUDIES}/{STUDY_UID}/series")
    assert values(of_study, "00200011") == [2, 3]
    assert values(of_study, "00201209") == [3, 2]
    assert values(desk.client.get("/dicomweb/series?SeriesDescription=T1 post"), "00200011") == [3]
    of_series = desk.client.get(f"{STUDIES}/{STUDY_UID}/series/{STUDY_UID}.3/instances")
    assert values(of_series, "00080018") == [f"{STUDY_UID}.3.1", f"{STUDY_UID}.3.2"]
    assert values(of_series, "00280010") == [4, 4]
    assert len(desk.client.get(f"{STUDIES}/{STUDY_UID}/instances").json()) == 5
    (found,) = desk.client.get(f"/dicomweb/instances?SOPInstanceUID={STUDY_UID}.3.2").json()
    url = f"http://metserve{STUDIES}/{STUDY_UID}/series/{STUDY_UID}.3/instances/{STUDY_UID}.3.2"
    assert found["00081190"]["Value"] == [url]


def test_the_study_of_the_url_goes_before_that_of_the_query(desk: DicomWebDesk) -> None:
    reply = desk.client.get(f"{STUDIES}/{STUDY_UID}/series?StudyInstanceUID={OTHER_STUDY}")
    assert set(values(reply, "0020000D")) == {STUDY_UID}


def test_a_page_that_is_cut_says_so_and_the_next_goes_on(desk: DicomWebDesk) -> None:
    path = f"{STUDIES}/{STUDY_UID}/instances"
    first = desk.client.get(path, params={"limit": 3})
    assert len(first.json()) == 3
    assert first.headers["Warning"].startswith('299 metserve: "The number of results exceeded')
    rest = desk.client.get(path, params={"limit": 3, "offset": 3})
    assert len(rest.json()) == 2
    assert "Warning" not in rest.headers
    assert not set(values(first, "00080018")) & set(values(rest, "00080018"))


def test_no_limit_is_higher_than_ours(desk: DicomWebDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_RESULTS", 2)
    for query in ("", "?limit=1000000000"):
        reply = desk.client.get(f"/dicomweb/instances{query}")
        assert len(reply.json()) == 2
        assert "Warning" in reply.headers


@pytest.mark.parametrize(
    ("query", "warning"),
    [
        ("fuzzymatching=true&PatientName=Canary*", search_keys.NO_FUZZY),
        ("RequestAttributesSequence.ScheduledProcedureStepID=1", search_keys.NO_SEQUENCES),
        ("StationName=X", search_keys.unmatched_warning(["StationName"])),
    ],
)
def test_what_is_not_done_is_told(desk: DicomWebDesk, query: str, warning: str) -> None:
    reply = desk.client.get(f"{STUDIES}?{query}")
    assert reply.status_code == 200
    assert reply.headers["Warning"] == f'299 metserve: "{warning}"'


@pytest.mark.parametrize("include", ["all", "00081030", "StudyDescription,Modality", "00400275"])
def test_any_field_may_be_asked_for(desk: DicomWebDesk, include: str) -> None:
    reply = desk.client.get(f"{STUDIES}/{STUDY_UID}/series?includefield={include}&includefield=00100020")
    assert len(reply.json()) == 2
    assert "Warning" not in reply.headers


@pytest.mark.parametrize(
    "query",
    [
        "Nonsense=1",
        "0010001=1",
        "Nonsense.PatientID=1",
        "includefield=Nonsense",
        "PatientID=1&00100020=2",
        f"PatientID={'x' * 1025}",
        "PatientID=%00",
        "SeriesNumber=abc",
        "Rows=abc",
        "&".join(f"{tag:08X}=1" for tag in range(0x00110000, 0x00110065)),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_without_repeating_it(desk: DicomWebDesk, query: str) -> None:
    reply = desk.client.get(f"{STUDIES}?{query}")
    assert reply.status_code == 400
    assert "abc" not in reply.json()["detail"]


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=-1", "offset=100000000000", "limit=1e9"])
def test_pages_that_are_none_are_refused(desk: DicomWebDesk, query: str) -> None:
    assert desk.client.get(f"{STUDIES}?{query}").status_code == 422


@pytest.mark.parametrize("accept", ["application/dicom+xml", "text/html", "nonsense", ""])
def test_only_json_is_offered(desk: DicomWebDesk, accept: str) -> None:
    assert desk.client.get(STUDIES, headers={"Accept": accept}).status_code == 406


def test_json_by_its_plain_name_is_json_too(desk: DicomWebDesk) -> None:
    reply = desk.client.get(STUDIES, headers={"Accept": "application/json"})
    assert reply.headers["Content-Type"] == "application/json"


def test_what_one_does_not_see_is_not_found(desk: DicomWebDesk) -> None:
    visitor = Principal("visitor", frozenset({Role.VIEWER}), frozenset({"SCANNER2"}))
    desk.app.dependency_overrides[principal_of] = lambda: visitor
    for path in (STUDIES, "/dicomweb/series", "/dicomweb/instances", f"{STUDIES}/{STUDY_UID}/series"):
        assert desk.client.get(path).status_code == 204


def test_the_audit_trail_holds_the_query(desk: DicomWebDesk) -> None:
    desk.audit.events.clear()
    desk.client.get(f"{STUDIES}/{STUDY_UID}/series?PatientName=Canary*")
    (event,) = desk.audit.events
    assert event.kind is AuditKind.QUERY
    assert event.query == f"SERIES PatientName=Canary*&StudyInstanceUID={STUDY_UID}"
