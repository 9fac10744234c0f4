from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from tests.training.brain.toy_head import make_toy_head  # noqa: E402
from training.brain.anatomy import PreparedHead  # noqa: E402
from training.brain.checkpoint import load_state, new_state  # noqa: E402
from training.brain.heads import HeadSettings  # noqa: E402
from training.brain.network import BrainNetworkSettings  # noqa: E402
from training.brain.settings import BrainTraining  # noqa: E402
from training.brain.trainer import fill_pool, render_validation, train, validate  # noqa: E402

HEADS = replace(HeadSettings(), geometry=replace(HeadSettings().geometry, spacing_mm=8, cube_voxels=32))
SETTINGS = BrainTraining(
    steps=80, pool=8, warm_up_steps=5, averaging=0.9, learning_rate=1e-2, validation_heads=4, heads=HEADS,
    network=BrainNetworkSettings(widths=(8, 16)),
)  # fmt: skip


@pytest.fixture(scope="module")
def head() -> PreparedHead:
    return make_toy_head()


def a_clock():
    """Each look takes a second."""
    return itertools.count(0.0).__next__


def test_training_finds_the_brain_of_a_toy_head(head, tmp_path: Path):
    state = new_state(SETTINGS.network, seed=1)
    held_out = render_validation([head], SETTINGS)
    before = validate(state.averaged, held_out)
    assert train([head], [head], SETTINGS, tmp_path, state, a_clock()).step == 80
    after = validate(state.averaged, held_out)
    assert sum(after) / len(after) > max(sum(before) / len(before), 0.6)


def test_a_call_whose_time_is_spent_leaves_a_run_to_go_on_with(head, tmp_path: Path):
    settings = replace(SETTINGS, steps=20)
    state = new_state(SETTINGS.network, 1)
    half = train([head], [head], settings, tmp_path, state, a_clock(), limit_s=40)
    assert 0 < half.step < 20
    resumed = load_state(tmp_path)
    assert (resumed.step, resumed.spent_s) == (half.step, half.spent_s)
    image = torch.randn(1, 1, 32, 32, 32)
    assert torch.equal(resumed.averaged(image), half.averaged(image))
    train([head], [head], settings, tmp_path, resumed, a_clock())
    assert resumed.step == load_state(tmp_path).step == 20
    assert resumed.spent_s > half.spent_s


def test_the_learning_rate_follows_the_steps_however_slow_the_machine(head, tmp_path: Path):
    rates = []
    for pace_s in (1.0, 5.0):
        state = new_state(SETTINGS.network, 1)
        clock = itertools.count(0.0, pace_s).__next__
        train([head], [head], replace(SETTINGS, steps=5), tmp_path / str(pace_s), state, clock)
        rates.append(state.optimizer.param_groups[0]["lr"])
    assert rates[0] == rates[1] == replace(SETTINGS, steps=5).learning_rate_at(4)


def test_a_run_whose_steps_are_made_makes_no_more(head, tmp_path: Path):
    state = new_state(SETTINGS.network, 1)
    state.step = 80
    before = state.network.fold.weight.clone()
    assert train([head], [head], SETTINGS, tmp_path, state, a_clock()).step == 80
    assert torch.equal(state.network.fold.weight, before)


def test_a_resumed_run_draws_from_a_full_pool(head):
    assert len(fill_pool([head], SETTINGS, step=0)) == SETTINGS.batch
    assert len(fill_pool([head], SETTINGS, step=1)) == SETTINGS.pool
