"""How long the DICOM objects of a large study take, and how much memory, against the limits set for them.

    python -m benchmarks.encoding

A study of 180 images of 256 x 256 with 20 lesions, all objects that are written by default.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import resource
import time

import numpy as np

from core.results import ResultKind
from tests.dicom_sources import make_grid
from tests.encoded_study import Box, EncodedStudy, make_study
from worker.encoding import encode
from worker.encoding.encode import EncodedResults, Pictures
from worker.encoding.part10 import to_bytes

SHAPE_KJI = (180, 256, 256)
LIMIT_S = 5.0
"""Encoding is to stay small beside the ensemble's minutes."""
LIMIT_MB = 1000.0
"""Peak of the process: a worker of 4 GB holds models and volumes besides."""

SIDES_MM = (4, 4, 5, 6, 8, 10, 12, 16, 20, 24)
"""Lesions from the smallest that radiosurgery treats to the largest."""


def twenty_boxes() -> list[Box]:
    """Return 20 boxes spread over the head, two of each size."""
    places = itertools.product((40, 100), (60, 140), (50, 80, 110, 150, 190))
    sides = [side for side in SIDES_MM for _ in range(2)]
    return [
        (slice(k, k + side), slice(j, j + side + 2), slice(i, i + side))
        for (k, j, i), side in zip(places, sides, strict=True)
    ]


def pictures_of(study: EncodedStudy) -> Pictures:
    """Return images with noise in a head-sized ellipsoid, so that they compress like a scan."""
    rng = np.random.default_rng(3)
    axes = [np.linspace(-1.2, 1.2, n, dtype=np.float32) for n in study.findings.grid.shape_kji]
    inside = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 < 1
    noise = rng.normal(400, 60, inside.shape).astype(np.float32)
    return Pictures(np.where(inside, noise, 0).astype(np.float32))


def run(study: EncodedStudy, pictures: Pictures) -> EncodedResults:
    """Encode once, with everything a site gets by default."""
    return encode(study.findings, study.report, study.sources, study.provenance, pictures)


def main() -> None:
    """Print seconds, peak memory, their shares of the limits, and the size of every object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", action="store_true", help="also list the functions that take longest")
    options = parser.parse_args()
    study = make_study(twenty_boxes(), make_grid(SHAPE_KJI))
    pictures = pictures_of(study)
    before_mb = _peak_mb()
    profile = cProfile.Profile()
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    results = profile.runcall(run, study, pictures) if options.profile else run(study, pictures)
    seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    peak_mb = _peak_mb()
    print(f"{seconds:.2f} s ({cpu_s:.2f} s of processor), {seconds / LIMIT_S:.0%} of {LIMIT_S:g} s")
    print(f"peak {peak_mb:.0f} MB ({before_mb:.0f} before), {peak_mb / LIMIT_MB:.0%} of {LIMIT_MB:g} MB")
    for kind, dataset in results.objects.items():
        print(f"  {ResultKind(kind).value:12} {len(to_bytes(dataset)) / 1e6:7.2f} MB")
    if options.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
