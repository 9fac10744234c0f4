"""What to release, from what, to where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """Values that replace the base's; None keeps it.

    Parameters
    ----------
    threshold, minimum_component_voxels
        With all members.
    t1_post_only_threshold, t1_post_only_minimum_component_voxels
        With the T1-post members alone.
    """

    threshold: float | None = None
    minimum_component_voxels: int | None = None
    t1_post_only_threshold: float | None = None
    t1_post_only_minimum_component_voxels: int | None = None


@dataclass(frozen=True, slots=True)
class NewBrain:
    """A brain extraction that replaces the base's; its other settings stay.

    Parameters
    ----------
    path
        ONNX file.
    spacing_mm, cube_voxels
        Of the cube it sees.
    """

    path: Path
    spacing_mm: float
    cube_voxels: int


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """What to release.

    Parameters
    ----------
    members
        Folder of ``<member>.onnx``.
    base
        Model set whose settings, members' names and brain extraction are kept.
    out
        The set's folder; replaced as a whole. Its card is filled in, or the base's where it has none.
    name, version, trained_on
        Words for the manifest.
    run, pool
        Where the members were trained, for the facts.
    commit
        Version of the code that trained them.
    evaluation
        results.json of ``metserve evaluate``; None is refused unless ``unmeasured``.
    unmeasured
        Release without an evaluation, and say so.
    points, brain
        What differs from the base.
    operating_points
        results.json of the validation whose suggested points are taken, in place of ``points``.
    """

    members: Path
    base: Path
    out: Path
    name: str
    version: str
    trained_on: str
    run: Path
    pool: Path
    commit: str
    evaluation: Path | None = None
    unmeasured: bool = False
    points: OperatingPoints = OperatingPoints()
    brain: NewBrain | None = None
    operating_points: Path | None = None
