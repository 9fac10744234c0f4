"""What a member of each width costs: milliseconds a window in service, seconds a patch in training.

    .venv-training/bin/python benchmarks/widths.py [--rounds 5] [--threads 2]

Widths take turns in every round, so that a noisy machine is noisy for all of them; the figure is the median.
Weights are random: the time does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from training.losses import make_loss
from training.network import UNet
from training.onnx_graph import export_member
from training.settings import LossSettings
from worker.sessions import Network, Precision, choose_engine

WIDTHS = ((6, 12, 24, 48, 96), (8, 24, 48, 96, 192), (12, 24, 48, 96, 192), (16, 32, 64, 128, 256))
"""From slimmer than the released members to those of the first experiment."""

PRECISIONS: tuple[Precision, ...] = ("f32", "bf16")
WINDOW_VOXELS, PATCH_VOXELS, BATCH = 96, 64, 2

Times = dict[tuple[int, ...], list[float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    columns = {f"window {p}, ms": time_windows(p, options.rounds, options.threads) for p in PRECISIONS}
    columns["patch trained, ms"] = time_training(options.rounds)
    print_table(columns)


def time_windows(precision: Precision, rounds: int, threads: int) -> Times:
    """Return milliseconds of one 96-voxel window, by width and round."""
    engine = choose_engine(threads, precision=precision)
    image = np.random.default_rng(0).standard_normal((1, 1) + (WINDOW_VOXELS,) * 3).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        networks = {}
        for widths in WIDTHS:
            path = Path(folder) / f"{widths[0]}.onnx"
            export_member(UNet(widths).eval(), path)
            networks[widths] = Network(path, engine, batch=1)
        return _take_turns({w: lambda n=n: n.run(image) for w, n in networks.items()}, rounds, 1)


def time_training(rounds: int) -> Times:
    """Return milliseconds of a step over one 64-voxel patch, forward, backward and update, in bfloat16."""
    loss = make_loss("cross_entropy", LossSettings())
    image = torch.randn((BATCH, 1) + (PATCH_VOXELS,) * 3)
    target = (image > 3).float()

    def step(network: UNet, optimiser: torch.optim.Optimizer) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(image)
        loss(logits.float(), target, torch.ones_like(target)).backward()
        optimiser.step()
        optimiser.zero_grad()

    steps = {}
    for widths in WIDTHS:
        network = UNet(widths).to(memory_format=torch.channels_last_3d)
        optimiser = torch.optim.Adam(network.parameters())
        steps[widths] = lambda n=network, o=optimiser: step(n, o)
    return _take_turns(steps, rounds, BATCH)


def _take_turns(actions: Mapping[tuple[int, ...], Callable[[], object]], rounds: int, items: int) -> Times:
    times: Times = defaultdict(list)
    for number in range(rounds + 1):
        for widths, action in actions.items():
            start = time.perf_counter()
            action()
            if number:  # the first round warms up
                times[widths].append(1000 * (time.perf_counter() - start) / items)
    return times


def print_table(columns: dict[str, Times]) -> None:
    """Print medians, and each width's parameters."""
    table = Table("widths", "parameters, M", *columns)
    for widths in WIDTHS:
        parameters = sum(p.numel() for p in UNet(widths).parameters()) / 1e6
        medians = [f"{statistics.median(times[widths]):.0f}" for times in columns.values()]
        table.add_row(", ".join(map(str, widths)), f"{parameters:.1f}", *medians)
    Console().print(table)


if __name__ == "__main__":
    main()
