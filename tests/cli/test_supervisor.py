from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.supervisor import supervise

LIMIT_S = 60.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_S:.0f} s: {what}"
        time.sleep(0.05)


def role_processes(data_dir: Path) -> list[int]:
    """Processes of a role that were given this data folder, by /proc: no test double knows of them."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"cli.main" in command and str(data_dir).encode() in environment:
            found.append(int(entry.name))
    return found


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "METSERVE_DATA_DIR": str(tmp_path / "data"),
        "METSERVE_DELIVERY_POLL_INTERVAL_S": "0.1",
    }


def test_a_role_that_is_killed_is_started_again_and_all_stop_together(
    tmp_path: Path, env: dict[str, str]
) -> None:
    stop = threading.Event()
    with (tmp_path / "log").open("wb") as log:
        thread = threading.Thread(
            target=supervise, args=(("deliver",), stop), kwargs={"env": env, "log": log}
        )
        thread.start()
        try:
            wait_until(lambda: len(role_processes(tmp_path)) == 1, "the role runs")
            (first,) = role_processes(tmp_path)
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: role_processes(tmp_path) not in ([], [first]), "the role runs again")
        finally:
            stop.set()
            thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert role_processes(tmp_path) == []


def test_roles_end_when_their_supervisor_is_killed(tmp_path: Path, env: dict[str, str]) -> None:
    code = (
        "import threading; from cli.supervisor import supervise; supervise(('deliver',), threading.Event())"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code], env=env, cwd=Path(__file__).parents[2])
    wait_until(lambda: len(role_processes(tmp_path)) == 1, "the role runs")
    wait_until((tmp_path / "data" / "metserve.db").is_file, "the role works")
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: role_processes(tmp_path) == [], "the role ended with its supervisor")
