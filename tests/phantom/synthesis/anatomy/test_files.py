"""Heads from label maps on disk."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import InvalidInput
from phantom.synthesis.anatomy.files import list_anatomies, load_anatomies, main, pack_anatomies
from phantom.synthesis.anatomy.label_map import HEAD_MARGIN_MM, Anatomy, brain_mask
from phantom.synthesis.anatomy.structures import Structure

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CORTEX_LABEL, EYE_LABEL = 3, 506
EYE_LPS_MM = np.array([14.0, -17.0, 6.0])


def head_values() -> NDArray[np.int16]:
    """A cube of cortex in RAS order with an eye in front of it on the left."""
    values = np.zeros((60, 60, 60), dtype=np.int16)
    values[20:40, 20:40, 20:40] = CORTEX_LABEL
    values[16:18, 45:48, 35:38] = EYE_LABEL
    values[17:20, 39:45, 35:38] = CORTEX_LABEL
    return values


def ras_affine() -> NDArray[np.float64]:
    """The middle of the eye (16.5, 46, 36) lies at EYE_LPS_MM."""
    affine = np.eye(4)
    affine[:3, 3] = LPS[:3, :3] @ EYE_LPS_MM - [16.5, 46.0, 36.0]
    return affine


def write(path: Path, values: NDArray[np.generic], affine: NDArray[np.float64], codes: str = "RAS") -> Path:
    """Write a RAS volume stored in another order of axes."""
    image = nib.Nifti1Image(values, affine)
    wanted = nib.orientations.axcodes2ornt(tuple(codes))
    image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), wanted)).to_filename(path)
    return path


@pytest.mark.parametrize("codes", ["RAS", "LIA", "SPL", "PSR", "LPS"])
def test_however_it_is_stored_a_head_is_read_along_superior_posterior_left(
    tmp_path: Path, codes: str
) -> None:
    write(tmp_path / "head.nii.gz", head_values(), ras_affine(), codes)

    (head,) = load_anatomies(tmp_path)

    eye = np.argwhere(head.labels_kji == Structure.EYE).mean(axis=0)
    cortex = np.argwhere(head.labels_kji == Structure.CORTEX).mean(axis=0)
    np.testing.assert_allclose(head.grid.to_lps_mm(eye), EYE_LPS_MM)
    np.testing.assert_array_equal(head.grid.affine_kji_to_lps_mm[:3, :3], np.eye(3)[:, ::-1])
    assert (np.sign(eye - cortex) == [1, -1, 1]).all()  # above, in front of, left of


def test_it_is_cropped_to_the_head_with_a_margin(tmp_path: Path) -> None:
    write(tmp_path / "head.nii", head_values(), ras_affine())

    (head,) = load_anatomies(tmp_path)

    assert head.name == "head"
    assert head.labels_kji.shape == tuple(n + 2 * HEAD_MARGIN_MM for n in (20, 28, 24))


def test_specks_in_the_air_are_dropped(tmp_path: Path) -> None:
    values = head_values()
    values[2, 2, 2] = 511
    write(tmp_path / "head.nii", values, ras_affine())

    (head,) = load_anatomies(tmp_path)

    assert not (head.labels_kji == Structure.SKIN).any()


def test_labels_stored_as_floats_are_read_too(tmp_path: Path) -> None:
    write(tmp_path / "head.nii", head_values().astype(np.float32), ras_affine())

    (head,) = load_anatomies(tmp_path)

    assert set(np.unique(head.labels_kji)) == {Structure.AIR, Structure.CORTEX, Structure.EYE}


@pytest.mark.parametrize("label", [1, 999, -4])
def test_an_unknown_label_is_named_with_its_file(tmp_path: Path, label: int) -> None:
    values = head_values()
    values[25, 25, 25] = label
    write(tmp_path / "odd.nii", values, ras_affine())

    with pytest.raises(InvalidInput, match=rf"odd\.nii holds the label {label},"):
        load_anatomies(tmp_path)


def test_voxels_other_than_1_mm_are_refused(tmp_path: Path) -> None:
    affine = ras_affine() @ np.diag([1.0, 1.0, 1.2, 1.0])
    write(tmp_path / "thick.nii", head_values(), affine)

    with pytest.raises(InvalidInput, match=r"thick\.nii has voxels of \[1\.0, 1\.0, 1\.2\] mm"):
        load_anatomies(tmp_path)


def test_an_oblique_map_is_refused(tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    write(tmp_path / "oblique.nii", head_values(), turn @ ras_affine())

    with pytest.raises(InvalidInput, match="along the patient's axes"):
        load_anatomies(tmp_path)


def test_a_volume_with_a_fourth_axis_is_refused(tmp_path: Path) -> None:
    nib.Nifti1Image(np.stack([head_values()] * 2, -1), ras_affine()).to_filename(tmp_path / "series.nii")

    with pytest.raises(InvalidInput, match=r"shape \(60, 60, 60, 2\), expected three"):
        load_anatomies(tmp_path)


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nii").write_text("not an image")

    with pytest.raises(InvalidInput, match=r"text\.nii cannot be read as NIfTI"):
        load_anatomies(tmp_path)


def test_a_map_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.nii.gz", head_values(), ras_affine())
    path.write_bytes(path.read_bytes()[:-300])

    with pytest.raises(InvalidInput, match=r"cut\.nii\.gz cannot be read"):
        load_anatomies(tmp_path)


def test_an_empty_map_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "air.nii", np.zeros((20, 20, 20), dtype=np.int16), np.eye(4))

    with pytest.raises(InvalidInput, match="empty"):
        load_anatomies(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no label map"):
        load_anatomies(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a folder"):
        load_anatomies(tmp_path / "nowhere")


def test_heads_are_picked_by_name_in_the_order_wanted(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.nii.gz", head_values(), ras_affine())

    assert [head.name for head in load_anatomies(tmp_path)] == ["a", "b", "c"]
    assert [head.name for head in load_anatomies(tmp_path, ["c", "a"])] == ["c", "a"]
    with pytest.raises(InvalidInput, match="no label map 'd'; it has a, b, c"):
        load_anatomies(tmp_path, ["a", "d"])


def test_a_packed_head_is_the_same_head(tmp_path: Path) -> None:
    write(tmp_path / "head.nii.gz", head_values(), ras_affine(), "LIA")
    (head,) = load_anatomies(tmp_path)

    assert [path.name for path in pack_anatomies(tmp_path, tmp_path / "packed")] == ["head.npz"]

    (packed,) = load_anatomies(tmp_path / "packed")
    assert packed.name == head.name
    assert packed.grid.is_close_to(head.grid)
    np.testing.assert_array_equal(packed.labels_kji, head.labels_kji)


def test_a_packed_head_is_read_where_there_is_no_nibabel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "head.nii.gz", head_values(), ras_affine())
    pack_anatomies(tmp_path, tmp_path / "packed")
    monkeypatch.setitem(sys.modules, "nibabel", None)

    assert len(load_anatomies(tmp_path / "packed")) == 1
    with pytest.raises(ImportError):
        load_anatomies(tmp_path)


def test_the_command_packs_a_folder_and_names_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "head.nii.gz", head_values(), ras_affine())

    main([str(tmp_path), str(tmp_path / "packed")])

    assert "head.npz" in capsys.readouterr().out
    assert (tmp_path / "packed" / "head.npz").is_file()


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels_kji": np.zeros((4, 4, 4), dtype=np.uint8)},
        {"labels_kji": np.zeros((4, 4), dtype=np.uint8), "affine_kji_to_lps_mm": np.eye(4)},
        {"labels_kji": np.full((4, 4, 4), 99, dtype=np.uint8), "affine_kji_to_lps_mm": np.eye(4)},
    ],
    ids=["without affine", "two axes", "unknown structure"],
)
def test_other_npz_files_are_refused(tmp_path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    np.savez_compressed(tmp_path / "other.npz", **arrays)

    with pytest.raises(InvalidInput, match=r"other\.npz"):
        load_anatomies(tmp_path)


def test_a_damaged_packed_head_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut off")

    with pytest.raises(InvalidInput, match=r"cut\.npz is not a packed head"):
        load_anatomies(tmp_path)


def test_real_label_maps_have_brains_of_adult_size(anatomy_folder: Path) -> None:
    heads: tuple[Anatomy, ...] = load_anatomies(anatomy_folder)

    for head in heads:
        assert 1.1 < head.brain_volume_l < 1.8, head.name
        assert not brain_mask(head.labels_kji)[-1].any(), f"{head.name} has no scalp above the brain"


def test_heads_are_listed_without_being_read(tmp_path: Path) -> None:
    for name in ("second.nii.gz", "first.npz", "first.nii", "notes.txt"):
        (tmp_path / name).touch()
    assert list_anatomies(tmp_path) == ("first", "second")


def test_a_folder_without_heads_has_none_to_list(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no label map"):
        list_anatomies(tmp_path)
