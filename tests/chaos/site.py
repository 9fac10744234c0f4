"""metserve's roles as processes that can be doomed, on a database and a broker that can be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from core.database import Sessions, open_engine, open_sessions
from tests.chaos.destination import Destination
from tests.chaos.fatal_points import POINTS, FatalPoint
from tests.system.metserve import children_of
from tests.system.peers import REPOSITORY, START_LIMIT_S, Server, free_port, listens, wait_until

ROLES = ("receive", "work", "deliver")

SETTINGS = {
    "ASSEMBLY_QUIET_PERIOD_S": "1.5",
    "ASSEMBLY_INCOMPLETE_QUIET_PERIOD_S": "30",
    "ASSEMBLY_POLL_INTERVAL_S": "0.2",
    "ASSEMBLY_REQUEUE_AFTER_S": "4",
    "RECEIVER_MINIMUM_FREE_BYTES": str(4 * 1024**2),
    "WORKER_LEASE_S": "3",
    "DELIVERY_POLL_INTERVAL_S": "0.2",
    "DELIVERY_RETRY_FIRST_S": "0.5",
    "DELIVERY_RETRY_LONGEST_S": "2",
    "DELIVERY_TIMEOUT_S": "2",
    "LOG_FORMAT": "json",
}
"""Short waits: what is repeated after minutes in a hospital is repeated after seconds here."""


class Site:
    """The roles, each a process of its own.

    Parameters
    ----------
    database_url, broker_url
        Empty: SQLite and message files in the data folder.
    """

    def __init__(
        self, folder: Path, destination: Destination, *, database_url: str = "", broker_url: str = ""
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.data = folder, folder / "data"
        self.port = free_port()
        self.marks = folder / "marks"
        self.marks.mkdir()
        own = {
            **SETTINGS,
            "DATA_DIR": str(self.data),
            "RECEIVER_PORT": str(self.port),
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "DELIVERY_DESTINATIONS": _destinations(destination),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("METSERVE_")}
        self.env = {**kept, **{f"METSERVE_{name}": value for name, value in own.items()}}
        self.roles: dict[str, Server] = {}
        self.database_url = database_url or f"sqlite:///{self.data / 'metserve.db'}"
        self._faults = 0
        self._sessions: Sessions | None = None

    def start(
        self, role: str, point: FatalPoint | None = None, *, call: int = 1, scope: str = "process"
    ) -> Path:
        """Start a role, doomed if a point is given; return the file that marks its death."""
        self._faults += 1
        mark = self.marks / f"{self._faults:04d}"
        command = [sys.executable, "-m", "tests.chaos.doomed_role", role]
        if point is not None:
            command += [str(POINTS.index(point)), str(call), str(mark), scope]
        server = Server(command, self.folder / f"{role}.log", self.env, REPOSITORY)
        server.start()
        self.roles[role] = server
        if role == "receive":
            wait_until(lambda: listens(self.port) or not self.is_alive(role), START_LIMIT_S, "it listens")
        return mark

    def is_alive(self, role: str) -> bool:
        process = self.roles[role].process
        return process is not None and process.poll() is None

    def kill(self, role: str) -> None:
        """End a role and its children at once."""
        process = self.roles[role].process
        if process is None:
            return
        victims = [*children_of(process.pid), process.pid] if process.poll() is None else []
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()

    def stop(self) -> None:
        for role in list(self.roles):
            self.kill(role)

    def writing_sessions(self) -> Sessions:
        """Return transactions that change the site's database, as an operator does by REST."""
        return open_sessions(open_engine(self.database_url))

    def sessions(self) -> Sessions:
        """Return transactions that look at the site's database."""
        if self._sessions is None:
            self._sessions = open_sessions(open_engine(self.database_url), read_only=True)
        return self._sessions


def _destinations(destination: Destination) -> str:
    peer = {
        "name": "pacs",
        "ae_title": destination.AE_TITLE,
        "host": "127.0.0.1",
        "port": destination.port,
        "objects": ["seg", "sr"],
    }
    return json.dumps([peer])
