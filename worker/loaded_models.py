"""A model set with its networks loaded, and a second one that may run in its shadow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from core.errors import InvalidInput
from worker.brain import BrainExtraction, NetworkBrainExtraction
from worker.ensemble import Ensemble
from worker.model_set import FULL_PROFILE, ModelSet, read_model_set
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
        No such profile, no such device, no model set in the folder, or a shadow set that expects
        other input than the released one.
    """
    engine = choose_engine(threads, cache_dir, PROVIDERS[device])
    model_set = read_model_set(folder)
    shadow = None
    if shadow_folder is not None:
        shadow_set = read_model_set(shadow_folder)
        _check_same_preparation(model_set, shadow_set)
        shadow = Ensemble.load(shadow_set, FULL_PROFILE, engine)
    return LoadedModels(
        ensemble=Ensemble.load(model_set, profile, engine),
        brain=NetworkBrainExtraction.load(model_set, engine),
        threads=threads,
        shadow=shadow,
    )


def _check_same_preparation(released: ModelSet, shadow: ModelSet) -> None:
    """Both sets see the volumes the released one asked for."""
    for table in ("input", "brain_extraction"):
        expected = getattr(released.manifest, table).model_dump(exclude={"file"})
        found = getattr(shadow.manifest, table).model_dump(exclude={"file"})
        differing = sorted(key for key in expected if expected[key] != found[key])
        if differing:
            raise InvalidInput(
                f"the shadow set in {shadow.folder} has [{table}] "
                f"{ {key: found[key] for key in differing} }, expected the released set's "
                f"{ {key: expected[key] for key in differing} }"
            )
