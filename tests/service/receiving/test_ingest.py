from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from sqlalchemy import create_engine, event, text, update
from sqlalchemy.pool import QueuePool

from core.database import StudyRow, open_sessions
from core.errors import Transient
from core.headers import INSTANCE_HEADER
from core.study_store import StudyStore, sha256_of_file
from service.receiving.ingest import Ingest
from service.receiving.instance_file import RefusalReason
from service.receiving.reception import Reception, ReceptionKind
from tests.mr_headers import SIEMENS_MPRAGE, ct_series, enhanced, nested_sequences, series
from tests.service.reception_site import Site, open_site, write

STORED, DUPLICATE = ReceptionKind.STORED, ReceptionKind.DUPLICATE
CONFLICT, REFUSED = ReceptionKind.CONFLICT_QUARANTINED, ReceptionKind.REFUSED


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path)


def mr_instance(**elements: object) -> Dataset:
    return series(1, "t1 mprage", SIEMENS_MPRAGE, slices=1, **elements)[0]


def refusal(site: Site, dataset: Dataset) -> RefusalReason | None:
    reception = site.receive(dataset)[0]
    assert reception.kind is REFUSED
    assert site.stored_files() == site.temporary_files() == []
    assert len(site.quarantine_reasons()) == 1
    return reception.reason


def test_a_stored_instance_has_a_file_a_record_and_a_study_that_awaits_assembly(site: Site) -> None:
    dataset = mr_instance(contrast="Gadovist", AccessionNumber="A1")
    assert site.receive(dataset)[0].kind is STORED
    row = site.instances()[0]
    assert site.store.resolve(row.path).is_file()
    assert row.calling_ae_title == "SCANNER"
    assert INSTANCE_HEADER.validate_python(row.header).contrast_bolus_agent == "Gadovist"
    study = site.study()
    assert (study.patient_id, study.accession_number) == ("PID-CANARY", "A1")
    assert study.last_received_at == site.clock.now
    assert study.awaits_assembly
    assert site.temporary_files() == []


def test_instances_of_one_series_share_their_records(site: Site) -> None:
    site.receive(*series(1, "t1", SIEMENS_MPRAGE, slices=3), *series(2, "t1 post", SIEMENS_MPRAGE, slices=2))
    with site.read_sessions() as session:
        study = session.query(StudyRow).one()
        assert [len(one.instances) for one in study.series] == [3, 2]


def test_an_enhanced_instance_is_stored(site: Site) -> None:
    assert site.receive(*enhanced(1, "t1"))[0].kind is STORED
    header = INSTANCE_HEADER.validate_python(site.instances()[0].header)
    assert len(header.frame_positions_lps_mm) == 40


def test_the_same_bytes_again_change_nothing(site: Site) -> None:
    site.receive(mr_instance())
    received_at = site.clock.now
    with site.sessions.begin() as session:
        session.execute(update(StudyRow).values(awaits_assembly=False))
    site.clock.advance(60)
    assert site.receive(mr_instance())[0].kind is DUPLICATE
    assert len(site.instances()) == len(site.stored_files()) == 1
    assert not site.study().awaits_assembly
    assert site.study().last_received_at == received_at


def test_other_bytes_under_a_known_uid_are_quarantined_and_the_first_are_kept(site: Site) -> None:
    site.receive(mr_instance())
    first = sha256_of_file(site.stored_files()[0])
    assert site.receive(mr_instance(PatientComments="changed"))[0].kind is CONFLICT
    assert [sha256_of_file(path) for path in site.stored_files()] == [first]
    assert "another object with this SOP Instance UID" in site.quarantine_reasons()[0]


def test_two_senders_of_one_uid_at_one_moment_have_one_winner(site: Site) -> None:
    datasets = [mr_instance(PatientComments=str(number % 2)) for number in range(8)]
    paths = [write(site.store.temporary_path(), dataset) for dataset in datasets]
    kinds: list[ReceptionKind] = []
    barrier = threading.Barrier(len(paths))

    def send(path: Path, dataset: Dataset) -> None:
        barrier.wait()
        kinds.append(site.receive_file(path, dataset).kind)

    threads = [threading.Thread(target=send, args=pair) for pair in zip(paths, datasets, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds) == sorted([STORED, *[DUPLICATE] * 3, *[CONFLICT] * 4])
    row = site.instances()[0]
    assert [site.store.relative(path) for path in site.stored_files()] == [row.path]


def test_uids_that_differ_between_request_and_data_set_are_refused(site: Site) -> None:
    dataset = mr_instance()
    path = write(site.store.temporary_path(), dataset)
    dataset.SOPInstanceUID = "2.25.77"
    assert site.receive_file(path, dataset).reason is RefusalReason.SOP_INSTANCE_MISMATCH
    path = write(site.store.temporary_path(), dataset)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    assert site.receive_file(path, dataset).reason is RefusalReason.SOP_CLASS_MISMATCH
    assert site.stored_files() == []


@pytest.mark.parametrize("uid", ["../../../evil", "/etc/cron.d/x", "1.2\x00.3", "1." * 40, "", "1.2.x"])
@pytest.mark.parametrize("level", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_uids_that_are_no_uids_are_refused(site: Site, level: str, uid: str) -> None:
    dataset = mr_instance()
    path = write(site.store.temporary_path(), dataset)
    setattr(dataset, level, uid)
    dataset.save_as(path)
    assert site.receive_file(path, dataset).kind is REFUSED
    assert site.stored_files() == []


@pytest.mark.parametrize("uid", ["1.2.03.4", "1.2.3."])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_slightly_wrong_uids_are_kept(site: Site, uid: str) -> None:
    assert site.receive(mr_instance(StudyInstanceUID=uid))[0].kind is STORED


def test_short_pixel_data_is_refused(site: Site) -> None:
    assert refusal(site, mr_instance(PixelData=bytes(30))) is RefusalReason.TRUNCATED_PIXELS


def test_a_file_that_ends_within_its_pixels_is_refused(site: Site) -> None:
    dataset = mr_instance()
    path = write(site.store.temporary_path(), dataset)
    path.write_bytes(path.read_bytes()[:-10])
    assert site.receive_file(path, dataset).reason is RefusalReason.TRUNCATED_PIXELS


def test_a_claim_of_a_billion_frames_is_refused(site: Site) -> None:
    assert refusal(site, mr_instance(NumberOfFrames=10**9)) is RefusalReason.TRUNCATED_PIXELS


def test_an_mr_image_without_pixels_is_refused(site: Site) -> None:
    assert refusal(site, mr_instance(PixelData=None)) is RefusalReason.TRUNCATED_PIXELS


def test_900_nested_sequences_are_refused(site: Site) -> None:
    dataset = mr_instance()
    path = write(site.store.temporary_path(), dataset)
    content = path.read_bytes()
    pixels_at = content.rindex(b"\xe0\x7f\x10\x00")
    path.write_bytes(content[:pixels_at] + nested_sequences(900) + content[pixels_at:])
    assert site.receive_file(path, dataset).reason is RefusalReason.UNREADABLE
    assert "deeper than 32" in site.quarantine_reasons()[0]


@pytest.mark.parametrize("content", [b"", b"\x00" * 132, b"GET / HTTP/1.1\r\n\r\n" * 20])
def test_bytes_that_are_no_dicom_file_are_refused(site: Site, content: bytes) -> None:
    path = site.store.temporary_path()
    path.write_bytes(content)
    assert site.receive_file(path, mr_instance()).reason is RefusalReason.UNREADABLE


def test_deflated_data_is_refused_unread(site: Site) -> None:
    dataset = mr_instance()
    path = write(site.store.temporary_path(), dataset)
    reception = site.receive_file(path, dataset, DeflatedExplicitVRLittleEndian)
    assert reception.reason is RefusalReason.TRANSFER_SYNTAX


def test_other_storage_classes_are_kept_or_not_by_a_setting(site: Site) -> None:
    first, second = ct_series(slices=2)
    assert site.receive(first)[0].kind is STORED
    site.ingest = Ingest(site.store, site.sessions, site.clock, keep_other_storage_classes=False)
    assert site.receive(second)[0].reason is RefusalReason.STORAGE_CLASS_NOT_KEPT


def test_a_nul_in_the_patient_name_is_left_out(site: Site) -> None:
    site.receive(mr_instance(PatientName="Doe\0^John"))
    assert site.study().patient_name == "Doe^John"


def test_reasons_in_quarantine_hold_no_patient_data(site: Site) -> None:
    site.receive(mr_instance(PixelData=bytes(30)))
    assert "CANARY" not in site.quarantine_reasons()[0].upper()


def test_a_file_without_a_record_is_adopted(site: Site) -> None:
    site.receive(mr_instance())
    with site.sessions.begin() as session:
        for table in ("instance", "series", "study"):
            session.execute(text(f"DELETE FROM {table}"))
    assert site.ingest.adopt_orphans() == 1
    assert site.ingest.adopt_orphans() == 0
    assert site.study().awaits_assembly
    assert site.store.resolve(site.instances()[0].path).is_file()


def test_a_torn_file_without_a_record_is_not_adopted(site: Site) -> None:
    site.receive(mr_instance())
    orphan = site.stored_files()[0].with_name("orphan.dcm")
    orphan.write_bytes(site.stored_files()[0].read_bytes()[:200])
    assert site.ingest.adopt_orphans() == 0
    assert len(site.instances()) == len(site.stored_files()) == 1


def test_a_lost_database_is_transient_and_the_file_is_found_later(site: Site) -> None:
    with site.sessions.begin() as session:
        session.execute(text("ALTER TABLE instance RENAME TO gone"))
    with pytest.raises(Transient):
        site.receive(mr_instance())
    with site.sessions.begin() as session:
        session.execute(text("ALTER TABLE gone RENAME TO instance"))
    assert site.ingest.adopt_orphans() == 1
    assert site.temporary_files() == []


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_series_number_no_database_holds_is_left_out(site: Site) -> None:
    assert site.receive(mr_instance(SeriesNumber=2**70))[0].kind is STORED
    assert INSTANCE_HEADER.validate_python(site.instances()[0].header).series_number is None


def accept(ingest: Ingest, path: Path, dataset: Dataset, calling_ae_title: str) -> Reception:
    return ingest.accept(
        path,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae_title=calling_ae_title,
        peer_address="192.0.2.1",
    )


def test_control_characters_in_a_calling_ae_title_are_left_out(site: Site) -> None:
    path = write(site.store.temporary_path(), mr_instance())
    accept(site.ingest, path, mr_instance(), "SCAN\0NER\n")
    assert site.instances()[0].calling_ae_title == "SCANNER"


LONGEST_VALUE_BYTES = 5000


@contextmanager
def values_limited(site: Site) -> Iterator[None]:
    """Let the database refuse long values, as PostgreSQL refuses what does not fit its column."""
    engine = site.sessions.kw["bind"]

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)

    engine.dispose()
    event.listen(engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def too_long_for_the_database() -> Dataset:
    return mr_instance(SOPInstanceUID="2.25.99", SeriesDescription="x" * LONGEST_VALUE_BYTES)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_value_the_database_cannot_hold_is_refused_and_the_next_object_is_taken(site: Site) -> None:
    with values_limited(site):
        assert refusal(site, too_long_for_the_database()) is RefusalReason.UNRECORDABLE
        assert site.receive(mr_instance())[0].kind is STORED


def leave_without_records(site: Site, *datasets: Dataset) -> None:
    """Leave files as a receiver does that is killed between rename and commit."""
    site.receive(*datasets)
    with site.sessions.begin() as session:
        for table in ("instance", "series", "study"):
            session.execute(text(f"DELETE FROM {table}"))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_file_the_database_cannot_hold_does_not_keep_the_others_from_being_adopted(site: Site) -> None:
    leave_without_records(site, too_long_for_the_database(), *series(1, "t1", SIEMENS_MPRAGE, slices=3))
    with values_limited(site):
        assert site.ingest.adopt_orphans() == 3
    assert len(site.stored_files()) == 3
    assert "the database cannot hold" in site.quarantine_reasons()[0]


def test_a_file_the_disk_does_not_give_stays_and_the_others_are_adopted(site: Site) -> None:
    leave_without_records(site, *series(1, "t1", SIEMENS_MPRAGE, slices=2))
    unreadable = site.stored_files()[0].with_name("0.dcm")
    unreadable.mkdir()
    assert site.ingest.adopt_orphans() == 2
    assert unreadable.exists()


class BusyStore(StudyStore):
    """A store into which another receiver takes an object just when the files are listed."""

    def __init__(self, root: Path, receive: Callable[[], object]) -> None:
        super().__init__(root)
        self._receive = iter([receive])

    @property
    def instances(self) -> Path:
        for receive in getattr(self, "_receive", ()):
            receive()
        return super().instances


def test_a_file_acknowledged_while_orphans_are_looked_for_is_kept(site: Site) -> None:
    store = BusyStore(site.store.root, lambda: site.receive(mr_instance()))
    assert Ingest(store, site.sessions, site.clock).adopt_orphans() == 0
    assert site.store.resolve(site.instances()[0].path).is_file()


def test_a_second_copy_of_a_recorded_file_is_removed(site: Site) -> None:
    site.receive(mr_instance())
    kept = site.stored_files()[0]
    shutil.copy(kept, kept.with_name("copy.dcm"))
    assert site.ingest.adopt_orphans() == 0
    assert site.stored_files() == [kept]


def test_a_database_without_a_free_connection_is_transient(site: Site) -> None:
    busy = create_engine(
        site.sessions.kw["bind"].url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )
    path = write(site.store.temporary_path(), mr_instance())
    with busy.connect(), pytest.raises(Transient, match="TimeoutError"):
        accept(Ingest(site.store, open_sessions(busy), site.clock), path, mr_instance(), "SCANNER")
    busy.dispose()
