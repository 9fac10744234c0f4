from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from core.errors import InvalidInput  # noqa: E402
from tests.training.test_network import random_network  # noqa: E402
from training.learner import Hardware, Learner, average_network  # noqa: E402
from training.losses import make_loss  # noqa: E402
from training.patches import PatchBatch  # noqa: E402
from training.settings import LossSettings, TrainingSettings  # noqa: E402

SETTINGS = TrainingSettings(widths=(4, 8), patch_voxels=8, batch=2, patches=40, learning_rate=1e-2)
LOSS = make_loss("cross_entropy", LossSettings())


def a_batch(seed: int) -> PatchBatch:
    images = np.random.default_rng(seed).standard_normal((2, 1, 8, 8, 8)).astype(np.float32)
    return PatchBatch(images, (images > 1).astype(np.float32), np.ones_like(images))


def a_learner(settings: TrainingSettings = SETTINGS) -> Learner:
    learner = Learner(settings, Hardware())
    learner.begin(random_network())
    return learner


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_restored_learner_goes_on_bit_for_bit():
    learner, other = a_learner(), Learner(SETTINGS, Hardware())
    for step in range(3):
        learner.learn(a_batch(step), step, LOSS)
    other.restore({name: array.copy() for name, array in learner.arrays().items()})
    for step in range(3, 6):
        assert learner.learn(a_batch(step), step, LOSS) == other.learn(a_batch(step), step, LOSS)
    assert same(learner.arrays(), other.arrays())


def test_a_loss_that_is_not_finite_changes_no_weight():
    learner = a_learner()
    learner.learn(a_batch(0), 0, LOSS)
    before = {name: parameter.detach().clone() for name, parameter in learner.network.named_parameters()}
    bad = a_batch(1)
    bad.weights[:] = np.nan
    assert learner.learn(bad, 1, LOSS) is None
    assert all(torch.equal(before[name], one) for name, one in learner.network.named_parameters())


def test_the_average_lags_behind_the_weights():
    learner = a_learner()
    start = learner.network.out.weight.detach().clone()
    for step in range(10):
        learner.learn(a_batch(step), step, LOSS)
    moved = (learner.network.out.weight - start).norm()
    lag = (learner.network.out.weight - learner.average.out.weight).norm()
    assert 0.01 * moved < lag < moved


def test_a_new_member_begins_without_the_moments_of_the_last():
    learner = a_learner()
    learner.learn(a_batch(0), 0, LOSS)
    learner.begin(random_network())
    assert same(learner.arrays(), a_learner().arrays())


def test_the_averaged_network_of_a_checkpoint_is_the_average():
    learner = a_learner()
    learner.learn(a_batch(0), 0, LOSS)
    image = torch.from_numpy(a_batch(1).images)
    network = average_network(learner.arrays(), SETTINGS)
    torch.testing.assert_close(network(image), learner.average(image))


def test_a_checkpoint_of_other_widths_is_refused():
    arrays = a_learner().arrays()
    with pytest.raises(InvalidInput, match=r"another network, expected widths \(4, 8, 16\)"):
        Learner(TrainingSettings(widths=(4, 8, 16)), Hardware()).restore(arrays)


def test_bfloat16_trains_almost_as_float32_does():
    one, other = a_learner(), Learner(SETTINGS, Hardware(precision="bfloat16"))
    other.begin(random_network())
    losses = [[learner.learn(a_batch(step), step, LOSS) for step in range(3)] for learner in (one, other)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)
    assert losses[0] != losses[1]
