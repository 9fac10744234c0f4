from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from core.errors import Defect, InvalidInput  # noqa: E402
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


def test_a_batch_with_an_infinite_voxel_leaves_no_trace():
    learner = a_learner()
    learner.learn(a_batch(0), 0, LOSS)
    before = {name: array.copy() for name, array in learner.arrays().items()}
    bad = a_batch(1)
    bad.images[0, 0, 3, 3, 3] = np.inf
    assert learner.learn(bad, 1, LOSS) is None
    assert same(learner.arrays(), before)


def test_a_gradient_that_is_not_finite_leaves_no_trace():
    learner = a_learner()
    learner.learn(a_batch(0), 0, LOSS)
    before = {name: array.copy() for name, array in learner.arrays().items()}
    # finite at 0, where its slope is not
    assert learner.learn(a_batch(1), 1, lambda logits, *_: (0 * logits).sqrt().sum()) is None
    assert same(learner.arrays(), before)


def test_only_bad_batches_stop_the_training():
    learner = a_learner(replace(SETTINGS, skips_limit=3))
    bad = a_batch(1)
    bad.images[:] = np.nan
    for step in (0, 1):
        assert learner.learn(bad, step, LOSS) is None
    assert learner.learn(a_batch(2), 2, LOSS) is not None
    for step in (3, 4):
        assert learner.learn(bad, step, LOSS) is None
    with pytest.raises(Defect, match="3 batches in a row up to step 5"):
        learner.learn(bad, 5, LOSS)


def test_an_outlying_gradient_is_shortened():
    moments = []
    for limit in (1e-3, 1e9):
        learner = a_learner(replace(SETTINGS, gradient_norm_limit=limit))
        learner.learn(a_batch(0), 0, LOSS)
        moments.append([a for name, a in learner.arrays().items() if name.endswith("exp_avg")])
    shortened, whole = (np.sqrt(sum((one**2).sum() for one in arrays)) for arrays in moments)
    assert shortened == pytest.approx(0.1 * 1e-3, rel=1e-2)
    assert whole > 2 * shortened


def test_the_next_member_brings_its_settings():
    learner = a_learner()
    learner.change_over(replace(SETTINGS, learning_rate=0, statistics_momentum=0))
    learner.begin(random_network())
    before = {name: array.copy() for name, array in learner.arrays().items() if "weights" in name}
    learner.learn(a_batch(0), 0, LOSS)
    after = learner.arrays()
    assert all(np.array_equal(after[name], before[name]) for name in before if "batches" not in name)


def test_a_member_of_other_widths_is_refused():
    with pytest.raises(InvalidInput, match=r"widths \(4, 8, 16\) beside \(4, 8\)"):
        a_learner().change_over(replace(SETTINGS, widths=(4, 8, 16)))


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
