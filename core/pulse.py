"""Pulse: a file that a process touches while its main loop turns, for those that have no port to ask at."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path

from core.errors import Transient

PULSE_EVERY_S = 10.0

SILENT_LIMIT_S = 60.0
"""A loop that did not turn for six beats hangs."""

FOLDER = "pulse"


class Pulse:
    """The pulse of this process.

    Parameters
    ----------
    data_dir
        The study store's folder; roles on several hosts may share it.
    role
        Name of the role.
    """

    def __init__(self, data_dir: Path, role: str) -> None:
        self._path = data_dir / FOLDER / f"{role}@{socket.gethostname()}@{os.getpid()}"

    def beat(self) -> None:
        """Show that the loop turns."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600)

    def end(self) -> None:
        """Take the file away: this process ends as it should."""
        self._path.unlink(missing_ok=True)


def check_pulse(data_dir: Path, role: str, now: datetime, *, silent_limit_s: float = SILENT_LIMIT_S) -> None:
    """Raise unless a process of the role lives on this host, and none of them hangs.

    What a killed process left is removed.

    Raises
    ------
    Transient
        No process of the role, or one that hangs; it is to be started again.
    """
    living = [path for path in _pulses(data_dir, role) if _is_alive(path)]
    if not living:
        raise Transient(f"no {role} process of this host has a pulse; expected one below {data_dir / FOLDER}")
    for path in living:
        silent_s = now.timestamp() - path.stat().st_mtime
        if silent_s > silent_limit_s:
            raise Transient(
                f"{role} process {_pid_of(path)} gave no pulse for {silent_s:.0f} s, "
                f"expected one every {silent_limit_s:.0f} s"
            )


def _pulses(data_dir: Path, role: str) -> list[Path]:
    return sorted((data_dir / FOLDER).glob(f"{role}@{socket.gethostname()}@*"))


def _is_alive(path: Path) -> bool:
    """Tell whether the process of a pulse lives; remove the pulse when it does not."""
    try:
        os.kill(_pid_of(path), 0)
    except ProcessLookupError:
        path.unlink(missing_ok=True)
        return False
    except PermissionError:  # it lives, as another user
        return True
    return True


def _pid_of(path: Path) -> int:
    return int(path.name.rpartition("@")[2])
