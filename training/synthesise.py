"""Fill a pool with synthetic studies, each prepared as the service prepares a patient's.

python -m training.synthesise --anatomy DIR --out POOL --studies 200 --processes 2
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from core.errors import InvalidInput
from phantom.synthesis.anatomy.heads import TEST_HEADS, VALIDATION_HEADS, open_anatomies
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.lesions.metastases import MetastasisSettings
from phantom.synthesis.study import GENERATOR_VERSION, SynthesisSettings, SyntheticStudy, synthesize
from training.prepared import PreparedStudy, prepare_pair

TRAINING_SETTINGS = SynthesisSettings(metastases=replace(MetastasisSettings(), log_uniform_share=0.5))
"""Half of these lesions have log-uniform diameters: the published sizes alone would show few large ones."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which study to make, from what, to where."""

    anatomy_folder: Path | None
    anatomy_names: tuple[str, ...] | None
    seed: int
    pool: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the studies that are not in the pool yet."""
    options = _parse(arguments)
    seeds = range(options.first_seed, options.first_seed + options.studies)
    names = tuple(options.heads) if options.heads else None
    orders = [Order(options.anatomy, names, seed, options.out) for seed in seeds]
    for name in fill_pool(orders, options.processes):
        print(name, flush=True)
    return 0


def fill_pool(orders: Sequence[Order], processes: int) -> Iterator[str]:
    """Make studies in processes of their own; yield the name of each when it is in the pool.

    A study of the same seed, recipe and anatomy that is there already is left alone: it would be the same
    again. One of another recipe or anatomy is replaced.

    Raises
    ------
    InvalidInput
        There is no head to train on.
    """
    if processes <= 1:
        yield from map(make_prepared, orders)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as workers:
        yield from workers.imap_unordered(make_prepared, orders)


def study_name(seed: int) -> str:
    """Return the name of the folder of a study in a pool."""
    return f"synthetic-{seed:07d}"


def make_prepared(order: Order) -> str:
    """Synthesise one study and write it into the pool, unless it is there; return its name."""
    anatomies = _anatomies(order.anatomy_folder, order.anatomy_names)
    anatomy = anatomies[order.seed % len(anatomies)]
    name = study_name(order.seed)
    if not _is_there(order.pool / name, anatomy.name, order.seed):
        study = synthesize(anatomy, order.seed, TRAINING_SETTINGS)
        prepare(study, name, anatomy.name, order.seed).write(order.pool / name)
    return name


def _is_there(folder: Path, anatomy: str, seed: int) -> bool:
    """Say whether a folder holds the study that would be made."""
    try:
        found = PreparedStudy.open(folder)
    except InvalidInput:  # nothing there, or a study in another format
        return False
    return (found.anatomy, found.seed, found.recipe) == (anatomy, seed, recipe_digest())


def prepare(study: SyntheticStudy, name: str, anatomy: str, seed: int) -> PreparedStudy:
    """Normalise a synthetic pair as the service does."""
    t1_post, subtraction = prepare_pair(study.t1_kji, study.t1_post_kji, study.mask_kji)
    return PreparedStudy.from_kji(
        name=name,
        anatomy=anatomy,
        seed=seed,
        recipe=recipe_digest(),
        t1_post_kji=t1_post,
        subtraction_kji=subtraction,
        labels_kji=np.where(study.mask_kji, study.labels_kji, 0).astype(np.uint16),
        structures_kji=study.structures_kji,
    )


def recipe_digest(settings: SynthesisSettings = TRAINING_SETTINGS) -> str:
    """SHA-256 (hexadecimal) of every knob and of the generator's version."""
    recipe = {"generator_version": GENERATOR_VERSION, "settings": asdict(settings)}
    return sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _anatomies(folder: Path | None, names: tuple[str, ...] | None) -> tuple[Anatomy, ...]:
    heads = open_anatomies(folder, names)
    if names is not None:
        return heads
    kept = tuple(head for head in heads if head.name not in VALIDATION_HEADS + TEST_HEADS)
    if not kept:
        raise InvalidInput(
            f"{folder} holds only heads reserved for validation and test ({_names(heads)}), "
            "expected at least one other; name heads to use these nevertheless"
        )
    return kept


def _names(heads: Sequence[Anatomy]) -> str:
    return ", ".join(head.name for head in heads)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.synthesise", description="Fill a pool with synthetic, prepared studies."
    )
    parser.add_argument("--anatomy", type=Path, help="folder of label maps; MNI152 without one")
    parser.add_argument(
        "--heads",
        nargs="+",
        help="names of the label maps to use; by default all but those kept for measuring",
    )
    parser.add_argument("--out", type=Path, required=True, help="the pool: a folder, made if missing")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
