from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from tests.training.brain.toy_head import make_toy_head  # noqa: E402
from training.brain.anatomy import PreparedHead  # noqa: E402
from training.brain.heads import HeadSettings  # noqa: E402
from training.brain.pool import HeadPool  # noqa: E402

COARSE = replace(HeadSettings(), geometry=replace(HeadSettings().geometry, spacing_mm=8, cube_voxels=32))


@pytest.fixture(scope="module")
def head() -> PreparedHead:
    return make_toy_head()


def a_pool(head, heads: int, size: int = 3) -> HeadPool:
    pool = HeadPool([head], COARSE, size, np.random.default_rng(1))
    for _ in range(heads):
        pool.renew()
    return pool


def test_a_batch_holds_different_heads_with_their_brains(head):
    images, shares = a_pool(head, 3).draw(2)
    assert images.shape == shares.shape == (2, 1, 32, 32, 32)
    assert images.dtype == shares.dtype == torch.float32
    assert not torch.equal(images[0], images[1])
    assert 0 < shares.mean() < 0.5
    assert shares.max() == 1


def test_image_and_brain_are_mirrored_together(head):
    pool = a_pool(head, 1, size=1)
    draws = [pool.draw(1) for _ in range(20)]
    first_image, first_share = draws[0]
    for image, share in draws:
        if torch.equal(image, first_image):
            assert torch.equal(share, first_share)
        else:
            assert torch.equal(image, first_image.flip(2))
            assert torch.equal(share, first_share.flip(2))
    assert len({float(image[0, 0, :16].sum()) for image, _ in draws}) == 2


def test_a_full_pool_gives_up_its_oldest_head(head):
    pool = a_pool(head, 1, size=1)
    before, _ = pool.draw(1)
    pool.renew()
    after, _ = pool.draw(1)
    assert not torch.equal(before, after)
    assert not torch.equal(before.flip(2), after)


def test_more_heads_than_there_are_cannot_be_drawn(head):
    with pytest.raises(ValueError, match="holds 1 heads, expected at least 2"):
        a_pool(head, 1).draw(2)
