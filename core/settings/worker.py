"""Settings of the computing side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from core.results import StructureStyle
from core.settings.base import RoleSettings

CODE_LENGTHS = (16, 16, 64)
"""Longest code value (SH), scheme (SH) and meaning (LO), in characters (PS3.5 6.2)."""


def _check_code(value: str) -> str:
    parts = [part.strip() for part in value.split("|")] if value.strip() else []
    fits = len(parts) == len(CODE_LENGTHS) and all(
        1 <= len(part) <= longest and part.isprintable() and "\\" not in part
        for part, longest in zip(parts, CODE_LENGTHS, strict=True)
    )
    if parts and not fits:
        raise ValueError(
            f"code {value!r}: expected value|scheme|meaning of at most 16, 16 and 64 characters, "
            "for instance 25056-3|LN|MRI unspecified body region"
        )
    return "|".join(parts)


CodeTriple = Annotated[str, AfterValidator(_check_code)]
"""``value|scheme|meaning``; empty: the default code."""


class WorkerSettings(RoleSettings):
    """The computing side."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_WORKER_")
    table: ClassVar[str] = "worker"

    models_dir: Path | None = None
    """Folder with ensemble.toml; None: the set that came with metserve. An older set rolls back."""
    shadow_models_dir: Path | None = None
    """A second model set that runs beside the released one; its findings are stored, never delivered."""
    profile: str = "full"
    """Inference profile of ensemble.toml. Anything but ``full`` is flagged in every result."""
    device: Literal["auto", "cuda", "openvino", "cpu"] = "auto"
    """Where members run; ``auto`` takes the first of cuda, openvino, cpu that is there."""
    threads: int = Field(default=0, ge=0)
    """Threads a process computes with; 0: every core."""
    queues: tuple[Literal["prepare", "infer", "encode"], ...] = ("prepare", "infer", "encode")
    """Stages this worker takes. A GPU worker takes ``infer`` alone."""
    concurrency: int = Field(default=1, ge=1)
    """Worker child processes; one per GPU, or as many CPU stages as memory allows."""
    lease_s: float = Field(default=60.0, gt=0)
    """A worker that does not renew its lease for this long is taken for dead."""
    stage_time_limit_s: int = Field(default=1800, gt=0)
    """A stage that runs longer is ended and counts as failed."""
    cache_dir: Path | None = None
    """Where compiled members are kept between starts; None: ``data_dir``/cache."""
    structure_style: StructureStyle = StructureStyle.NEUTRAL
    """Regions of a structure set: ``neutral`` (AI_BM01, no type) or ``target`` (GTV_BM01, type GTV)."""
    probability_map: bool = False
    """Also write the mean network output as a fractional segmentation."""
    rejection_note: bool = False
    """A new revision also writes a note that rejects the older revisions' objects (IHE IOCM)."""
    procedure_code: CodeTriple = ""
    """Imaging procedure, ``value|scheme|meaning``; empty: 25056-3|LN|MRI unspecified body region."""
    equipment_purpose_code: CodeTriple = ""
    """Purpose of the algorithm's equipment item, likewise; empty: 109102|DCM|Processing Equipment."""
