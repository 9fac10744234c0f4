"""What other people's programs make of our objects: David Clunie's validator and dcmqi's readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from core.lesion import Lesion, Location, Region, Side
from tests.dicom_sources import (
    OBLIQUE,
    SAGITTAL,
    Orientation,
    classic_series,
    enhanced_series,
    make_grid,
    make_patient,
)
from tests.encoded_study import (
    LARGE,
    ON_FIRST_SLICE,
    ONE_VOXEL,
    SMALL,
    Box,
    SeriesMaker,
    make_study,
)
from tests.judges import (
    masks_read_by_dcmqi,
    measurements_read_by_dcmqi,
    validation_errors,
    values_of,
    voxels_lps_mm,
)
from tests.located_study import EVERY_PLACE, placed
from worker.encoding import to_bytes

SEVERAL = (LARGE, SMALL, ON_FIRST_SLICE, ONE_VOXEL)
FORTY = tuple(
    (slice(k, k + 2), slice(j, j + 3), slice(i, i + 3))
    for k in (0, 3, 6, 9, 12)
    for j in (2, 14)
    for i in (1, 6, 11, 16)
)


def errors_of(dataset: Dataset, folder: Path) -> list[str]:
    return validation_errors(written(dataset, folder))


def written(dataset: Dataset, folder: Path) -> Path:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(to_bytes(dataset))
    return path


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_the_synthetic_sources_are_valid_themselves(series: SeriesMaker, tmp_path: Path) -> None:
    instances, _ = series(make_grid(orientation=OBLIQUE))
    assert errors_of(instances[0], tmp_path) == []


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param((), id="no lesion"),
        pytest.param((LARGE,), id="one lesion"),
        pytest.param((ONE_VOXEL,), id="one voxel"),
        pytest.param((ON_FIRST_SLICE,), id="on the first slice"),
        pytest.param(SEVERAL, id="several"),
        pytest.param(FORTY, id="forty"),
    ],
)
def test_the_validator_finds_no_error(series: SeriesMaker, boxes: Sequence[Box], tmp_path: Path) -> None:
    results = make_study(boxes, make_grid((16, 24, 20), orientation=OBLIQUE), series).encode()
    assert (results.seg is None) == (len(boxes) == 0)
    for dataset in (results.seg, results.sr):
        assert dataset is None or errors_of(dataset, tmp_path) == []


@pytest.mark.parametrize(
    ("name", "character_set"),
    [("Müller^Änne", "ISO_IR 100"), ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])],
)
def test_the_validator_accepts_names_in_other_scripts(name: str, character_set, tmp_path: Path) -> None:
    results = make_study((LARGE,), patient=make_patient(name, character_set), with_t1=False).encode()
    for dataset in (results.seg, results.sr):
        assert dataset is not None
        assert errors_of(dataset, tmp_path) == []


def in_order(points: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded = points.round(3)
    return rounded[np.lexsort(rounded.T)]


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
@pytest.mark.parametrize("orientation", [OBLIQUE, SAGITTAL])
def test_dcmqi_reads_every_voxel_where_it_was_found(
    series: SeriesMaker, orientation: Orientation, tmp_path: Path
) -> None:
    study = make_study(SEVERAL, make_grid(orientation=orientation), series)
    seg = study.encode().seg
    assert seg is not None
    masks = masks_read_by_dcmqi(written(seg, tmp_path), tmp_path)
    assert masks.keys() == {lesion.tracking_id for lesion in study.report.lesions}
    for lesion in study.report.lesions:
        expected = study.findings.grid.to_lps_mm(np.argwhere(study.findings.label_map_kji == lesion.number))
        found = voxels_lps_mm(masks[lesion.tracking_id])
        np.testing.assert_allclose(in_order(found), in_order(expected), atol=2e-3)


def expected_values(lesion: Lesion) -> dict[str, tuple[float, str]]:
    return {
        "118565006": (lesion.volume_mm3, "mm3"),
        "filled-volume": (lesion.filled_volume_mm3, "mm3"),
        "103339001": (lesion.long_axis.length_mm, "mm"),
        "103340004": (lesion.short_axis.length_mm, "mm"),
        "81827009": (lesion.longest_diameter_mm, "mm"),
        "mean-output": (lesion.mean_probability, "1"),
        "peak-output": (lesion.peak_probability, "1"),
        "members-agreeing": (lesion.members_agreeing, "{members}"),
        "members-total": (lesion.members_total, "{members}"),
    }


def test_dcmqi_reads_the_measurements_that_were_made(tmp_path: Path) -> None:
    study = make_study(SEVERAL, make_grid(orientation=OBLIQUE))
    summary, *groups = measurements_read_by_dcmqi(written(study.encode().sr, tmp_path), tmp_path)
    assert values_of(summary)["246206008"] == (len(SEVERAL), "{lesions}")
    by_uid = {group["TrackingUniqueIdentifier"]: group for group in groups if group.get("measurementItems")}
    for lesion in study.report.lesions:
        group = by_uid[lesion.tracking_uid]
        assert group["ReferencedSegment"] == lesion.number
        found, expected = values_of(group), expected_values(lesion)
        assert found.keys() == expected.keys()
        for name, (value, unit) in expected.items():
            assert found[name] == (pytest.approx(value, abs=6e-4), unit)


def test_dcmqi_reads_zero_lesions_of_a_negative_study(tmp_path: Path) -> None:
    sr = make_study(boxes=()).encode().sr
    (summary,) = measurements_read_by_dcmqi(written(sr, tmp_path), tmp_path)
    assert values_of(summary) == {
        "246206008": (0, "{lesions}"),
        "118565006": (0, "mm3"),
        "filled-volume": (0, "mm3"),
    }


def test_the_validator_accepts_every_place_in_the_brain(tmp_path: Path) -> None:
    study = placed(make_study(FORTY[:16], make_grid((16, 24, 20))), EVERY_PLACE)
    results = study.encode()
    for dataset in (results.seg, results.sr):
        assert dataset is not None
        assert errors_of(dataset, tmp_path) == []


def test_dcmqi_reads_region_and_side(tmp_path: Path) -> None:
    study = placed(make_study((LARGE,)), [Location(Region.TEMPORAL_LOBE, Side.LEFT)])
    results = study.encode()
    assert results.seg is not None
    masks_read_by_dcmqi(written(results.seg, tmp_path), tmp_path)
    segment = json.loads((tmp_path / "mask-meta.json").read_text())["segmentAttributes"][0][0]
    assert segment["AnatomicRegionSequence"]["CodeValue"] == "78277001"
    assert segment["AnatomicRegionModifierSequence"]["CodeValue"] == "7771000"
    _, group, *_ = measurements_read_by_dcmqi(written(results.sr, tmp_path), tmp_path)
    assert group["FindingSite"]["CodeValue"] == "78277001"
    assert group["Laterality"]["CodeValue"] == "7771000"
