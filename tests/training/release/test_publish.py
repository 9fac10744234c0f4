from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InvalidInput
from evaluation.figures.results import EvaluationResults, OperatingPointChoice
from tests.evaluation.made_up_results import make_results
from tests.training.release.made_up_run import STUDIES, add_study, export
from tests.training.release.tiny_networks import write_network
from training.release.order import NewBrain, OperatingPoints, ReleaseOrder
from training.release.publish import release
from training.settings import MEMBERS
from worker.model_evidence import MeasuredEvaluation, NoEvaluation
from worker.model_set import ModelSet, read_model_set, verify_model_set


def measured(order: ReleaseOrder, candidate: ModelSet, **header: object) -> ReleaseOrder:
    """The order with an evaluation of a candidate."""
    results = make_results()
    results = replace(results, header=replace(results.header, model_digest=candidate.digest))
    return with_results(order, replace(results, header=replace(results.header, **header)))


def with_results(order: ReleaseOrder, results: EvaluationResults) -> ReleaseOrder:
    path = order.run.parent / "results.json"
    path.write_text(results.to_json())
    return replace(order, evaluation=path, unmeasured=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def candidate(order: ReleaseOrder) -> ModelSet:
    return release(replace(order, out=order.out.with_name("candidate")))


def test_a_released_set_is_whole_and_carries_its_figures(order, candidate):
    released = release(measured(order, candidate))
    assert verify_model_set(order.out).manifest == released.manifest
    evaluation = released.manifest.evaluation
    assert isinstance(evaluation, MeasuredEvaluation)
    summary = make_results().summary
    assert (evaluation.n_studies, evaluation.n_lesions) == (summary.n_studies, summary.n_lesions)
    assert evaluation.sensitivity.ge_6mm == pytest.approx(summary.sensitivity.ge_6mm, abs=5e-5)
    assert evaluation.false_positives_per_scan == pytest.approx(summary.fp_per_scan, abs=5e-5)
    assert (evaluation.cohort, evaluation.n_refused, evaluation.precision) == ("test-100", 2, "f32")


def test_evidence_does_not_change_the_identity_of_the_measured_set(order, candidate):
    released = release(measured(order, candidate))
    assert released.digest == candidate.digest == released.manifest.evaluation.model_digest


def test_members_carry_how_they_were_trained(order, candidate):
    member = candidate.manifest.members[0]
    assert member.training.n_patches == 4000
    assert candidate.manifest.training.n_lesions == 3


def test_the_card_keeps_its_words_and_gets_the_figures(order, candidate):
    release(measured(order, candidate))
    card = (order.out / "CARD.md").read_text()
    assert card.startswith("# Model card\n\nWritten by a person.\n")
    assert card.endswith("\nMore words.\n")
    assert "Figures of another set." not in card
    assert "| sensitivity, ≥ 6 mm |" in card


def test_heads_that_were_trained_on_and_measured_are_counted(order, candidate):
    assert release(measured(order, candidate)).manifest.evaluation.n_anatomies_trained_on == 2


def test_a_release_without_an_evaluation_is_refused_and_told_how_to_make_one(order):
    with pytest.raises(InvalidInput, match=r"--unmeasured .*`metserve evaluate --models"):
        release(replace(order, unmeasured=False))
    assert not order.out.exists()


def test_unmeasured_is_what_manifest_and_card_say(order):
    released = release(order)
    assert released.manifest.evaluation == NoEvaluation(measured=False)
    assert "**Not measured.**" in (order.out / "CARD.md").read_text()


def test_an_evaluation_and_unmeasured_at_once_are_refused(order, candidate):
    with pytest.raises(InvalidInput, match="expected one of them"):
        release(replace(measured(order, candidate), unmeasured=True))


def test_thresholds_other_than_the_measured_ones_are_refused(order, candidate):
    changed = replace(measured(order, candidate), points=OperatingPoints(threshold=0.55))
    with pytest.raises(InvalidInput, match=f"measured a set with digest {candidate.digest}, expected "):
        release(changed)


def test_files_other_than_the_measured_ones_are_refused(order, candidate):
    stands = measured(order, candidate)
    write_network(order.members / f"{MEMBERS[3].name}.onnx", content="trained on")
    with pytest.raises(InvalidInput, match="measured a set with digest"):
        release(stands)


@pytest.mark.parametrize(
    ("header", "message"),
    [({"profile": "preview"}, "'preview' was measured"), ({"n_studies": 0}, "measured no study")],
)
def test_an_evaluation_that_proves_nothing_is_refused(order, candidate, header, message):
    with pytest.raises(InvalidInput, match=message):
        release(measured(order, candidate, **header))


def test_a_file_that_is_no_evaluation_is_named(order):
    path = order.run / MEMBERS[0].name / "settings.json"
    with pytest.raises(InvalidInput, match=r"settings\.json is no results\.json"):
        release(replace(order, evaluation=path, unmeasured=False))


def test_an_evaluation_of_a_whole_cohort_is_not_partial(order, candidate):
    whole = release(measured(order, candidate, n_cases=32)).manifest.evaluation  # 30 and 2 refused
    assert not whole.partial
    assert "Partial" not in (order.out / "CARD.md").read_text()


@pytest.mark.parametrize(
    ("n_cases", "words"), [(75, "32 of the cohort's 75 studies"), (None, "nobody knows how many")]
)
def test_an_evaluation_of_a_part_of_its_cohort_says_so_in_manifest_and_card(order, candidate, n_cases, words):
    assert release(measured(order, candidate, n_cases=n_cases)).manifest.evaluation.partial
    assert f"**Partial**: {words}" in " ".join((order.out / "CARD.md").read_text().split())


def test_another_precision_than_the_services_is_written_down(order, candidate):
    assert release(measured(order, candidate, precision="bf16")).manifest.evaluation.precision == "bf16"
    assert "in bf16 (the service runs f32;" in " ".join((order.out / "CARD.md").read_text().split())


CHOICES = (
    OperatingPointChoice("t1_post", 0.5, 0.65, 7, 0.6, 0.41),
    OperatingPointChoice("all", 0.5, 0.55, 5, 0.71, 0.48),
)
VALIDATION = {"cohort": "validation", "cohort_digest": "b8" * 32, "n_cases": 32}


def validated(order: ReleaseOrder, candidate: ModelSet, **header: object) -> ReleaseOrder:
    """The order with a validation of a candidate at its own thresholds."""
    results = make_results()
    assert results.t1_post_only is not None
    full, alone = candidate.manifest.operating_point, candidate.manifest.operating_point_t1_post_only
    header = {"model_digest": candidate.digest, **VALIDATION, **header}
    results = replace(
        results,
        header=replace(results.header, **header),
        choices=CHOICES,
        released=replace(results.released, **full.model_dump()),
        t1_post_only=replace(results.t1_post_only, **alone.model_dump()),
    )
    path = order.run.parent / "validation.json"
    path.write_text(results.to_json())
    return replace(order, operating_points=path)


def test_thresholds_are_those_a_validation_suggests_and_the_manifest_names_it(order, candidate):
    manifest = release(validated(order, candidate)).manifest
    both = (manifest.operating_point, manifest.operating_point_t1_post_only)
    assert [(point.threshold, point.minimum_component_voxels) for point in both] == [(0.55, 5), (0.65, 7)]
    record = manifest.training.thresholds
    assert (record.cohort, record.cohort_digest, record.partial) == ("validation", "b8" * 32, False)
    assert verify_model_set(order.out).manifest == manifest


def test_validation_and_evaluation_make_one_release(order, candidate):
    with_points = release(validated(replace(order, out=order.out.with_name("second")), candidate))
    stands = validated(measured(order, with_points), candidate)
    released = release(stands)
    assert released.digest == with_points.digest
    assert released.manifest.evaluation.cohort_digest != released.manifest.training.thresholds.cohort_digest


def test_an_evaluation_on_the_cohort_that_chose_the_thresholds_is_refused(order, candidate):
    stands = validated(measured(order, candidate), candidate, cohort_digest="a7" * 32)
    with pytest.raises(InvalidInput, match="both of cohort test-100"):
        release(stands)


def test_thresholds_chosen_for_other_networks_are_refused(order, candidate):
    stands = validated(order, candidate)
    write_network(order.members / f"{MEMBERS[3].name}.onnx", content="trained on")
    with pytest.raises(InvalidInput, match=f"is of a set with digest {candidate.digest}"):
        release(stands)


def test_a_validation_that_suggests_nothing_is_refused(order):
    order.run.parent.joinpath("v.json").write_text(make_results().to_json())
    with pytest.raises(InvalidInput, match="suggests no operating point for 't1_post'"):
        release(replace(order, operating_points=order.run.parent / "v.json"))


def test_thresholds_by_hand_and_from_a_validation_are_refused(order, candidate):
    stands = replace(validated(order, candidate), points=OperatingPoints(threshold=0.4))
    with pytest.raises(InvalidInput, match="expected one of them"):
        release(stands)


def test_operating_points_replace_those_of_the_base(order):
    points = OperatingPoints(0.35, 6, 0.55, 8)
    manifest = release(replace(order, points=points)).manifest
    assert manifest.operating_point.model_dump() == {"threshold": 0.35, "minimum_component_voxels": 6}
    alone = manifest.operating_point_t1_post_only
    assert (alone.threshold, alone.minimum_component_voxels) == (0.55, 8)


def test_an_impossible_threshold_is_refused(order):
    with pytest.raises(InvalidInput, match=r"the new set is not valid: .*\n?operating_point\.threshold"):
        release(replace(order, points=OperatingPoints(threshold=1.5)))


def test_a_new_brain_extraction_replaces_that_of_the_base(order, base, tmp_path):
    path = write_network(tmp_path / "finer.onnx", edges=3 * (128,))
    released = release(replace(order, brain=NewBrain(path, 2.0, 128)))
    spec = released.manifest.brain_extraction
    before = read_model_set(base).manifest.brain_extraction
    assert (spec.spacing_mm, spec.cube_voxels) == (2.0, 128)
    assert (spec.top_margin_mm, spec.percentiles) == (before.top_margin_mm, before.percentiles)
    assert (order.out / spec.file).read_bytes() == path.read_bytes()


def test_a_brain_extraction_that_is_not_the_released_one_is_refused(order, base):
    write_network(base / "brain_extraction.onnx", edges=3 * (64,), content="swapped")
    with pytest.raises(InvalidInput, match=r"brain_extraction\.onnx has SHA-256"):
        release(order)


def test_a_failed_release_leaves_the_old_set_as_it_was(order, candidate):
    release(order)
    before = contents(order.out)
    stands = replace(measured(order, candidate), points=OperatingPoints(threshold=0.2))
    with pytest.raises(InvalidInput):
        release(stands)
    assert contents(order.out) == before
    assert sorted(path.name for path in order.out.parent.glob(".*")) == []


def test_a_new_version_replaces_the_old_one_with_its_base_in_place(order):
    release(order)
    (order.out / "NOTES.txt").write_text("kept")
    write_network(order.members / f"{MEMBERS[0].name}.onnx", content="better")
    again = release(replace(order, base=order.out, version="2026.11.2"))
    assert again.manifest.version == "2026.11.2"
    assert (order.out / "NOTES.txt").read_text() == "kept"
    assert verify_model_set(order.out).digest == again.digest


def test_a_folder_that_is_no_model_set_is_never_replaced(order):
    with pytest.raises(InvalidInput, match=f"no model set in {order.run}"):
        release(replace(order, out=order.run))
    assert (order.run / MEMBERS[0].name / "settings.json").exists()


def test_a_set_with_folders_in_it_is_never_replaced(order):
    release(order)
    (order.out / "studies").mkdir()
    with pytest.raises(InvalidInput, match=r"holds folders \['studies'\]"):
        release(order)
    assert (order.out / "studies").is_dir()


def test_a_release_goes_on_from_one_that_was_killed_in_the_exchange(order):
    release(order)
    (order.out / "NOTES.txt").write_text("kept")
    order.out.rename(order.out.with_name(".models.old"))
    release(order)
    assert (order.out / "NOTES.txt").read_text() == "kept"


def test_trunks_in_the_members_folder_stay_out(order):
    write_network(order.members / "trunk-t1_post.onnx")
    release(order)
    assert not (order.out / "trunk-t1_post.onnx").exists()


def test_a_card_without_markers_is_refused(order, base):
    (base / "CARD.md").write_text("# Model card\n")
    with pytest.raises(InvalidInput, match="<!-- figures -->"):
        release(order)
    assert not order.out.exists()


def test_the_names_of_heads_and_patients_stay_out_of_the_set(order):
    (order.pool / STUDIES[0] / "study.json").unlink()
    (order.pool / STUDIES[0]).rmdir()
    add_study(order.pool, STUDIES[0], anatomy="Mustermann", seed=None, lesions=1, recipe="imported")
    manifest = release(order).manifest
    assert manifest.training.n_imported == 1
    assert b"Mustermann" not in b"".join(contents(order.out).values())


def test_a_member_exported_before_training_went_on_tells_what_it_had_seen(order):
    export(order.members, MEMBERS[0], patches=3200)
    first = release(order).manifest.members[0].training
    assert (first.n_patches, first.n_studies, first.final_loss) == (3200, 2, 0.7)


def test_the_manifest_is_plain_toml(order):
    release(order)
    content = tomllib.loads((order.out / "ensemble.toml").read_text())
    assert content["trained_on"] == 'synthetic studies of "two" heads'
    assert content["evaluation"] == {"measured": False}
    assert [trunk["name"] for trunk in content["training"]["trunks"]] == [
        "trunk-t1_post",
        "trunk-subtraction",
    ]
