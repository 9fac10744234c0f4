"""Other people's programs, started for a test and stopped after it: Orthanc, Redis, PostgreSQL, dcmtk."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0
SEND_LIMIT_S = 300.0
POLL_S = 0.1


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
        time.sleep(POLL_S)
    raise AssertionError(f"not within {limit_s:.0f} s: {what}")


def listens(port: int) -> bool:
    """Tell whether something accepts connections on a loopback port."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Peer(Protocol):
    """Something that is started and stopped."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@contextlib.contextmanager
def running(*peers: Peer) -> Iterator[None]:
    """Start peers in order; stop them in reverse, whatever happens."""
    with contextlib.ExitStack() as stack:
        for peer in peers:
            stack.callback(peer.stop)
            peer.start()
        yield


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
        """End it; fail when it has to be killed, or ends with an error though it was told to stop."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            status = process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        assert status in (0, -how), f"{self.command} ended with status {status}; see {self.log}"

    def terminate(self) -> None:
        """Tell it to stop, and do not wait until it has."""
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


class Redis(Server):
    """redis-server with an append-only file, as in production."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always"]
        super().__init__(["redis-server", *options], folder.with_suffix(".log"))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        super().start()
        wait_until(lambda: listens(self.port), START_LIMIT_S, "Redis listens")

    def forget_everything(self) -> None:
        """Lose the disk of a Redis that is down."""
        assert self.process is None, "stop Redis first"
        shutil.rmtree(self.folder)
        self.folder.mkdir()


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

    def new_database(self, name: str) -> str:
        """Create an empty database; return its URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "metserve", name)
        return f"postgresql+psycopg://metserve@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", "metserve", "--auth=trust", "-E", "UTF8")
        self.start_again()

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def crash(self) -> None:
        """End at once, as at a power cut; what was committed is in its log."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def start_again(self) -> None:
        """Recover from a crash."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=on"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "start")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self.programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


class Orthanc(Server):
    """The test PACS of deploy/, on free ports: it sends each MR series to metserve once it is stable."""

    AE_TITLE = "TESTPACS"

    def __init__(self, folder: Path, metserve_port: int) -> None:
        shutil.copytree(REPOSITORY / "deploy" / "test-pacs", folder)
        (folder / "db").mkdir()
        self.dicom_port, self.http_port = free_port(), free_port()
        _replace_once(
            folder / "orthanc.json",
            {
                '"DicomPort": 4242': f'"DicomPort": {self.dicom_port}',
                '"HttpPort": 8042': f'"HttpPort": {self.http_port}',
                '"Port": 11112': f'"Port": {metserve_port}',
                '"StableAge": 5': '"StableAge": 1',
            },
        )
        env = {**os.environ, "TEST_PACS_FOLDER": str(folder / "db")}
        super().__init__(["Orthanc", "orthanc.json"], folder / "orthanc.log", env, folder)
        self.http = httpx.Client()

    def start(self) -> None:
        super().start()
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}", auth=("test", "test"), timeout=30
        )
        wait_until(lambda: self.http.get("/system").is_success, START_LIMIT_S, "Orthanc answers")
        wait_until(lambda: listens(self.dicom_port), START_LIMIT_S, "Orthanc listens")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.http.close()
        super().stop(how)

    def instances(self, study_instance_uid: str) -> dict[str, list[str]]:
        """Return modality -> Orthanc's ids of a study's instances; empty without such a study."""
        found: dict[str, list[str]] = {}
        for study in self.http.post("/tools/lookup", content=study_instance_uid).json():
            for series in self.http.get(f"/studies/{study['ID']}/series").json():
                found.setdefault(series["MainDicomTags"]["Modality"], []).extend(series["Instances"])
        return found

    def result_counts(self, study_instance_uid: str) -> tuple[int, int]:
        """Return the number of SEG and of SR objects of a study."""
        found = self.instances(study_instance_uid)
        return len(found.get("SEG", [])), len(found.get("SR", []))

    def files(self, study_instance_uid: str, modality: str) -> list[bytes]:
        """Return a study's objects of one modality, as stored."""
        instances = self.instances(study_instance_uid).get(modality, [])
        return [self.http.get(f"/instances/{instance}/file").content for instance in instances]

    def has_routed_everything(self) -> bool:
        """Tell whether every series is stable and every job Orthanc made of that has succeeded."""
        stable = all(series["IsStable"] for series in self.http.get("/series?expand").json())
        return stable and all(job["State"] == "Success" for job in self.http.get("/jobs?expand").json())


def _replace_once(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for shipped, ours in replacements.items():
        assert text.count(shipped) == 1, f"{file.name} holds {shipped} {text.count(shipped)} times"
        text = text.replace(shipped, ours)
    file.write_text(text, encoding="utf-8")


def storescu_command(port: int, *, called: str, calling: str = "STORESCU") -> list[str]:
    """Return dcmtk's storescu up to the names of what it sends; it switches Nagle's delay off."""
    return ["env", "TCP_NODELAY=1", "storescu", "-aet", calling, "-aec", called, "127.0.0.1", str(port)]


def storescu(paths: Sequence[Path], port: int, *, called: str, calling: str = "STORESCU") -> None:
    """Send files, and folders with all that is below them, with dcmtk; fail unless all are stored."""
    command = storescu_command(port, called=called, calling=calling)
    subprocess.run([*command, "+sd", "+r", *map(str, paths)], check=True, timeout=SEND_LIMIT_S)


class Archive(Orthanc):
    """The test PACS with DICOMweb, routing nothing: it keeps what a test puts into it.

    Orthanc reads every ``.json`` of the folder it is given; the second one adds the plugin.
    """

    DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    DICOMWEB_ROOT = "/dicom-web/"

    def __init__(self, folder: Path) -> None:
        assert self.DICOMWEB_PLUGIN.exists(), "install Debian's orthanc-dicomweb (scripts/peers.sh)"
        super().__init__(folder, free_port())
        _replace_once(folder / "orthanc.json", {'"LuaScripts": ["route.lua"]': '"LuaScripts": []'})
        plugin = {
            "Plugins": [str(self.DICOMWEB_PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": self.DICOMWEB_ROOT},
        }
        (folder / "dicomweb.json").write_text(json.dumps(plugin), encoding="utf-8")
        self.command = ["Orthanc", str(folder)]

    def introduce(self, ae_title: str, port: int) -> None:
        """Make an application entity on this machine known, so that it may query and be sent to."""
        self.http.put(f"/modalities/{ae_title}", json=[ae_title, "127.0.0.1", port]).raise_for_status()


class Storescp(Server):
    """dcmtk's storescp: takes everything and keeps it as it came, a file an object."""

    def __init__(self, folder: Path, ae_title: str) -> None:
        self.folder, self.ae_title, self.port = folder, ae_title, free_port()
        folder.mkdir()
        options = ["-aet", ae_title, "-od", str(folder), "+xa", "-pm"]
        super().__init__(["storescp", *options, str(self.port)], folder.with_suffix(".log"))

    def start(self) -> None:
        super().start()
        wait_until(lambda: listens(self.port), START_LIMIT_S, "storescp listens")


def movescu(archive: Archive, ae_title: str, study_instance_uid: str) -> None:
    """Have a whole study sent to an application entity (C-MOVE, study root)."""
    _retrieve(["movescu", "-aem", ae_title], archive, ae_title, study_instance_uid)


def getscu(archive: Archive, ae_title: str, study_instance_uid: str, folder: Path) -> None:
    """Fetch a whole study over the association that asks for it (C-GET, study root)."""
    folder.mkdir()
    _retrieve(["getscu", "-od", str(folder), "+B"], archive, ae_title, study_instance_uid)


def _retrieve(program: list[str], archive: Archive, ae_title: str, study_instance_uid: str) -> None:
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_instance_uid}"]
    command = [*program, "-S", "-aet", ae_title, "-aec", archive.AE_TITLE, *keys]
    subprocess.run([*command, "127.0.0.1", str(archive.dicom_port)], check=True, timeout=SEND_LIMIT_S)
