"""Instances a second that four senders get into the receiver, beside Orthanc and dcmtk's storescp.

    python -m benchmarks.receiving [--rounds 3] [--write docs/receiving.md]

Each round every server in turn gets new MR images of 256 x 256 x 16 bit from four of dcmtk's storescu at
once, one study each; they switch Nagle's delay off. The figure of a server is the median of its rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np

from tests.mr_headers import SIEMENS_MPRAGE, series, with_file_meta
from tests.system.peers import (
    REPOSITORY,
    START_LIMIT_S,
    Server,
    free_port,
    listens,
    running,
    storescu_command,
    wait_until,
)

SENDERS = 4
TARGET_PER_S = 150.0
"""What `metserve` is to take in from four senders on two cores."""

SIDE = 256
CALLED_AE_TITLE = "METSERVE"
SEND_LIMIT_S = 300.0
BEGIN, END = "<!-- throughput: made by benchmarks/receiving.py -->", "<!-- end of throughput -->"

METSERVE_SETTINGS = {
    "ASSEMBLY_QUIET_PERIOD_S": "3600",
    "ASSEMBLY_INCOMPLETE_QUIET_PERIOD_S": "3600",
    "RECEIVER_MINIMUM_FREE_BYTES": "0",
    "LOG_LEVEL": "WARNING",
}
"""Nothing is assembled or analysed while it is measured."""

ORTHANC_SETTINGS = {
    "DicomServerEnabled": True,
    "DicomAet": CALLED_AE_TITLE,
    "DicomAlwaysAllowStore": True,
    "DicomCheckCalledAet": False,
    "HttpServerEnabled": False,
    "SyncStorageArea": True,
    "StableAge": 3600,
}
"""``SyncStorageArea`` has Orthanc sync each file, as we do; it is its default."""


class Template:
    """An MR image as bytes in which only the UIDs are to be replaced."""

    def __init__(self) -> None:
        self._study, self._series, self._instance = (self.uid(9, 9, number) for number in (1, 2, 3))
        (dataset,) = series(1, "t1", SIEMENS_MPRAGE, slices=1)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self._study, self._series
        dataset.SOPInstanceUID = self._instance
        dataset.Rows = dataset.Columns = SIDE
        noise = np.random.default_rng(1).integers(0, 900, (SIDE, SIDE), dtype=np.uint16)
        dataset.PixelData = noise.tobytes()
        buffer = BytesIO()
        with_file_meta(dataset).save_as(buffer, enforce_file_format=True)
        self._content = buffer.getvalue()

    def uid(self, study: int, level: int, number: int) -> str:
        """Return a UID of a fixed length."""
        return f"2.25.1{study:014d}.{level}{number:09d}"

    def write_study(self, folder: Path, number: int, instances: int) -> None:
        """Write a study with UIDs of its own into a new folder."""
        folder.mkdir(parents=True)
        own = self._content.replace(self._study.encode(), self.uid(number, 1, 0).encode())
        own = own.replace(self._series.encode(), self.uid(number, 2, 0).encode())
        for instance in range(instances):
            content = own.replace(self._instance.encode(), self.uid(number, 3, instance).encode())
            (folder / f"{instance:04d}.dcm").write_bytes(content)


class Competitor:
    """A server to send to.

    Parameters
    ----------
    port
        Where it takes DICOM.
    stored
        Folder below which it keeps what it got.
    """

    def __init__(self, name: str, server: Server, port: int, stored: Path) -> None:
        self.name, self.server, self.port, self.stored = name, server, port, stored
        self.rates: list[float] = []

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.server.start()
        wait_until(lambda: listens(self.port), START_LIMIT_S, f"{self.name} listens")

    def stop(self) -> None:
        """End it; fail when it has to be killed."""
        self.server.stop()

    @property
    def rate(self) -> float:
        """Median of the rounds, in instances a second."""
        return statistics.median(self.rates)


def metserve(folder: Path, processes: int) -> Competitor:
    """Return metserve's receiver with SQLite; its writes are durable before it answers."""
    name, port = f"metserve, {processes} process{'es' if processes > 1 else ''}", free_port()
    own = {
        **METSERVE_SETTINGS,
        "DATA_DIR": str(folder),
        "RECEIVER_PORT": str(port),
        "RECEIVER_PROCESSES": str(processes),
    }
    env = {key: value for key, value in os.environ.items() if not key.startswith("METSERVE_")}  # noqa: TID251
    env |= {f"METSERVE_{key}": value for key, value in own.items()}
    command = [sys.executable, "-m", "cli.main", "receive"]
    server = Server(command, folder.with_suffix(".log"), env, REPOSITORY)
    return Competitor(name, server, port, folder / "instances")


def orthanc(folder: Path) -> Competitor:
    """Return an Orthanc without plugins."""
    folder.mkdir()
    port = free_port()
    own = {"DicomPort": port, "StorageDirectory": str(folder), "IndexDirectory": str(folder)}
    file = folder.with_suffix(".json")
    file.write_text(json.dumps(ORTHANC_SETTINGS | own), encoding="utf-8")
    return Competitor("Orthanc", Server(["Orthanc", str(file)], folder.with_suffix(".log")), port, folder)


def storescp(folder: Path) -> Competitor:
    """Return dcmtk's storescp, a process for each association; it syncs nothing to the disk."""
    folder.mkdir()
    port = free_port()
    env = {**os.environ, "TCP_NODELAY": "1"}  # noqa: TID251
    command = ["storescp", "--fork", "-od", str(folder), "+xa", "-pm", str(port)]
    return Competitor("dcmtk storescp", Server(command, folder.with_suffix(".log"), env), port, folder)


def send(folders: Sequence[Path], port: int) -> float:
    """Send folders at once, a storescu each; return the seconds until the last was acknowledged."""
    command = storescu_command(port, called=CALLED_AE_TITLE)
    began = time.perf_counter()
    senders = [
        subprocess.Popen([*command, "+sd", str(folder)], stdout=subprocess.DEVNULL) for folder in folders
    ]
    statuses = [sender.wait(SEND_LIMIT_S) for sender in senders]
    took_s = time.perf_counter() - began
    assert statuses == [0] * len(folders), f"storescu ended with {statuses}"
    return took_s


@contextmanager
def fresh_studies(
    folder: Path, template: Template, numbers: Iterator[int], size: int
) -> Iterator[list[Path]]:
    """Give a study for each sender, nobody has seen it before; removed afterwards."""
    folders = [folder / str(next(numbers)) for _ in range(SENDERS)]
    for path in folders:
        template.write_study(path, int(path.name), size)
    os.sync()
    try:
        yield folders
    finally:
        for path in folders:
            shutil.rmtree(path)


def compete(competitors: Sequence[Competitor], folder: Path, rounds: int, size: int) -> None:
    """Send to each in turn, round after round; the first round, in which all warm up, does not count."""
    template, numbers = Template(), count(1)
    for number in range(rounds + 1):
        for competitor in competitors:
            with fresh_studies(folder, template, numbers, size) as studies:
                rate = SENDERS * size / send(studies, competitor.port)
            if number > 0:
                competitor.rates.append(rate)
            print(f"round {number}: {competitor.name} {rate:.0f}/s", flush=True)


def check_all_kept(competitor: Competitor, expected: int) -> None:
    """Fail unless a server holds a file for each instance that was acknowledged."""
    least_bytes = SIDE * SIDE * 2
    kept = [p for p in competitor.stored.rglob("*") if p.is_file() and p.stat().st_size >= least_bytes]
    databases = sum(path.name.startswith(("index", "metserve.db")) for path in kept)
    assert len(kept) - databases == expected, f"{competitor.name} kept {len(kept)} of {expected}"


def table(competitors: Sequence[Competitor], size: int) -> str:
    """Return the figures as Markdown."""
    ours = competitors[0].rate
    lines = [
        (
            f"{SENDERS} senders, {size} images of {SIDE} x {SIDE} x 16 bit each, "
            f"{len(competitors[0].rates)} rounds, {os.cpu_count()} cores for senders and server together."
        ),
        "",
        "| Server | Instances a second, median | Least and most | To the first line |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {c.name} | {c.rate:.0f} | {min(c.rates):.0f} to {max(c.rates):.0f} | {c.rate / ours:.2f} |"
        for c in competitors
    ]
    return "\n".join(lines)


def write_between_marks(page: Path, text: str) -> None:
    """Replace the table of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure, print, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instances", type=int, default=100, help="of each sender and round")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="receiving-") as name:
        folder = Path(name)
        competitors = [
            metserve(folder / "metserve-1", 1),
            metserve(folder / "metserve-2", 2),
            orthanc(folder / "orthanc"),
            storescp(folder / "storescp"),
        ]
        with running(*competitors):
            compete(competitors, folder / "studies", arguments.rounds, arguments.instances)
            sent = (arguments.rounds + 1) * SENDERS * arguments.instances
            for competitor in competitors:
                check_all_kept(competitor, sent)
    text = table(competitors, arguments.instances)
    print(text)
    if arguments.write:
        write_between_marks(arguments.write, text)
    best = max(competitor.rate for competitor in competitors[:2])
    if best < TARGET_PER_S:
        raise SystemExit(f"metserve took {best:.0f} instances a second, expected {TARGET_PER_S:.0f}")


if __name__ == "__main__":
    main()
