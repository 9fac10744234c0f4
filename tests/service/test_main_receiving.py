from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from core.database import InstanceRow, JobRow, open_engine, open_sessions
from core.errors import Transient
from core.settings import ReceiverSettings
from core.study_store import StudyStore
from service.main.receive import served_metrics, wait_while_alive
from service.receiving.store_lock import LOCK_FILE, sole_receiver
from tests.mr_headers import SIEMENS_MPRAGE, series
from tests.service.reception_site import write
from tests.service.storage_peers import free_port

PROGRAM = """
from core.settings import CommonSettings, load
from service.main import load_receive_settings, run_receiver
run_receiver(load_receive_settings(load(CommonSettings)))
"""


@pytest.mark.skipif(shutil.which("dcmsend") is None, reason="dcmtk is not installed")
def test_a_receiver_takes_a_study_makes_a_job_and_stops_on_sigterm(tmp_path: Path) -> None:
    port, metrics_port = str(free_port()), str(free_port())
    environment = {
        **os.environ,
        "METSERVE_DATA_DIR": str(tmp_path / "data"),
        "METSERVE_RECEIVER_PORT": port,
        "METSERVE_RECEIVER_METRICS_PORT": metrics_port,
        "METSERVE_RECEIVER_MINIMUM_FREE_BYTES": "0",
        "METSERVE_ASSEMBLY_QUIET_PERIOD_S": "0",
        "METSERVE_ASSEMBLY_INCOMPLETE_QUIET_PERIOD_S": "3600",
        "METSERVE_ASSEMBLY_POLL_INTERVAL_S": "0.1",
        "TCP_NODELAY": "1",
    }
    datasets = [
        *series(1, "t1", SIEMENS_MPRAGE, slices=20, spacing_mm=5),
        *series(2, "t1 KM", SIEMENS_MPRAGE, slices=20, spacing_mm=5),
    ]
    files = [str(write(tmp_path / f"{number}.dcm", dataset)) for number, dataset in enumerate(datasets)]
    receiver = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert receiver.stderr is not None
    log = [next(line for line in receiver.stderr if "receiver listens" in line)]
    subprocess.run(["dcmsend", "-aec", "METSERVE", "127.0.0.1", port, *files], env=environment, check=True)
    log.append(next(line for line in receiver.stderr if "study assembled" in line))
    metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    receiver.send_signal(signal.SIGTERM)
    log.append(receiver.communicate(timeout=30)[1])
    assert receiver.returncode == 0
    with open_sessions(open_engine(f"sqlite:///{tmp_path / 'data' / 'metserve.db'}"))() as session:
        assert len(session.scalars(select(InstanceRow)).all()) == 40
        assert session.scalars(select(JobRow)).first() is not None
    assert 'metserve_c_store_responses_total{status="0x0000"} 40.0' in metrics
    assert 'metserve_jobs_created_total{mode="full"} 1.0' in metrics
    assert "CANARY" not in "".join(log).upper()
    assert datasets[0].StudyInstanceUID not in "".join(log)


def test_without_a_metrics_port_nothing_is_served() -> None:
    threads = threading.active_count()
    with served_metrics(ReceiverSettings(metrics_port=0)):
        assert threading.active_count() == threads


def test_metrics_end_with_the_receiver_and_a_taken_port_is_named() -> None:
    settings = ReceiverSettings(metrics_port=free_port())
    url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
    with served_metrics(settings):
        assert "metserve_receptions" in httpx.get(url).text
        with pytest.raises(Transient, match=f"127.0.0.1:{settings.metrics_port}"), served_metrics(settings):
            pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


STOPPED_AT_ONCE = """
import threading
from core.settings import CommonSettings, load
from service.main import load_receive_settings, run_receiver
stop = threading.Event()
stop.set()
run_receiver(load_receive_settings(load(CommonSettings)), stop)
"""


def test_a_second_receiver_leaves_what_the_first_one_is_receiving(tmp_path: Path) -> None:
    store = StudyStore(tmp_path / "data")
    half_received = store.temporary_path()
    half_received.write_bytes(b"half")
    environment = {**os.environ, "METSERVE_DATA_DIR": str(store.root)}
    with sole_receiver(store, threading.Event()):
        second = subprocess.run(
            [sys.executable, "-c", STOPPED_AT_ONCE], env=environment, capture_output=True, text=True
        )
    assert "InvalidInput" in second.stderr
    assert str(store.root / LOCK_FILE) in second.stderr
    assert half_received.exists()


def test_a_role_ends_when_one_of_its_threads_does() -> None:
    ended = threading.Thread(target=int, name="receiver")
    ended.start()
    with pytest.raises(Transient, match="the receiver ended"):
        wait_while_alive((ended,), threading.Event())


def test_a_role_that_is_told_to_stop_does_not_complain_about_its_threads() -> None:
    stop = threading.Event()
    stop.set()
    wait_while_alive((threading.Thread(name="receiver"),), stop)
