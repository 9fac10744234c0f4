from __future__ import annotations

import itertools
import math

import numpy as np
import onnxruntime
import pytest

from core.errors import Defect
from core.study import AnalysisMode
from tests.synthetic import make_grid, make_references
from worker.ensemble import Ensemble
from worker.model_set import ModelSet, Profile
from worker.preprocessing import PreparedVolumes

STRIDE = (64, 64, 64)
PATCH = (96, 96, 96)
BALLS_KJI = ((30, 60, 20), (60, 100, 25), (50, 20, 90))


def prepared_volumes(*, with_subtraction: bool) -> PreparedVolumes:
    """An L-shaped brain with three bright balls: one of the four windows over its box holds none of it."""
    grid = make_grid((100, 130, 128), (1, 1, 1))
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[4:90, 3:123, 2:40] = True
    mask[4:90, 3:40, 2:124] = True
    rng = np.random.default_rng(0)

    places = np.indices(mask.shape).transpose(1, 2, 3, 0)
    balls = sum(np.linalg.norm(places - centre, axis=-1) < 4 for centre in BALLS_KJI)

    def normalised() -> np.ndarray:
        return np.where(mask, 0.3 * rng.normal(size=mask.shape) + 4 * balls, 0)

    post, subtraction = (normalised().astype(np.float32) for _ in range(2))
    return PreparedVolumes(
        grid=grid,
        t1_post_kji=post,
        subtraction_kji=subtraction if with_subtraction else None,
        brain_mask_kji=mask,
        source_grid=grid,
        source_slices=make_references(100),
        registration=None,
        brain_volume_mm3=1e6,
        flags=(),
    )


def reference_member(model_set: ModelSet, file: str, image_kji, mask_kji) -> np.ndarray:
    """The method in plain words: every window, one at a time, on onnxruntime's own CPU provider."""
    session = onnxruntime.InferenceSession(model_set.folder / file, providers=["CPUExecutionProvider"])
    image = image_kji.transpose(2, 1, 0)[::-1, ::-1]  # (S, P, L) -> (R, A, S)
    mask = mask_kji.transpose(2, 1, 0)[::-1, ::-1]
    pad = 200
    padded = np.pad(image, pad)
    total, count = np.zeros_like(padded), np.zeros_like(padded)
    places = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        length = occupied[-1] - occupied[0] + 1
        n = max(math.ceil((length - PATCH[axis]) / STRIDE[axis]), 0) + 1
        start = occupied[0] + math.floor((length - (PATCH[axis] + (n - 1) * STRIDE[axis])) / 2)
        places.append([int(start + pad + m * STRIDE[axis]) for m in range(n)])
    for x, y, z in itertools.product(*places):
        window = (slice(x, x + 96), slice(y, y + 96), slice(z, z + 96))
        (output,) = session.run(None, {"image": np.ascontiguousarray(padded[window][None, None])})
        total[window] += output[0, 0]
        count[window] += 1
    mean = np.where(np.pad(mask, pad), total / np.maximum(count, 1), 0)[pad:-pad, pad:-pad, pad:-pad]
    return mean[::-1, ::-1].transpose(2, 1, 0)


@pytest.fixture(scope="module")
def prepared() -> PreparedVolumes:
    return prepared_volumes(with_subtraction=True)


@pytest.fixture(scope="module")
def probability(preview: Ensemble, prepared: PreparedVolumes):
    return preview.predict(prepared)


def test_the_members_agree_with_the_plain_reference(model_set, prepared, probability):
    references = [
        reference_member(model_set, f"{kind}-soft_dice.onnx", image, prepared.brain_mask_kji)
        for kind, image in (("t1_post", prepared.t1_post_kji), ("subtraction", prepared.subtraction_kji))
    ]
    assert min(reference.max() for reference in references) > 0.1
    np.testing.assert_allclose(probability.mean_kji, np.mean(references, axis=0), atol=1e-5)
    for member, reference in zip(probability.members_kji, references, strict=True):
        np.testing.assert_allclose(member, reference, atol=1e-3)


def test_the_batch_size_does_not_change_the_output(model_set, engine, prepared, probability):
    by_two = Ensemble.load(model_set, "preview", engine, batch=2).predict(prepared)
    np.testing.assert_allclose(by_two.mean_kji, probability.mean_kji, atol=1e-5)


def test_without_subtraction_the_t1_post_members_stand_alone(preview, prepared, probability):
    alone = preview.predict(prepared_volumes(with_subtraction=False))
    assert alone.mode is AnalysisMode.T1_POST_ONLY
    assert alone.member_names == ("t1_post-soft_dice",)
    np.testing.assert_array_equal(alone.members_kji[0], probability.members_kji[0])


def test_the_output_is_zero_outside_the_brain(prepared, probability):
    assert not probability.mean_kji[~prepared.brain_mask_kji].any()
    assert all(not member[~prepared.brain_mask_kji].any() for member in probability.members_kji)
    assert probability.mean_kji.dtype == np.float32
    assert {member.dtype.name for member in probability.members_kji} == {"float16"}


def test_progress_counts_every_window_of_every_member(preview, prepared):
    shares: list[float] = []
    preview.predict(prepared, shares.append)
    # Three of the four windows over the box hold brain, for each of two members.
    np.testing.assert_allclose(shares, np.arange(1, 7) / 6)


def test_a_profile_of_unknown_members_cannot_be_run(model_set, prepared):
    nobody = Ensemble(model_set, Profile("none", (), PATCH, STRIDE), [], 1)
    with pytest.raises(Defect, match="has no member for mode"):
        nobody.predict(prepared)
