"""The state of a training run of the brain extraction, and the checkpoints it is kept in."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from core.errors import InvalidInput
from training.brain.network import BrainNetwork, BrainNetworkSettings
from training.checkpoint import Checkpoint, has_checkpoints, read_checkpoint, write_checkpoint
from training.state_arrays import restore_state, state_to_arrays

WEIGHT_DECAY = 1e-4
"""AdamW's; small: batch normalisation makes the scale of the weights matter little."""

WIDTHS_FACT, SPENT_FACT = "brain_widths", "spent_s"
"""Names of a checkpoint's facts."""


@dataclass(slots=True)
class BrainState:
    """Everything a run needs to go on.

    Parameters
    ----------
    network
        Being trained.
    averaged
        Moving average of its weights: what is validated and released.
    optimizer
        With its moments.
    step, spent_s
        Steps made and seconds spent so far.
    """

    network: BrainNetwork
    averaged: BrainNetwork
    optimizer: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0


def new_state(settings: BrainNetworkSettings, seed: int) -> BrainState:
    """Begin: the same seed gives the same weights."""
    torch.manual_seed(seed)
    network = BrainNetwork(settings).to(memory_format=torch.channels_last_3d)
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    return BrainState(network, averaged, optimizer)


def begin_run(run: Path, settings: BrainNetworkSettings, seed: int) -> BrainState:
    """Begin a run in a folder that has none.

    Raises
    ------
    InvalidInput
        It has one, which would be overwritten.
    """
    if has_checkpoints(run):
        raise InvalidInput(f"{run} holds a run already, expected another folder, or --resume to go on")
    return new_state(settings, seed)


def save_state(state: BrainState, run: Path) -> None:
    """Write a checkpoint into the folder of a run; one killed meanwhile leaves the former."""
    arrays = state_to_arrays(state.network, state.averaged, state.optimizer)
    facts = {WIDTHS_FACT: list(state.network.settings.widths), SPENT_FACT: state.spent_s}
    write_checkpoint(run, Checkpoint(state.step, arrays, facts))


def load_state(run: Path) -> BrainState:
    """Read the newest checkpoint of a run.

    Raises
    ------
    InvalidInput
        There is none, it is damaged, or one of another network.
    """
    checkpoint = read_checkpoint(run)
    if checkpoint is None or WIDTHS_FACT not in checkpoint.facts:
        raise InvalidInput(f"{run} has no checkpoint of the brain extraction, expected the folder of its run")
    widths = tuple(checkpoint.facts[WIDTHS_FACT])
    state = new_state(BrainNetworkSettings(widths), seed=0)
    restore_state(checkpoint.arrays, state.network, state.averaged, state.optimizer, widths)
    state.step, state.spent_s = checkpoint.step, float(checkpoint.facts[SPENT_FACT])
    return state
