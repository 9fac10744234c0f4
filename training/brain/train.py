"""Train the brain extraction: ``python -m training.brain.train --anatomy DIR --out RUN``.

The same command with ``--resume`` goes on with a run that was killed or that ``--minutes`` ended: at most two
minutes of work are lost.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from core.errors import MetserveError
from phantom.synthesis.anatomy.files import list_anatomies
from phantom.synthesis.anatomy.heads import open_anatomies
from training.brain.anatomy import PreparedHead, prepare_head
from training.brain.checkpoint import BrainState, begin_run, load_state
from training.brain.settings import BrainTraining
from training.brain.split import split_heads
from training.brain.trainer import train

LOGGER = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; return the exit status."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    try:
        _train(options)
    except MetserveError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _train(options: argparse.Namespace) -> None:
    settings = BrainTraining(steps=options.steps)
    split = split_heads(list_anatomies(options.anatomy), options.heads, options.held_out)
    state = _begin(options, settings)
    LOGGER.info("step %d of %d: trained on %s; held out %s",
                state.step, settings.steps, ", ".join(split.training), ", ".join(split.held_out))  # fmt: skip
    train(
        _prepare(options.anatomy, split.training),
        _prepare(options.anatomy, split.held_out),
        settings,
        options.out,
        state,
        time.monotonic,
        math.inf if options.minutes is None else 60 * options.minutes,
    )


def _begin(options: argparse.Namespace, settings: BrainTraining) -> BrainState:
    if options.resume:
        return load_state(options.out)
    return begin_run(options.out, settings.network, settings.seed)


def _prepare(folder: Path, names: Sequence[str]) -> tuple[PreparedHead, ...]:
    return tuple(prepare_head(anatomy) for anatomy in open_anatomies(folder, names))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.brain.train", description="Train the brain extraction on rendered heads."
    )
    parser.add_argument("--anatomy", type=Path, required=True, help="folder of label maps")
    parser.add_argument("--out", type=Path, required=True, help="the run: a folder of checkpoints")
    parser.add_argument(
        "--heads", nargs="+", metavar="NAME", help="label maps to train on (all but those kept for measuring)"
    )
    parser.add_argument(
        "--held-out", nargs="+", metavar="NAME",
        help="label maps to follow the training on (SynthSeg's 12 and 13, or the last one of others)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=BrainTraining().steps, help="in all (%(default)s)")
    parser.add_argument("--minutes", type=float, help="end this call after these; without: after all steps")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
