from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from training.brain.network import BrainNetwork, BrainNetworkSettings  # noqa: E402

SMALL = BrainNetworkSettings(widths=(4, 8))


def make_network(seed: int = 1) -> BrainNetwork:
    torch.manual_seed(seed)
    return BrainNetwork(SMALL)


def test_logits_have_the_shape_of_the_image():
    network = make_network()
    assert network.edge_multiple == 4
    assert network(torch.randn(2, 1, 8, 12, 16)).shape == (2, 1, 8, 12, 16)


def test_an_image_edge_that_does_not_fit_is_an_error():
    with pytest.raises(RuntimeError):
        make_network()(torch.randn(1, 1, 10, 12, 12))


def test_every_parameter_takes_part():
    network = make_network()
    network(torch.randn(2, 1, 8, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_voxel_is_placed_within_its_block():
    # A network at half resolution throughout would give the eight voxels of a block one logit.
    logits = make_network().eval()(torch.randn(1, 1, 8, 8, 8))
    assert not torch.allclose(logits[..., ::2], logits[..., 1::2])
