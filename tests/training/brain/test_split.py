from __future__ import annotations

import pytest

from core.errors import InvalidInput
from phantom.synthesis.anatomy.heads import TEST_HEADS, TRAINING_HEADS, VALIDATION_HEADS
from phantom.synthesis.anatomy.template import TEMPLATE_NAME
from training.brain.split import HeadSplit, split_heads

PUBLISHED = (*(name for name in TRAINING_HEADS if name != TEMPLATE_NAME), *VALIDATION_HEADS, *TEST_HEADS)
"""The label maps of SynthSeg; the template is none of them."""


def test_the_published_heads_train_and_validate_what_they_are_for():
    assert split_heads(PUBLISHED) == HeadSplit(PUBLISHED[:11], VALIDATION_HEADS)


def test_other_peoples_heads_train_but_for_the_last():
    assert split_heads(("a", "b", "c")) == HeadSplit(("a", "b"), ("c",))


def test_heads_of_ones_own_train_beside_the_published_ones():
    split = split_heads(("mine", *PUBLISHED))
    assert split == HeadSplit(("mine", *PUBLISHED[:11]), VALIDATION_HEADS)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"held_out": ["a"]}, HeadSplit(("b", "c"), ("a",))),
        ({"training": ["c"]}, HeadSplit(("c",), ("b",))),
        ({"training": ["c", "a"], "held_out": ["b"]}, HeadSplit(("c", "a"), ("b",))),
    ],
)
def test_heads_that_are_named_are_taken(named: dict[str, list[str]], expected: HeadSplit):
    assert split_heads(("a", "b", "c"), **named) == expected


def test_heads_for_testing_are_used_only_when_named():
    assert split_heads(TEST_HEADS, TEST_HEADS[:2], TEST_HEADS[2:]).training == TEST_HEADS[:2]
    with pytest.raises(InvalidInput, match="0 heads to train on and 0 held out"):
        split_heads(TEST_HEADS)


def test_validation_heads_do_not_train_when_others_are_held_out():
    assert split_heads(PUBLISHED, held_out=[PUBLISHED[0]]).training == PUBLISHED[1:11]


def test_a_head_on_both_sides_is_refused():
    with pytest.raises(InvalidInput, match=r"^b to train on and held out"):
        split_heads(("a", "b", "c"), ["a", "b"], ["b", "c"])


def test_a_single_head_cannot_be_split():
    with pytest.raises(InvalidInput, match="name them with --heads and --held-out"):
        split_heads(("only",))
