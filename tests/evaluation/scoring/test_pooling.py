"""Kinds of studies are summarised each on its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.cohorts.case import Case, CaseGroup, Cohort
from evaluation.evaluate import add_stress
from evaluation.figures.results import EvaluationResults, GroupSummary, SkippedStudy
from evaluation.scoring.pooling import count_refused, pool, summarise, summarise_groups
from evaluation.scoring.study import StudyScore
from tests.evaluation.made_up_results import MEMBERS, make_results
from worker.model_set import OperatingPoint

POINT = OperatingPoint(threshold=0.4, minimum_component_voxels=4)


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    return make_results(20)


@pytest.fixture(scope="module")
def scores(results: EvaluationResults) -> list[StudyScore]:
    released = results.released
    return [
        StudyScore(
            study,
            tuple(lesion for lesion in released.lesions if lesion.study == study.name),
            tuple(found for found in released.false_positives if found.study == study.name),
        )
        for study in released.studies
    ]


def names_of(scores: list[StudyScore], *, with_lesions: bool) -> tuple[str, ...]:
    return tuple(score.study.name for score in scores if bool(score.study.n_reference) is with_lesions)


def cohort_of(*groups: CaseGroup) -> Cohort:
    def make(name: str) -> Case:
        raise AssertionError(f"{name} is not to be made")

    return Cohort("mixed", "d1", tuple(n for g in groups for n in g.case_names), make, groups=groups)


@pytest.fixture(scope="module")
def cohort(scores: list[StudyScore]) -> Cohort:
    return cohort_of(
        CaseGroup("lesions", names_of(scores, with_lesions=True)),
        CaseGroup("without", names_of(scores, with_lesions=False)),
    )


def test_each_kind_is_summarised_by_its_own_studies(cohort: Cohort, scores: list[StudyScore]) -> None:
    lesions, without = summarise_groups(cohort, scores, (), MEMBERS, POINT)

    own = [score for score in scores if score.study.n_reference]
    assert (lesions.cohort, lesions.name, lesions.skipped) == ("mixed", "lesions", ())
    assert lesions.summary == summarise(pool(own, MEMBERS, POINT))
    assert without.summary is not None
    assert without.summary.n_studies == len(scores) - len(own) == 2


def test_inventions_in_scans_without_lesions_stand_alone(
    cohort: Cohort, scores: list[StudyScore], results: EvaluationResults
) -> None:
    summary = summarise_groups(cohort, scores, (), MEMBERS, POINT)[1].summary

    assert summary is not None
    assert summary.fp_per_scan == results.released.pooled.fp_per_scan_without_lesions
    assert summary.n_lesions == 0
    assert summary.sensitivity.all is None


def test_a_kind_of_which_nothing_was_run_is_not_listed(cohort: Cohort, scores: list[StudyScore]) -> None:
    some = [score for score in scores if score.study.n_reference][:3]

    (group,) = summarise_groups(cohort, some, (), MEMBERS, POINT)

    assert group.name == "lesions"
    assert group.summary is not None
    assert group.summary.n_studies == 3


def test_a_kind_that_was_refused_whole_has_reasons_and_no_figures(scores: list[StudyScore]) -> None:
    cohort = cohort_of(
        CaseGroup("lesions", names_of(scores, with_lesions=True)), CaseGroup("truncated", ("truncated-000",))
    )
    refused = SkippedStudy("truncated-000", "no_brain_found", "0.1 L, expected 0.3 to 3 L")

    whole, cut = summarise_groups(cohort, scores, [refused], MEMBERS, POINT)

    assert whole.skipped == ()
    assert cut == GroupSummary("mixed", "truncated", (refused,), None)


def test_metastases_of_refused_studies_can_be_counted_as_missed(results: EvaluationResults) -> None:
    lesions = results.released.lesions
    refused = SkippedStudy("cut-000", "no_brain_found", "", (10.0, 200.0))
    large = [lesion for lesion in lesions if lesion.volume_mm3 > 113]  # 6 mm

    missed = count_refused(lesions, [refused])

    assert missed is not None
    assert missed.all == sum(lesion.detected for lesion in lesions) / (len(lesions) + 2)
    assert missed.ge_6mm == sum(lesion.detected for lesion in large) / (len(large) + 1)


def test_without_refusals_or_with_unknown_ones_nothing_is_counted_as_missed(
    results: EvaluationResults,
) -> None:
    known, unknown = SkippedStudy("a", "", "", (10.0,)), SkippedStudy("b", "", "")

    assert count_refused(results.released.lesions, []) is None
    assert count_refused(results.released.lesions, [known, unknown]) is None


def test_correlations_of_totals_are_over_scans_with_lesions(
    scores: list[StudyScore], results: EvaluationResults
) -> None:
    own = [score for score in scores if score.study.n_reference]
    some, every = pool(own, MEMBERS, POINT).pooled, results.released.pooled

    assert (every.volume_r, every.count_r) == (some.volume_r_all_scans, some.count_r_all_scans)
    assert every.count_r_all_scans != every.count_r


def test_size_classes_go_by_the_true_volume_where_it_is_known(scores: list[StudyScore]) -> None:
    drawn = [
        replace(score, lesions=tuple(replace(lesion, true_volume_mm3=600.0) for lesion in score.lesions))
        for score in scores
    ]

    by_size = {row.size: row.detected for row in pool(drawn, MEMBERS, POINT).pooled.sensitivity}

    assert by_size["ge_10mm"] == by_size["all"]
    assert by_size["lt_6mm"].trials == 0


def test_a_cohort_without_kinds_is_one(scores: list[StudyScore], results: EvaluationResults) -> None:
    names = tuple(score.study.name for score in scores)
    cohort = Cohort("alike", "d1", names, cohort_of().make)

    (group,) = summarise_groups(cohort, scores, (), MEMBERS, POINT)

    assert (group.cohort, group.name, group.summary) == ("alike", "alike", results.summary)


def test_the_kinds_of_a_stress_cohort_come_after_the_cohorts_own_and_back_from_json(
    cohort: Cohort, scores: list[StudyScore], results: EvaluationResults
) -> None:
    own = replace(results, groups=summarise_groups(cohort, scores, (), MEMBERS, POINT))
    thick = GroupSummary("stress", "thick_slices", (), results.summary)

    joined = add_stress(own, replace(results, groups=(thick,)))

    assert [group.name for group in joined.groups] == ["lesions", "without", "thick_slices"]
    assert joined.summary == own.summary
    assert EvaluationResults.from_json(joined.to_json()) == joined
