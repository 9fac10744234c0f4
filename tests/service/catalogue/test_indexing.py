"""The index of results: made from files, once, for old releases too."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from core.database import ResultObjectRow
from core.job import JobState
from service.access.principal import EVERYBODY
from service.catalogue.indexing import Indexer
from service.catalogue.instances import StoredInstance, instances
from tests.service.catalogued import index, mr_slice, receive, slice_uid
from tests.service.service_records import STUDY_UID, MovedClock, Records


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def indexed(records: Records) -> list[tuple[str, str]]:
    with records.read_sessions() as session:
        rows = session.scalars(select(ResultObjectRow).order_by(ResultObjectRow.kind))
        return [(row.job_id, row.kind) for row in rows]


def stored(records: Records, **conditions: object) -> list[StoredInstance]:
    with records.read_sessions() as session:
        return [*instances(session, records.store, EVERYBODY, **conditions)]  # type: ignore[arg-type]


def test_published_objects_are_indexed_once(records: Records) -> None:
    records.add_job("job-1")

    assert [index(records), index(records)] == [1, 0]
    assert indexed(records) == [("job-1", "seg"), ("job-1", "sr")]


def test_a_notice_is_indexed(records: Records) -> None:
    records.add_job("job-1", state=JobState.UNSUITABLE)
    records.add_notice("job-1")

    index(records)

    assert indexed(records) == [("job-1", "notice")]


def test_jobs_without_objects_are_left_alone(records: Records) -> None:
    records.add_job("job-1", state=JobState.QUEUED)
    records.add_job("job-2", revision=2, state=JobState.UNSUITABLE)

    assert index(records) == 0


def test_files_that_cannot_be_read_are_tried_once(records: Records) -> None:
    records.add_job("job-1", kinds=("sr",))
    records.result_path("job-1", "sr").write_bytes(b"no DICOM file")
    indexer = Indexer(records.sessions, records.read_sessions, records.store, MovedClock())

    assert [indexer.index_due(), indexer.index_due()] == [1, 0]


def test_a_study_has_its_received_instances_and_results(records: Records) -> None:
    receive(records, mr_slice(1))
    records.add_job("job-1", kinds=("sr",))
    index(records)

    received, result = stored(records, study_instance_uid=STUDY_UID)

    assert received.sop_instance_uid == slice_uid(1)
    assert result.path == records.result_path("job-1", "sr")
    assert all(one.path.stat().st_size == one.size_bytes for one in (received, result))


def test_a_replaced_object_is_given_to_whoever_names_it(records: Records) -> None:
    records.add_job("job-1", state=JobState.DELIVERED, kinds=("seg",))
    index(records)
    (old,) = stored(records, study_instance_uid=STUDY_UID)
    records.add_job("job-2", revision=2, kinds=("sr",))
    index(records)

    (new,) = stored(records, study_instance_uid=STUDY_UID)

    assert new.sop_instance_uid != old.sop_instance_uid
    assert stored(records, sop_instance_uid=old.sop_instance_uid) == [old]
    assert stored(records, series_instance_uid=old.series_instance_uid) == [old]


def test_many_uids_are_asked_for_in_steps(records: Records) -> None:
    receive(records, mr_slice(1))
    uids = [*(f"1.2.{n}" for n in range(40_000)), slice_uid(1)]

    assert [one.sop_instance_uid for one in stored(records, sop_instance_uid=uids)] == [slice_uid(1)]


def test_asking_for_nothing_in_particular_is_refused(records: Records) -> None:
    with pytest.raises(ValueError, match="expected a patient, a study"):
        stored(records)
