from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from core.errors import InvalidInput  # noqa: E402
from training.brain.checkpoint import BrainState, begin_run, load_state, new_state, save_state  # noqa: E402
from training.brain.network import BrainNetworkSettings  # noqa: E402
from training.checkpoint import PART_BYTES, Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402

SMALL = BrainNetworkSettings(widths=(8, 16))


def step(state: BrainState) -> None:
    """Give the optimiser moments, and batch normalisation statistics."""
    torch.manual_seed(5)
    state.optimizer.zero_grad()
    state.network.train()(torch.randn(2, 1, 8, 8, 8)).square().mean().backward()
    state.optimizer.step()
    state.step += 1


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_loaded_state_goes_on_bit_for_bit(tmp_path: Path):
    state = new_state(SMALL, seed=1)
    step(state)
    state.spent_s = 12.5
    save_state(state, tmp_path)
    loaded = load_state(tmp_path)
    assert (loaded.step, loaded.spent_s, loaded.network.settings) == (1, 12.5, SMALL)
    for each in (state, loaded):
        step(each)
    assert same(loaded.network.state_dict(), state.network.state_dict())
    assert same(loaded.averaged.state_dict(), state.averaged.state_dict())


def test_the_newest_checkpoint_is_loaded(tmp_path: Path):
    state = new_state(SMALL, seed=1)
    for _ in range(3):
        step(state)
        save_state(state, tmp_path)
    assert load_state(tmp_path).step == 3


def test_no_part_of_a_large_networks_checkpoint_exceeds_the_limit(tmp_path: Path):
    state = new_state(BrainNetworkSettings(widths=(16, 32, 64, 96, 128)), seed=1)
    save_state(state, tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.glob("*/*")]
    assert sum(sizes) > PART_BYTES
    assert max(sizes) <= PART_BYTES


def test_a_run_is_not_begun_over_another(tmp_path: Path):
    state = begin_run(tmp_path / "run", SMALL, seed=1)
    save_state(state, tmp_path / "run")
    with pytest.raises(InvalidInput, match=r"run holds a run already, .* --resume"):
        begin_run(tmp_path / "run", SMALL, seed=1)


def test_a_run_that_is_damaged_is_not_begun_over_either(tmp_path: Path):
    save_state(new_state(SMALL, seed=1), tmp_path)
    next(tmp_path.glob("*/manifest.json")).unlink()
    with pytest.raises(InvalidInput, match="holds a run already"):
        begin_run(tmp_path, SMALL, seed=1)


def test_what_is_no_run_of_the_brain_extraction_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no checkpoint of the brain extraction"):
        load_state(tmp_path)
    write_checkpoint(tmp_path, Checkpoint(3, {}, {"a member's": True}))
    with pytest.raises(InvalidInput, match="no checkpoint of the brain extraction"):
        load_state(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path):
    save_state(new_state(SMALL, seed=1), tmp_path / "small")
    small = read_checkpoint(tmp_path / "small")
    assert small is not None
    write_checkpoint(tmp_path / "other", replace(small, facts=small.facts | {"brain_widths": [8, 32]}))
    with pytest.raises(InvalidInput, match=r"another network, expected widths \(8, 32\)"):
        load_state(tmp_path / "other")
