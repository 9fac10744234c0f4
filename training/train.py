"""Train the members of the ensemble from a pool of prepared studies, or export what was trained.

The members named take turns of a few minutes, so that all of them advance together. A run can be stopped at
any moment (Ctrl-C, SIGTERM, --minutes) and goes on where it was when the same command is given again; each
member remembers its settings, and an option that is given again replaces one of each member named. The
learning rate stays constant and falls over the last part of --patches: to finish early, give a smaller one.

    python -m training.train --pool POOL --out RUN --members trunks --patches 40000
    python -m training.train --pool POOL --out RUN --members all --trunk --patches 10000 --lr 2e-4
    python -m training.train --pool POOL --out RUN --members all --init models --lr 3e-4
    python -m training.train export --run RUN --out DIR
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from core.errors import InvalidInput, MetserveError
from training.checkpoint import newest_step, read_checkpoint
from training.learner import Hardware, Learner, average_network
from training.onnx_graph import export_member
from training.origin import Origin, check_trunks, describe_origin
from training.run_folder import RunLog, check_run, read_settings, renew_settings, write_settings
from training.settings import MEMBERS, TRUNKS, MemberSpec, TrainingSettings, find_members
from training.trainer import Plan, Surroundings, Timing, Trainer

SETTINGS_OPTIONS = ("patches", "patch_voxels", "batch", "learning_rate", "widths", "listing_steps", "seed")
"""Options that are settings of a member: remembered, and replaced when given again."""

SLICE_MINUTES = 9.0
"""A member's turn, where there is time for that: long against the second or two a change takes."""

GPU_LOADER_THREADS = 8
"""Enough for batches at the pace of a GPU; with a processor one thread is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train or export; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["export"]:
            return _export(_parse_export(given[1:]))
        return _train(_parse_training(given))
    except MetserveError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _train(options: argparse.Namespace) -> int:
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    members = find_members(tuple(options.members))
    plans = _plan(members, options)
    if options.trunk and not options.trunk_anyway:
        check_trunks(members, options.out)
    for plan in plans:
        write_settings(options.out, plan.spec.name, plan.settings)
    log = RunLog(options.out)
    _tell_starts(plans, options, log)
    with _told_to_stop() as stopping:
        trainer = _make_trainer(plans, options, Surroundings(time.monotonic, stopping, log))
        log({"event": "end", "done": trainer.train(plans)})
    return 0


def _plan(members: Sequence[MemberSpec], options: argparse.Namespace) -> tuple[Plan, ...]:
    """Give each member its settings: those it or else its trunk remembers, with those given now.

    Raises
    ------
    InvalidInput
        One cannot change any more, or the members are of different sizes.
    """
    values = ((name, getattr(options, name)) for name in SETTINGS_OPTIONS)
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values
        if value is not None
    }
    plans = tuple(
        Plan(spec, renew_settings(options.out, spec.name, given, spec.trunk.name if options.trunk else None))
        for spec in members
    )
    widths = {plan.settings.widths for plan in plans}
    if len(widths) > 1:
        raise InvalidInput(f"members of widths {sorted(widths)}, expected one size: train the others apart")
    return plans


def _tell_starts(plans: Sequence[Plan], options: argparse.Namespace, log: RunLog) -> None:
    """Log what each member goes on from, and say where --init is not followed."""
    for spec, settings in ((plan.spec, plan.settings) for plan in plans):
        step = newest_step(options.out / spec.name)
        begins = {"event": "start", "commit": options.commit, "members": [spec.name]}
        if step == 0:
            log(begins | {"origin": describe_origin(spec, _origin(options)), **asdict(settings)})
            continue
        log(begins | {"origin": f"its checkpoint at step {step}", **asdict(settings)})
        if options.init is not None:
            log({"event": "warning", "members": [spec.name], "warning": f"--init {options.init} is ignored: "
                 f"{spec.name} goes on from its checkpoint at step {step}"})  # fmt: skip


def _origin(options: argparse.Namespace) -> Origin:
    return Origin(options.init, options.out if options.trunk else None)


def _make_trainer(plans: Sequence[Plan], options: argparse.Namespace, surroundings: Surroundings) -> Trainer:
    return Trainer(
        options.out,
        options.pool,
        Learner(plans[0].settings, Hardware(options.device, options.precision, options.compile)),
        _origin(options),
        Timing(
            limit_s=None if options.minutes is None else 60 * options.minutes,
            slice_s=60 * _slice_minutes(options, len(plans)),
            checkpoint_s=60 * options.checkpoint_minutes,
            log_steps=options.log_steps,
        ),
        surroundings,
        options.loader_threads or (1 if options.device == "cpu" else GPU_LOADER_THREADS),
    )


def _slice_minutes(options: argparse.Namespace, members: int) -> float:
    """Return the length of a turn; if nothing else was asked for, every member gets one before time is up."""
    if options.slice_minutes is not None:
        return float(options.slice_minutes)
    return SLICE_MINUTES if options.minutes is None else min(SLICE_MINUTES, options.minutes / members)


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGTERM or Ctrl-C has come; the step in hand is finished."""
    told: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda received, _: told.append(received)) for number in numbers]
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _export(options: argparse.Namespace) -> int:
    """Write the averaged weights of every member that has a checkpoint."""
    check_run(options.run)
    options.out.mkdir(parents=True, exist_ok=True)
    names = tuple(options.members)
    members = find_members(names) if names else MEMBERS + TRUNKS
    exported = [spec for spec in members if _export_member(options.run, spec, options.out)]
    if not exported:
        raise InvalidInput(f"{options.run} has no checkpoint of {[spec.name for spec in members]}")
    return 0


def _export_member(run: Path, spec: MemberSpec, out: Path) -> bool:
    checkpoint = read_checkpoint(run / spec.name)
    if checkpoint is None:
        return False
    settings = read_settings(run, spec.name)
    path = out / f"{spec.name}.onnx"
    seen = checkpoint.step * settings.batch
    facts = {
        "input": spec.input,
        "loss": spec.loss,
        "spacing_mm": "1.0",
        "training": f"{seen} patches of {settings.patch_voxels}^3 voxels",
    }
    export_member(average_network(checkpoint.arrays, settings), path, facts)
    sys.stdout.write(f"{sha256(path.read_bytes()).hexdigest()}  {path.name}  {facts['training']}\n")
    return True


def _parse_training(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser("python -m training.train", __doc__ or "")
    parser.add_argument(
        "--pool", type=Path, required=True, help="prepared studies, a folder each; new ones are noticed"
    )
    parser.add_argument("--out", type=Path, required=True, help="the run: checkpoints, settings, log")
    parser.add_argument(
        "--members", nargs="+", default=["all"], metavar="NAME",
        help=f"all, trunks, or of: {', '.join(spec.name for spec in MEMBERS + TRUNKS)} (all)",
    )  # fmt: skip
    _add_settings(parser.add_argument_group("settings of the members named"))
    begin = parser.add_argument_group("first weights").add_mutually_exclusive_group()
    begin.add_argument("--init", type=Path, help="folder of <member>.onnx files, or of another run")
    begin.add_argument("--trunk", action="store_true", help="start from trunk-<input> of this run")
    parser.add_argument(
        "--trunk-anyway",
        action="store_true",
        help="with --trunk: also from one that has not seen its patches",
    )
    _add_time(parser.add_argument_group("time"))
    _add_hardware(parser.add_argument_group("hardware"))
    parser.add_argument("--commit", default="unknown", help="version of the code, for the log")
    return parser.parse_args(arguments)


def _add_settings(group: Any) -> None:
    defaults = TrainingSettings()
    group.add_argument("--patches", type=int, help=f"a member sees in all ({defaults.patches})")
    group.add_argument(
        "--patch-size", type=int, dest="patch_voxels", help=f"edge, voxels ({defaults.patch_voxels})"
    )
    group.add_argument("--batch", type=int, help=f"patches a step ({defaults.batch})")
    group.add_argument(
        "--learning-rate", "--lr", type=float, help=f"of Adam ({defaults.learning_rate}; 3e-4 to continue)"
    )
    group.add_argument("--widths", type=int, nargs="+", help=f"channels a level {defaults.widths}")
    group.add_argument(
        "--listing-steps", type=int, help=f"steps between looks at the pool ({defaults.listing_steps})"
    )
    group.add_argument("--seed", type=int, help=f"of everything random ({defaults.seed})")


def _add_time(group: Any) -> None:
    group.add_argument("--minutes", type=float, help="stop after these; without: when all patches were seen")
    group.add_argument(
        "--slice-minutes", type=float,
        help=f"a member's turn ({SLICE_MINUTES:g}, or its share of --minutes where that is less)",
    )  # fmt: skip
    group.add_argument("--checkpoint-minutes", type=float, default=3.0, help="between two (%(default)s)")
    group.add_argument("--log-steps", type=int, default=50, help="between two lines (%(default)s)")


def _add_hardware(group: Any) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    group.add_argument("--device", default=device, help="cpu or cuda (%(default)s)")
    group.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), default="auto",
        help="of convolutions; auto is bfloat16 on CUDA and on processors with AMX (%(default)s)",
    )  # fmt: skip
    group.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="(%(default)s)")
    group.add_argument(
        "--loader-threads", type=int, help=f"that make batches (1; {GPU_LOADER_THREADS} for a GPU)"
    )
    group.add_argument("--compile", action="store_true", help="fuse operations; meant for CUDA")


def _parse_export(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser("python -m training.train export", "Write the averaged weights of a run as ONNX.")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for <member>.onnx")
    parser.add_argument("--members", nargs="+", default=[], metavar="NAME", help="(those with a checkpoint)")
    return parser.parse_args(arguments)


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


if __name__ == "__main__":
    sys.exit(main())
