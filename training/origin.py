"""Where a member's first weights come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor

from core.errors import InvalidInput
from training.checkpoint import read_checkpoint
from training.learner import average_network
from training.network import UNet, calibrate
from training.onnx_graph import load_member
from training.settings import MemberSpec, TrainingSettings


@dataclass(frozen=True, slots=True)
class Origin:
    """What to start from; nothing given is chance.

    Parameters
    ----------
    folder
        Of ONNX members (``<member>.onnx``), or of a run.
    trunk_run
        The run whose ``trunk-<input>`` the members of an input start from.
    """

    folder: Path | None = None
    trunk_run: Path | None = None


def first_network(
    spec: MemberSpec, origin: Origin, settings: TrainingSettings, batches: Iterable[Tensor]
) -> UNet:
    """Return a member's network before its first step.

    Parameters
    ----------
    spec, origin, settings
        Which, whence, how.
    batches
        Patches of the kind it will see: an ONNX member's statistics are taken from them.

    Raises
    ------
    InvalidInput
        The origin does not have it.
    """
    if origin.trunk_run is not None and spec.loss != "trunk":
        return _from_run(origin.trunk_run, MemberSpec(spec.input, "trunk").name, settings)
    if origin.folder is None:
        return _from_chance(spec, settings)
    for name in _names(spec):
        if (origin.folder / f"{name}.onnx").exists():
            network = load_member(origin.folder / f"{name}.onnx", settings.widths)
            calibrate(network, batches)
            return network
        if (origin.folder / name).is_dir():
            return _from_run(origin.folder, name, settings)
    raise InvalidInput(f"{origin.folder} has no {spec.name}, expected {spec.name}.onnx or a run's folder")


def _names(spec: MemberSpec) -> tuple[str, ...]:
    """Return the names to look for: a trunk may go on from the member whose loss is nearest to its own."""
    if spec.loss != "trunk":
        return (spec.name,)
    return (spec.name, MemberSpec(spec.input, "cross_entropy").name)


def _from_run(run: Path, name: str, settings: TrainingSettings) -> UNet:
    checkpoint = read_checkpoint(run / name)
    if checkpoint is None:
        raise InvalidInput(f"{run} has no checkpoint of {name}: train it first")
    return average_network(checkpoint.arrays, settings)


def _from_chance(spec: MemberSpec, settings: TrainingSettings) -> UNet:
    """Draw weights: the same for the same seed and member, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(crc32(f"{settings.seed} {spec.name}".encode()))
        return UNet(settings.widths, settings.statistics_momentum)
