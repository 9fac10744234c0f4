from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from training.losses import balanced_cross_entropy, cross_entropy, focal, make_loss, soft_dice  # noqa: E402
from training.settings import MEMBER_LOSSES, LossSettings  # noqa: E402


def volume(*values: float):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, -1, 1, 1).float()


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


LOGITS = volume(logit(0.8), logit(0.1), logit(0.3), logit(0.5))
TARGET = volume(1, 0, 0, 0)
EVEN = volume(1, 1, 1, 1)
ENTROPIES = [-math.log(0.8), -math.log(0.9), -math.log(0.7), -math.log(0.5)]


def test_cross_entropy_is_the_mean_over_the_voxels():
    assert cross_entropy(LOGITS, TARGET, EVEN).item() == pytest.approx(sum(ENTROPIES) / 4)


def test_cross_entropy_weighs_voxels():
    expected = (3 * ENTROPIES[0] + sum(ENTROPIES[1:])) / 6
    assert cross_entropy(LOGITS, TARGET, volume(3, 1, 1, 1)).item() == pytest.approx(expected)


def test_balanced_cross_entropy_gives_both_classes_the_same_weight():
    expected = 0.5 * ENTROPIES[0] + 0.5 * sum(ENTROPIES[1:]) / 3
    assert balanced_cross_entropy(LOGITS, TARGET, EVEN, limit=50).item() == pytest.approx(expected)


def test_the_balance_has_a_limit():
    expected = (2 * ENTROPIES[0] + sum(ENTROPIES[1:])) / 5
    assert balanced_cross_entropy(LOGITS, TARGET, EVEN, limit=2).item() == pytest.approx(expected)


def test_balanced_cross_entropy_of_a_batch_without_lesion_is_plain():
    empty = torch.zeros_like(TARGET)
    assert balanced_cross_entropy(LOGITS, empty, EVEN, limit=50).item() == pytest.approx(
        cross_entropy(LOGITS, empty, EVEN).item()
    )


def test_soft_dice_counts_probabilities():
    expected = 1 - (2 * 0.8 + 1) / (0.8 + 0.1 + 0.3 + 0.5 + 1 + 1)
    assert soft_dice(LOGITS, TARGET, EVEN, smoothing=1).item() == pytest.approx(expected)


def test_soft_dice_is_of_the_batch_not_of_its_patches():
    logits, target = torch.cat([LOGITS, LOGITS]), torch.cat([TARGET, torch.zeros_like(TARGET)])
    expected = 1 - 2 * 0.8 / (2 * 1.7 + 1)
    assert soft_dice(logits, target, torch.ones_like(target), smoothing=0).item() == pytest.approx(expected)


def test_focal_loss_fades_easy_voxels():
    shares = [0.25 * 0.2**2, 0.75 * 0.1**2, 0.75 * 0.3**2, 0.75 * 0.5**2]
    expected = sum(share * entropy for share, entropy in zip(shares, ENTROPIES, strict=True)) / 4
    assert focal(LOGITS, TARGET, EVEN, alpha=0.25, gamma=2).item() == pytest.approx(expected)


def test_a_trunk_learns_from_cross_entropy_and_dice():
    expected = cross_entropy(LOGITS, TARGET, EVEN) + soft_dice(LOGITS, TARGET, EVEN, 1)
    assert make_loss("trunk", LossSettings())(LOGITS, TARGET, EVEN).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", [*MEMBER_LOSSES, "trunk"])
def test_every_loss_is_float32_and_falls_along_its_gradient(name):
    logits = LOGITS.to(torch.bfloat16).requires_grad_()
    loss = make_loss(name, LossSettings())
    value = loss(logits, TARGET, EVEN)
    value.backward()
    assert value.dtype == torch.float32
    step = 0.1 * logits.grad.float() / logits.grad.float().norm()
    assert loss(logits.detach().float() - step, TARGET, EVEN) < value


@pytest.mark.parametrize("name", [*MEMBER_LOSSES, "trunk"])
def test_a_voxel_of_weight_0_does_not_count(name):
    logits, weights = torch.randn(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    weights[..., 0] = 0
    target = (torch.randn(1, 1, 4, 4, 4) > 1).float()
    target[..., 1, 1] = 1
    changed = target.clone()
    changed[..., 0] = 1 - changed[..., 0]
    loss = make_loss(name, LossSettings())
    torch.testing.assert_close(loss(logits, target, weights), loss(logits, changed, weights))
