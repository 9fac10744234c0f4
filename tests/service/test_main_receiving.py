from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from core.database import InstanceRow, JobRow, open_engine, open_sessions
from tests.mr_headers import SIEMENS_MPRAGE, series
from tests.service.reception_site import write

PROGRAM = """
from core.settings import AssemblySettings, CommonSettings, ReceiverSettings, load
from service.main import run_receiver
run_receiver(load(CommonSettings), load(ReceiverSettings), load(AssemblySettings))
"""


@pytest.mark.skipif(shutil.which("dcmsend") is None, reason="dcmtk is not installed")
def test_a_receiver_takes_a_study_makes_a_job_and_stops_on_sigterm(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **os.environ,
        "METSERVE_DATA_DIR": str(tmp_path / "data"),
        "METSERVE_RECEIVER_PORT": port,
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
    receiver.send_signal(signal.SIGTERM)
    log.append(receiver.communicate(timeout=30)[1])
    assert receiver.returncode == 0
    with open_sessions(open_engine(f"sqlite:///{tmp_path / 'data' / 'metserve.db'}"))() as session:
        assert len(session.scalars(select(InstanceRow)).all()) == 40
        assert session.scalars(select(JobRow)).first() is not None
    assert "CANARY" not in "".join(log).upper()
    assert datasets[0].StudyInstanceUID not in "".join(log)
