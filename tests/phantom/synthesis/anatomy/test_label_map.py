"""What a head is, and what of it is brain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from core.errors import InvalidInput
from phantom.synthesis.anatomy.label_map import (
    BRAIN_TISSUES,
    CSF_RIM_MM,
    Anatomy,
    bounding_box,
    brain_mask,
    canonical_grid,
    crop,
    member_mask,
)
from phantom.synthesis.anatomy.structures import Structure

OUTSIDE = (Structure.AIR, Structure.SKIN, Structure.CORTICAL_BONE, Structure.EYE, Structure.SOFT_TISSUE)


def test_the_brain_holds_every_brain_tissue_and_nothing_of_skull_or_scalp(ellipsoid_head: Anatomy) -> None:
    labels = ellipsoid_head.labels_kji
    mask = brain_mask(labels)

    assert mask[member_mask(labels, BRAIN_TISSUES)].all()
    assert not mask[member_mask(labels, OUTSIDE)].any()


def test_csf_belongs_to_the_brain_only_near_it(ellipsoid_head: Anatomy) -> None:
    labels = ellipsoid_head.labels_kji
    mask = brain_mask(labels)
    distance_mm = ndimage.distance_transform_edt(~member_mask(labels, BRAIN_TISSUES))
    lowest = int(np.argmax((labels == Structure.BRAINSTEM).any(axis=(1, 2))))
    above_brainstem = np.arange(len(labels))[:, None, None] >= lowest
    csf = (labels == Structure.CSF) & above_brainstem

    assert mask[csf & (distance_mm <= CSF_RIM_MM)].all()
    assert not mask[csf & (distance_mm > CSF_RIM_MM + 1)].any()


def test_csf_below_the_brainstem_is_not_brain() -> None:
    labels = np.full((40, 30, 30), Structure.CSF, dtype=np.uint8)
    labels[20:30, 10:20, 10:20] = Structure.BRAINSTEM

    mask = brain_mask(labels)

    assert mask[30:33, 15, 15].all()
    assert not mask[:20].any()


def test_a_narrow_fissure_between_brain_tissues_is_closed() -> None:
    labels = np.zeros((40, 40, 40), dtype=np.uint8)
    labels[10:30, 10:30, 10:30] = Structure.CORTEX
    labels[10:30, 10:30, 18:22] = Structure.SINUS

    assert brain_mask(labels)[20, 20, 18:22].all()


def test_a_map_without_brain_has_an_empty_mask_and_no_volume() -> None:
    labels = np.full((10, 10, 10), Structure.SKIN, dtype=np.uint8)
    head = Anatomy("skin", labels, canonical_grid(labels.shape, np.zeros(3)))

    assert not brain_mask(labels).any()
    with pytest.raises(InvalidInput, match="'skin' has no brain"):
        _ = head.brain_volume_l


def test_a_cropped_head_stays_where_it_is(ellipsoid_head: Anatomy) -> None:
    eye = ellipsoid_head.labels_kji == Structure.EYE
    centre_lps_mm = ellipsoid_head.grid.to_lps_mm(ndimage.center_of_mass(eye))

    cropped = crop(ellipsoid_head, bounding_box(eye, 3))

    assert cropped.labels_kji.shape == (24, 24, 24)
    found = cropped.grid.to_lps_mm(ndimage.center_of_mass(cropped.labels_kji == Structure.EYE))
    np.testing.assert_allclose(found, centre_lps_mm, atol=1e-9)


def test_a_box_does_not_reach_beyond_the_array() -> None:
    mask = np.zeros((6, 7, 8), dtype=bool)
    mask[1, 3, 7] = True

    assert bounding_box(mask, 2) == (slice(0, 4), slice(1, 6), slice(5, 8))


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        bounding_box(np.zeros((3, 3, 3), dtype=bool))


def test_labels_that_do_not_fit_their_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"odd are uint8 \(2, 2, 2\), expected uint8 \(3, 3, 3\)"):
        Anatomy("odd", np.zeros((2, 2, 2), dtype=np.uint8), canonical_grid((3, 3, 3), np.zeros(3)))
