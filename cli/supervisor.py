"""Runs roles as child processes and starts those again that end: `metserve up`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from core.logs import logger

ROLES = ("receive", "api", "work", "deliver", "upkeep")

GRACE_S = 45.0
"""How long roles may take to stop; a worker gives its stage back after the window it computes."""

RESTART_PAUSE_FIRST_S = 0.5
RESTART_PAUSE_LONGEST_S = 30.0
"""A role that cannot start (a wrong setting, a taken port) is tried ever more rarely."""

STABLE_AFTER_S = 60.0
"""A role that ran this long starts afresh without a longer pause."""


@dataclass
class _Role:
    name: str
    process: subprocess.Popen[bytes]
    started_at_s: float
    pause_s: float = field(default=RESTART_PAUSE_FIRST_S)
    restart_at_s: float | None = None


@dataclass(frozen=True)
class _Launch:
    """How roles are started."""

    env: Mapping[str, str] | None
    log: IO[bytes] | None
    cwd: Path | None

    def start(self, role: str) -> subprocess.Popen[bytes]:
        """Start a role; it ends by itself when its standard input, held by this process, closes."""
        command = [sys.executable, "-m", "cli.main", role, "--supervised"]
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            env=None if self.env is None else dict(self.env),
            cwd=self.cwd,
            start_new_session=True,
        )


def supervise(
    roles: Sequence[str],
    stop: threading.Event,
    *,
    env: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
    cwd: Path | None = None,
    poll_s: float = 0.2,
) -> None:
    """Keep one process a role alive until ``stop`` is set, then stop them all.

    Parameters
    ----------
    roles
        Names of `metserve` commands, of ``ROLES``.
    stop
        Set by a signal handler or another thread.
    env
        The roles' environment; None: this process'.
    log
        Where their output goes; None: where this process' goes.
    cwd
        Folder they run in (an .env file there is read); None: this process'.
    """
    launch = _Launch(env, log, cwd)
    running = [_Role(name, launch.start(name), time.monotonic()) for name in roles]
    try:
        while not stop.wait(poll_s):
            for role in running:
                _look_after(role, launch)
    finally:
        _stop([role.process for role in running])


def run_further_doors(count: int, stop: threading.Event) -> None:
    """Keep so many receiving processes alive beside the receive role's own, until ``stop`` is set.

    Their counters are served by nobody: the role's metrics port is its own.
    """
    if count > 0:
        env = {**os.environ, "METSERVE_RECEIVER_METRICS_PORT": "0"}  # noqa: TID251 - programs of their own
        supervise(("door",) * count, stop, env=env)


def _look_after(role: _Role, launch: _Launch) -> None:
    now = time.monotonic()
    if role.process.poll() is None:
        return
    if role.restart_at_s is None:
        if now - role.started_at_s > STABLE_AFTER_S:
            role.pause_s = RESTART_PAUSE_FIRST_S
        role.restart_at_s = now + role.pause_s
        role.pause_s = min(2 * role.pause_s, RESTART_PAUSE_LONGEST_S)
        logger().error(
            "role ended; it is started again", ended=role.name, exit_status=role.process.returncode
        )
    elif now >= role.restart_at_s:
        _release(role.process)
        role.process, role.started_at_s, role.restart_at_s = launch.start(role.name), now, None


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with its children: each role leads a group of its own
            process.wait()
        _release(process)


def _release(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
