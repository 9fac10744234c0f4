from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from core.errors import InvalidInput  # noqa: E402
from tests.training.test_network import random_network  # noqa: E402
from training.state_arrays import restore_average, restore_state, state_to_arrays  # noqa: E402

WIDTHS = (4, 8)


def a_state(optimiser_class, steps: int):
    """Network, average and optimiser after some steps."""
    network = random_network(WIDTHS).train()
    average = copy.deepcopy(network)
    optimiser = optimiser_class(network.parameters())
    for _ in range(steps):
        optimiser.zero_grad()
        network(torch.randn(2, 1, 4, 4, 4)).square().mean().backward()
        optimiser.step()
    return network, average, optimiser


@pytest.mark.parametrize("optimiser_class", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_state_is_restored_with_its_moments_or_without(optimiser_class, steps: int):
    arrays = {name: array.copy() for name, array in state_to_arrays(*a_state(optimiser_class, steps)).items()}
    other = a_state(optimiser_class, steps=1)
    restore_state(arrays, *other, WIDTHS)
    again = state_to_arrays(*other)
    assert again.keys() == arrays.keys()
    assert any(name.startswith("adam/") for name in arrays) == (steps > 0)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_the_average_alone_is_restored_apart_from_the_weights():
    network, average, optimiser = a_state(torch.optim.Adam, steps=2)
    restored = random_network(WIDTHS, seed=9)
    restore_average(state_to_arrays(network, average, optimiser), restored, WIDTHS)
    assert torch.equal(restored.out.weight, average.out.weight)
    assert not torch.equal(restored.out.weight, network.out.weight)


def test_a_state_of_other_widths_is_refused():
    arrays = state_to_arrays(*a_state(torch.optim.Adam, steps=1))
    with pytest.raises(InvalidInput, match=r"another network, expected widths \(4, 12\)"):
        restore_average(arrays, random_network((4, 12)), (4, 12))
