"""Which contrast mechanism a sequence shows, from its timing; the description only where timing is silent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.study import InstanceHeader
from service.selection import series_words as words

LONGEST_T1_GRADIENT_TE_MS = 8.0
"""A gradient echo later than this is weighted by T2*."""

LONGEST_SPOILED_TR_MS = 50.0
"""Steady-state spoiled gradient echo (VIBE, SPGR, TFE)."""

LONGEST_2D_GRADIENT_TR_MS = 400.0
"""2-D FLASH; longer ones are T2* or field maps."""

INVERSION_TIMES_T1_MS = (300.0, 1400.0)
"""MPRAGE, BRAVO, T1-FLAIR; fluid is nulled at about 1700 to 2500 ms."""

LONGEST_T1_SPIN_TE_MS = 40.0
LONGEST_T1_SPIN_TR_MS = 1300.0
"""Conventional and turbo spin echo, 3-D included."""

LONGEST_T1_INVERSION_TR_MS = 3500.0
"""T1-FLAIR and MPRAGE; T2-FLAIR waits 4800 ms and longer."""

LARGEST_T1_BALANCED_FLIP_DEG = 30.0
"""Balanced steady state (FIESTA, TrueFISP) uses more and shows T2/T1."""


class Family(StrEnum):
    """How the signal is made; T1 and T1-post should have the same."""

    PREPARED_GRADIENT_ECHO = "inversion-prepared gradient echo (MPRAGE)"
    GRADIENT_ECHO = "spoiled gradient echo"
    SPIN_ECHO = "spin echo"
    UNKNOWN = "unknown sequence"


@dataclass(frozen=True, slots=True)
class Weighting:
    """What a sequence shows.

    Parameters
    ----------
    is_t1
        True when T1-weighted.
    words
        For people: what it is and where that is known from.
    """

    is_t1: bool
    words: str


def read_weighting(header: InstanceHeader, line: str) -> tuple[Weighting, Family]:
    """Return weighting and family of a series' sequence.

    Parameters
    ----------
    line
        The normalised description.
    """
    family = _family(header)
    by_timing = _t1_by_timing(header, family)
    foreign = _marked_otherwise(header) or _named_otherwise(line, family, is_t1=by_timing is True)
    if foreign:
        return Weighting(False, foreign), family
    if by_timing is None:
        return _by_words(line), family
    verdict = "T1-weighted" if by_timing else "not T1-weighted"
    return Weighting(by_timing, f"{verdict} by its timing ({_timing(header)})"), family


_TIMING_OVERRULES = frozenset({"a T2", "a FLAIR", "proton density", "diffusion", "susceptibility"})
"""Names that T1 timing refutes; angiography and perfusion have the timing of a spoiled gradient echo."""


def _named_otherwise(line: str, family: Family, *, is_t1: bool) -> str | None:
    """Return the weighting a description names, unless T1 timing cannot be that."""
    if is_t1 and family in {Family.PREPARED_GRADIENT_ECHO, Family.SPIN_ECHO}:
        return None
    named = words.other_weightings(line)
    return next((name for name in named if not (is_t1 and name in _TIMING_OVERRULES)), None)


def _marked_otherwise(header: InstanceHeader) -> str | None:
    contrast = header.acquisition_contrast.upper()
    if "EP" in header.scanning_sequence:
        return "an echo planar sequence"
    if header.angio_flag.upper() == "Y":
        return "angiography"
    if contrast and contrast not in {"T1", "UNKNOWN", "MIXED"}:
        return f"Acquisition Contrast {contrast}"
    return None


def _family(header: InstanceHeader) -> Family:
    sequence = set(header.scanning_sequence)
    if "SE" in sequence:
        return Family.SPIN_ECHO
    if "GR" in sequence:
        prepared = "IR" in sequence or bool(header.inversion_time_ms)
        return Family.PREPARED_GRADIENT_ECHO if prepared else Family.GRADIENT_ECHO
    return Family.UNKNOWN


def _t1_by_timing(header: InstanceHeader, family: Family) -> bool | None:
    """Tell whether timing makes a sequence T1-weighted; None when there is no timing."""
    if header.repetition_time_ms is None or header.echo_time_ms is None:
        return None
    if family is Family.SPIN_ECHO:
        return _is_t1_spin_echo(header)
    if family is Family.UNKNOWN:
        return _is_t1_gradient_echo(header) or _is_t1_spin_echo(header)
    return _is_t1_gradient_echo(header)


def _is_t1_gradient_echo(header: InstanceHeader) -> bool:
    tr, te, ti = header.repetition_time_ms or 0.0, header.echo_time_ms or 0.0, header.inversion_time_ms
    if te > LONGEST_T1_GRADIENT_TE_MS or _is_balanced(header):
        return False
    if ti:
        return INVERSION_TIMES_T1_MS[0] <= ti <= INVERSION_TIMES_T1_MS[1]
    longest = LONGEST_SPOILED_TR_MS if header.mr_acquisition_type == "3D" else LONGEST_2D_GRADIENT_TR_MS
    prepared = "IR" in header.scanning_sequence or "MP" in header.sequence_variant
    return tr <= (LONGEST_T1_INVERSION_TR_MS if prepared else longest)


def _is_t1_spin_echo(header: InstanceHeader) -> bool:
    tr, te, ti = header.repetition_time_ms or 0.0, header.echo_time_ms or 0.0, header.inversion_time_ms
    if te > LONGEST_T1_SPIN_TE_MS:
        return False
    if ti:
        return INVERSION_TIMES_T1_MS[0] <= ti <= INVERSION_TIMES_T1_MS[1] and tr <= LONGEST_T1_INVERSION_TR_MS
    return tr <= LONGEST_T1_SPIN_TR_MS


def _is_balanced(header: InstanceHeader) -> bool:
    spoiled = "SP" in header.sequence_variant or "MP" in header.sequence_variant
    flip_deg = header.flip_angle_deg or 0.0
    return "SS" in header.sequence_variant and not spoiled and flip_deg > LARGEST_T1_BALANCED_FLIP_DEG


def _by_words(line: str) -> Weighting:
    if words.says_t1(line):
        return Weighting(True, "T1-weighted by its description (no timing in the header)")
    return Weighting(False, "neither timing nor description says T1")


def _timing(header: InstanceHeader) -> str:
    times_ms = (header.repetition_time_ms, header.echo_time_ms, header.inversion_time_ms)
    named = zip(("TR", "TE", "TI"), times_ms, strict=True)
    return ", ".join(f"{name} {_ms(value)}" for name, value in named)


def _ms(value: float | None) -> str:
    return "absent" if not value else f"{value:g} ms"
