from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cli.purge import purge
from core.errors import InvalidInput
from core.job import JobState
from service.upkeep.retention import Retention
from tests.service.collected_audit import CollectedAudit
from tests.service.service_records import NOON, STUDY_UID, MovedClock, Records


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records(tmp_path)
    records.add_study(awaits_assembly=False, last_received_at=NOON)
    return records


def run(records: Records, **options: object) -> tuple[int, str]:
    clock = MovedClock()
    clock.advance(86_400.0)
    retention = Retention(records.sessions, records.read_sessions, records.store, clock, CollectedAudit())
    output = StringIO()
    chosen = {"older_than_days": 0.0, "study_instance_uid": None, "dry_run": False, "force": False}
    count = purge(retention, Console(file=output, width=200), **{**chosen, **options})  # type: ignore[arg-type]
    return count, output.getvalue()


def test_a_dry_run_says_what_would_go_and_removes_nothing(records: Records) -> None:
    records.add_job(state=JobState.DELIVERED, finished_at=NOON)
    count, said = run(records, dry_run=True)
    assert count == 1
    assert "1 of 1 studies would be purged" in said
    assert run(records)[0] == 1


def test_what_stays_says_why_and_names_no_patient(records: Records) -> None:
    records.add_job(state=JobState.PARKED, finished_at=NOON)
    count, said = run(records)
    assert count == 0
    assert "stays: it has a job that is not finished" in said
    assert "Canary" not in said


def test_not_even_force_removes_a_study_without_an_outcome(records: Records) -> None:
    records.add_job(state=JobState.PARKED, finished_at=NOON)
    assert run(records, study_instance_uid=STUDY_UID, force=True)[0] == 0


def test_force_wants_one_study(records: Records) -> None:
    with pytest.raises(InvalidInput, match="--study"):
        run(records, force=True)


def test_an_unknown_study_is_named(records: Records) -> None:
    with pytest.raises(InvalidInput, match=r"study 1\.2\.3 has no files"):
        run(records, study_instance_uid="1.2.3")
