"""Registration against known motion: error over the brain and seconds, on random synthetic pairs.

    python benchmarks/registration.py [--pairs 50] [--threads 2]

Exits 1 when a limit is exceeded. Accuracy does not depend on the machine. Time does: a pair that
took too long is registered again, and on a machine that is busy with other work its CPU time counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np

from phantom.study import PhantomSpec, PhantomStudy, Scan, generate_study
from worker.registration import RegistrationResult, register
from worker.volumes import Volume

MAX_ROTATION_DEG, MAX_TRANSLATION_MM = 30.0, 40.0
"""Motion between both scans: far beyond what a patient does within a head coil."""

T1_SPACINGS_KJI_MM = ((1.0, 1.0, 1.0), (3.0, 0.9, 0.9), (5.0, 0.9, 0.9))
"""T1 is often thicker than T1-post."""

MEAN_ERROR_LIMIT_MM = 0.5
WORST_ERROR_LIMIT_MM = 1.0
SECONDS_LIMIT = 2.0
"""Of every pair, on two idle cores."""

ATTEMPTS = 3
"""Whatever else a machine does only adds time: the fastest attempt is the measurement."""


OVERLAP = 1.25
"""CPU seconds two threads spend in a second on two idle cores, at least; measured: 1.3."""


@dataclass(frozen=True)
class Timing:
    """Of one registration: on the wall, and of all its threads together."""

    seconds: float
    cpu_seconds: float

    @property
    def is_slow(self) -> bool:
        """Whether it would take longer than the limit on idle cores."""
        return min(self.seconds, self.cpu_seconds / OVERLAP) > SECONDS_LIMIT


@dataclass(frozen=True)
class Trial:
    """One pair: what was asked, what came out."""

    rotation_deg: float
    translation_mm: float
    t1_spacing_kji_mm: tuple[float, float, float]
    error_mm: float
    correlation: float
    succeeded: bool
    timing: Timing


def main() -> int:
    """Run the benchmark and print its table."""
    arguments = _parse_arguments()
    rng = np.random.default_rng(arguments.seed)
    trials = []
    for number in range(arguments.pairs):
        trials.append(_run_trial(number, rng, arguments.threads))
        _print_trial(number, trials[-1])
    return _judge(trials)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _run_trial(number: int, rng: np.random.Generator, threads: int) -> Trial:
    spec = PhantomSpec(
        seed=number,
        large_lesions=4,
        small_lesions=4,
        t1_spacing_kji_mm=T1_SPACINGS_KJI_MM[number % len(T1_SPACINGS_KJI_MM)],
        rotation_deg=float(rng.uniform(0, MAX_ROTATION_DEG)),
        translation_mm=float(rng.uniform(0, MAX_TRANSLATION_MM)),
    )
    study = generate_study(spec)
    if study.t1 is None or spec.rotation_deg is None or spec.translation_mm is None:
        raise SystemExit("the phantom made no T1")
    t1_post, t1 = _volume(study.t1_post), _volume(study.t1)
    result, timing = _register_timed(t1_post, t1, threads)
    for _ in range(ATTEMPTS - 1):
        if timing.is_slow:
            timing = min(timing, _register_timed(t1_post, t1, threads)[1], key=lambda t: t.seconds)
    return Trial(
        rotation_deg=spec.rotation_deg,
        translation_mm=spec.translation_mm,
        t1_spacing_kji_mm=study.t1.grid.spacing_kji_mm,
        error_mm=_target_registration_error_mm(study, result),
        correlation=result.quality.correlation,
        succeeded=result.quality.succeeded,
        timing=timing,
    )


def _register_timed(t1_post: Volume, t1: Volume, threads: int) -> tuple[RegistrationResult, Timing]:
    start, cpu_start = time.perf_counter(), time.process_time()
    result = register(t1_post, t1, threads)
    return result, Timing(time.perf_counter() - start, time.process_time() - cpu_start)


def _volume(scan: Scan) -> Volume:
    return Volume(np.asarray(scan.voxels_kji, dtype=np.float32), scan.grid, "", ())


def _target_registration_error_mm(study: PhantomStudy, result: RegistrationResult) -> float:
    """Mean distance over the brain between where a point is put and where it belongs."""
    points = study.t1_post.grid.to_lps_mm(np.argwhere(study.truth.brain_mask)[::97])
    difference = result.t1_post_to_t1_lps - np.linalg.inv(study.truth.t1_to_t1_post_lps)
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


def _print_trial(number: int, trial: Trial) -> None:
    print(
        f"{number:3d}  {trial.rotation_deg:5.1f} deg  {trial.translation_mm:5.1f} mm  "
        f"slices {trial.t1_spacing_kji_mm[0]:.1f} mm  error {trial.error_mm:6.3f} mm  "
        f"correlation {trial.correlation:.2f}  {trial.timing.seconds:5.2f} s  "
        f"({trial.timing.cpu_seconds:.2f} s of CPU)"
        f"{'' if trial.succeeded else '  FAILED'}",
        flush=True,
    )


def _judge(trials: list[Trial]) -> int:
    errors = np.array([trial.error_mm for trial in trials])
    seconds = np.array([trial.timing.seconds for trial in trials])
    cpu_seconds = np.array([trial.timing.cpu_seconds for trial in trials])
    print(
        f"error    mean {errors.mean():.3f} mm  p90 {np.percentile(errors, 90):.3f}  max {errors.max():.3f}"
    )
    print(f"seconds  mean {seconds.mean():.2f}  median {np.median(seconds):.2f}  max {seconds.max():.2f}")
    print(f"CPU      mean {cpu_seconds.mean():.2f}  max {cpu_seconds.max():.2f} s")
    failures = _failures(trials)
    print("; ".join(failures) if failures else "within limits")
    return 1 if failures else 0


def _failures(trials: list[Trial]) -> list[str]:
    """Say which limits do not hold."""
    errors = np.array([trial.error_mm for trial in trials])
    failed, slow = (
        [number for number, trial in enumerate(trials) if is_bad(trial)]
        for is_bad in (lambda trial: not trial.succeeded, lambda trial: trial.timing.is_slow)
    )
    checks = (
        (not failed, f"pairs {failed} were not registered"),
        (errors.mean() <= MEAN_ERROR_LIMIT_MM, f"mean error beyond {MEAN_ERROR_LIMIT_MM} mm"),
        (errors.max() <= WORST_ERROR_LIMIT_MM, f"largest error beyond {WORST_ERROR_LIMIT_MM} mm"),
        (not slow, f"pairs {slow} took more than {SECONDS_LIMIT} s"),
    )
    return [message for holds, message in checks if not holds]


if __name__ == "__main__":
    sys.exit(main())
