"""What was inferred once is kept: one file a study, whole or not there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import worker
from core.errors import InvalidInput
from core.geometry import Grid
from core.study import AnalysisMode, QualityFlag
from evaluation.figures.results import SkippedStudy
from evaluation.inference.stored_study import StoredStudy
from worker.model_set import ModelSet, OperatingPoint
from worker.sessions import Precision

EVALUATION_VERSION = 2
"""Raised when what is stored, or how cases and ``evaluation.inference`` make it, changes: older files are
then not read. What the worker does is covered by its source."""

UNUSED_POINT = OperatingPoint(threshold=0.5, minimum_component_voxels=1)
"""Stands for every operating point in the inference's digest: thresholds come after it."""


@dataclass(frozen=True)
class StudyCache:
    """Stored studies of one ensemble in one folder.

    Parameters
    ----------
    folder
        Made when the first study is kept.
    inference_digest
        From ``digest_inference``.
    """

    folder: Path
    inference_digest: str

    def load(self, case_digest: str) -> StoredStudy | SkippedStudy | None:
        """Return what is kept of a case, None when it is yet to be run.

        Raises
        ------
        InvalidInput
            The file is damaged.
        """
        path = self._path(case_digest)
        if not path.exists():
            return None
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                return _unpack(json.loads(str(arrays["about"])), dict(arrays))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"{path} cannot be read: {error}; delete it to run the study again") from error

    def keep(self, case_digest: str, study: StoredStudy | SkippedStudy) -> None:
        """Write a study so that a kill at any moment leaves the whole file or none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(case_digest)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **_pack(study))
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with part.open("wb") as stream:
            stream.write(buffer.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)

    def _path(self, case_digest: str) -> Path:
        key = hashlib.sha256(f"{self.inference_digest}/{case_digest}".encode()).hexdigest()
        return self.folder / f"{key[:32]}.npz"


def digest_inference(model_set: ModelSet, profile: str, precision: Precision, provider: str) -> str:
    """Return what identifies the outputs of an ensemble.

    Covers its digest without the operating points, the worker's code, and what computes.

    Parameters
    ----------
    provider
        onnxruntime's name of the execution provider.
    """
    manifest = model_set.manifest.model_copy(
        update={"operating_point": UNUSED_POINT, "operating_point_t1_post_only": UNUSED_POINT}
    )
    networks = ModelSet(model_set.folder, manifest).digest
    code = digest_source(Path(worker.__file__).parent)
    made_by = f"{EVALUATION_VERSION}/{code}/{networks}/{profile}/{precision}/{provider}"
    return hashlib.sha256(made_by.encode()).hexdigest()


def digest_source(folder: Path) -> str:
    """SHA-256 (hexadecimal) of all Python files below a folder, names and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _pack(study: StoredStudy | SkippedStudy) -> dict[str, Any]:
    if isinstance(study, SkippedStudy):
        return {"about": np.array(json.dumps(asdict(study)))}
    about = {
        "name": study.name,
        "anatomy": study.anatomy,
        "mode": study.mode,
        "flags": study.flags,
        "brain_volume_mm3": study.brain_volume_mm3,
        "seconds": study.seconds,
        "member_names": study.member_names,
        "grid_shape_kji": study.grid.shape_kji,
        "source_shape_kji": study.source_grid.shape_kji,
        "lesion_volumes_mm3": study.lesion_volumes_mm3,
    }
    arrays: dict[str, Any] = {
        "about": np.array(json.dumps(about)),
        "grid_affine": study.grid.affine_kji_to_lps_mm,
        "source_affine": study.source_grid.affine_kji_to_lps_mm,
        "voxels": study.voxels,
        "mean": study.mean,
        "members": study.members,
        "reference_kji": study.reference_kji,
    }
    return arrays if study.structures_kji is None else {**arrays, "structures_kji": study.structures_kji}


def _unpack(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> StoredStudy | SkippedStudy:
    if "reason" in about:
        return SkippedStudy(**about | {"lesion_volumes_mm3": _tuple(about["lesion_volumes_mm3"])})
    return StoredStudy(
        name=about["name"],
        anatomy=about["anatomy"],
        mode=AnalysisMode(about["mode"]),
        flags=tuple(QualityFlag(flag) for flag in about["flags"]),
        brain_volume_mm3=about["brain_volume_mm3"],
        seconds=about["seconds"],
        grid=Grid(tuple(about["grid_shape_kji"]), arrays["grid_affine"]),
        source_grid=Grid(tuple(about["source_shape_kji"]), arrays["source_affine"]),
        member_names=tuple(about["member_names"]),
        voxels=arrays["voxels"],
        mean=arrays["mean"],
        members=arrays["members"],
        reference_kji=arrays["reference_kji"],
        structures_kji=arrays.get("structures_kji"),
        lesion_volumes_mm3=_tuple(about["lesion_volumes_mm3"]),
    )


def _tuple(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)
