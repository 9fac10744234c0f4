"""A contact sheet of synthetic studies, to look at beside a real scan before training.

    python -m training.show --anatomy DIR --out sheet.png [--seeds 0 1 2]

Each row is one study: T1-post and subtraction through its largest lesion, its median one, and through
the slice richest in venous sinus; then T1-post again, lesions outlined in green, other enhancing structures
in orange.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from phantom.synthesis.anatomy.heads import open_anatomies
from phantom.synthesis.anatomy.structures import Enhancing
from phantom.synthesis.study import SynthesisSettings, SyntheticStudy, synthesize
from training.prepared import prepare_pair

TILE_VOXELS = 192
"""Edge of a picture; a brain with its margin is about 180 mm long."""

DISPLAY_RANGE = (-2.5, 5.0)
"""Normalised grey values shown as black and white: standard deviations within the brain."""

LESION_COLOUR, STRUCTURE_COLOUR = (0, 220, 90), (255, 150, 0)

Picture = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet."""
    options = _parse(arguments)
    anatomies = open_anatomies(options.anatomy)
    rows = []
    for seed in options.seeds:
        anatomy = anatomies[seed % len(anatomies)]
        rows.append(draw_row(synthesize(anatomy, seed, SynthesisSettings())))
        print(f"seed {seed}: {anatomy.name}")
    Image.fromarray(np.concatenate(rows)).save(options.out)
    print(options.out)
    return 0


def draw_row(study: SyntheticStudy) -> Picture:
    """Return one study as a row of pictures."""
    t1_post, subtraction = prepare_pair(study.t1_kji, study.t1_post_kji, study.mask_kji)
    slices = _interesting_slices(study)
    plain = [_grey(t1_post[k]) for k in slices] + [_grey(subtraction[k]) for k in slices]
    outlined = [_outline(_grey(t1_post[k]), study, k) for k in slices]
    return np.concatenate([*plain, *outlined], axis=1)


def _interesting_slices(study: SyntheticStudy) -> list[int]:
    """Choose the slices of the largest lesion, of the median one, and of most sinus."""
    sinus = (study.structures_kji == Enhancing.SINUS) & study.mask_kji
    richest = int(sinus.sum(axis=(1, 2)).argmax())
    numbers = np.unique(study.labels_kji)[1:]
    if not numbers.size:
        middle = study.grid.shape_kji[0] // 2
        return [middle, middle + study.grid.shape_kji[0] // 6, richest]
    largest, median = numbers[0], numbers[len(numbers) // 2]
    return [int(np.median(np.nonzero(study.labels_kji == n)[0])) for n in (largest, median)] + [richest]


def _grey(plane: NDArray[np.float32]) -> Picture:
    low, high = DISPLAY_RANGE
    scaled = np.clip((_fit(plane) - low) / (high - low), 0, 1) * 255
    return np.repeat(scaled.astype(np.uint8)[..., None], 3, axis=2)


def _outline(picture: Picture, study: SyntheticStudy, index_k: int) -> Picture:
    """Draw lesions and structures as outlines."""
    structures, lesions = _fit(study.structures_kji[index_k]), _fit(study.labels_kji[index_k])
    for mask, colour in (((structures > 0), STRUCTURE_COLOUR), ((lesions > 0), LESION_COLOUR)):
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture


def _fit(plane: NDArray[Any]) -> NDArray[Any]:
    """Centre a slice in a square tile."""
    tile = np.zeros((TILE_VOXELS, TILE_VOXELS), dtype=plane.dtype)
    rows, columns = (min(n, TILE_VOXELS) for n in plane.shape)
    top, left = ((n - used) // 2 for n, used in zip(plane.shape, (rows, columns), strict=True))
    down, right = (TILE_VOXELS - rows) // 2, (TILE_VOXELS - columns) // 2
    tile[down : down + rows, right : right + columns] = plane[top : top + rows, left : left + columns]
    return tile


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.show", description="Draw a contact sheet of synthetic studies."
    )
    parser.add_argument("--anatomy", type=Path, help="folder of label maps; MNI152 without one")
    parser.add_argument("--out", type=Path, default=Path("contact-sheet.png"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
