"""Which heads of a folder the brain extraction is trained on, and which are held out to follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InvalidInput
from phantom.synthesis.anatomy.heads import TEST_HEADS, VALIDATION_HEADS

RESERVED_HEADS = VALIDATION_HEADS + TEST_HEADS
"""Nothing is trained on them unless they are named; the other published maps are ``TRAINING_HEADS``."""


@dataclass(frozen=True, slots=True)
class HeadSplit:
    """Names of label maps of different people."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def split_heads(
    available: Sequence[str], training: Sequence[str] | None = None, held_out: Sequence[str] | None = None
) -> HeadSplit:
    """Choose heads among those of a folder.

    Parameters
    ----------
    available
        Names of the label maps there.
    training
        By default all that are neither held out nor reserved.
    held_out
        By default ``VALIDATION_HEADS`` as far as they are there; among other people's label maps the last.

    Raises
    ------
    InvalidInput
        A head on both sides, or nothing on one of them.
    """
    if held_out is None:
        free = [name for name in available if name not in (*RESERVED_HEADS, *(training or ()))]
        held_out = [name for name in VALIDATION_HEADS if name in available] or free[-1:]
    if training is None:
        training = [name for name in available if name not in (*RESERVED_HEADS, *held_out)]
    split = HeadSplit(tuple(training), tuple(held_out))
    _check(split, available)
    return split


def _check(split: HeadSplit, available: Sequence[str]) -> None:
    both = sorted({*split.training} & {*split.held_out})
    if both:
        raise InvalidInput(f"{', '.join(both)} to train on and held out, expected heads on one side only")
    if not split.training or not split.held_out:
        raise InvalidInput(
            f"{len(split.training)} heads to train on and {len(split.held_out)} held out of "
            f"{', '.join(available)}, expected at least one each: name them with --heads and --held-out"
        )
