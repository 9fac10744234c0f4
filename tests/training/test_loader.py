from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.toy_studies import fill_toy_pool
from training.loader import BatchLoader
from training.patches import PatchSampler
from training.pool import ListedStudy, list_pool
from training.settings import MemberSpec, TrainingSettings

SETTINGS = TrainingSettings(widths=(4, 8), patch_voxels=16, batch=2, patches=100)


@pytest.fixture
def sampler(tmp_path: Path) -> PatchSampler:
    fill_toy_pool(tmp_path, 2)
    return PatchSampler(tmp_path, MemberSpec("t1_post", "focal"), SETTINGS)


def test_batches_come_in_the_order_of_their_steps(tmp_path: Path, sampler: PatchSampler):
    listing = list_pool(tmp_path)
    with BatchLoader(sampler, 5, listing, lambda: listing, 100) as loader:
        deliveries = [loader.next() for _ in range(6)]
    assert [one.step for one in deliveries] == [5, 6, 7, 8, 9, 10]
    for one in deliveries:
        np.testing.assert_array_equal(one.batch.images, sampler.batch(one.step, listing).images)


def test_the_pool_is_looked_at_again_at_fixed_steps(sampler: PatchSampler):
    looks = iter([(ListedStudy("toy-01"),), (ListedStudy("toy-00"), ListedStudy("toy-01"))])
    with BatchLoader(sampler, 2, (ListedStudy("toy-00"),), lambda: next(looks), 3) as loader:
        names = [[study.name for study in loader.next().listing] for _ in range(5)]
    assert names == [["toy-00"], ["toy-01"], ["toy-01"], ["toy-01"], ["toy-00", "toy-01"]]


@pytest.mark.parametrize("threads", [1, 3])
def test_how_many_threads_make_batches_changes_nothing(tmp_path: Path, sampler: PatchSampler, threads: int):
    listing = list_pool(tmp_path)
    looks = iter([listing[:1], listing, listing[1:]])
    with BatchLoader(sampler, 4, listing, lambda: next(looks), 4, threads) as loader:
        deliveries = [loader.next() for _ in range(9)]
    for step, one, expected in zip(
        range(4, 13), deliveries, [listing[:1]] * 4 + [listing] * 4 + [listing[1:]], strict=True
    ):
        assert (one.step, one.listing) == (step, expected)
        np.testing.assert_array_equal(one.batch.images, sampler.batch(step, expected).images)


def test_a_study_that_is_gone_costs_a_look_at_the_pool(tmp_path: Path, sampler: PatchSampler):
    listing = list_pool(tmp_path)
    shutil.rmtree(tmp_path / "toy-00")
    with BatchLoader(sampler, 1, listing, lambda: list_pool(tmp_path), 100, threads=2) as loader:
        deliveries = [loader.next() for _ in range(8)]
    assert [one.step for one in deliveries] == list(range(1, 9))
    assert [study.name for study in deliveries[-1].listing] == ["toy-01"]


def test_an_error_in_the_making_reaches_the_trainer(sampler: PatchSampler):
    def look() -> tuple[ListedStudy, ...]:
        raise OSError("the disk is gone")

    with BatchLoader(sampler, 0, None, look, 100) as loader, pytest.raises(OSError, match="the disk is gone"):
        loader.next()
