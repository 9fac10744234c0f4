import pytest

from core.uids import derive_uid, is_acceptable_uid, is_conformant_uid


def test_a_derived_uid_depends_on_every_part_and_nothing_else() -> None:
    assert derive_uid("study", "digest", "1") == derive_uid("study", "digest", "1")
    assert derive_uid("study", "digest", "1") != derive_uid("study", "digest", "2")
    assert derive_uid("a", "bc") != derive_uid("ab", "c")


def test_derived_uids_conform() -> None:
    assert all(is_conformant_uid(derive_uid("x", str(n))) for n in range(200))


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.1", "1.2.03.4", "1.2.3."])
def test_slightly_wrong_uids_of_real_scanners_are_kept(uid: str) -> None:
    assert is_acceptable_uid(uid)


@pytest.mark.parametrize(
    "uid", ["", ".", "../../etc/passwd", "1.2\x00.3", "1.2.3\n", "1" * 65, "1.2.a", "１.２"]
)
def test_anything_else_is_refused(uid: str) -> None:
    assert not is_acceptable_uid(uid)


@pytest.mark.parametrize("uid", ["1.2.03.4", "1.2.3.", "1"])
def test_deviations_from_the_standard_are_noticed(uid: str) -> None:
    assert not is_conformant_uid(uid)
