"""The state of a training run of the brain extraction, and its file."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from core.errors import InvalidInput
from training.brain_network import BrainNetwork, BrainNetworkSettings

WEIGHT_DECAY = 1e-4
"""AdamW's; small: batch normalisation makes the scale of the weights matter little."""


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


def save_state(state: BrainState, path: Path) -> None:
    """Write the state; a run killed meanwhile leaves the former file."""
    partial = path.with_suffix(".partial")
    content = {
        "settings": asdict(state.network.settings),
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "spent_s": state.spent_s,
    }
    torch.save(content, partial)
    partial.replace(path)


def load_state(path: Path) -> BrainState:
    """Read a state.

    Raises
    ------
    InvalidInput
        There is none, or the file is not one.
    """
    try:
        content = torch.load(path, weights_only=True)
        settings = BrainNetworkSettings(widths=tuple(content["settings"]["widths"]))
        state = new_state(settings, seed=0)
        state.network.load_state_dict(content["network"])
        state.averaged.load_state_dict(content["averaged"])
        state.optimizer.load_state_dict(content["optimizer"])
    except (OSError, KeyError, RuntimeError) as error:
        raise InvalidInput(f"{path} is not a checkpoint of the brain extraction: {error}") from error
    state.step, state.spent_s = int(content["step"]), float(content["spent_s"])
    return state
