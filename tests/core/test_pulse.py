import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import Transient
from core.pulse import SILENT_LIMIT_S, Pulse, check_pulse


def soon() -> datetime:
    return datetime.now(UTC)


def test_a_process_whose_loop_turns_is_well(tmp_path: Path) -> None:
    Pulse(tmp_path, "work").beat()
    check_pulse(tmp_path, "work", soon())


def test_a_process_that_fell_silent_is_named(tmp_path: Path) -> None:
    Pulse(tmp_path, "work").beat()
    with pytest.raises(Transient, match=f"work process {os.getpid()} gave no pulse for 6[12] s"):
        check_pulse(tmp_path, "work", soon() + timedelta(seconds=SILENT_LIMIT_S + 1))


def test_no_process_at_all_is_not_well(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="no work process"):
        check_pulse(tmp_path, "work", soon())


def test_a_process_that_ended_as_it_should_leaves_nothing(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path, "work")
    pulse.beat()
    pulse.end()
    assert list((tmp_path / "pulse").iterdir()) == []


def test_what_a_killed_process_left_is_no_sign_of_life_and_is_removed(tmp_path: Path) -> None:
    Pulse(tmp_path, "work").beat()
    left = tmp_path / "pulse" / f"work@{socket.gethostname()}@{2**22 + 1}"  # above the largest process id
    left.touch()
    check_pulse(tmp_path, "work", soon())
    assert not left.exists()


def test_other_roles_and_other_hosts_do_not_speak_for_this_one(tmp_path: Path) -> None:
    Pulse(tmp_path, "deliver").beat()
    (tmp_path / "pulse" / f"work@elsewhere@{os.getpid()}").touch()
    with pytest.raises(Transient, match="no work process"):
        check_pulse(tmp_path, "work", soon())
