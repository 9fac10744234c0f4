from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from training.network import INITIAL_PROBABILITY, UNet, calibrate, set_training_mode  # noqa: E402


def random_network(widths=(4, 8), seed: int = 0) -> UNet:
    """A network whose normalisations do something."""
    torch.manual_seed(seed)
    network = UNet(widths)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, 0, 0.3)
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
    return network.eval()


def test_the_output_has_the_shape_of_the_input():
    with torch.no_grad():
        assert UNet((2, 4, 8))(torch.zeros(2, 1, 16, 8, 12)).shape == (2, 1, 16, 8, 12)


def test_the_released_widths_have_3_2_million_weights():
    assert sum(one.numel() for one in UNet((8, 24, 48, 96, 192)).parameters()) == pytest.approx(
        3.2e6, rel=0.02
    )


def test_an_untrained_network_expects_few_lesions():
    torch.manual_seed(0)
    with torch.no_grad():
        probability = torch.sigmoid(UNet((4, 8)).eval()(torch.randn(2, 1, 16, 16, 16)))
    assert probability.mean().item() == pytest.approx(INITIAL_PROBABILITY, rel=1)


def test_calibration_leaves_the_function_and_gives_it_statistics():
    network = random_network()
    batches = [2 * torch.randn(4, 1, 8, 8, 8) + 1 for _ in range(3)]
    with torch.no_grad():
        before = network(batches[0])
        far = (network.train()(batches[0]) - before).abs().mean()
        network = random_network()
        calibrate(network, batches)
        torch.testing.assert_close(network(batches[0]), before, atol=1e-5, rtol=1e-5)
        near = (network.train()(batches[0]) - before).abs().mean()
    assert near < 0.2 * far


def test_frozen_statistics_stay_and_are_used():
    network = random_network()
    image = torch.randn(2, 1, 8, 8, 8)
    kept = network.e[0].b1.running_mean.clone()
    expected = network(image)
    set_training_mode(network, frozen_statistics=True)
    torch.testing.assert_close(network(image), expected)
    assert torch.equal(network.e[0].b1.running_mean, kept)
    set_training_mode(network, frozen_statistics=False)
    network(image)
    assert not torch.equal(network.e[0].b1.running_mean, kept)
