"""A model set with its networks loaded, and a second one that may run in its shadow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from worker.brain import BrainExtraction, NetworkBrainExtraction
from worker.ensemble import Ensemble
from worker.model_set import FULL_PROFILE, read_model_set
from worker.sessions import CPU, CUDA, OPENVINO, choose_engine

Device = Literal["auto", "cuda", "openvino", "cpu"]

PROVIDERS: MappingProxyType[Device, str | None] = MappingProxyType(
    {"auto": None, "cuda": CUDA, "openvino": OPENVINO, "cpu": CPU}
)


@dataclass(frozen=True)
class LoadedModels:
    """What a worker process keeps warm.

    Parameters
    ----------
    threads
        Of everything that computes.
    shadow
        Its findings are stored beside the released ones, for comparison, and never delivered.
    """

    ensemble: Ensemble
    brain: BrainExtraction
    threads: int
    shadow: Ensemble | None = None


def load_models(
    folder: Path,
    *,
    profile: str,
    device: Device,
    threads: int,
    cache_dir: Path | None,
    shadow_folder: Path | None = None,
) -> LoadedModels:
    """Create every session, in the process that will use them.

    Raises
    ------
    InvalidInput
        No such profile, no such device, or no model set in the folder.
    """
    engine = choose_engine(threads, cache_dir, PROVIDERS[device])
    model_set = read_model_set(folder)
    shadow = None
    if shadow_folder is not None:
        shadow = Ensemble.load(read_model_set(shadow_folder), FULL_PROFILE, engine)
    return LoadedModels(
        ensemble=Ensemble.load(model_set, profile, engine),
        brain=NetworkBrainExtraction.load(model_set, engine),
        threads=threads,
        shadow=shadow,
    )
