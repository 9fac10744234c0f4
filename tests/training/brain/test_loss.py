from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from training.brain.loss import brain_loss, dice, nearness_to_surface  # noqa: E402


@pytest.fixture
def share():
    """A cube of brain whose upper face runs through the middle of voxels."""
    share = torch.zeros(1, 1, 24, 24, 24)
    share[..., 6:18, 6:18, 6:18] = 1
    share[..., 6:18, 6:18, 18] = 0.5
    return share


def logits_of(probability):
    return torch.logit(probability.clamp(1e-4, 1 - 1e-4))


def test_the_right_answer_costs_least(share):
    right = brain_loss(logits_of(share), share)
    assert right < 0.15
    for wrong in (1 - share, torch.roll(share, 1, 2), 0.5 + 0 * share, 0 * share):
        assert brain_loss(logits_of(wrong), share) > right + 0.02


def test_a_mistake_at_the_surface_costs_most_cross_entropy(share):
    nearness = nearness_to_surface(share)
    assert nearness[0, 0, 12, 12, 12] == 0
    assert nearness[0, 0, 1, 1, 1] == 0
    assert nearness[0, 0, 5, 12, 12] > 0.7


def test_the_loss_does_not_depend_on_the_order_of_the_batch(share):
    batch, logits = torch.cat([share, share.roll(3, 2)]), torch.randn(2, 1, 24, 24, 24)
    assert brain_loss(logits, batch).item() == pytest.approx(brain_loss(logits.flip(0), batch.flip(0)).item())


def test_dice_counts_voxels_of_at_least_half_brain(share):
    assert dice(share, share) == 1
    assert dice(torch.zeros_like(share), share) == 0
    half = share.clone()
    half[..., :12, :, :] = 0
    assert dice(half, share) == pytest.approx(2 * 0.5 / 1.5)
