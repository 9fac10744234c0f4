"""The worker's pulse: beaten by the loop that takes messages, so that a loop that hangs is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import Celery, bootsteps

from core.pulse import PULSE_EVERY_S, Pulse


def install_pulse(app: Celery, data_dir: Path, *, every_s: float = PULSE_EVERY_S) -> None:
    """Let the app's workers beat a pulse in the data folder."""

    class PulseStep(bootsteps.StartStopStep):
        """Beats from the worker's timer, which turns with its event loop."""

        requires = ("celery.worker.components:Timer",)

        def __init__(self, parent: Any, **options: Any) -> None:
            super().__init__(parent, **options)
            self._pulse = Pulse(data_dir, "work")
            self._timer: Any = None

        def start(self, parent: Any) -> None:
            self._pulse.beat()
            self._timer = parent.timer.call_repeatedly(every_s, self._pulse.beat)

        def stop(self, _parent: Any) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._pulse.end()

    app.steps["worker"].add(PulseStep)
