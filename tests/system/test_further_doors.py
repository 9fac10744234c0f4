"""Several receiving processes on one port: one that dies loses nothing, and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.destination import Destination
from tests.chaos.router import Router
from tests.chaos.site import Site
from tests.chaos.small_studies import make_small_study
from tests.chaos.verdicts import judge
from tests.system.metserve import children_of
from tests.system.peers import START_LIMIT_S, wait_until

pytestmark = [
    pytest.mark.system,
    # pynetdicom's reactor thread raises when the peer it sends to is killed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

PROCESSES = 3


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site", Destination())
    site.env["METSERVE_RECEIVER_PROCESSES"] = str(PROCESSES)
    site.start("receive")
    wait_until(lambda: listeners(site) == PROCESSES, START_LIMIT_S, "every process listens")
    try:
        yield site
    finally:
        site.stop()


def listeners(site: Site) -> int:
    """Return how many sockets listen on the receiver's port (proc(5), state 0A)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(f":{site.port:04X}") and line[3] == "0A" for line in lines)


def test_every_process_receives_and_one_that_is_killed_loses_nothing(site: Site) -> None:
    router = Router(site.port, senders=4)
    try:
        sendings = [router.send(make_small_study(number, root="2.25.791")) for number in range(8)]
        process = site.roles["receive"].process
        assert process is not None
        os.kill(children_of(process.pid)[0], signal.SIGKILL)
        for sending in sendings:
            sending.result(timeout=120)
    finally:
        router.stop()
    assert len(router.acknowledged) == 8 * 40
    assert not judge(site, router, Destination(), []).lost_instances
    wait_until(lambda: listeners(site) == PROCESSES, START_LIMIT_S, "the killed process is back")


def test_they_all_end_with_the_role(site: Site) -> None:
    site.roles["receive"].stop()
    wait_until(lambda: listeners(site) == 0, START_LIMIT_S, "nobody listens any more")
