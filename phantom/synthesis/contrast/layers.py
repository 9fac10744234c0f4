"""What the parts that grow enhancing anatomy share: knobs, blood and tissue, the layers they hand back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Floats, Points, Shape
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.signals.tissues import TISSUES, UPTAKE, t1_ms_at


class Contrast(Protocol):
    """What must be known of the scan: how bright a tissue is."""

    @property
    def field_t(self) -> float:
        """Field strength in tesla, one of ``tissues.FIELDS_T``."""
        ...

    @property
    def spin_echo(self) -> tuple[bool, bool]:
        """Whether T1 and T1-post are spin echoes."""
        ...

    def signals(self, t1_ms: float, gd_mmol_l: float, proton_density: float = 1.0) -> tuple[float, float]:
        """Return the signal before and after contrast relative to white matter."""
        ...


@dataclass(frozen=True, slots=True)
class ContrastSettings:
    """How many, how large and how bright the structures are that enhance without being lesions.

    Ranges are (least, greatest), evenly drawn unless said otherwise; shares are of studies. Concentrations
    are mmol/L of gadolinium a few minutes after a usual dose; the study's own dose is applied on top. Numbers
    without a source are chosen: from anatomy textbooks, and by eye beside contrast-enhanced images.
    """

    blood_mmol_l: tuple[float, float] = (0.3, 1.0)
    """Of all blood in a study (0.5 to 1: 0.1 mmol/kg in 0.2 L/kg of extracellular space; less: long after
    the injection. Chosen that wide so that blood is not always brighter than a lesion)."""
    blood_spread: float = 0.08
    """Relative standard deviation between veins, arteries and sinuses of one study (chosen)."""
    t1_spread: float = 0.08
    """Relative standard deviation of T1 of each structure without contrast (Bojorquez
    2017: 10 to 15 % in tissue)."""
    concentration_spread: float = 0.2
    """Relative standard deviation of the concentration in glands and plexus (chosen: 0.4 to 0.8)."""
    dura_mmol_l: tuple[float, float] = (0.15, 0.6)
    """Of dura, falx and tentorium, each drawn on its own (chosen: between brain and blood)."""
    inflow_share: float = 0.25
    """Gradient-echo studies with arteries bright before contrast by inflow of fresh spins (chosen: slabs)."""
    inflow_gain: tuple[float, float] = (1.4, 2.8)
    """Factor on their signal before contrast; after it, half as much is gained."""
    arterial_void_shares: tuple[float, float] = (0.9, 0.6)
    """Spin-echo images before and after contrast whose arteries are flow voids: their blood has left the
    slice between excitation and echo (chosen)."""
    arterial_void_signal: tuple[float, float] = (0.05, 0.4)
    """Share of the signal such a void leaves (chosen)."""

    sinus_scale: tuple[float, float] = (0.7, 1.5)
    """Factor on the widths of the sinuses, log-uniform (chosen: radii of 1.5 to 6 mm)."""
    labelled_sinus_scale: tuple[float, float] = (0.4, 1.2)
    """Likewise where the label map has sinuses of its own, which are painted too."""
    transverse_asymmetry: tuple[float, float] = (0.25, 1.0)
    """Width of the lesser transverse and sigmoid sinus relative to the other (hypoplastic in a third)."""
    flow_void_share: float = 0.25
    """Studies whose sinuses lose part of their signal to flow."""
    flow_void_floor: float = 0.3
    """Least share of the signal left."""
    granulations: tuple[int, int] = (0, 5)
    """Arachnoid granulations: filling defects in the sinuses, with the signal of CSF."""
    granulation_radius_mm: tuple[float, float] = (1.2, 3.5)
    """Their radius (2 to 8 mm wide in anatomical series)."""
    cavernous_share: float = 0.95
    """Studies with visibly enhancing cavernous sinuses."""

    cortical_vessels: tuple[int, int] = (20, 60)
    """Cortical veins and arteries on the convexity and in sulci."""
    cortical_length_mm: tuple[float, float] = (10.0, 80.0)
    """Log-uniform, at most: a vessel ends where it has run out of CSF."""
    cortical_radius_mm: tuple[float, float] = (0.4, 1.8)
    """Log-uniform; the vessel tapers from it."""
    cortical_turning_deg: tuple[float, float] = (15.0, 25.0)
    """Standard deviation of the change of direction per mm."""
    branches: float = 0.5
    """Branches for each cortical vessel."""
    sylvian_loops: tuple[int, int] = (3, 9)
    """Winding branches of the middle cerebral artery in each Sylvian fissure."""
    arterial_radius_mm: tuple[float, float] = (0.8, 1.25)
    """Factor on the radii of the named arteries (their means are 1 to 1.7 mm)."""
    thread_share: float = 0.85
    """Studies whose sulci are full of vessels at the limit of resolution."""
    thread_radius_mm: tuple[float, float] = (0.35, 0.85)
    """Their radius in the heart of a patch; it falls to nothing at its border."""
    thread_knots_mm: int = 5
    """Distance between the knots of the random fields whose common zeros they are: how dense they are."""
    transmedullary_veins: tuple[int, int] = (0, 6)
    """Straight veins through white matter to the ventricle."""
    transmedullary_radius_mm: tuple[float, float] = (0.3, 0.7)
    """Log-uniform."""
    venous_anomaly_share: float = 0.05
    """Studies with a developmental venous anomaly (2 to 9 % at autopsy and on contrast MRI)."""
    dot_mimics: tuple[int, int] = (2, 8)
    """Short pieces of vessel across the cortex at the foot of sulci."""
    many_dots_share: float = 0.15
    """Studies with up to ``most_dot_mimics`` of them."""
    most_dot_mimics: int = 15
    """Greatest number of them in such a study."""
    dot_length_mm: tuple[float, float] = (2.0, 6.0)
    """How far into cortex and white matter they reach."""
    dot_radius_mm: tuple[float, float] = (0.5, 1.2)
    """In cross-section, a lesion of 2 to 4 mm after blur."""

    dura_thickness_mm: tuple[float, float] = (0.7, 2.0)
    """Of enhancing dura, falx and tentorium, each drawn on its own, log-uniform."""
    dura_cover: tuple[float, float] = (0.2, 0.9)
    """Share of each membrane that is on; the rest is interrupted."""
    nodular_share: float = 0.2
    """Studies with dura thickened to up to ``nodule_thickness_mm`` in places: not a lesion."""
    nodule_thickness_mm: tuple[float, float] = (2.0, 4.5)
    """What a nodule adds at most to the thickness."""

    plexus_share: float = 0.9
    """Chance of each piece of choroid plexus to be seen."""
    plexus_radius_mm: tuple[float, float] = (2.0, 6.0)
    """Half the length of the piece in the trigone; the others are smaller by up to a half."""
    pituitary_share: float = 0.97
    """Studies with pituitary and stalk in view and enhancing."""
    pineal_share: float = 0.85
    """Studies with an enhancing pineal."""
    pineal_radius_mm: tuple[float, float] = (2.0, 4.0)
    """Half its length, 4 to 8 mm."""
    pineal_cyst_share: float = 0.25
    """Pineal glands with a cyst: rings."""
    area_postrema_share: float = 0.3
    """Studies in which the area postrema, 2 to 3 mm wide, is seen."""


@dataclass(frozen=True, eq=False)
class ContrastLayer:
    """One kind of structure over the base signals: ``signal * (1 - fraction) + layer * fraction``.

    Parameters
    ----------
    structure
        What it is.
    box
        Where; slices of the head's (k, j, i).
    fraction
        float32 0..1 in the box: share of each voxel.
    t1, t1_post
        Signals relative to white matter before contrast; numbers, or float32 in the box.
    """

    structure: Enhancing
    box: Box
    fraction: Floats
    t1: Floats | float
    t1_post: Floats | float


class Uptake:
    """How bright the enhancing structures of one study are: blood is one pool, glands differ.

    Parameters
    ----------
    model
        The scan.
    settings
        Ranges.
    rng
        Source of randomness; the pool of blood is drawn here, the rest when asked for.
    """

    def __init__(self, model: Contrast, settings: ContrastSettings, rng: np.random.Generator) -> None:
        self._model = model
        self._settings = settings
        self._rng = rng
        self._blood_mmol_l = float(rng.uniform(*settings.blood_mmol_l))

    def blood(self, structure: Enhancing) -> tuple[float, float]:
        """Return (T1, T1-post) of a structure filled with blood, nearly the same in all of them."""
        return self._signals(structure, self._blood_mmol_l, self._settings.blood_spread)

    @property
    def spin_echo(self) -> tuple[bool, bool]:
        """Whether T1 and T1-post are spin echoes: flowing blood is dark in them."""
        return self._model.spin_echo

    def fluid(self) -> tuple[float, float]:
        """Return (T1, T1-post) of CSF."""
        tissue = TISSUES[Structure.CSF]
        t1_ms = t1_ms_at(tissue, self._model.field_t)
        return self._model.signals(t1_ms, tissue.gd_mmol_l, tissue.proton_density)

    def gland(self, structure: Enhancing) -> tuple[float, float]:
        """Return (T1, T1-post) of a tissue without a blood-brain barrier."""
        return self._signals(structure, UPTAKE[structure].gd_mmol_l, self._settings.concentration_spread)

    def dura(self) -> tuple[float, float]:
        """Return (T1, T1-post) of one of the membranes."""
        return self._signals(Enhancing.DURA, float(self._rng.uniform(*self._settings.dura_mmol_l)), 0.0)

    def _signals(self, structure: Enhancing, gd_mmol_l: float, spread: float) -> tuple[float, float]:
        tissue = UPTAKE[structure]
        jitter = np.clip(self._rng.standard_normal(2), -2, 2)
        t1_ms = t1_ms_at(tissue, self._model.field_t) * float(np.exp(self._settings.t1_spread * jitter[0]))
        return self._model.signals(
            t1_ms, gd_mmol_l * float(np.exp(spread * jitter[1])), tissue.proton_density
        )


def scatter(voxels: NDArray[np.int64], fractions: Points, shape: Shape) -> tuple[Box, Floats]:
    """Return the box around those voxels (n, 3) whose fraction is not 0, and the fractions in it."""
    kept = fractions > 0
    voxels, fractions = voxels[kept], fractions[kept]
    if not len(voxels):
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=np.float32)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    if (low < 0).any() or (high > shape).any():
        raise ValueError(f"voxels from {low} to {high} are not all within {shape}")
    field = np.zeros(high - low, dtype=np.float32)
    field[tuple((voxels - low).T)] = fractions
    box = (
        slice(int(low[0]), int(high[0])),
        slice(int(low[1]), int(high[1])),
        slice(int(low[2]), int(high[2])),
    )
    return box, field


def join(parts: list[tuple[Box, Floats]]) -> tuple[Box, Floats]:
    """Return the box around several boxes and, in it, the greatest of their fractions."""
    parts = [part for part in parts if part[1].size]
    if not parts:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=np.float32)
    low = np.min([[s.start for s in box] for box, _ in parts], axis=0)
    high = np.max([[s.stop for s in box] for box, _ in parts], axis=0)
    joined = np.zeros(high - low, dtype=np.float32)
    for box, fraction in parts:
        k, j, i = (slice(s.start - int(n), s.stop - int(n)) for s, n in zip(box, low, strict=True))
        np.maximum(joined[k, j, i], fraction, out=joined[k, j, i])
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (k, j, i), joined
