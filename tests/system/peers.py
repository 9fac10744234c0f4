"""Real peers, started for a test and stopped after it: Orthanc, Redis, PostgreSQL, the service itself."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
START_LIMIT_S = 60.0


def free_port() -> int:
    """Return a TCP port nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Poll until a condition holds; fail with what was waited for."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, OSError):
            if condition():
                return
        time.sleep(0.2)
    raise AssertionError(f"not within {limit_s:.0f} s: {what}")


def listens(port: int) -> bool:
    """Tell whether something accepts connections on a loopback port."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A child process with a log file."""

    def __init__(
        self, command: list[str], log: Path, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.command, self.log, self.env, self.cwd = command, log, env, cwd
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env, cwd=self.cwd
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


class Redis(Server):
    """redis-server with an append-only file, as in production."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always"]
        super().__init__(["redis-server", *options], folder / "redis.log")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        super().start()
        wait_until(lambda: listens(self.port), START_LIMIT_S, "Redis listens")


class Postgres:
    """A PostgreSQL cluster of its own; the server refuses to run as root, so it runs as its own user."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="metserve-postgres-"))
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["runuser", "-u", "postgres", "--"]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://metserve@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", "metserve", "--auth=trust", "-E", "UTF8")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=on"
        self._run("pg_ctl", "-D", str(data), "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self.programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


ROUTE = """
-- Forward every stable MR series; results that come back from METSERVE are not sent again.
function OnStableSeries(seriesId, tags, metadata)
  if tags["Modality"] == "MR" and metadata["RemoteAET"] ~= "METSERVE" then
    RestApiPost("/modalities/metserve/store", '{"Resources":["' .. seriesId .. '"],"Synchronous":false}')
  end
end
"""


class Orthanc(Server):
    """A PACS that routes each stable MR series to metserve."""

    def __init__(self, folder: Path, metserve_port: int) -> None:
        folder.mkdir()
        self.dicom_port, self.http_port = free_port(), free_port()
        (folder / "route.lua").write_text(ROUTE)
        modality = {"AET": "METSERVE", "Host": "127.0.0.1", "Port": metserve_port}
        configuration = {
            "Name": "TestPACS",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "LuaScripts": [str(folder / "route.lua")],
            "HttpPort": self.http_port,
            "AuthenticationEnabled": False,
            "DicomAet": "PACS",
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": True,
            "DicomModalities": {"metserve": modality},
            "StableAge": 2,
            "OverwriteInstances": False,
            "Plugins": [],
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        super().__init__(["Orthanc", str(folder / "orthanc.json")], folder / "orthanc.log")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=30)

    def start(self) -> None:
        super().start()
        wait_until(lambda: self.http.get("/system").status_code == 200, START_LIMIT_S, "Orthanc answers")

    def modalities_of(self, study_instance_uid: str) -> dict[str, list[str]]:
        """Return modality -> Orthanc instance ids of a study."""
        (study,) = self.http.post("/tools/lookup", content=study_instance_uid).json()
        found: dict[str, list[str]] = {}
        for series in self.http.get(f"/studies/{study['ID']}/series").json():
            found.setdefault(series["MainDicomTags"]["Modality"], []).extend(series["Instances"])
        return found

    def file(self, instance: str) -> bytes:
        return self.http.get(f"/instances/{instance}/file").content


class Metserve(Server):
    """`metserve up`, or one role of it, in a folder of its own."""

    def __init__(self, folder: Path, *, command: tuple[str, ...] = ("up",), **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.dicom_port = settings.pop("dicom_port", None) or free_port()
        self.api_port = settings.pop("api_port", None) or free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith("METSERVE_")}
        env |= {
            "METSERVE_DATA_DIR": str(folder / "data"),
            "METSERVE_RECEIVER_PORT": str(self.dicom_port),
            "METSERVE_API_PORT": str(self.api_port),
            "METSERVE_ASSEMBLY_QUIET_PERIOD_S": "3",
            "METSERVE_ASSEMBLY_REQUEUE_AFTER_S": "20",
            "METSERVE_WORKER_PROFILE": "preview",
            "METSERVE_WORKER_LEASE_S": "10",
            "METSERVE_WORKER_CACHE_DIR": str(Path(tempfile.gettempdir()) / "metserve-test-cache"),
            "METSERVE_LOG_FORMAT": "json",
        }
        env |= {f"METSERVE_{name.upper()}": str(value) for name, value in settings.items()}
        program = [sys.executable, "-m", "cli.main", *command]
        super().__init__(program, folder / "metserve.log", env, REPOSITORY)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.api_port}", timeout=60)

    def start(self) -> None:
        super().start()
        wait_until(self.is_ready, START_LIMIT_S, "metserve is ready")
        wait_until(lambda: listens(self.dicom_port), START_LIMIT_S, "metserve's receiver listens")

    def is_ready(self) -> bool:
        return self.http.get("/health/ready").status_code == 200

    def jobs(self, study_instance_uid: str) -> list[dict[str, Any]]:
        """Return the study's jobs, newest first; empty before the first one."""
        answer = self.http.get(f"/api/v1/studies/{study_instance_uid}")
        return [] if answer.status_code == 404 else list(answer.json()["jobs"])

    def wait_for_outcome(self, study_instance_uid: str, limit_s: float = 300) -> dict[str, Any]:
        """Wait until the study's newest job has an outcome; return the job."""
        wait_until(
            lambda: any(job["outcome"] for job in self.jobs(study_instance_uid)[:1]),
            limit_s,
            "the study has an outcome",
        )
        return self.jobs(study_instance_uid)[0]

    def wait_for_state(self, study_instance_uid: str, state: str, limit_s: float = 300) -> dict[str, Any]:
        """Wait until the study's newest job is in a state."""
        wait_until(
            lambda: any(job["state"] == state for job in self.jobs(study_instance_uid)[:1]),
            limit_s,
            f"the job is {state}",
        )
        return self.jobs(study_instance_uid)[0]


def storescu(folder: Path, port: int, *, called: str, calling: str = "STORESCU") -> None:
    """Send a folder with dcmtk; its default Nagle delay would dominate, so it is switched off."""
    command = ["storescu", "-aet", calling, "-aec", called, "+sd", "127.0.0.1", str(port), str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "TCP_NODELAY": "1"}, timeout=300)


@contextlib.contextmanager
def running(*servers: Server | Postgres) -> Iterator[None]:
    """Start servers in order; stop them in reverse, whatever happens."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield
