from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from training.release.manifest import render_manifest
from worker.model_evidence import (
    MeasuredEvaluation,
    MemberTraining,
    Sensitivity,
    ThresholdChoice,
    TrainingFacts,
    Trunk,
)
from worker.model_set import Manifest, read_model_set

RELEASED = Path(__file__).parents[3] / "models"

MEMBER = MemberTraining(
    seed=0, n_patches=4000, patch_voxels=64, final_loss=0.25, n_studies=3, recipes=("imported",), commit="abc"
)
TRAINING = TrainingFacts(
    n_studies=3, n_lesions=9, n_anatomies=2, n_imported=1, recipes=("aa", "imported"),
    trunks=(Trunk(name="trunk-t1_post", **MEMBER.model_dump()),),
    thresholds=ThresholdChoice(
        cohort="validation", cohort_digest="ef" * 32, origin="synthetic", precision="f32", n_studies=14,
        partial=False, max_fp_per_scan=0.5,
    ),
)  # fmt: skip
EVALUATION = MeasuredEvaluation(
    measured=True, model_digest="ab" * 32, cohort='the "new" ones', cohort_digest="cd" * 32,
    origin="synthetic", precision="f32", software_version="0.2.0", n_studies=5, n_lesions=30, n_refused=0,
    n_anatomies=2, n_anatomies_trained_on=0, false_positives_per_scan=0.8, ppv=0.85,
    sensitivity=Sensitivity(all=0.7, ge_3mm=0.8),
)  # fmt: skip


@pytest.fixture
def released() -> Manifest:
    return read_model_set(RELEASED).manifest


@pytest.fixture
def whole(released: Manifest) -> Manifest:
    members = tuple(member.model_copy(update={"training": MEMBER}) for member in released.members)
    return released.model_copy(update={"members": members, "training": TRAINING, "evaluation": EVALUATION})


def settings_of(text: str) -> list[str]:
    return [line.partition("  #")[0] for line in text.splitlines() if line and not line.startswith("#")]


def test_the_released_manifest_is_written_line_by_line_as_it_stands(released):
    text = (RELEASED / "ensemble.toml").read_text()
    assert settings_of(render_manifest(released)) == settings_of(text)


def test_what_is_written_reads_the_same(whole):
    assert Manifest.model_validate(tomllib.loads(render_manifest(whole))) == whole


def test_figures_without_a_value_are_left_out(whole):
    content = tomllib.loads(render_manifest(whole))
    assert content["evaluation"]["sensitivity"] == {"all": 0.7, "ge_3mm": 0.8}
    assert "median_dice" not in content["evaluation"]


def test_every_table_of_evidence_is_explained(whole):
    lines = render_manifest(whole).splitlines()
    for heading in ("[training]", "[[training.trunks]]", "[training.thresholds]", "[evaluation]"):
        assert lines[lines.index(heading) - 1].startswith("# ")


@pytest.mark.parametrize(
    "words", ['a "quoted" word', "a \\ backslash", "two\nlines", "tab\t", "\x7f", "é µ ≥ {m}"]
)
def test_any_words_survive(released, words):
    text = render_manifest(released.model_copy(update={"trained_on": words}))
    assert tomllib.loads(text)["trained_on"] == words


def test_no_line_is_longer_than_an_editor_is_wide(whole):
    assert max(map(len, render_manifest(whole).splitlines())) <= 120
