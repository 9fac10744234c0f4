"""metserve itself as a system test meets it: processes, REST, and what it has stored."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from core.database import InstanceRow, open_engine, open_sessions
from tests.system.peers import REPOSITORY, START_LIMIT_S, Orthanc, Server, free_port, listens, wait_until

UP = ("up",)
"""Everything under one supervisor, as on a workstation."""

ROLES = ("receive", "api", "work", "deliver")
"""Every role a process of its own, as in a cluster."""

ANALYSIS_LIMIT_S = 300.0

TEST_SETTINGS = {
    "ASSEMBLY_QUIET_PERIOD_S": "3",
    "ASSEMBLY_REQUEUE_AFTER_S": "20",
    "WORKER_PROFILE": "preview",
    "WORKER_LEASE_S": "10",
    "WORKER_CACHE_DIR": str(Path(tempfile.gettempdir()) / "metserve-test-cache"),
    "DELIVERY_RETRY_FIRST_S": "2",
    "LOG_FORMAT": "json",
}
"""Short waits, and the profile for tests; compiled networks are shared by all runs."""


class Metserve:
    """A metserve in a folder and on ports of its own.

    Parameters
    ----------
    programs
        ``UP`` or ``ROLES``.
    dicom_port
        Where its receiver listens; REST gets any free port.
    destination
        PACS that gets the results.
    settings
        Any further ones, by name without METSERVE.
    """

    AE_TITLE = "METSERVE"

    def __init__(
        self,
        folder: Path,
        *,
        dicom_port: int,
        programs: tuple[str, ...] = UP,
        destination: Orthanc | None = None,
        **settings: object,
    ) -> None:
        folder.mkdir()
        self.dicom_port, api_port = dicom_port, free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith("METSERVE_")}
        own = {
            **TEST_SETTINGS,
            "DATA_DIR": folder / "data",
            "RECEIVER_PORT": dicom_port,
            "API_PORT": api_port,
            "DELIVERY_DESTINATIONS": _destinations(destination),
            **{name.upper(): value for name, value in settings.items()},
        }
        env |= {f"METSERVE_{name}": str(value) for name, value in own.items()}
        self.data = folder / "data"
        self.database_url = env.get("METSERVE_DATABASE_URL") or f"sqlite:///{self.data / 'metserve.db'}"
        self.processes = {
            program: Server(
                [sys.executable, "-m", "cli.main", program], folder / f"{program}.log", env, REPOSITORY
            )
            for program in programs
        }
        self.url = f"http://127.0.0.1:{api_port}"
        self.http = httpx.Client()

    def start(self) -> None:
        for process in self.processes.values():
            process.start()
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=60)
        ready = f"{self.url}/health/ready"
        wait_until(lambda: self.http.get(ready).is_success, START_LIMIT_S, "metserve is ready")
        self.wait_for_receiver()

    def stop(self) -> None:
        self.http.close()
        for process in self.processes.values():
            process.terminate()
        with ExitStack() as stack:  # every process is stopped, whatever becomes of another
            for process in self.processes.values():
                stack.callback(process.stop)

    def wait_for_receiver(self) -> None:
        wait_until(lambda: listens(self.dicom_port), START_LIMIT_S, "metserve's receiver listens")

    def study(self, study_instance_uid: str) -> dict[str, Any]:
        return dict(self.http.get(f"/studies/{study_instance_uid}").raise_for_status().json())

    def states(self, study_instance_uid: str) -> list[str]:
        """Return the states of a study's jobs, newest first; empty before the first one."""
        answer = self.http.get(f"/studies/{study_instance_uid}")
        return [] if answer.status_code == 404 else [job["state"] for job in answer.json()["jobs"]]

    def wait_for(self, study_instance_uid: str, *states: str, limit_s: float = ANALYSIS_LIMIT_S) -> None:
        """Wait until a study's jobs, newest first, have these states."""
        wait_until(
            lambda: self.states(study_instance_uid) == [*states], limit_s, f"the jobs are {', '.join(states)}"
        )

    def job(self, study_instance_uid: str) -> dict[str, Any]:
        """Return everything REST says about the newest job."""
        newest = self.study(study_instance_uid)["newest_job"]["job_id"]
        return dict(self.http.get(f"/jobs/{newest}").raise_for_status().json())

    def stored_instances(self, study_instance_uid: str) -> dict[str, Path]:
        """Return SOP Instance UID -> file of what the database says was received."""
        engine = open_engine(self.database_url)
        try:
            with open_sessions(engine, read_only=True)() as session:
                rows = [
                    (row.sop_instance_uid, self.data / row.path)
                    for row in session.scalars(select(InstanceRow))
                    if row.series.study.study_instance_uid == study_instance_uid
                ]
        finally:
            engine.dispose()
        return dict(rows)

    def role_process(self, role: str) -> int:
        """Return the process id of a role that `metserve up` looks after."""
        supervisor = self.processes["up"].process
        assert supervisor is not None, "metserve is down"
        (found,) = (pid for pid in children_of(supervisor.pid) if role in _command_line(pid))
        return found


def kill_tree(process_id: int) -> None:
    """End a process and its children at once, without warning."""
    for pid in (process_id, *children_of(process_id)):
        os.kill(pid, signal.SIGKILL)


def children_of(process_id: int) -> list[int]:
    """Return the process ids of a process' children."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _parent_of(entry) == process_id]


def _parent_of(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])  # proc(5): field 4
    except (FileNotFoundError, ProcessLookupError):
        return None


def _command_line(process_id: int) -> list[str]:
    return Path(f"/proc/{process_id}/cmdline").read_text().split("\0")


def _destinations(pacs: Orthanc | None) -> str:
    if pacs is None:
        return "[]"
    peer = {
        "name": "pacs",
        "ae_title": pacs.AE_TITLE,
        "host": "127.0.0.1",
        "port": pacs.dicom_port,
        "objects": ["seg", "sr", "rtstruct", "overview", "pdf"],
    }
    return json.dumps([peer])
