"""Small studies with a bright ball, which is a lesion, and a bright tube, which is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.prepared import PreparedStudy, prepare_pair

TUBE = 3
"""Its number among the structures."""

SHAPE_KJI = (36, 40, 44)


def make_toy_study(name: str, seed: int, lesions: int = 1) -> PreparedStudy:
    """Return a study with balls of radius 2.5 to 3.5 mm, and a tube of radius 1.8 mm from bottom to top."""
    rng = np.random.default_rng(seed)
    k, j, i = np.indices(SHAPE_KJI)
    mask = ((k - 18) / 18) ** 2 + ((j - 20) / 20) ** 2 + ((i - 22) / 22) ** 2 < 0.98
    tube = (j - rng.integers(12, 28)) ** 2 + (i - rng.integers(29, 34)) ** 2 < 1.8**2
    labels = np.zeros(SHAPE_KJI, np.uint16)
    for number in range(1, lesions + 1):
        centre = rng.integers((11, 13, 12), (25, 27, 21))
        ball = (k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2
        labels[ball < rng.uniform(2.5, 3.5) ** 2] = number
    t1 = (1 + 0.05 * rng.standard_normal(SHAPE_KJI)).astype(np.float32)
    t1_post = t1 + (0.05 * rng.standard_normal(SHAPE_KJI)).astype(np.float32)
    t1_post[tube | (labels > 0)] += 1
    post, subtraction = prepare_pair(t1, t1_post, mask)
    return PreparedStudy.from_kji(
        name=name,
        anatomy="toy",
        seed=seed,
        recipe="toy",
        t1_post_kji=post,
        subtraction_kji=subtraction,
        labels_kji=labels,
        structures_kji=np.where(tube & (labels == 0), TUBE, 0).astype(np.uint8),
    )


def fill_toy_pool(pool: Path, studies: int, lesions: int = 1) -> None:
    """Write studies named toy-00, toy-01, ..."""
    for seed in range(studies):
        make_toy_study(f"toy-{seed:02d}", seed, lesions).write(pool / f"toy-{seed:02d}")
