"""The whole way with real networks: prepared, inferred, cached, measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from core.errors import InvalidInput
from core.settings import bundled_models_dir
from core.study import AnalysisMode, QualityFlag
from evaluation.cohorts.case import Case, Cohort, label_lesions
from evaluation.cohorts.imported.study import ImportOptions
from evaluation.evaluate import Contestant, describe_use, evaluate
from evaluation.figures.results import EvaluationResults, SkippedStudy
from evaluation.inference.cache import StudyCache, digest_inference
from evaluation.inference.preparation import Preparation
from evaluation.inference.runner import Analyser, run_cohort
from tests.synthetic import Sphere, distance_mm, grid_points, make_grid, make_volume
from worker.brain import NetworkBrainExtraction
from worker.ensemble import Ensemble
from worker.model_set import ModelSet, read_model_set
from worker.sessions import CPU, choose_engine
from worker.volumes import Volume

LESIONS = (Sphere((30, -20, 30), 6), Sphere((-25, -30, 40), 8))
PROFILE = "preview"
NAMES = ("first", "empty", "second")


def make_head(seed: int) -> Case:
    scan = make_volume(make_grid((120, 160, 130), (1.5, 1.4, 1.5)), lesions=LESIONS, seed=seed)
    points = grid_points(scan.grid)
    reference = np.min([distance_mm(points, s) - s.radius_mm for s in LESIONS], axis=0) < 0
    return Case(f"head {seed}", f"head {seed}", scan, None, label_lesions(reference))


class Counted:
    """Makes the cases of a small cohort and remembers which it was asked for."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, name: str) -> Case:
        self.made.append(name)
        case = make_head(NAMES.index(name))
        if name != "empty":
            return Case(name, name, case.t1_post, None, case.reference_kji)
        air = Volume(np.zeros_like(case.t1_post.voxels_kji), case.t1_post.grid, "2.25.1", case.t1_post.slices)
        return Case(name, name, air, None, case.reference_kji)


@pytest.fixture(scope="module")
def model_set() -> ModelSet:
    """The released set with windows that do not overlap: a fifth of the work."""
    released = read_model_set(bundled_models_dir())
    preview = released.manifest.profiles[PROFILE].model_copy(update={"stride_voxels": (96, 96, 96)})
    return ModelSet(released.folder, released.manifest.model_copy(update={"profiles": {PROFILE: preview}}))


@pytest.fixture(scope="module")
def analyser(model_set) -> Analyser:
    engine = choose_engine(threads=2)
    ticks = count()
    ensemble = Ensemble.load(model_set, PROFILE, engine)
    return Analyser(
        ensemble,
        Preparation.of(ImportOptions(), NetworkBrainExtraction.load(model_set, engine), ensemble.input_spec),
        threads=1,
        stopwatch=lambda: float(next(ticks)),
    )


@pytest.fixture(scope="module")
def contestant(model_set) -> Contestant:
    return Contestant(model_set, PROFILE, "f32", "0.1.0")


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory, model_set, analyser, contestant
) -> Iterator[tuple[list[list[str]], EvaluationResults]]:
    """Three runs: one cut after the first study, one that goes on, one that has nothing left to infer."""
    cache = StudyCache(tmp_path_factory.mktemp("cache"), digest_inference(model_set, PROFILE, "f32", CPU))
    made = []
    for run in ("cut", "whole", "again"):
        counted = Counted()
        cohort = Cohort("three", "d1", NAMES, counted)
        studies = run_cohort(cohort, NAMES, lambda: analyser, cache)
        if run == "cut":
            next(studies)
            studies.close()
        else:
            results = evaluate(cohort, studies, contestant)
        made.append(counted.made)
    return made, results


def test_a_run_that_was_cut_goes_on_after_the_last_study_it_kept(runs):
    made, _ = runs
    assert made == [["first"], ["empty", "second"], []]


def test_a_case_that_cannot_be_read_is_skipped_and_tried_again(tmp_path, analyser):
    def unreadable(name: str) -> Case:
        raise InvalidInput(f"{name} has no mask")

    cohort = Cohort("broken", "d1", ("first",), unreadable)
    for _ in range(2):
        (study,) = run_cohort(cohort, ("first",), lambda: analyser, StudyCache(tmp_path, "networks"))
        assert study == SkippedStudy("first", "invalid_input", "first has no mask")
    assert not list(tmp_path.iterdir())


def test_nothing_is_loaded_when_everything_is_kept(tmp_path, analyser):
    cohort = Cohort("three", "d1", NAMES, Counted())
    cache = StudyCache(tmp_path, "networks")
    cache.keep(cohort.case_digest("first"), SkippedStudy("first", "no_brain_found", ""))

    def open_nothing() -> Analyser:
        raise AssertionError("networks were loaded")

    assert [study.name for study in run_cohort(cohort, ("first",), open_nothing, cache)] == ["first"]


def test_a_study_the_service_would_refuse_is_listed_with_its_reason(runs):
    _, results = runs
    ((skipped,),) = [results.header.skipped]
    assert (skipped.name, skipped.reason) == ("empty", "no_brain_found")
    assert results.summary.n_studies == 2


def test_a_study_without_t1_is_measured_as_the_service_runs_it(runs, model_set):
    _, results = runs
    for study in results.released.studies:
        assert study.mode is AnalysisMode.T1_POST_ONLY
        assert QualityFlag.T1_POST_ONLY in study.flags
        assert study.threshold == model_set.operating_point(AnalysisMode.T1_POST_ONLY).threshold
        assert study.seconds == 1
    assert results.t1_post_only.studies == results.released.studies


def test_the_cached_sweep_agrees_with_the_services_lesions(runs):
    _, results = runs
    (sweep,) = results.sweeps
    point = sweep.at(results.t1_post_only.threshold)
    assert point.n_lesions == results.summary.n_lesions == 4
    assert point.detected == sum(lesion.detected for lesion in results.t1_post_only.lesions)
    assert point.false_positives == results.t1_post_only.pooled.n_false_positives
    assert point.median_dice == pytest.approx(results.t1_post_only.pooled.dice.median, abs=5e-3)


def test_bright_spheres_are_found(runs):
    _, results = runs
    assert results.summary.sensitivity.all == 1
    assert results.summary.median_dice > 0.5


def test_results_come_back_from_json_as_they_were(runs):
    _, results = runs
    text = results.to_json()
    assert EvaluationResults.from_json(text) == results
    assert set(json.loads(text)["summary"]) == {
        "sensitivity", "fp_per_scan", "ppv", "median_dice", "median_hd95_mm", "volume_r", "count_r",
        "n_studies", "n_lesions", "threshold", "members",
    }  # fmt: skip
    assert set(json.loads(text)["summary"]["sensitivity"]) == {"all", "ge_3mm", "ge_5mm", "ge_6mm"}


def test_every_result_says_what_it_was_measured_on(runs):
    _, results = runs
    assert results.header.research_use.startswith("Research use only, not a medical device. ")
    assert results.header.research_use.endswith(" Measured on synthetic studies.")


def test_what_the_networks_learned_from_is_said_in_the_manifests_words(runs, model_set):
    _, results = runs
    assert f"trained on {model_set.manifest.trained_on}." in results.header.research_use
    assert describe_use("scans of 40 patients.", "patients") == (
        "Research use only, not a medical device. The networks were trained on scans of 40 patients. "
        "Measured on studies of patients."
    )


def test_a_refused_studys_lesions_are_known_and_counted_as_missed_beside(runs):
    _, results = runs
    (skipped,) = results.header.skipped
    assert len(skipped.lesion_volumes_mm3) == len(LESIONS)
    assert results.with_refused.all == pytest.approx(4 / 6)
