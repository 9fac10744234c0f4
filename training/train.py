"""Train the members of the ensemble from a pool of prepared studies, or export what was trained.

The members named take turns of a few minutes, so that all of them advance together. A run can be stopped at
any moment (Ctrl-C, SIGTERM, --minutes) and goes on where it was when the same command is given again; it
remembers its settings, and an option that is given again replaces one. The learning rate stays constant and
falls over the last part of --patches: to finish early, give a smaller --patches.

    python -m training.train --pool POOL --out RUN --members trunks --patches 20000
    python -m training.train --pool POOL --out RUN --members all --trunk --patches 40000
    python -m training.train --pool POOL --out RUN --members all --init models --learning-rate 3e-4
    python -m training.train export --run RUN --out DIR
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from core.errors import InvalidInput, MetserveError
from training.checkpoint import read_checkpoint
from training.learner import Hardware, Learner, average_network
from training.onnx_graph import export_member
from training.origin import Origin
from training.settings import (
    MEMBERS,
    TRUNKS,
    MemberSpec,
    TrainingSettings,
    find_members,
    settings_from_json,
    settings_to_json,
)
from training.trainer import Record, Surroundings, Timing, Trainer

SETTINGS_FILE = "settings.json"
LOG_FILE = "log.jsonl"

SETTINGS_OPTIONS = ("patches", "patch_voxels", "batch", "learning_rate", "widths", "listing_steps", "seed")
"""Options that are settings of the run: remembered, and replaced when given again."""


FIXED_OPTIONS = ("batch", "widths")
"""Of them, those a run keeps: its checkpoints count batches and hold weights."""


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
    options.out.mkdir(parents=True, exist_ok=True)
    settings = _remembered_settings(options)
    log = _Log(options.out / LOG_FILE)
    log(
        {"event": "start", "commit": options.commit, "members": [m.name for m in members], **asdict(settings)}
    )
    with _told_to_stop() as stopping:
        trainer = _make_trainer(options, settings, Surroundings(time.monotonic, stopping, log))
        log({"event": "end", "done": trainer.train(members)})
    return 0


def _make_trainer(
    options: argparse.Namespace, settings: TrainingSettings, surroundings: Surroundings
) -> Trainer:
    return Trainer(
        options.out,
        options.pool,
        settings,
        Learner(settings, Hardware(options.device, options.precision, options.compile)),
        Origin(options.init, options.out if options.trunk else None),
        Timing(
            limit_s=None if options.minutes is None else 60 * options.minutes,
            slice_s=60 * options.slice_minutes,
            checkpoint_s=60 * options.checkpoint_minutes,
            log_steps=options.log_steps,
        ),
        surroundings,
    )


def _remembered_settings(options: argparse.Namespace) -> TrainingSettings:
    """Return the settings of the run with those given now, and remember them.

    Raises
    ------
    InvalidInput
        One that cannot change any more was given.
    """
    path = options.out / SETTINGS_FILE
    settings = settings_from_json(path.read_text()) if path.exists() else TrainingSettings()
    given = {name: getattr(options, name) for name in SETTINGS_OPTIONS}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "widths" in changed:
        changed["widths"] = tuple(changed["widths"])
    for name in FIXED_OPTIONS:
        if path.exists() and changed.get(name, getattr(settings, name)) != getattr(settings, name):
            raise InvalidInput(f"{name} is {changed[name]}, expected {getattr(settings, name)} as in {path}")
    settings = replace(settings, **changed)
    path.write_text(settings_to_json(settings))
    return settings


class _Log:
    """Appends records to a file and shows them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, record: Record) -> None:
        line = json.dumps(record)
        with self._path.open("a") as stream:
            stream.write(line + "\n")
        sys.stderr.write(line + "\n")


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
    settings = _run_settings(options.run)
    options.out.mkdir(parents=True, exist_ok=True)
    names = tuple(options.members)
    members = find_members(names) if names else MEMBERS + TRUNKS
    exported = [spec for spec in members if _export_member(options.run, spec, settings, options.out)]
    if not exported:
        raise InvalidInput(f"{options.run} has no checkpoint of {[spec.name for spec in members]}")
    return 0


def _export_member(run: Path, spec: MemberSpec, settings: TrainingSettings, out: Path) -> bool:
    checkpoint = read_checkpoint(run / spec.name)
    if checkpoint is None:
        return False
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


def _run_settings(run: Path) -> TrainingSettings:
    try:
        return settings_from_json((run / SETTINGS_FILE).read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{run} is no run of training: {error}") from error


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
    _add_settings(parser.add_argument_group("settings of the run"))
    begin = parser.add_argument_group("first weights").add_mutually_exclusive_group()
    begin.add_argument("--init", type=Path, help="folder of <member>.onnx files, or of another run")
    begin.add_argument("--trunk", action="store_true", help="start from trunk-<input> of this run")
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
    group.add_argument("--slice-minutes", type=float, default=9.0, help="a member's turn (%(default)s)")
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
