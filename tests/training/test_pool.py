from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput
from tests.training.toy_studies import TUBE, fill_toy_pool, make_toy_study
from training.pool import ListedStudy, index_study, list_pool, listing_from_json, listing_to_json
from training.prepared import MINED_FILE, PreparedStudy


def test_only_complete_studies_are_listed_by_name(tmp_path: Path):
    fill_toy_pool(tmp_path, 2)
    (tmp_path / ".toy-02.4711").mkdir()
    (tmp_path / ".toy-02.4711" / "study.json").write_text("{}")
    (tmp_path / "unfinished").mkdir()
    assert [study.name for study in list_pool(tmp_path)] == ["toy-00", "toy-01"]


def test_an_empty_pool_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no prepared study"):
        list_pool(tmp_path)


def test_a_listing_survives_a_checkpoint(tmp_path: Path):
    fill_toy_pool(tmp_path, 2)
    mistakes = {"centres_ras": [[1, 2, 3], [4, 5, 6]], "missed": [2]}
    (tmp_path / "toy-00" / MINED_FILE).write_text(json.dumps(mistakes))
    replace(make_toy_study("patient", 7), seed=None).write(tmp_path / "patient")
    listing = list_pool(tmp_path)
    assert listing == (
        ListedStudy("patient", is_imported=True), ListedStudy("toy-00", ((1, 2, 3), (4, 5, 6)), (2,)),
        ListedStudy("toy-01"),
    )  # fmt: skip
    assert listing_from_json(json.loads(json.dumps(listing_to_json(listing)))) == listing


def test_damaged_false_positives_are_named(tmp_path: Path):
    fill_toy_pool(tmp_path, 1)
    (tmp_path / "toy-00" / MINED_FILE).write_text("[]")
    with pytest.raises(InvalidInput, match=r"toy-00/mined\.json"):
        list_pool(tmp_path)


def test_an_index_knows_lesions_structures_and_brain(tmp_path: Path):
    fill_toy_pool(tmp_path, 1, lesions=2)
    study = PreparedStudy.open(tmp_path / "toy-00")
    index = index_study(tmp_path / "toy-00")
    assert index.numbers.tolist() == [lesion.number for lesion in study.lesions]
    assert index.centres_ras.tolist() == [list(lesion.centre_ras) for lesion in study.lesions]
    (tubes,) = index.structures_ras
    assert study.structures_ras is not None
    assert (study.structures_ras[tuple(tubes.T)] == TUBE).all()
    assert (study.t1_post_ras[tuple(index.brain_ras.T)] != 0).all()


def test_a_study_that_was_replaced_is_looked_through_again(tmp_path: Path):
    for lesions in (1, 2):
        make_toy_study("toy", 5, lesions).write(tmp_path / "toy")
        assert len(index_study(tmp_path / "toy").numbers) == lesions


def test_a_cube_that_meets_a_lesion_is_known_to(tmp_path: Path):
    fill_toy_pool(tmp_path, 1)
    index = index_study(tmp_path / "toy-00")
    centre = index.centres_ras[0].astype(np.int64)
    assert index.holds_lesion(centre - 2, 5)
    assert not index.holds_lesion(centre - 16, 10)
