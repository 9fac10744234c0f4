"""Measure the brain extraction as the service runs it, on heads nobody trained it on.

``python -m training.brain.measure --models DIR --anatomy DIR --names NAME ...`` renders heads at 1 mm,
gives them to the worker's stage, and compares. It needs no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phantom.fields import Mask
from phantom.synthesis.anatomy.files import load_anatomies
from phantom.synthesis.anatomy.label_map import canonical_grid
from training.brain.anatomy import PreparedHead, prepare_head
from training.brain.heads import HeadSettings, ScannedHead, scan_head
from worker.brain import BrainExtraction, NetworkBrainExtraction, dilate
from worker.model_set import read_model_set
from worker.sessions import choose_engine

PERIPHERAL_MM = 8.0
"""Lesion voxels less deep than this under the brain's surface are peripheral."""

INTENSITY = 500.0
"""What white matter shines like in the image given to the service: any unit will do."""

MIN_BRAIN_SHARE = 0.5
"""A voxel of the truth is brain from this share on."""


@dataclass(frozen=True, slots=True)
class BrainMeasurement:
    """How well the brain of one head was found.

    Parameters
    ----------
    name
        Of the anatomy.
    dice
        At 1 mm, before dilation.
    covered
        Share of the true brain inside the mask, dilated as the service does.
    peripheral_voxels, peripheral_lost
        Voxels of lesions near the brain's surface, and how many of them the dilated mask leaves out.
    """

    name: str
    dice: float
    covered: float
    peripheral_voxels: int
    peripheral_lost: int


def settings_at_1_mm(settings: HeadSettings) -> HeadSettings:
    """Return the same heads at 1 mm: the field of view in as many more voxels."""
    geometry = settings.geometry
    voxels = round(geometry.cube_voxels * geometry.spacing_mm)
    return replace(
        settings,
        geometry=replace(geometry, spacing_mm=1.0, cube_voxels=voxels),
        findings=replace(settings.findings, spacing_mm=1.0),
        scan=replace(settings.scan, spacing_mm=1.0),
    )


def settings_of_t1(settings: HeadSettings) -> HeadSettings:
    """Return the same heads as the service gets them: T1-weighted, skull and face there.

    Training also shows the network contrasts without any order and brains already stripped; the
    service is never given one.
    """
    return replace(
        settings,
        tissues=replace(settings.tissues, t1_order_share=1.0),
        scan=replace(settings.scan, stripped_share=0.0, defaced_share=0.0),
    )


def measure_brain(
    extraction: BrainExtraction, name: str, scanned: ScannedHead, dilation_mm: float
) -> BrainMeasurement:
    """Extract the brain of one scan and compare it with the truth."""
    scan = slice(scanned.placement.first_slice, scanned.placement.last_slice + 1)
    image, share = scanned.image_kji[scan], scanned.share_kji[scan]
    grid = canonical_grid(image.shape, np.zeros(3))
    found = extraction(np.ascontiguousarray(image) * np.float32(INTENSITY), grid)
    dilated = dilate(found, grid, dilation_mm)
    truth = share >= MIN_BRAIN_SHARE
    peripheral = scanned.lesions_kji[scan] & (scanned.depth_mm_kji[scan] > -PERIPHERAL_MM)
    return BrainMeasurement(
        name=name,
        dice=2 * _count(found & truth) / max(_count(found) + _count(truth), 1),
        covered=_count(dilated & truth) / max(_count(truth), 1),
        peripheral_voxels=_count(peripheral),
        peripheral_lost=_count(peripheral & ~dilated),
    )


def measure_heads(
    extraction: BrainExtraction,
    heads: Sequence[PreparedHead],
    settings: HeadSettings,
    count: int,
    seed: int,
    dilation_mm: float,
) -> Iterator[BrainMeasurement]:
    """Render that many heads, in turn of the anatomies, and measure each."""
    for n in range(count):
        head = heads[n % len(heads)]
        scanned = scan_head(head, settings, np.random.default_rng([seed, n]))
        yield measure_brain(extraction, head.name, scanned, dilation_mm)


def summarize(measurements: Sequence[BrainMeasurement]) -> str:
    """Return one line about all heads."""
    dices = [one.dice for one in measurements]
    covered = [one.covered for one in measurements]
    peripheral = sum(one.peripheral_voxels for one in measurements)
    lost = sum(one.peripheral_lost for one in measurements)
    return (
        f"{len(dices)} heads: Dice median {np.median(dices):.4f}, lowest {min(dices):.4f}; "
        f"dilated mask covers median {np.median(covered):.4f}, lowest {min(covered):.4f} of the brain and "
        f"{1 - lost / max(peripheral, 1):.4f} of {peripheral} voxels of peripheral lesions"
    )


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", type=Path, required=True, help="model set whose brain extraction is measured"
    )
    parser.add_argument("--anatomy", type=Path, required=True, help="folder of label maps")
    parser.add_argument("--names", nargs="+", required=True, help="label maps the network never saw")
    parser.add_argument("--heads", type=int, default=12, help="how many to render")
    parser.add_argument(
        "--t1-weighted", action="store_true", help="only what the service gets: T1 and T1-post, whole heads"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    model_set = read_model_set(options.models)
    extraction = NetworkBrainExtraction.load(model_set, choose_engine(options.threads))
    heads = [prepare_head(anatomy) for anatomy in load_anatomies(options.anatomy, options.names)]
    dilation_mm = model_set.manifest.input.brain_dilation_mm
    settings = settings_at_1_mm(HeadSettings())
    if options.t1_weighted:
        settings = settings_of_t1(settings)
    measurements = []
    for one in measure_heads(extraction, heads, settings, options.heads, options.seed, dilation_mm):
        measurements.append(one)
        print(
            f"{one.name}: Dice {one.dice:.4f}, dilated mask covers {one.covered:.4f}, "
            f"leaves out {one.peripheral_lost} of {one.peripheral_voxels} voxels of peripheral lesions"
        )
    print(summarize(measurements))


if __name__ == "__main__":
    main()
