from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cli.evaluate import CACHE_NAME, EvaluationRequest, parse_precision, run_evaluation, stress_runs
from core.errors import InvalidInput
from core.settings import WorkerSettings, bundled_models_dir
from evaluation.cohorts.case import Cohort
from evaluation.cohorts.opening import Shard
from evaluation.cohorts.synthetic.cohort import open_synthetic
from evaluation.cohorts.synthetic.freeze import CohortPlan, GroupPlan, freeze
from evaluation.figures.results import EvaluationResults, GroupSummary, SkippedStudy
from evaluation.inference.cache import StudyCache, digest_inference
from phantom.synthesis.anatomy.files import write_packed
from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from phantom.synthesis.anatomy.structures import Structure
from tests.evaluation.hand_made import GRID, blobs, make_study
from tests.evaluation.made_up_results import make_results
from worker.model_set import read_model_set
from worker.sessions import choose_engine

PROFILE = "preview"
HEADS = ("north", "south")
GROUPS = {
    "plain": (GroupPlan("lesions", 2, 1, {}), GroupPlan("without", 1, 11, {})),
    "stress": (GroupPlan("thick_slices", 2, 21, {}), GroupPlan("truncated", 1, 31, {})),
}
REFUSED = SkippedStudy("truncated-000", "no_brain_found", "0.1 L, expected 0.3 to 3 L", (14.5, 60.0))


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label maps no study is made of: all outputs are kept already."""
    folder = tmp_path_factory.mktemp("heads")
    labels = np.full((4, 4, 4), Structure.WHITE_MATTER, dtype=np.uint8)
    for name in HEADS:
        write_packed(Anatomy(name, labels, canonical_grid(labels.shape, np.zeros(3))), folder / f"{name}.npz")
    return folder


@pytest.fixture(scope="module")
def cohorts(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    plans = [CohortPlan(name, "Made by hand.", HEADS, groups) for name, groups in GROUPS.items()]
    freeze(plans, heads, folder := tmp_path_factory.mktemp("cohorts"))
    return folder


def keep_outputs(cohort: Cohort, cache: StudyCache, members: tuple[str, ...]) -> None:
    """Keep outputs that find the one lesion of every study with any, and invent one in thick slices."""
    ball = blobs([(20, 20, 20)], 5)
    for name in cohort.case_names:
        reference = np.zeros(GRID.shape_kji, dtype=bool) if name.startswith("without") else ball > 0.45
        invented = blobs([(20, 34, 34)], 4) if name.startswith("thick") else 0 * ball
        output = np.maximum(ball if reference.any() else 0 * ball, invented)
        study = make_study([output, output], reference, name=name, anatomy=name)
        kept = REFUSED if name == REFUSED.name else replace(study, member_names=members)
        cache.keep(cohort.case_digest(name), kept)


@pytest.fixture(scope="module")
def request_with_stress(
    cohorts: Path, heads: Path, tmp_path_factory: pytest.TempPathFactory
) -> EvaluationRequest:
    out = tmp_path_factory.mktemp("out")
    model_set = read_model_set(bundled_models_dir())
    members = tuple(member.name for member in model_set.select_profile(PROFILE).members)
    provider = choose_engine(threads=1).provider
    cache = StudyCache(out / CACHE_NAME, digest_inference(model_set, PROFILE, "f32", provider))
    for name in GROUPS:
        keep_outputs(open_synthetic(cohorts / f"{name}.toml", heads), cache, members)
    return EvaluationRequest(
        cohorts / "plain.toml", out, PROFILE, anatomy=heads, stress=cohorts / "stress.toml"
    )


@pytest.fixture(scope="module")
def results(request_with_stress: EvaluationRequest) -> EvaluationResults:
    measured = run_evaluation(request_with_stress, WorkerSettings(), Console(quiet=True))
    assert measured is not None
    return measured


def test_a_precision_that_does_not_exist_is_named_with_those_that_do():
    assert parse_precision("bf16") == "bf16"
    with pytest.raises(InvalidInput, match=r"precision 'f16' is unknown, expected one of \['f32', 'bf16'\]"):
        parse_precision("f16")


def test_the_command_that_gives_the_same_results_names_no_folder_of_ours():
    request = EvaluationRequest(
        Path("/data/test set.toml"), Path("/home/me/out"), limit=3, cases=("a", "b"), max_fp_per_scan=0.25,
        stress=Path("/x/s.toml"), anatomy=Path("/data/heads"),
    )  # fmt: skip
    assert request.command(Path("/srv/models/v2")) == (
        "metserve evaluate --cohort 'test set.toml' --out out --profile full --precision f32 "
        "--anatomy heads --models v2 --stress s.toml --limit 3 --cases a,b --max-fp-per-scan 0.25"
    )
    assert "--models" not in request.command(None)


def test_a_cohort_that_is_not_there_is_told_before_anything_is_loaded(tmp_path):
    request = EvaluationRequest(tmp_path / "absent.toml", tmp_path / "out")
    with pytest.raises(InvalidInput, match="expected a TOML file or a folder of studies"):
        run_evaluation(request, WorkerSettings(), Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_a_stress_cohort_that_is_not_there_is_told_before_any_study_is_run(request_with_stress, tmp_path):
    request = replace(request_with_stress, out=tmp_path / "out", stress=tmp_path / "absent.toml")
    with pytest.raises(InvalidInput, match=r"absent.toml is no cohort"):
        run_evaluation(request, WorkerSettings(), Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_a_cohort_does_not_stress_itself(request_with_stress):
    request = replace(request_with_stress, stress=request_with_stress.cohort)
    with pytest.raises(InvalidInput, match="is called plain too, expected another cohort"):
        run_evaluation(request, WorkerSettings(), Console(quiet=True))


def test_every_kind_of_study_is_summarised_and_a_stressed_one_counts_in_no_other_figure(results):
    assert [(group.cohort, group.name) for group in results.groups] == [
        ("plain", "lesions"), ("plain", "without"), ("stress", "thick_slices"), ("stress", "truncated"),
    ]  # fmt: skip
    lesions, without, thick, cut = (group.summary for group in results.groups)
    assert (lesions.n_studies, lesions.sensitivity.all, lesions.fp_per_scan) == (2, 1, 0)
    assert (without.n_studies, without.n_lesions, without.fp_per_scan) == (1, 0, 0)
    assert (thick.n_studies, thick.sensitivity.all, thick.fp_per_scan) == (2, 1, 1)
    assert cut is None
    assert [group.with_refused for group in results.groups[:3]] == [None, None, None]
    assert results.groups[3].with_refused.all == 0
    assert results.summary.n_studies == 3
    assert results.summary.fp_per_scan == 0


def test_a_refused_stress_study_is_kept_with_its_reason_and_named_in_the_table(results):
    assert results.groups[3].skipped == (REFUSED,)
    assert results.header.skipped == ()
    titles = [run.name for run in stress_runs(results)]
    assert titles == ["lesions", "without", "thick slices", "truncated (1 refused)"]


def test_results_and_page_hold_the_stress_cohort(results, request_with_stress):
    written = (request_with_stress.out / "results.json").read_text(encoding="utf-8")
    page = (request_with_stress.out / "report.html").read_text(encoding="utf-8")
    assert EvaluationResults.from_json(written) == results
    assert "thick slices" in page
    assert "--stress stress.toml" in page


def test_a_part_of_the_studies_is_a_part_of_both_cohorts(request_with_stress, capsys):
    request = replace(request_with_stress, shard=Shard(1, 2))
    assert run_evaluation(request, WorkerSettings(), Console(width=200)) is None
    assert "4 studies of part 1 are in the cache" in capsys.readouterr().out


def test_without_a_stress_cohort_there_is_no_stress_table():
    results = make_results(10)
    own = GroupSummary(results.header.cohort, "lesions", (), results.summary)
    assert stress_runs(replace(results, groups=(own, own))) == ()
