"""`make chaos`: every fatal point and every broken dependency, on both kinds of installation.

Writes docs/reliability/chaos.json and prints a table; ends with status 1 when anything was lost, came
twice or was left without an outcome.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.chaos.campaign import (
    Campaign,
    Record,
    fill_disk,
    go_down,
    kill_redis,
    misbehave,
    restart_postgres,
    running_campaign,
)
from tests.chaos.destination import Mood
from tests.chaos.fatal_points import POINTS
from tests.system.peers import REPOSITORY, Postgres, Redis

RESULTS = REPOSITORY / "docs" / "reliability" / "chaos.json"
SMALL_DISK = "256m"
ROUNDS = 2
"""How often each point's calls are gone through."""

Report = Callable[[str, Record], None]


def main() -> int:
    """Run both installations side by side; return the exit status."""
    with ProcessPoolExecutor(2) as processes:
        runs = [processes.submit(_rows_of, name) for name in INSTALLATIONS]
        rows = [row for run in runs for row in run.result()]
    keys = ("injected", "studies", "replayed", "lost", "duplicate", "open")
    totals = {key: sum(int(str(row[key])) for row in rows) for key in keys}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"totals": totals, "faults": rows}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(totals))
    return 1 if totals["lost"] or totals["duplicate"] or totals["open"] else 0


def _rows_of(installation: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []

    def report(name: str, record: Record) -> None:
        row = {"installation": name, **_row(record)}
        rows.append(row)
        print(json.dumps(row), flush=True)

    with tempfile.TemporaryDirectory(prefix="metserve-chaos-") as folder:
        INSTALLATIONS[installation](Path(folder), report)
    return rows


def run_embedded(folder: Path, report: Report) -> None:
    """SQLite and message files, on a small disk of its own."""
    folder = folder / "disk"
    folder.mkdir()
    with ExitStack() as stack:
        if _mount_small_disk(folder):
            stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
        campaign = stack.enter_context(running_campaign(folder / "site", root="2.25.771"))
        run_points(campaign, "embedded", report)
        run_destination(campaign, "embedded", report)
        if folder.is_mount():
            report("embedded", campaign.interrupt("disk full", 10, fill_disk(campaign.site)))


def run_distributed(folder: Path, report: Report) -> None:
    """PostgreSQL and Redis."""
    postgres, redis = Postgres(), Redis(folder / "redis")
    with ExitStack() as stack:
        stack.callback(postgres.stop)
        postgres.start()
        stack.callback(redis.stop)
        redis.start()
        url = postgres.new_database("chaos")
        campaign = stack.enter_context(
            running_campaign(folder / "distributed", root="2.25.772", database_url=url, broker_url=redis.url)
        )
        run_points(campaign, "distributed", report)
        run_destination(campaign, "distributed", report)
        for name, empty in (("Redis killed, log kept", False), ("Redis killed, comes back empty", True)):
            report("distributed", campaign.interrupt(name, 10, kill_redis(redis, empty=empty)))
        report("distributed", campaign.interrupt("PostgreSQL crashes", 10, restart_postgres(postgres)))


def run_points(campaign: Campaign, installation: str, report: Report) -> None:
    """Kill a role at every point."""
    for point in POINTS:
        report(installation, campaign.kill_at(point, calls=point.calls * ROUNDS))


def run_destination(campaign: Campaign, installation: str, report: Report) -> None:
    """Let the PACS be down, and misbehave in every way."""
    report(installation, campaign.interrupt("PACS down", 4, go_down(campaign.destination)))
    for mood in (Mood.REFUSING, Mood.ABORTING, Mood.SILENT):
        fault = misbehave(campaign.destination, mood)
        report(installation, campaign.interrupt(f"PACS {mood.value}", 4, fault))


INSTALLATIONS: dict[str, Callable[[Path, Report], None]] = {
    "embedded": run_embedded,
    "distributed": run_distributed,
}


def _mount_small_disk(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _row(record: Record) -> dict[str, object]:
    losses = asdict(record.losses)
    return {
        "fault": record.fault,
        "planned": record.planned,
        "injected": record.injected,
        "studies": record.studies,
        "replayed": record.replayed,
        "lost": len(losses["lost_instances"]) + len(losses["changed_instances"]),
        "duplicate": len(losses["duplicate_results"]),
        "open": len(losses["without_outcome"]) + len(losses["undelivered"]),
    }


if __name__ == "__main__":
    sys.exit(main())
