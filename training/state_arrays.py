"""What a step changes, as the arrays a checkpoint holds: weights, their average, the optimiser's moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import InvalidInput

WEIGHTS, AVERAGE, MOMENTS = "weights", "average", "adam"
"""First part of the names of a checkpoint's arrays."""

Arrays = Mapping[str, NDArray[Any]]


def state_to_arrays(
    network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, NDArray[Any]]:
    """Return everything the next step depends on, by name."""
    tensors = _tensors(network, average, optimiser)
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors}


def restore_state(
    arrays: Arrays,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    widths: tuple[int, ...],
) -> None:
    """Give networks and optimiser (Adam or AdamW) the state that ``arrays`` describe.

    Parameters
    ----------
    arrays
        What ``state_to_arrays`` returned.
    network, average, optimiser
        Changed in place.
    widths
        Of the networks, for the message.

    Raises
    ------
    InvalidInput
        The arrays belong to a network of other widths.
    """
    optimiser.state.clear()
    for name, parameter in network.named_parameters():
        if f"{MOMENTS}/{name}/step" in arrays:
            optimiser.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
    _copy(arrays, dict(_tensors(network, average, optimiser)), widths)


def restore_average(arrays: Arrays, average: nn.Module, widths: tuple[int, ...]) -> None:
    """Give a network the averaged weights among ``arrays``.

    Raises
    ------
    InvalidInput
        The arrays belong to a network of other widths.
    """
    given = {name: array for name, array in arrays.items() if name.startswith(f"{AVERAGE}/")}
    _copy(given, dict(_named(AVERAGE, average)), widths)


def _copy(arrays: Arrays, tensors: Mapping[str, Tensor], widths: tuple[int, ...]) -> None:
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    if found != {name: tuple(tensor.shape) for name, tensor in tensors.items()}:
        raise InvalidInput(f"the checkpoint is of another network, expected widths {widths}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))


def _tensors(
    network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> Iterator[tuple[str, Tensor]]:
    yield from _named(WEIGHTS, network)
    yield from _named(AVERAGE, average)
    for name, parameter in network.named_parameters():
        for what, tensor in optimiser.state[parameter].items():
            yield f"{MOMENTS}/{name}/{what}", tensor


def _named(what: str, network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in network.state_dict().items():
        yield f"{what}/{name}", tensor
