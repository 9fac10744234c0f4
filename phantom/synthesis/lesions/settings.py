"""How many metastases, how large, where, of what shape and what signal: every knob, with its source."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import InvalidInput

Range = tuple[float, float]
"""Lower and upper bound; values are drawn evenly in between unless the field says otherwise."""


@dataclass(frozen=True, slots=True)
class MetastasisSettings:
    """Distribution of the metastases of one study.

    The defaults are the training mixture; an evaluation cohort sets ``log_uniform_share`` to 0 and then has
    the sizes of the published cohort (Rudie et al., Radiology: Artificial Intelligence 2021;3(3):e200204).
    """

    empty_share: float = 0.17
    """Share of studies without any lesion (chosen: negatives keep false positives rare)."""
    count_dispersion: float = 0.6
    """k of the negative binomial of the lesions beyond the first (fitted: mean 9, quartiles 2, 5, 12)."""
    count_mean: float = 8.2
    """Mean of the same; Rudie 2021 has 9.7 +- 13.5 lesions a patient."""
    count_max: int = 60
    """Most lesions of a study (chosen)."""

    volume_median_cm3: float = 0.05
    """Median enhancing volume (Rudie 2021)."""
    volume_sigma_low: float = 1.36
    """Log-normal spread below the median: lower quartile 0.02 cm3 (Rudie 2021)."""
    volume_sigma_high: float = 1.90
    """Log-normal spread above the median: upper quartile 0.18 cm3 (Rudie 2021)."""
    volume_range_cm3: Range = (0.004, 40.0)
    """Truncation: a diameter of 2 mm, and the largest that radiosurgery meets (chosen)."""
    log_uniform_share: float = 0.5
    """Share of lesions whose diameter is log-uniform instead: more large ones to learn from (chosen)."""
    log_uniform_diameter_mm: Range = (2.0, 25.0)
    """Their range (chosen)."""

    junction_share: float = 0.55
    """Share within ``junction_reach_mm`` of the grey-white junction, where emboli lodge (chosen)."""
    junction_reach_mm: float = 4.0
    """Greatest distance of such a lesion's centre from the junction (chosen)."""
    deep_white_share: float = 0.15
    """Share deeper in white matter (chosen)."""
    cerebellum_share: float = 0.15
    """Share in the cerebellum (its share of the brain's blood flow)."""
    central_share: float = 0.05
    """Share in brainstem and deep grey matter (chosen)."""
    surface_share: float = 0.10
    """Share touching CSF, dura or sinus: hard to tell from what enhances there (chosen)."""
    gap_mm: float = 2.0
    """Least distance between two lesions' surfaces (chosen: they stay apart at 1 mm)."""
    touching_share: float = 0.05
    """Share of lesions laid against another one (chosen)."""

    axis_ratios: Range = (0.65, 1.0)
    """Two shorter axes of the ellipsoid relative to the longest (chosen)."""
    surface_noise: Range = (0.0, 0.11)
    """Root mean square of the surface's waves, share of the radius: peaks of a quarter (chosen)."""
    surface_noise_from_mm: float = 4.0
    """Diameter below which a lesion stays an ellipsoid: its waves would be smaller than a voxel."""
    lobed_share: float = 0.10
    """Share of lesions of two or three lobes (chosen)."""

    ring_shares: tuple[tuple[float, float], ...] = ((6.0, 0.25), (10.0, 0.6), (20.0, 0.8))
    """(from diameter mm, share with a core that does not enhance), rising; none below the first (chosen)."""
    core_share: Range = (0.40, 0.85)
    """Radius of the core relative to the body's (chosen)."""
    rim_mm: Range = (1.0, 1.5)
    """Least thickness of the wall (chosen: thinner ones vanish at 1 mm)."""
    open_ring_share: float = 0.10
    """Share of rings whose wall is interrupted (chosen)."""
    septate_share: float = 0.15
    """Share of rings from ``septate_from_mm`` on whose core is divided by septa (chosen)."""
    septate_from_mm: float = 12.0
    """Diameter from which septa occur (chosen)."""
    cystic_share: float = 0.25
    """Share of rings with a fluid core in a smooth thin wall (chosen)."""
    filled_max_cm3: float = 60.0
    """Largest volume with the core: a greater core would not fit the skull (chosen)."""

    concentration_median_mmol_l: float = 0.3
    """Gadolinium in the wall, log-normal median (Bloch steady state: 1.5 of white matter at 3 T)."""
    concentration_sigma: float = 0.6
    """Its log-normal spread (chosen: a good share of lesions is as bright as blood)."""
    concentration_range_mmol_l: Range = (0.06, 1.2)
    """Its truncation: barely visible without subtraction, and brighter than blood (chosen)."""
    texture: Range = (0.10, 0.30)
    """Relative standard deviation of the enhancement within a lesion (chosen)."""
    texture_fwhm_mm: Range = (1.0, 3.0)
    """Grain of that texture (chosen)."""
    centre_dip: Range = (-0.10, 0.45)
    """How much less than its edge the centre of a solid lesion enhances, as a share (chosen)."""
    soft_share: float = 0.30
    """Share of lesions with a blurred, infiltrating edge (SynthStroke's soft paste)."""
    soft_sigma_mm: Range = (0.3, 0.8)
    """Standard deviation of that blur (chosen)."""

    t1_ms: Range = (1100.0, 1600.0)
    """Longitudinal relaxation time of an ordinary lesion: like grey matter or darker (Bloch steady state)."""
    intermediate_share: float = 0.08
    """Share of mucinous, protein-rich or faintly haemorrhagic lesions (chosen)."""
    intermediate_t1_ms: Range = (750.0, 1100.0)
    """Their relaxation time: near white matter (chosen)."""
    bright_share: float = 0.07
    """Share of haemorrhagic or melanotic lesions, bright before contrast (chosen)."""
    bright_t1_ms: Range = (350.0, 600.0)
    """Their relaxation time (methaemoglobin, melanin)."""
    necrosis_t1_ms: Range = (1500.0, 2600.0)
    """Relaxation time of a necrotic core (chosen)."""
    cyst_t1_ms: Range = (2400.0, 3500.0)
    """Relaxation time of a cystic core: towards CSF (chosen)."""
    core_concentration_mmol_l: Range = (0.0, 0.05)
    """Gadolinium that diffused into the core (chosen)."""

    oedema_shares: tuple[tuple[float, float], ...] = ((0.0, 0.1), (5.0, 0.4), (10.0, 0.7))
    """(from diameter mm, share with oedema), rising (chosen)."""
    oedema_mm: Range = (3.0, 25.0)
    """How far oedema runs through white matter; a lesion of 5 mm never reaches the upper end (chosen)."""
    oedema_t1_ms: Range = (1000.0, 1400.0)
    """Relaxation time of oedematous white matter (chosen)."""

    def __post_init__(self) -> None:
        total = sum(self.location_shares)
        if abs(total - 1) > 1e-6:
            raise InvalidInput(f"the five location shares add up to {total:g}, expected 1")
        if not 0 < self.volume_range_cm3[0] < self.volume_range_cm3[1]:
            raise InvalidInput(f"volume_range_cm3 is {self.volume_range_cm3}, expected 0 < lower < upper")

    @property
    def location_shares(self) -> tuple[float, ...]:
        """Shares in the order of `MetastasisLocation`."""
        return (
            self.junction_share,
            self.deep_white_share,
            self.cerebellum_share,
            self.central_share,
            self.surface_share,
        )


def share_at(steps: tuple[tuple[float, float], ...], diameter_mm: float) -> float:
    """Return the share of the last step whose diameter is not above ``diameter_mm``, 0 before the first."""
    reached = [share for start_mm, share in steps if diameter_mm >= start_mm]
    return reached[-1] if reached else 0.0
