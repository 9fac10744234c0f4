"""A campaign: faults, one after the other, while studies come in; after each series everything is judged."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.destination import Destination, Mood
from tests.chaos.fatal_points import FatalPoint
from tests.chaos.router import Router
from tests.chaos.site import ROLES, Site
from tests.chaos.small_studies import SmallStudy, make_small_study
from tests.chaos.verdicts import Losses, is_settled, judge, replay_parked
from tests.system.peers import Postgres, Redis, wait_until

POINT_LIMIT_S = 40.0
"""A role that does not come to the point in this time has passed it by: the fault counts as not injected."""

SETTLE_LIMIT_S = 300.0
"""Leases and pauses of these settings end within seconds; a study that is not done by then is lost."""


@dataclass
class Record:
    """What became of the faults of one kind.

    Parameters
    ----------
    planned, injected
        How often it was meant to happen, and how often it did.
    replayed
        Jobs that were parked, because three workers in a row died of them, and replayed as by REST.
    """

    fault: str
    planned: int = 0
    injected: int = 0
    studies: int = 0
    replayed: int = 0
    losses: Losses = field(default_factory=Losses)


class Campaign:
    """Studies and faults on one site.

    Parameters
    ----------
    root
        Prefix of the studies' UIDs.
    """

    def __init__(self, site: Site, destination: Destination, *, root: str) -> None:
        self.site, self.destination = site, destination
        self.router = Router(site.port)
        self.studies: list[SmallStudy] = []
        self.records: list[Record] = []
        self._root = root
        self._numbers = itertools.count(1)
        self._sendings: list[Future[None]] = []
        self._replayed = 0

    def send(self) -> SmallStudy:
        """Begin to send one more study."""
        study = make_small_study(next(self._numbers), root=self._root)
        self.studies.append(study)
        self._sendings.append(self.router.send(study))
        return study

    def kill_at(self, point: FatalPoint, *, calls: tuple[int, ...] | None = None) -> Record:
        """Kill a role at a point, once for each call; every other worker dies with its parent."""
        role, record = point.role, Record(f"{point.role}: {point.name}")
        first = len(self.studies)
        for turn, call in enumerate(calls or point.calls):
            self.site.kill(role)
            scope = "tree" if role == "work" and turn % 2 else "process"
            mark = self.site.start(role, point, call=call, scope=scope)
            self.send()
            record.planned += 1
            record.injected += self._is_reached(mark)
        self.site.kill(role)
        self.site.start(role)
        return self.conclude(record, first)

    def interrupt(self, name: str, times: int, fault: Callable[[int], bool]) -> Record:
        """Do something to what metserve depends on, while studies are on their way."""
        record, first = Record(name), len(self.studies)
        for turn in range(times):
            self.send()
            record.planned += 1
            record.injected += bool(fault(turn))
        return self.conclude(record, first)

    def conclude(self, record: Record, first: int) -> Record:
        """Wait until everything is done, judge it, and keep the record."""
        studies = self.studies[first:]
        record.studies, self._replayed = len(studies), 0
        with contextlib.suppress(AssertionError):  # what is not done shows in the losses
            wait_until(lambda: self._is_settled(studies), SETTLE_LIMIT_S, "everything is delivered")
        for sending in self._sendings:
            if sending.done():
                sending.result()  # a sender that failed for reasons of its own proves nothing
        record.replayed = self._replayed
        record.losses = judge(self.site, self.router, self.destination, studies)
        self.records.append(record)
        return record

    def _is_settled(self, studies: list[SmallStudy]) -> bool:
        """Tell whether everything is done; a role that ended is started again, as its supervisor does."""
        for role in ROLES:
            if not self.site.is_alive(role):
                self.site.start(role)
        self._replayed += replay_parked(self.site, studies)
        return is_settled(self.site, studies)

    def _is_reached(self, mark: Path) -> bool:
        try:
            wait_until(mark.exists, POINT_LIMIT_S, "the point is reached")
        except AssertionError:
            return False
        return True


@contextlib.contextmanager
def running_campaign(
    folder: Path, *, root: str, database_url: str = "", broker_url: str = ""
) -> Iterator[Campaign]:
    """Run a site with its PACS until the block ends."""
    destination = Destination()
    destination.start()
    site = Site(folder, destination, database_url=database_url, broker_url=broker_url)
    campaign = Campaign(site, destination, root=root)
    try:
        for role in ROLES:
            site.start(role)
        yield campaign
    finally:
        campaign.router.stop()
        site.stop()
        destination.stop()


def kill_redis(redis: Redis, *, empty: bool) -> Callable[[int], bool]:
    """Return a fault: Redis dies, and comes back with its log or with nothing."""

    def fault(turn: int) -> bool:
        time.sleep(0.4 * (turn % 8))  # at another moment of the study's way each time
        redis.kill()
        if empty:
            redis.forget_everything()
        time.sleep(1)
        redis.start()
        return True

    return fault


def restart_postgres(postgres: Postgres) -> Callable[[int], bool]:
    """Return a fault: PostgreSQL ends at once, as after a power cut, and recovers."""

    def fault(turn: int) -> bool:
        time.sleep(0.4 * (turn % 8))
        postgres.crash()
        time.sleep(1)
        postgres.start_again()
        return True

    return fault


def misbehave(destination: Destination, mood: Mood) -> Callable[[int], bool]:
    """Return a fault: the PACS behaves badly until it was asked for something."""

    def fault(_turn: int) -> bool:
        before = destination.misbehaved
        destination.mood = mood
        try:
            wait_until(lambda: destination.misbehaved > before, POINT_LIMIT_S, f"the PACS was {mood}")
        except AssertionError:
            return False
        finally:
            destination.mood = Mood.WELL
        return True

    return fault


def go_down(destination: Destination) -> Callable[[int], bool]:
    """Return a fault: the PACS is not there for some seconds."""

    def fault(_turn: int) -> bool:
        destination.stop()
        time.sleep(4)
        destination.start()
        return True

    return fault


def fill_disk(site: Site) -> Callable[[int], bool]:
    """Return a fault: the file system of the data is full to the last byte for some seconds."""

    def fault(turn: int) -> bool:
        time.sleep(0.3 * (turn % 5))
        filler = site.data / "filler"
        _fill(filler)
        time.sleep(3)
        filler.unlink()
        return True

    return fault


def _fill(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (1024**2, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(descriptor, b"\0" * size)
    finally:
        os.close(descriptor)
