"""The released model set: ensemble.toml read, validated, and its files checked against their digests."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from core.errors import InvalidInput
from core.lesion import ModelIdentity
from core.study import AnalysisMode
from worker.model_evidence import Evaluation, ManifestTable, MemberTraining, Sha256, TrainingFacts

MANIFEST_NAME = "ensemble.toml"
SCHEMA_VERSION = 1
FULL_PROFILE = "full"
"""The profile that was measured; the others are named departures from it."""

READ_CHUNK_BYTES = 2**20

AxisCode = Literal["R", "L", "A", "P", "S", "I"]
Axes = tuple[AxisCode, AxisCode, AxisCode]
InputKind = Literal["t1_post", "subtraction"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.onnx$")]
Probability = Annotated[float, Field(gt=0, lt=1)]
PositiveMm = Annotated[float, Field(gt=0)]
Voxels = Annotated[int, Field(ge=1)]
VoxelTriple = tuple[Voxels, Voxels, Voxels]


def _check_axes(axes: Axes) -> None:
    if sorted("RAS"["RLAPSI".index(code) // 2] for code in axes) != ["A", "R", "S"]:
        raise ValueError(f"axes are {list(axes)}, expected one of R/L, one of A/P and one of S/I")


class InputSpec(ManifestTable):
    """What the members expect of their input.

    Parameters
    ----------
    spacing_mm
        Isotropic.
    axes
        Direction in which each array axis increases, one letter each.
    subtraction_scaling, normalisation
        Names of the only methods this version implements.
    background_value
        Outside the brain mask.
    brain_dilation_mm
        Added around the extracted brain.
    """

    spacing_mm: PositiveMm
    axes: Axes
    subtraction_scaling: Literal["median_ratio_in_brain"]
    normalisation: Literal["z_score_in_brain"]
    background_value: Annotated[float, Field(ge=0, le=0)]
    brain_dilation_mm: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _axes_are_complete(self) -> Self:
        _check_axes(self.axes)
        return self


class Windows(ManifestTable):
    """Size and distance of the windows, in voxels along the members' axes."""

    patch_voxels: VoxelTriple
    stride_voxels: VoxelTriple

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if any(s > p for s, p in zip(self.stride_voxels, self.patch_voxels, strict=True)):
            raise ValueError(f"stride {self.stride_voxels} exceeds the patch {self.patch_voxels}")
        return self


class OperatingPoint(ManifestTable):
    """Where a probability becomes a lesion: threshold, and voxels of the smallest component at 1 mm."""

    threshold: Probability
    minimum_component_voxels: Voxels


class BrainExtractionSpec(ManifestTable):
    """The brain extraction network and what it expects of its input.

    Parameters
    ----------
    spacing_mm, cube_voxels, axes
        Of the cube the network sees.
    top_margin_mm
        Distance of the cube's top from the head's top.
    percentiles
        Of the foreground; they become 0 and 1.
    foreground_fraction
        Share of the maximum above which a voxel is foreground.
    clip
        Range of the scaled values.
    threshold
        Of the output, after linear resampling.
    """

    file: FileName
    sha256: Sha256
    spacing_mm: PositiveMm
    axes: Axes
    cube_voxels: Voxels
    top_margin_mm: float
    percentiles: tuple[float, float]
    foreground_fraction: Probability
    clip: tuple[float, float]
    threshold: Probability

    @model_validator(mode="after")
    def _axes_are_complete(self) -> Self:
        _check_axes(self.axes)
        return self


class Member(ManifestTable):
    """One network of the ensemble.

    Parameters
    ----------
    training
        How it came about; it changes no result. None where the set does not say.
    """

    name: Annotated[str, Field(min_length=1)]
    file: FileName
    sha256: Sha256
    input: InputKind
    loss: str
    training: MemberTraining | None = None


class _ProfileTable(ManifestTable):
    description: str
    members: tuple[str, ...] | None = None
    stride_voxels: VoxelTriple | None = None


class Manifest(ManifestTable):
    """ensemble.toml as it stands.

    Parameters
    ----------
    training, evaluation
        Evidence for whoever reads the file; it changes no result. None where the set does not say.
    """

    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    licence: str
    trained_on: str
    card: str
    input: InputSpec
    windows: Windows
    operating_point: OperatingPoint
    operating_point_t1_post_only: OperatingPoint
    profiles: dict[str, _ProfileTable]
    brain_extraction: BrainExtractionSpec
    training: TrainingFacts | None = None
    evaluation: Evaluation | None = None
    members: Annotated[tuple[Member, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) != len(names):
            raise ValueError(f"member names {names} are not unique")
        if not any(member.input == "t1_post" for member in self.members):
            raise ValueError("no member takes t1_post: a study without T1 could not be analysed")
        for profile_name, profile in self.profiles.items():
            unknown = set(profile.members or ()) - set(names)
            if unknown:
                raise ValueError(f"profile {profile_name} names unknown members {sorted(unknown)}")
        return self


@dataclass(frozen=True, slots=True)
class Profile:
    """What one inference profile runs."""

    name: str
    members: tuple[Member, ...]
    patch_voxels: tuple[int, int, int]
    stride_voxels: tuple[int, int, int]


@dataclass(frozen=True)
class ModelSet:
    """A manifest and the folder its files lie in."""

    folder: Path
    manifest: Manifest

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over everything in the manifest that changes a result."""
        content = self.manifest.model_dump(
            mode="json",
            exclude={
                "name": True, "version": True, "licence": True, "trained_on": True, "card": True,
                "training": True, "evaluation": True,
                "members": {"__all__": {"file", "loss", "training"}},
                "brain_extraction": {"file"},
                "profiles": {"__all__": {"description"}},
            },
        )  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def select_profile(self, name: str) -> Profile:
        """Return the members and windows of a profile.

        Raises
        ------
        InvalidInput
            The manifest has no such profile.
        """
        table = self.manifest.profiles.get(name)
        if table is None:
            raise InvalidInput(
                f"profile {name!r} is unknown, expected one of {sorted(self.manifest.profiles)}"
            )
        members = tuple(m for m in self.manifest.members if table.members is None or m.name in table.members)
        windows = self.manifest.windows
        return Profile(name, members, windows.patch_voxels, table.stride_voxels or windows.stride_voxels)

    def operating_point(self, mode: AnalysisMode) -> OperatingPoint:
        """Return the threshold that belongs to the members that take part."""
        if mode is AnalysisMode.T1_POST_ONLY:
            return self.manifest.operating_point_t1_post_only
        return self.manifest.operating_point

    def identity(self, profile_name: str) -> ModelIdentity:
        """Return what every result says about its models."""
        manifest = self.manifest
        return ModelIdentity(manifest.name, manifest.version, self.digest, profile_name)


def read_model_set(folder: Path) -> ModelSet:
    """Read and validate the manifest; the files' digests are not checked.

    Raises
    ------
    InvalidInput
        No manifest, not TOML, or a value this version does not know.
    """
    path = folder / MANIFEST_NAME
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return ModelSet(folder, Manifest.model_validate(content))
    except OSError as error:
        raise InvalidInput(
            f"no model set in {folder}: {error}, expected {MANIFEST_NAME} and its files"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise InvalidInput(f"{path} is not a model set of schema {SCHEMA_VERSION}: {error}") from error


def verify_model_set(folder: Path) -> ModelSet:
    """Read the manifest and check the digest of every file it names.

    Raises
    ------
    InvalidInput
        A file is missing or is not the one the manifest was released with.
    """
    model_set = read_model_set(folder)
    manifest = model_set.manifest
    digests = {member.file: member.sha256 for member in manifest.members}
    digests[manifest.brain_extraction.file] = manifest.brain_extraction.sha256
    for file, sha256 in digests.items():
        _verify_file(folder / file, sha256)
    return model_set


def _verify_file(path: Path, expected: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(READ_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise InvalidInput(f"model file {path} cannot be read: {error}") from error
    if digest.hexdigest() != expected:
        raise InvalidInput(f"model file {path} has SHA-256 {digest.hexdigest()}, expected {expected}")
