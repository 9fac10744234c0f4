"""Networks and one analysed study, made once: loading and running them takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.provenance import Provenance
from tests.synthetic import (
    STUDY_UID,
    Sphere,
    make_grid,
    make_series,
    make_volume,
    rigid,
)
from worker.brain import NetworkBrainExtraction
from worker.ensemble import Ensemble
from worker.model_set import ModelSet, read_model_set
from worker.pipeline import Analysis, analyze
from worker.sessions import Engine, choose_engine
from worker.volumes import SourceImages

LESIONS = (Sphere((30, -20, 30), 6), Sphere((-25, -30, 40), 8))


@dataclass(frozen=True)
class AnalysedStudy:
    """A synthetic study and what the pipeline made of it."""

    images: SourceImages
    provenance: Provenance
    analysis: Analysis
    progress: list[tuple[str, float]]


@pytest.fixture(scope="session")
def model_set() -> ModelSet:
    return read_model_set(Path(__file__).parents[2] / "models")


@pytest.fixture(scope="session")
def engine() -> Engine:
    return choose_engine(threads=2)


@pytest.fixture(scope="session")
def brain(model_set: ModelSet, engine: Engine) -> NetworkBrainExtraction:
    return NetworkBrainExtraction.load(model_set, engine)


@pytest.fixture(scope="session")
def preview(model_set: ModelSet, engine: Engine) -> Ensemble:
    return Ensemble.load(model_set, "preview", engine)


@pytest.fixture(scope="session")
def source_images() -> SourceImages:
    post = make_volume(make_grid((120, 160, 130), (1.5, 1.4, 1.5)), lesions=LESIONS, seed=1)
    pre = make_volume(
        make_grid((90, 150, 140), (2.0, 1.5, 1.5)),
        enhanced=False,
        world_to_head=rigid((2, -3, 4), (3, -2, 4)),
        gain=3.0,
        seed=2,
    )
    return SourceImages(tuple(make_series(post, "2.25.3001")), tuple(make_series(pre, "2.25.3002")))


@pytest.fixture(scope="session")
def analysed_study(source_images, preview, brain) -> AnalysedStudy:
    provenance = Provenance(STUDY_UID, 1, preview.identity, "0.1.0", datetime(2026, 1, 2, tzinfo=UTC))
    progress: list[tuple[str, float]] = []
    analysis = analyze(
        source_images, preview, brain, provenance, lambda stage, share: progress.append((stage, share))
    )
    return AnalysedStudy(source_images, provenance, analysis, progress)
