"""The manifest of a new set: the base's settings, the new files, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from core.errors import InvalidInput
from training.release.facts import RunFacts
from training.release.networks import CheckedMember, CheckedNetwork
from training.release.order import ReleaseOrder
from worker.model_set import Manifest


def compose_manifest(
    order: ReleaseOrder,
    base: Manifest,
    members: Sequence[CheckedMember],
    brain: CheckedNetwork,
    facts: RunFacts,
) -> Manifest:
    """Return the manifest but for its evaluation, which needs the digest of this one.

    Raises
    ------
    InvalidInput
        A value of the order is not possible.
    """
    content = base.model_dump(exclude={"training", "evaluation"})
    content |= {"name": order.name, "version": order.version, "trained_on": order.trained_on}
    _set_points(content, order)
    _set_brain(content["brain_extraction"], order, brain)
    content["members"] = [_member_table(member, facts) for member in members]
    content["training"] = facts.training.model_dump()
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(f"the new set is not valid: {error}") from error


def _set_points(content: dict[str, Any], order: ReleaseOrder) -> None:
    points = order.points
    _replace(
        content["operating_point"],
        threshold=points.threshold,
        minimum_component_voxels=points.minimum_component_voxels,
    )
    _replace(
        content["operating_point_t1_post_only"],
        threshold=points.t1_post_only_threshold,
        minimum_component_voxels=points.t1_post_only_minimum_component_voxels,
    )


def _set_brain(table: dict[str, Any], order: ReleaseOrder, brain: CheckedNetwork) -> None:
    table["sha256"] = brain.sha256
    if order.brain is not None:
        table |= {"spacing_mm": order.brain.spacing_mm, "cube_voxels": order.brain.cube_voxels}


def _replace(table: dict[str, Any], **values: object) -> None:
    table.update({key: value for key, value in values.items() if value is not None})


def _member_table(member: CheckedMember, facts: RunFacts) -> dict[str, Any]:
    return {
        "name": member.name,
        "file": member.file_name,
        "sha256": member.network.sha256,
        "input": member.input,
        "loss": member.loss,
        "training": facts.members[member.name].model_dump(),
    }
