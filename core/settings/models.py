"""Where the model set is that came with metserve."""

from __future__ import annotations

import sys
from pathlib import Path


def bundled_models_dir() -> Path:
    """Return the model set that came with metserve.

    It stands beside the sources, or in the environment's share folder.
    """
    beside_sources = Path(__file__).resolve().parents[2] / "models"
    if (beside_sources / "ensemble.toml").is_file():
        return beside_sources
    return Path(sys.prefix) / "share" / "metserve" / "models"
