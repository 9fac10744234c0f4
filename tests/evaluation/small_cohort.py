"""A cohort of two small heads: shells around a ball of brain, scanned coarsely."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.cohorts.synthetic.freeze import CohortPlan, GroupPlan
from phantom.synthesis.anatomy.files import write_packed
from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from phantom.synthesis.anatomy.structures import Structure

SEED = 41
HEADS = ("north", "south")
COARSE = {"in_plane_mm": [2.0, 2.0], "slice_mm": [2.5, 2.5], "tilt_deg": 10.0}
FEW = {"empty_share": 0.0, "count_mean": 1.0, "count_max": 4, "log_uniform_share": 0.0}
PLAN = CohortPlan(
    "small", "Two heads.", HEADS, (GroupPlan("few", 3, SEED, {"metastases": FEW, "planning": COARSE}),)
)


def small_head(name: str, radius_mm: float) -> Anatomy:
    """Shells around a ball of brain: enough for lesions, scans and their geometry."""
    k, j, i = np.ogrid[-64:65, -68:69, -66:67]
    distance = np.sqrt(k**2 + j**2 + i**2)
    labels = np.zeros(distance.shape, dtype=np.uint8)
    for structure, beyond_mm in (
        (Structure.SKIN, 14), (Structure.SOFT_TISSUE, 12), (Structure.CORTICAL_BONE, 8),
        (Structure.CSF, 5), (Structure.CORTEX, 0), (Structure.WHITE_MATTER, -5),
    ):  # fmt: skip
        labels[distance < radius_mm + beyond_mm] = structure
    labels[(np.hypot(j, i) < 6) & (k < 0) & (k > -radius_mm - 3)] = Structure.BRAINSTEM
    return Anatomy(name, labels, canonical_grid(labels.shape, np.array([-66.0, -68.0, -64.0])))


def keep_head(folder: Path, head: Anatomy) -> None:
    write_packed(head, folder / f"{head.name}.npz")
