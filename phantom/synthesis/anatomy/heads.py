"""Which heads there are, and which of them train, validate and test: fixed once, for everything trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.errors import InvalidInput
from phantom.synthesis.anatomy.files import load_anatomies
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.template import TEMPLATE_NAME, template_anatomy


def _heads(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"training_seg_{number:02d}" for number in range(first, last + 1))


TRAINING_HEADS = (*_heads(1, 11), TEMPLATE_NAME)
VALIDATION_HEADS = _heads(12, 13)
TEST_HEADS = _heads(14, 20)
"""Never trained on; ``training_seg_NN`` are the label maps published with SynthSeg."""


def open_anatomies(folder: Path | None, names: Sequence[str] | None = None) -> tuple[Anatomy, ...]:
    """Return heads by name: label maps of a folder, and the public template, which needs none.

    Parameters
    ----------
    folder
        Of label maps; None leaves the template.
    names
        Which, in this order; all of the folder by default.

    Raises
    ------
    InvalidInput
        A head that is not there.
    """
    if folder is None:
        if names is not None and set(names) != {TEMPLATE_NAME}:
            raise InvalidInput(
                f"heads {list(names)} without a folder of label maps, expected {TEMPLATE_NAME}"
            )
        return (template_anatomy(),)
    if names is None:
        return load_anatomies(folder)
    wanted = [name for name in names if name != TEMPLATE_NAME]
    found = {head.name: head for head in load_anatomies(folder, wanted)} if wanted else {}
    if TEMPLATE_NAME in names:
        found[TEMPLATE_NAME] = template_anatomy()
    return tuple(found[name] for name in names)
