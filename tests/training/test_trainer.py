from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training.toy_studies import TUBE, fill_toy_pool, make_toy_study  # noqa: E402
from training.checkpoint import newest_step, read_checkpoint  # noqa: E402
from training.learner import Hardware, Learner, average_network  # noqa: E402
from training.origin import Origin  # noqa: E402
from training.pool import listing_from_json  # noqa: E402
from training.settings import MemberSpec, SamplingSettings, TrainingSettings  # noqa: E402
from training.trainer import Plan, Surroundings, Timing, Trainer  # noqa: E402

FOCAL = MemberSpec("t1_post", "focal")
DICE = MemberSpec("subtraction", "soft_dice")
SETTINGS = TrainingSettings(
    widths=(2, 4), patch_voxels=8, batch=2, patches=24, listing_steps=4, warm_up_patches=8
)


CHANCE = Origin()


class Cut(Exception):
    """The power is gone."""


class World:
    """A clock that ticks when it is read, and a log that may be cut short."""

    def __init__(self, cut_at_record: int | None = None, stop_at_record: int | None = None) -> None:
        self.records: list[dict] = []
        self._now = 0
        self._cut = cut_at_record
        self._stop = stop_at_record

    def clock(self) -> float:
        self._now += 1
        return float(self._now)

    def log(self, record: dict) -> None:
        self.records.append(record)
        if len(self.records) == self._cut:
            raise Cut

    def stopping(self) -> bool:
        return self._stop is not None and len(self.records) >= self._stop


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    fill_toy_pool(folder, 3)
    return folder


def train(
    run: Path, pool: Path, world: World, members=(FOCAL,), settings=SETTINGS, origin=CHANCE, **timing
) -> bool:
    timed = Timing(**{"slice_s": 1000, "checkpoint_s": 1000, "log_steps": 1} | timing)
    learner = Learner(settings, Hardware())
    surroundings = Surroundings(world.clock, world.stopping, world.log)
    plans = [Plan(spec, settings) for spec in members]
    return Trainer(run, pool, learner, origin, timed, surroundings).train(plans)


def arrays(run: Path, spec: MemberSpec = FOCAL) -> dict[str, np.ndarray]:
    checkpoint = read_checkpoint(run / spec.name)
    assert checkpoint is not None
    return dict(checkpoint.arrays)


def assert_same(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, pool: Path) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted")
    assert train(run, pool, World(), (FOCAL, DICE))
    return run


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path, pool: Path, uninterrupted: Path):
    assert not train(tmp_path, pool, World(stop_at_record=5))
    assert newest_step(tmp_path / FOCAL.name) == 5
    assert train(tmp_path, pool, World())
    assert_same(arrays(tmp_path), arrays(uninterrupted))


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    tmp_path: Path, pool: Path, uninterrupted: Path
):
    with pytest.raises(Cut):
        train(tmp_path, pool, World(cut_at_record=8), checkpoint_s=7)
    assert 0 < newest_step(tmp_path / FOCAL.name) < 8
    assert train(tmp_path, pool, World())
    assert_same(arrays(tmp_path), arrays(uninterrupted))


def test_members_that_take_turns_learn_what_they_learn_alone(tmp_path: Path, pool: Path, uninterrupted: Path):
    world = World()
    assert train(tmp_path, pool, world, (DICE, FOCAL), slice_s=4)
    turns = [record["member"] for record in world.records]
    assert turns[0] == DICE.name
    assert FOCAL.name in turns[: turns.index(DICE.name, 5)]
    for spec in (FOCAL, DICE):
        assert_same(arrays(tmp_path, spec), arrays(uninterrupted, spec))


def test_time_is_kept(tmp_path: Path, pool: Path):
    assert not train(tmp_path, pool, World(), limit_s=12)
    assert 0 < newest_step(tmp_path / FOCAL.name) < SETTINGS.steps


def test_members_advance_together_over_short_calls(tmp_path: Path, pool: Path):
    for _ in range(2):
        assert not train(tmp_path, pool, World(), (FOCAL, DICE), limit_s=8)
    steps = [newest_step(tmp_path / spec.name) for spec in (FOCAL, DICE)]
    assert all(0 < step < SETTINGS.steps for step in steps)


def test_a_run_goes_on_when_a_study_was_taken_out_of_the_pool(tmp_path: Path):
    fill_toy_pool(tmp_path / "pool", 3)
    train(tmp_path / "run", tmp_path / "pool", World(stop_at_record=5))
    shutil.rmtree(tmp_path / "pool" / "toy-01")
    world = World(stop_at_record=2)
    train(tmp_path / "run", tmp_path / "pool", world)
    assert world.records[0] == {"event": "studies gone", "members": [FOCAL.name], "studies": ["toy-01"]}
    checkpoint = read_checkpoint(tmp_path / "run" / FOCAL.name)
    assert checkpoint is not None
    assert checkpoint.step > 5
    assert [study.name for study in listing_from_json(checkpoint.facts["listing"])] == ["toy-00", "toy-02"]


def test_members_of_one_run_may_be_trained_differently(tmp_path: Path, pool: Path):
    timed = Timing(slice_s=4, log_steps=1)
    world = World()
    plans = [Plan(FOCAL, SETTINGS), Plan(DICE, replace(SETTINGS, patches=8, learning_rate=1e-4))]
    surroundings = Surroundings(world.clock, world.stopping, world.log)
    learner = Learner(SETTINGS, Hardware())
    assert Trainer(tmp_path, pool, learner, CHANCE, timed, surroundings).train(plans)
    last = {record["member"]: record for record in world.records}
    assert (last[FOCAL.name]["patches"], last[DICE.name]["patches"]) == (24, 8)
    assert last[DICE.name]["learning_rate"] <= 1e-4


def test_a_finished_run_does_nothing(pool: Path, uninterrupted: Path):
    world = World()
    assert train(uninterrupted, pool, world)
    assert world.records == []


def test_every_record_says_how_far_a_member_is(tmp_path: Path, pool: Path):
    world = World()
    train(tmp_path, pool, world, log_steps=4)
    assert [record["patches"] for record in world.records] == [8, 16, 24]
    assert all(record["loss"] > 0 and record["studies"] == 3 for record in world.records)
    assert world.records[-1]["seconds"] > world.records[0]["seconds"] > 0


def test_a_member_may_start_from_a_trunk(tmp_path: Path, pool: Path):
    trunk = MemberSpec("t1_post", "trunk")
    train(tmp_path, pool, World(), (trunk,))
    train(tmp_path, pool, World(stop_at_record=1), origin=Origin(trunk_run=tmp_path))
    start = average_network(arrays(tmp_path, trunk), SETTINGS).out.weight
    after = torch.from_numpy(np.array(arrays(tmp_path)["weights/out.weight"]))
    assert (start - after).abs().max() <= 2 * SETTINGS.learning_rate_at(0)


def test_a_ball_is_learnt_and_a_tube_of_the_same_brightness_is_not(tmp_path: Path, pool: Path):
    fill_toy_pool(tmp_path / "pool", 12)
    world = World()
    settings = replace(
        SETTINGS, widths=(4, 8), patch_voxels=16, batch=4, patches=600, learning_rate=2e-2,
        warm_up_patches=40, average_decay=0.9, sampling=SamplingSettings(structure_share=0.8, mined_share=0),
    )  # fmt: skip
    trunk = MemberSpec("t1_post", "trunk")
    train(tmp_path / "run", tmp_path / "pool", world, (trunk,), settings, log_steps=10)
    assert world.records[-1]["loss"] < 0.3 * world.records[0]["loss"]
    unseen = make_toy_study("unseen", 99)
    found = probabilities(average_network(arrays(tmp_path / "run", trunk), settings), unseen.t1_post_ras)
    assert unseen.structures_ras is not None
    assert found[unseen.labels_ras > 0].mean() > 0.6
    assert found[unseen.structures_ras == TUBE].mean() < 0.2


def probabilities(network, volume: np.ndarray) -> np.ndarray:
    padded = np.pad(volume.astype(np.float32), [(0, -size % 8) for size in volume.shape])
    with torch.no_grad():
        found = torch.sigmoid(network(torch.from_numpy(padded)[None, None]))[0, 0].numpy()
    return found[tuple(slice(size) for size in volume.shape)]
