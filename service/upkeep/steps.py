"""Steps that are done again and again; one that fails holds up neither the others nor the next round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import Counter

from core.logs import logger

STEP_ERRORS = Counter("metserve_step_errors", "Regular steps that failed.", ["step"])


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do.

    Parameters
    ----------
    name
        For logs and metrics.
    """

    name: str
    do: Callable[[], object]


def repeat(steps: Sequence[Step], pause_s: float, stop: threading.Event) -> None:
    """Do every step, rest, and do them again, until told to stop."""
    while not stop.is_set():
        for step in steps:
            if stop.is_set():
                return
            attempt(step)
        stop.wait(pause_s)


def attempt(step: Step) -> bool:
    """Do a step; tell whether it succeeded."""
    try:
        step.do()
    except Exception:  # noqa: BLE001 - it is done again, and the others must go on
        STEP_ERRORS.labels(step.name).inc()
        logger().exception("a step failed", step=step.name)
        return False
    return True
