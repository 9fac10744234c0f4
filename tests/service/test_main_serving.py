"""The serving roles as processes of their own: they start, they serve, SIGTERM ends them cleanly."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx

from core.job import JobState
from tests.service.service_records import Records
from tests.service.storage_peers import free_port

API = """
from pathlib import Path
from core.settings import AccessSettings, ApiSettings, AuditSettings, CommonSettings
from core.settings import DeliverySettings, ReceiverSettings
from service.main import ApiRoleSettings, run_api
run_api(
    ApiRoleSettings(
        CommonSettings(data_dir=Path({folder!r})),
        ApiSettings(port={port}),
        AccessSettings(),
        DeliverySettings(),
        ReceiverSettings(minimum_free_bytes=0),
        AuditSettings(),
    )
)
"""

DELIVERY = """
from pathlib import Path
from core.settings import AuditSettings, CommonSettings, DeliverySettings, TlsSettings
from service.main import DeliverRoleSettings, run_delivery
common, delivery = CommonSettings(data_dir=Path({folder!r})), DeliverySettings(poll_interval_s=0.05)
run_delivery(DeliverRoleSettings(common, delivery, TlsSettings(), AuditSettings()))
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask a process to stop; return its exit status and log."""
    process.terminate()
    _, log = process.communicate(timeout=60)
    return process.returncode, log


def wait_for_answer(url: str, process: subprocess.Popen[str]) -> httpx.Response:
    for _ in range(600):
        assert process.poll() is None, process.communicate()
        try:
            return httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(url)


def test_the_api_serves_until_it_is_told_to_stop_and_a_second_one_says_that_the_port_is_taken(
    tmp_path: Path,
) -> None:
    port = free_port()
    program = API.format(folder=str(tmp_path), port=port)
    first = start(program)
    try:
        ready = wait_for_answer(f"http://127.0.0.1:{port}/health/ready", first)
        second = start(program)
        _, log_of_second = second.communicate(timeout=60)
    finally:
        status, log = end(first)
    assert ready.status_code == 200
    assert status == 0, log
    assert "Traceback" not in log
    assert second.returncode != 0
    assert f"is port {port} taken?" in log_of_second


def test_delivery_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    records = Records(tmp_path, migrated=True)
    records.add_job()
    process = start(DELIVERY.format(folder=str(tmp_path)))
    try:
        for _ in range(600):
            if records.job().state == JobState.DELIVERED or process.poll() is not None:
                break
            time.sleep(0.05)
    finally:
        status, log = end(process)
    assert records.job().state == JobState.DELIVERED, log
    assert status == 0, log
