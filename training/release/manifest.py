"""ensemble.toml of a release, written as a person would: same order, same comments, every time."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from worker.model_evidence import MeasuredEvaluation, NoEvaluation, TrainingFacts
from worker.model_set import Manifest

TEMPLATE = """\
# The released model set: data, checked against the files' digests at every start.
# Files, input, windows, thresholds and scaling stand here, and the digest of this set covers them. Methods
# and limits in code are covered by the software version; every result names both. The tables of training and
# evaluation are evidence: they change no result, and the digest leaves them out.
# Written by training/release; an edited threshold or file makes the evaluation that of another set.

schema_version = {m.schema_version}
name = {m.name}
version = {m.version}
licence = {m.licence}
trained_on = {m.trained_on}
card = {m.card}

# What the members expect; held by tests. They are not orientation-blind.
[input]
spacing_mm = {m.input.spacing_mm}
# Array axes of `image`: the direction in which each increases, as R(ight), A(nterior), S(uperior).
axes = {m.input.axes}
# post - pre * median(post in brain) / median(pre in brain)
subtraction_scaling = {m.input.subtraction_scaling}
# (v - mean in brain) / standard deviation in brain
normalisation = {m.input.normalisation}
# outside the brain mask
background_value = {m.input.background_value}
# Brain extraction output is dilated by this much before it is used as the brain mask.
brain_dilation_mm = {m.input.brain_dilation_mm}

[windows]
patch_voxels = {m.windows.patch_voxels}
stride_voxels = {m.windows.stride_voxels}

[operating_point]
threshold = {m.operating_point.threshold}
minimum_component_voxels = {m.operating_point.minimum_component_voxels}  # at 1 mm isotropic, 26-connected

# Without a usable T1 the T1-post members stand alone.
[operating_point_t1_post_only]
threshold = {m.operating_point_t1_post_only.threshold}
minimum_component_voxels = {m.operating_point_t1_post_only.minimum_component_voxels}
"""

PROFILES_COMMENT = "# Named departures from the method; results made with them are flagged."

TRAINING_COMMENT = """\
# What all members together were trained on; each one's own facts stand below it. `recipes`: SHA-256 over
# every knob of the synthesis, or a word on where scans came from."""

TRUNK_COMMENT = "# Trained in the same run, to begin the members of one input with; not part of the set."

THRESHOLDS_COMMENT = (
    "# The operating points were suggested by a measurement on this cohort, and on nothing else."
)

EVALUATION_COMMENT = """\
# Measured with exactly these files and thresholds, whose digest is `model_digest`. Shares are 0..1; a figure
# with nothing to divide by is left out. The card has all figures, with their intervals."""

NO_EVALUATION_COMMENT = "# Released without a measurement: nothing is known of how well this set works."


def render_manifest(manifest: Manifest) -> str:
    """Write a manifest as TOML with its comments; reading it gives the same manifest."""
    head = _TomlFormatter().format(TEMPLATE, m=manifest).rstrip("\n")
    return "\n\n".join((head, *_paragraphs(manifest))) + "\n"


class _TomlFormatter(string.Formatter):
    """Writes fields as TOML values."""

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ARG002 - no field has a format
        return _toml(value)


def _paragraphs(manifest: Manifest) -> Iterator[str]:
    """Yield the tables after the template's, a paragraph each."""
    comment: str | None = PROFILES_COMMENT
    for name, profile in manifest.profiles.items():
        yield _paragraph(f"[profiles.{_key(name)}]", profile, comment)
        comment = None
    yield _paragraph("[brain_extraction]", manifest.brain_extraction)
    if manifest.training is not None:
        yield from _training_paragraphs(manifest.training)
    if manifest.evaluation is not None:
        yield from _evaluation_paragraphs(manifest.evaluation)
    for member in manifest.members:
        yield _paragraph("[[members]]", member)
        if member.training is not None:
            yield _paragraph("[members.training]", member.training)


def _training_paragraphs(training: TrainingFacts) -> Iterator[str]:
    yield _paragraph("[training]", training, TRAINING_COMMENT)
    comment: str | None = TRUNK_COMMENT
    for trunk in training.trunks:
        yield _paragraph("[[training.trunks]]", trunk, comment)
        comment = None
    if training.thresholds is not None:
        yield _paragraph("[training.thresholds]", training.thresholds, THRESHOLDS_COMMENT)


def _evaluation_paragraphs(evaluation: MeasuredEvaluation | NoEvaluation) -> Iterator[str]:
    if isinstance(evaluation, NoEvaluation):
        yield _paragraph("[evaluation]", evaluation, NO_EVALUATION_COMMENT)
        return
    yield _paragraph("[evaluation]", evaluation, EVALUATION_COMMENT)
    yield _paragraph("[evaluation.sensitivity]", evaluation.sensitivity)


def _paragraph(heading: str, table: BaseModel, comment: str | None = None) -> str:
    """Write a table's own values, its name first; the tables inside it are paragraphs of their own."""
    lines = [] if comment is None else [comment]
    names = sorted(type(table).model_fields, key=lambda name: name != "name")
    values = {name: getattr(table, name) for name in names}
    lines += [heading, *(f"{name} = {_toml(value)}" for name, value in values.items() if _is_plain(value))]
    return "\n".join(lines)


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return not any(isinstance(one, BaseModel) for one in value) and value != ()
    return value is not None and not isinstance(value, BaseModel)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON escapes all that TOML wants escaped but DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def _key(name: str) -> str:
    is_bare = bool(name) and set(name) <= set(string.ascii_letters + string.digits + "_-")
    return name if is_bare else _toml(name)
