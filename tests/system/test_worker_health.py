"""`metserve health work`: a worker that hangs is told from one that waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.destination import Destination
from tests.chaos.site import Site
from tests.system.peers import REPOSITORY, START_LIMIT_S, wait_until

pytestmark = pytest.mark.system

SILENT_LIMIT_S = 3


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site", Destination())
    site.start("work")
    try:
        wait_until(lambda: health(site) == 0, START_LIMIT_S, "the worker is well")
        yield site
    finally:
        site.stop()


def test_a_worker_that_hangs_is_not_well_and_one_that_goes_on_is_well_again(site: Site) -> None:
    process = site.roles["work"].process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(SILENT_LIMIT_S + 1)
    assert health(site) == 1
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: health(site) == 0, START_LIMIT_S, "the worker is well again")


def test_a_worker_that_was_killed_is_not_well(site: Site) -> None:
    site.kill("work")
    assert health(site) == 1


def health(site: Site) -> int:
    command = [sys.executable, "-m", "cli.main", "health", "work", "--silent-limit", str(SILENT_LIMIT_S)]
    return subprocess.run(command, env=site.env, cwd=REPOSITORY, capture_output=True).returncode
