"""Patient data that goes through every role shows in no log, metric, queue message or file name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread, dcmwrite
from sqlalchemy import select

from core.database import AuditRow, open_engine, open_sessions
from service.audit.chain import verify
from tests.mr_headers import ct_series, with_file_meta
from tests.system.metserve import ROLES, Metserve
from tests.system.peers import Redis, Server, Storescp, free_port, running, storescu, wait_until

pytestmark = pytest.mark.system

PLANTED = {
    "PatientName": "ZYXNAME^PLANTED",
    "PatientID": "ZYXPID4711",
    "AccessionNumber": "ZYXACC0815",
    "PatientBirthDate": "19110309",
    "StudyDescription": "ZYXDESCRIPTION",
    "ReferringPhysicianName": "ZYXDOCTOR^PLANTED",
}
TRACES = ("ZYX", "19110309")
"""What every planted value holds, and nothing else does."""

OUTCOME_LIMIT_S = 60.0
LEAST_RECEIVED = 2


@dataclass(frozen=True)
class Site:
    """metserve with a PACS that takes notices, and with somebody who listens to its queue."""

    metserve: Metserve
    pacs: Storescp
    monitor: Server
    redis: Redis
    folder: Path
    study: Path

    def ask(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.get(f"{self.metserve.url}{path}", params=parameters or None, timeout=30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("planted")
    redis, pacs = Redis(folder / "redis"), Storescp(folder / "pacs", "PACS")
    destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port}
    metserve = Metserve(
        folder / "metserve",
        dicom_port=free_port(),
        programs=ROLES,
        broker_url=redis.url,
        log_level="DEBUG",
        assembly_incomplete_quiet_period_s=3,
        delivery_destinations=json.dumps([destination]),
    )
    monitor = Server(["redis-cli", "-p", str(redis.port), "monitor"], folder / "queue.log")
    with running(redis, monitor, pacs, metserve):
        site = Site(metserve, pacs, monitor, redis, folder, write_planted(folder / "study"))
        happen(site)
        yield site


def write_planted(folder: Path) -> Path:
    """Write a CT with planted patient data; nothing of it is analysed."""
    folder.mkdir()
    for number, dataset in enumerate(ct_series(slices=2)):
        for keyword, value in PLANTED.items():
            setattr(dataset, keyword, value)
        dcmwrite(folder / f"{number}.dcm", with_file_meta(dataset), enforce_file_format=True)
    return folder


def happen(site: Site) -> None:
    """Let pass whatever could leave a trace."""
    port = site.metserve.dicom_port
    storescu([site.study], port, called=Metserve.AE_TITLE)
    wait_until(lambda: any(site.pacs.folder.iterdir()), OUTCOME_LIMIT_S, "the PACS has the notice")
    send_malformed(site)
    refuse(site)
    query(port)
    ask_rest(site)
    ask_dicomweb(site)


def send_malformed(site: Site) -> None:
    """Send what must be refused: cut off, and with letters of the patient's name in each UID."""
    whole = (site.study / "0.dcm").read_bytes()
    upload(site, whole[: whole.index(PLANTED["PatientID"].encode()) + 40])
    dataset = dcmread(site.study / "0.dcm")
    for uid in (dataset.StudyInstanceUID, dataset.SOPInstanceUID):
        upload(site, whole.replace(uid.encode(), f"{uid[:-3]}ZYX".encode()))


def upload(site: Site, content: bytes) -> None:
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--\r\n"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    answer = httpx.post(f"{site.metserve.url}/dicomweb/studies", content=body, headers=headers, timeout=30)
    assert answer.status_code < 500


def refuse(site: Site) -> None:
    """Ask for an AE title that is not served, and talk nonsense."""
    port = site.metserve.dicom_port
    files = [str(site.study / "0.dcm")]
    refused = subprocess.run(
        ["storescu", "-aec", "ZYXWRONG", "127.0.0.1", str(port), *files], capture_output=True
    )
    assert refused.returncode in {0, 1}
    with httpx.Client() as client, pytest.raises(httpx.HTTPError):
        client.get(f"http://127.0.0.1:{port}/{PLANTED['PatientName']}", timeout=10)


def query(port: int) -> None:
    """Search and fetch by the patient's name and ID."""
    keys = [f"PatientName={PLANTED['PatientName']}", f"PatientID={PLANTED['PatientID']}"]
    arguments = [argument for key in keys for argument in ("-k", key)]
    for command in (["findscu", "-S"], ["getscu", "-S", "-od", "/nonexistent"]):
        subprocess.run(
            [*command, "-aec", Metserve.AE_TITLE, "-k", "QueryRetrieveLevel=STUDY", *arguments,
             "127.0.0.1", str(port)],
            capture_output=True, timeout=60,
        )  # fmt: skip


def ask_rest(site: Site) -> None:
    """Ask rightly, and wrongly with the patient in the URL."""
    name, patient_id = PLANTED["PatientName"], PLANTED["PatientID"]
    assert site.ask("/api/v1/studies").is_success
    for path in (
        f"/api/v1/studies/{name}",
        f"/api/v1/jobs/{patient_id}",
        f"/api/v1/jobs/{patient_id}/objects/{name}",
        f"/{name}/{patient_id}",
        f"/api/v1/studies/1.2.3%0d%0a{name}",
    ):
        assert 400 <= site.ask(path).status_code < 500
    site.ask("/api/v1/studies", patient_id=patient_id, state=name, limit=name)
    found = httpx.post(
        f"{site.metserve.url}/api/v1/studies/search", json={"patient_id": patient_id, "limit": name}
    )
    assert found.status_code < 500


def ask_dicomweb(site: Site) -> None:
    """Search by name, and read what was found."""
    found = site.ask("/dicomweb/studies", PatientName="ZYXNAME*", AccessionNumber=PLANTED["AccessionNumber"])
    assert found.is_success
    site.ask(f"/dicomweb/studies/{PLANTED['PatientID']}/metadata")
    site.ask("/dicomweb/studies", StudyDate=PLANTED["PatientName"])


def traces_in(text: str) -> list[str]:
    return [line[:400] for line in text.splitlines() if any(trace in line for trace in TRACES)]


def test_the_study_was_received_and_answered(site: Site) -> None:
    """What follows would prove nothing otherwise."""
    (study,) = site.metserve.http.get("/studies").json()["studies"]
    assert len(site.metserve.stored_instances(study["study_instance_uid"])) >= LEAST_RECEIVED
    notice = dcmread(next(site.pacs.folder.iterdir()))
    assert str(notice.PatientID) == PLANTED["PatientID"]


@pytest.mark.parametrize("role", ROLES)
def test_no_log_names_the_patient(site: Site, role: str) -> None:
    log = site.metserve.processes[role].log.read_text()
    assert log
    assert traces_in(log) == []


def test_no_metric_names_the_patient(site: Site) -> None:
    assert traces_in(site.ask("/metrics").raise_for_status().text) == []


def test_nothing_in_the_queue_names_the_patient(site: Site) -> None:
    commands = (site.folder / "queue.log").read_text()
    assert "metserve.notice" in commands, "the queue was not listened to"
    assert traces_in(commands) == []
    kept = (site.redis.folder / "appendonlydir").rglob("*") if site.redis.folder.is_dir() else ()
    assert [path.name for path in kept if path.is_file() and b"ZYX" in path.read_bytes()] == []


def test_no_file_name_names_the_patient(site: Site) -> None:
    paths = [str(path.relative_to(site.metserve.data)) for path in site.metserve.data.rglob("*")]
    assert paths
    assert traces_in("\n".join(paths)) == []


def test_the_audit_trail_names_the_patient_and_is_whole(site: Site) -> None:
    """It is the one place that has to know whom an access was about; only its owner can read it."""
    database = site.metserve.data / "metserve.db"
    assert database.stat().st_mode & 0o077 == 0
    engine = open_engine(site.metserve.database_url)
    try:
        with open_sessions(engine, read_only=True)() as session:
            messages = list(session.scalars(select(AuditRow.message)))
            assert verify(session) is None
    finally:
        engine.dispose()
    assert any(PLANTED["PatientID"] in message for message in messages)
