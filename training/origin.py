"""Where a member's first weights come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor

from core.errors import InvalidInput
from training.checkpoint import newest_step, read_checkpoint
from training.learner import average_network
from training.network import UNet, calibrate
from training.onnx_graph import load_member
from training.run_folder import read_settings
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
    source = _find_source(spec, origin)
    if source is None:
        return _from_chance(spec, settings)
    if source.is_file():
        network = load_member(source, settings.widths)
        calibrate(network, batches)
        return network
    checkpoint = read_checkpoint(source)
    if checkpoint is None:
        raise InvalidInput(f"{source.parent} has no checkpoint of {source.name}: train it first")
    return average_network(checkpoint.arrays, settings)


def describe_origin(spec: MemberSpec, origin: Origin) -> str:
    """Say where a member's first weights come from, for the log.

    Raises
    ------
    InvalidInput
        The origin does not have it.
    """
    source = _find_source(spec, origin)
    if source is None:
        return "chance"
    if source.is_file():
        return f"{source.name}, SHA-256 {sha256(source.read_bytes()).hexdigest()}"
    return f"{source} at step {newest_step(source)}"


def check_trunks(members: Sequence[MemberSpec], run: Path) -> None:
    """Make sure that the trunks have seen their patches from which members are about to start.

    Raises
    ------
    InvalidInput
        One has not.
    """
    starting = [spec for spec in members if spec.loss != "trunk" and not newest_step(run / spec.name)]
    for trunk in dict.fromkeys(spec.trunk for spec in starting):
        step = newest_step(run / trunk.name)
        if step == 0:
            raise InvalidInput(f"{run} has no checkpoint of {trunk.name}: train it first")
        settings = read_settings(run, trunk.name)
        if step < settings.steps:
            raise InvalidInput(
                f"{trunk.name} has seen {step * settings.batch} patches, expected {settings.patches}: "
                "train it to its end, or give --trunk-anyway"
            )


def _find_source(spec: MemberSpec, origin: Origin) -> Path | None:
    """Return the ONNX file or the folder of checkpoints to start from; None for chance."""
    if origin.trunk_run is not None and spec.loss != "trunk":
        return origin.trunk_run / spec.trunk.name
    if origin.folder is None:
        return None
    for name in _names(spec):
        for source in (origin.folder / f"{name}.onnx", origin.folder / name):
            if source.exists():
                return source
    raise InvalidInput(f"{origin.folder} has no {spec.name}, expected {spec.name}.onnx or a run's folder")


def _names(spec: MemberSpec) -> tuple[str, ...]:
    """Return the names to look for: a trunk may go on from the member whose loss is nearest to its own."""
    if spec.loss != "trunk":
        return (spec.name,)
    return (spec.name, MemberSpec(spec.input, "cross_entropy").name)


def _from_chance(spec: MemberSpec, settings: TrainingSettings) -> UNet:
    """Draw weights: the same for the same seed and member, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(crc32(f"{settings.seed} {spec.name}".encode()))
        return UNet(settings.widths, settings.statistics_momentum)
