"""`make soak`: a thousand small studies through receive, queue and delivery; every process watched.

Writes docs/reliability/soak.json and soak.svg; ends with status 1 when a study was lost or something grew.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.chaos.campaign import Campaign, running_campaign
from tests.chaos.site import ROLES, Site
from tests.chaos.verdicts import Losses, is_settled, judge
from tests.system.metserve import children_of
from tests.system.peers import REPOSITORY, Postgres, Redis, wait_until

STUDIES = 1000
SAMPLE_EVERY_S = 5.0
WARM_UP = 0.3
"""Share of the run in which caches fill and the allocator finds its size; not judged."""

LARGEST_GROWTH_MB = 25.0
"""Resident memory gained per thousand studies after warm-up, in MB; more is a leak."""

LARGEST_GROWTH_COUNT = 3.0
"""The same of open files and of threads."""

STUDY_LIMIT_S = 3.0
"""Time a study may take on two cores that send, receive and deliver at once."""

RESULTS = REPOSITORY / "docs" / "reliability"


@dataclass(frozen=True)
class Sample:
    """A role's processes at a moment, its children included."""

    role: str
    at_s: float
    studies: int
    rss_mb: float
    open_files: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """Slopes after warm-up, per thousand studies, and the largest values."""

    role: str
    rss_mb: float
    open_files: float
    threads: float
    largest_rss_mb: float

    @property
    def is_flat(self) -> bool:
        counts = max(abs(self.open_files), abs(self.threads))
        return self.rss_mb <= LARGEST_GROWTH_MB and counts <= LARGEST_GROWTH_COUNT


@dataclass(frozen=True)
class SoakReport:
    """What a soak showed."""

    studies: int
    seconds: float
    losses: Losses
    samples: list[Sample]

    @property
    def growth(self) -> list[Growth]:
        return [_growth(role, [s for s in self.samples if s.role == role]) for role in ROLES]


def soak(campaign: Campaign, studies: int, *, sample_every_s: float = SAMPLE_EVERY_S) -> SoakReport:
    """Send studies, wait until all are delivered, and judge them."""
    samples: list[Sample] = []
    begun = time.monotonic()
    with _sampling(campaign, samples, sample_every_s):
        for _ in range(studies):
            campaign.send()
        with suppress(AssertionError):
            wait_until(
                lambda: _has_arrived(campaign) and is_settled(campaign.site, campaign.studies),
                60 + studies * STUDY_LIMIT_S,
                "every study is delivered",
            )
    seconds = time.monotonic() - begun
    losses = judge(campaign.site, campaign.router, campaign.destination, campaign.studies)
    return SoakReport(studies, seconds, losses, samples)


def _has_arrived(campaign: Campaign) -> bool:
    return campaign.destination.studies >= len(campaign.studies)


@contextmanager
def _sampling(campaign: Campaign, samples: list[Sample], every_s: float) -> Iterator[None]:
    done, begun = threading.Event(), time.monotonic()

    def run() -> None:
        while not done.wait(every_s):
            delivered = campaign.destination.studies
            at_s = time.monotonic() - begun
            samples.extend(_sample(campaign.site, role, at_s, delivered) for role in ROLES)

    thread = threading.Thread(target=run, name="sampler")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _sample(site: Site, role: str, at_s: float, studies: int) -> Sample:
    process = site.roles[role].process
    assert process is not None, f"{role} is down"
    pids = [process.pid, *children_of(process.pid)]
    rss_kb = sum(_status(pid, "VmRSS") for pid in pids)
    threads = sum(_status(pid, "Threads") for pid in pids)
    return Sample(role, at_s, studies, rss_kb / 1024, sum(map(_open_files, pids)), threads)


def _status(pid: int, name: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


def _open_files(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _growth(role: str, samples: list[Sample]) -> Growth:
    judged = samples[int(len(samples) * WARM_UP) :]
    studies = np.array([sample.studies for sample in judged], dtype=float) / 1000

    def slope(values: list[float]) -> float:
        if len(values) < 3 or np.ptp(studies) == 0:
            return 0.0
        return float(np.polyfit(studies, values, 1)[0])

    return Growth(
        role,
        slope([s.rss_mb for s in judged]),
        slope([float(s.open_files) for s in judged]),
        slope([float(s.threads) for s in judged]),
        max((s.rss_mb for s in samples), default=0.0),
    )


def main() -> int:
    """Run it with PostgreSQL and Redis; return the exit status."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    with tempfile.TemporaryDirectory(prefix="metserve-soak-") as folder:
        postgres, redis = Postgres(), Redis(Path(folder) / "redis")
        try:
            postgres.start()
            redis.start()
            url = postgres.new_database("soak")
            site = Path(folder) / "site"
            with running_campaign(site, root="2.25.780", database_url=url, broker_url=redis.url) as campaign:
                report = soak(campaign, studies)
        finally:
            redis.stop()
            postgres.stop()
    _write(report)
    for growth in report.growth:
        print(growth, "flat" if growth.is_flat else "GROWS")
    print(f"{report.studies} studies in {report.seconds:.0f} s; {report.losses}")
    return 0 if not report.losses and all(growth.is_flat for growth in report.growth) else 1


def _write(report: SoakReport) -> None:
    RESULTS.mkdir(exist_ok=True)
    content = {
        "studies": report.studies,
        "instances": report.studies * 40,
        "seconds": round(report.seconds),
        "losses": asdict(report.losses),
        "growth_per_1000_studies": [asdict(growth) for growth in report.growth],
    }
    (RESULTS / "soak.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _draw(report, RESULTS / "soak.svg")


def _draw(report: SoakReport, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots(1, 3)
    for role in ROLES:
        samples = [sample for sample in report.samples if sample.role == role]
        studies = [sample.studies for sample in samples]
        for axis, name in zip(axes, ("rss_mb", "open_files", "threads"), strict=True):
            axis.plot(studies, [getattr(sample, name) for sample in samples], label=role)
    for axis, title in zip(axes, ("Resident memory (MB)", "Open files", "Threads"), strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("studies delivered", fontsize=8)
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
