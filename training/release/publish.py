"""Release a set: check everything, write it beside the old one, verify it, put it in its place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.errors import Defect, InvalidInput
from evaluation.figures.results import EvaluationResults
from training.release.card import NOT_MEASURED, fill_card, render_figures
from training.release.compose import compose_manifest
from training.release.evaluation import HOW_TO_MEASURE, check_is_of, read_evaluation, summarise
from training.release.facts import RunFacts, read_facts
from training.release.folder import recover, successor_of
from training.release.manifest import render_manifest
from training.release.networks import CheckedMember, CheckedNetwork, check_members, check_network
from training.release.order import OperatingPoints, ReleaseOrder
from training.release.thresholds import SuggestedPoints
from worker.model_evidence import MeasuredEvaluation, NoEvaluation
from worker.model_set import MANIFEST_NAME, Manifest, ModelSet, read_model_set, verify_model_set


def release(order: ReleaseOrder) -> ModelSet:
    """Check everything, write the set beside the old one, verify it, and put it in its place.

    Raises
    ------
    InvalidInput
        A file, a fact or the evaluation is missing or does not fit; the old set is as it was.
    """
    results = _evaluation_of(order)
    suggested = _suggestion_of(order, results)
    if suggested is not None:
        order = replace(order, points=suggested.points)
    recover(order.out)
    kept = _files_to_keep(order.out)
    base = read_model_set(order.base)
    members = check_members(order.members, base.manifest.members, base.manifest.windows.patch_voxels)
    brain = _check_brain(order, base)
    facts = read_facts(order.run, order.pool, members, order.commit)
    manifest = compose_manifest(order, base.manifest, members, brain, _with_choice(facts, suggested))
    _check_evidence(ModelSet(order.out, manifest), results, suggested)
    evaluation = _summary_of(results, facts)
    manifest = manifest.model_copy(update={"evaluation": evaluation})
    card = fill_card(_read_card(order, base), _figures(results, evaluation))
    with successor_of(order.out) as folder:
        _write(folder, manifest, members, brain, card)
        _verify(folder, manifest)
        for path in kept:
            shutil.copy2(path, folder)
    return read_model_set(order.out)


def _evaluation_of(order: ReleaseOrder) -> EvaluationResults | None:
    if order.evaluation is not None and order.unmeasured:
        raise InvalidInput(
            f"--unmeasured and --evaluation {order.evaluation} were given, expected one of them"
        )
    if order.evaluation is None and not order.unmeasured:
        raise InvalidInput(f"no evaluation was given, expected --evaluation. To make one: {HOW_TO_MEASURE}")
    return None if order.evaluation is None else read_evaluation(order.evaluation)


def _suggestion_of(order: ReleaseOrder, results: EvaluationResults | None) -> SuggestedPoints | None:
    if order.operating_points is None:
        return None
    if order.points != OperatingPoints():
        raise InvalidInput(
            f"thresholds and --operating-points {order.operating_points} were given, expected one of them"
        )
    suggested = SuggestedPoints.read(order.operating_points)
    if results is not None:
        suggested.check_is_apart_from(results)
    return suggested


def _check_evidence(
    model_set: ModelSet, results: EvaluationResults | None, suggested: SuggestedPoints | None
) -> None:
    if suggested is not None:
        suggested.check_is_of(model_set.manifest)
    if results is not None:
        check_is_of(results, model_set)


def _with_choice(facts: RunFacts, suggested: SuggestedPoints | None) -> RunFacts:
    if suggested is None:
        return facts
    return replace(facts, training=facts.training.model_copy(update={"thresholds": suggested.record}))


def _files_to_keep(out: Path) -> tuple[Path, ...]:
    """Return what a person laid beside the old set's own files.

    Raises
    ------
    InvalidInput
        The folder is something else than a model set, so replacing it would lose what it holds.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return ()
    manifest = read_model_set(out).manifest
    replaced = {MANIFEST_NAME, manifest.card, manifest.brain_extraction.file}
    replaced |= {member.file for member in manifest.members}
    others = tuple(path for path in sorted(out.iterdir()) if path.name not in replaced)
    folders = [path.name for path in others if path.is_dir()]
    if folders:
        raise InvalidInput(f"{out} holds folders {folders}, expected a model set's files only")
    return others


def _check_brain(order: ReleaseOrder, base: ModelSet) -> CheckedNetwork:
    """Return the new brain extraction, or the base's if it is the one it was released with."""
    spec = base.manifest.brain_extraction
    if order.brain is not None:
        edge = order.brain.cube_voxels
        return check_network(order.brain.path, (edge, edge, edge))
    edge = spec.cube_voxels
    network = check_network(base.folder / spec.file, (edge, edge, edge))
    if network.sha256 != spec.sha256:
        raise InvalidInput(f"{network.path} has SHA-256 {network.sha256}, expected {spec.sha256}")
    return network


def _summary_of(results: EvaluationResults | None, facts: RunFacts) -> MeasuredEvaluation | NoEvaluation:
    return NoEvaluation(measured=False) if results is None else summarise(results, facts.anatomies)


def _figures(results: EvaluationResults | None, evaluation: MeasuredEvaluation | NoEvaluation) -> str:
    if results is None or isinstance(evaluation, NoEvaluation):
        return NOT_MEASURED
    return render_figures(results, evaluation)


def _read_card(order: ReleaseOrder, base: ModelSet) -> str:
    for folder in (order.out, base.folder):
        path = folder / base.manifest.card
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise InvalidInput(f"neither {order.out} nor {base.folder} has {base.manifest.card}, expected a card")


def _write(
    folder: Path, manifest: Manifest, members: Sequence[CheckedMember], brain: CheckedNetwork, card: str
) -> None:
    for member in members:
        shutil.copyfile(member.network.path, folder / member.file_name)
    shutil.copyfile(brain.path, folder / manifest.brain_extraction.file)
    (folder / manifest.card).write_text(card, encoding="utf-8", newline="\n")
    (folder / MANIFEST_NAME).write_text(render_manifest(manifest), encoding="utf-8", newline="\n")


def _verify(folder: Path, manifest: Manifest) -> None:
    """Read the set as a worker will: files are those that were checked, the manifest says what is meant."""
    if verify_model_set(folder).manifest != manifest:
        raise Defect(f"{MANIFEST_NAME} does not read as it was written, expected {manifest!r}")
