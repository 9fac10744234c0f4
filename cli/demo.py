"""`metserve demo`: a study with known lesions through the whole service, found against inserted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.embedded import ServiceAddress, configured_service, embedded_service, is_ready
from cli.send import send_folder
from core.errors import Transient
from core.provenance import RESEARCH_USE_NOTICE
from core.settings import CommonSettings
from phantom.scoring import Score
from phantom.study import PhantomStudy

ANALYSIS_LIMIT_S = 900.0
"""Longer than eight members take on two slow cores."""

QUIET_PERIOD_S = 3
"""The demo knows that its study is complete once it is sent."""

LEAST_SENSITIVITY = 0.5
"""A demo that finds fewer of the large lesions than this has failed."""


@dataclass(frozen=True)
class DemoRequest:
    """What the user asked for; see `metserve demo --help`."""

    out: Path
    seed: int
    source: Path | None
    spacing_kji_mm: tuple[float, float, float]
    oblique_deg: float
    profile: str | None


def run_demo(request: DemoRequest, common: CommonSettings, console: Console) -> bool:
    """Make, send, wait, fetch, compare; return whether everything went as it should."""
