from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from core.errors import InvalidInput  # noqa: E402
from tests.training.toy_head import make_toy_head  # noqa: E402
from training.brain_anatomy import PreparedHead  # noqa: E402
from training.brain_checkpoint import load_state, new_state, save_state  # noqa: E402
from training.brain_heads import HeadSettings  # noqa: E402
from training.brain_network import BrainNetworkSettings  # noqa: E402
from training.train_brain import BrainTraining, render_validation, train, validate  # noqa: E402

HEADS = replace(HeadSettings(), geometry=replace(HeadSettings().geometry, spacing_mm=8, cube_voxels=32))
SETTINGS = BrainTraining(
    minutes=6, pool=8, warm_up_steps=5, averaging=0.9, learning_rate=1e-2, validation_heads=4, heads=HEADS,
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
    train([head], [head], SETTINGS, tmp_path / "brain.pt", state, a_clock())
    after = validate(state.averaged, held_out)
    assert sum(after) / len(after) > max(sum(before) / len(before), 0.6)


def test_a_killed_run_goes_on_where_its_checkpoint_was_written(head, tmp_path: Path):
    path = tmp_path / "brain.pt"
    half = train(
        [head], [head], replace(SETTINGS, minutes=1), path, new_state(SETTINGS.network, 1), a_clock()
    )
    resumed = load_state(path)
    assert (resumed.step, resumed.spent_s) == (half.step, half.spent_s)
    image = torch.randn(1, 1, 32, 32, 32)
    assert torch.equal(resumed.averaged(image), half.averaged(image))
    train([head], [head], replace(SETTINGS, minutes=2), path, resumed, a_clock())
    assert resumed.step == pytest.approx(2 * half.step, abs=3)


def test_a_run_whose_minutes_are_spent_makes_no_step(head, tmp_path: Path):
    state = new_state(SETTINGS.network, 1)
    state.spent_s = 360
    assert train([head], [head], SETTINGS, tmp_path / "brain.pt", state, a_clock()).step == 0


def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "brain.pt"
    with pytest.raises(InvalidInput, match=r"brain\.pt is not a checkpoint"):
        load_state(path)
    torch.save({"step": 3}, path)
    with pytest.raises(InvalidInput, match=r"brain\.pt is not a checkpoint"):
        load_state(path)


def test_a_checkpoint_replaces_the_former_one_whole(tmp_path: Path):
    path = tmp_path / "brain.pt"
    state = new_state(SETTINGS.network, 1)
    save_state(state, path)
    state.step = 9
    save_state(state, path)
    assert load_state(path).step == 9
    assert [file.name for file in tmp_path.iterdir()] == ["brain.pt"]
