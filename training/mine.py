"""Find where trained networks are wrong in the pool, so that training returns there.

    python -m training.mine --pool POOL --models DIR [--studies 100] [--seed 0] [--threshold 0.3]

DIR holds networks as ``training.train export`` writes them, members or trunks; those of one input are
averaged, then both inputs. False positives and missed lesions go into ``mined.json`` beside each study, of
which another seed chooses others; the sampler returns to both.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from training.pool import MINED_LIMIT, list_pool
from training.prepared import MINED_FILE, PreparedStudy
from training.prepared_lesions import PreparedLesion
from training.settings import INPUTS, InputKind, TrainingSettings
from worker.boxes import crop, paste
from worker.sessions import Network, choose_engine
from worker.windows import plan_windows

PATCH_VOXELS, STRIDE_VOXELS = 96, 64
"""Windows of the released method, laid wider: places are needed, not outlines."""

LEAST_VOXELS = 4
"""Of a false positive, as in the released operating point."""

CONNECTIVITY_26 = np.ones((3, 3, 3), dtype=bool)

Networks = Mapping[InputKind, Sequence[Network]]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Where networks are wrong in one study.

    Parameters
    ----------
    centres_ras
        Peaks of false positives, strongest first.
    missed
        Numbers of the lesions that could have been seen and were not found.
    """

    centres_ras: tuple[tuple[int, int, int], ...]
    missed: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Mine some studies of the pool."""
    options = _parse(arguments)
    networks = open_networks(options.models, options.threads)
    for name in choose_studies(options.pool, options.studies, options.seed):
        mistakes = mine_study(
            PreparedStudy.open(options.pool / name), networks, options.threshold, options.least_conspicuity
        )
        write_mined(options.pool / name, mistakes)
        found = f"{len(mistakes.centres_ras)} false positives, {len(mistakes.missed)} missed lesions"
        print(f"{name}: {found}", flush=True)
    return 0


def choose_studies(pool: Path, studies: int, seed: int) -> list[str]:
    """Return the names of some studies of a pool, in no order; the same seed chooses the same."""
    names = [study.name for study in list_pool(pool)]
    return [names[n] for n in np.random.default_rng(seed).permutation(len(names))[:studies]]


def open_networks(folder: Path, threads: int) -> Networks:
    """Open every network of a folder, by what it sees.

    Raises
    ------
    InvalidInput
        There is none.
    """
    engine = choose_engine(threads, precision="bf16")
    found = {
        kind: [Network(path, engine, batch=1) for path in sorted(folder.glob(f"*{kind}*.onnx"))]
        for kind in INPUTS
    }
    if not any(found.values()):
        raise InvalidInput(f"{folder} holds no networks, expected files like {INPUTS[0]}-soft_dice.onnx")
    return {kind: networks for kind, networks in found.items() if networks}


def mine_study(
    study: PreparedStudy, networks: Networks, threshold: float, least_conspicuity: float
) -> Mistakes:
    """Return where networks are wrong in a study.

    Parameters
    ----------
    study
        With its truth.
    networks
        From ``open_networks``.
    threshold
        Of the mean output; below the released one, so that tomorrow's false positives are there too.
    least_conspicuity
        A lesion below it in every input the networks see was not missed: nobody sees it.
    """
    probability = predict(study, networks)
    seen = [lesion.number for lesion in study.lesions if _conspicuity(lesion, networks) >= least_conspicuity]
    peaks = ndimage.maximum(probability, study.labels_ras, seen) if seen else []
    missed = tuple(number for number, peak in zip(seen, peaks, strict=True) if peak < threshold)
    return Mistakes(_false_positives(probability, study, threshold), missed)


def _conspicuity(lesion: PreparedLesion, networks: Networks) -> float:
    """Return a lesion's conspicuity in the input that shows it best."""
    by_input = {"t1_post": lesion.t1_post_conspicuity, "subtraction": lesion.subtraction_conspicuity}
    return max(by_input[kind] for kind in networks)


def _false_positives(
    probability: NDArray[np.float32], study: PreparedStudy, threshold: float
) -> tuple[tuple[int, int, int], ...]:
    """Return the peaks (r, a, s) of what was found where no lesion is, strongest first."""
    labels, count = ndimage.label(probability >= threshold, structure=CONNECTIVITY_26)
    true = np.unique(labels[ndimage.binary_dilation(study.labels_ras > 0, CONNECTIVITY_26)])
    sizes = np.bincount(labels.ravel())
    false = [n for n in range(1, count + 1) if sizes[n] >= LEAST_VOXELS and n not in true]
    peaks = ndimage.maximum_position(probability, labels, false) if false else []
    ordered = sorted(peaks, key=lambda place: -float(probability[place]))
    return tuple((int(r), int(a), int(s)) for r, a, s in ordered[:MINED_LIMIT])


def predict(study: PreparedStudy, networks: Networks) -> NDArray[np.float32]:
    """Return the mean of the networks' outputs over a whole study, 0 outside its mask."""
    volumes = {"t1_post": study.t1_post_ras, "subtraction": study.subtraction_ras}
    means = []
    for kind, members in networks.items():
        image = np.asarray(volumes[kind], dtype=np.float32)
        means.append(np.mean([_run(network, image) for network in members], axis=0))
    return np.asarray(np.mean(means, axis=0), dtype=np.float32)


def write_mined(folder: Path, mistakes: Mistakes) -> None:
    """Write mistakes beside a study; the file appears whole."""
    unfinished = folder / f".{MINED_FILE}.{os.getpid()}"
    unfinished.write_text(json.dumps(asdict(mistakes)) + "\n")
    unfinished.replace(folder / MINED_FILE)


def _run(network: Network, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average overlapping windows, as the worker does."""
    mask = image != 0
    plan = plan_windows(mask, (PATCH_VOXELS,) * 3, (STRIDE_VOXELS,) * 3)
    covered = crop(image, plan.box)
    total, count = np.zeros_like(covered), np.zeros_like(covered)
    for window in plan.windows:
        total[window] += network.run(np.ascontiguousarray(covered[window])[None, None])[0, 0]
        count[window] += 1
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return np.where(mask, paste(mean, plan.box, image.shape), 0).astype(np.float32)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.mine", description="Find mistakes of trained networks in the pool."
    )
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="folder of ONNX files")
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="chooses the studies")
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--least-conspicuity", type=float, default=TrainingSettings().least_conspicuity)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
