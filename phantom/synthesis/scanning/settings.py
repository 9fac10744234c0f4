"""What scanners do to a signal: its ranges, and one draw of them for the two images of a study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from phantom.synthesis.scanning.acquisition import Axis
from phantom.synthesis.scanning.artefacts import Ghost, Motion, draw_field

LINEAR, CUBIC = 1, 3
"""Orders of interpolation."""

LEAST_GHOST_SHIFT_MM = 10.0
"""A ghost nearer to its source is taken for blur."""

GHOST_ADDS_SHARE = 0.67
"""Share of ghosts in phase with the image under them, like lesions; the others take signal away."""

PHASE_AXIS_SHARES = (0.1, 0.6, 0.3)
"""How often the slower in-plane axis of k-space is k, j (through eyes and sinuses) or i."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """One kind of protocol.

    Parameters
    ----------
    share
        Weight of it among the kinds.
    slice_mm
        Range of its slice thickness, equal to the distance of its slices.
    isotropic
        Whether the voxels are cubes; else the rows and columns are drawn from ``in_plane_mm``.
    in_plane_mm
        Range of the size of rows and columns, which are equal.
    """

    share: float
    slice_mm: tuple[float, float]
    isotropic: bool = False
    in_plane_mm: tuple[float, float] = (0.8, 1.1)

    def __post_init__(self) -> None:
        """Accept the ranges as JSON gives them back."""
        object.__setattr__(self, "slice_mm", tuple(self.slice_mm))
        object.__setattr__(self, "in_plane_mm", tuple(self.in_plane_mm))


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """Ranges of the acquisition. The canonical grid has voxels of 1 mm.

    Parameters
    ----------
    resolutions
        Kinds of protocols. Chosen: 48 % isotropic 3-D, 25 % 3-D with rows and columns finer than 1 mm, as
        planning scans have, 20 % thicker 3-D, 7 % multi-slice; SRS planning asks for at most 1.5 mm (Rudie
        2021 took that as its limit), so an evaluation cohort leaves out the others. What is finer than 1 mm
        is interpolated, not averaged, down to the canonical grid, as in service: its noise stays white.
    same_geometry_share
        Share of studies with T1 and T1-post on the same lattice. Chosen.
    point_spread_mm
        Range of the standard deviation of the blur beside the thickness: relaxation during the readout,
        filters. Chosen.
    cubic_share
        Share of images brought to the canonical grid by cubic splines, the others linearly. Chosen.
    bias_spread, strong_bias_share, strong_bias_spread
        Range of the standard deviation of the logarithm of the bias field; in a share of studies up to the
        last (SynthSeg: 0.7).
    common_bias
        Share of the logarithm of the bias field that T1 and T1-post have in common. Chosen.
    snr
        Range of the signal-to-noise ratio of white matter before contrast, log-uniform (SynthStroke: at
        least 10).
    pair_snr_spread
        Standard deviation of the logarithm of the ratio of both images' noise. Chosen.
    noise_fwhm_mm
        Range of the correlation of noise by filters and zero filling, full width at half maximum. Chosen.
    g_factor_spread
        Greatest standard deviation of the logarithm of the noise over the head (SynthStroke: g-factor maps).
    truncation_share, truncation_kept
        Share of images with truncated k-space, and the range of what is kept along two axes. Chosen.
    motion_share
        Share of images during which the head moved. Chosen.
    motion_deg, motion_mm
        Ranges of the turn and of the shift. Chosen.
    motion_moment
        Range of the distance from the centre of k-space, as a share of its half, beyond which it was filled
        after the motion. Chosen: motion nearer the centre is seen on the console and scanned again.
    ghost_share
        Share of images with ghosts of pulsating signal. Chosen.
    ghost_amplitude
        Range of their amplitude relative to their source. Chosen.
    ghost_random_share
        Share of ghosts whose shift is random instead of one half or one third of the field of view. Chosen.
    field_of_view_mm
        Range of the extent along the phase axis. Chosen.
    gamma_spread
        Standard deviation of the logarithm of the exponent of each image, beside that of the contrast.
        Chosen.
    gain
        Range of the stored value of white matter before contrast, of each image. Chosen; stored values of MRI
        have no unit.
    residual_rotation_deg, residual_translation_mm
        Standard deviation about and along each axis of what registration leaves. Measured on rigid
        registration of synthetic pairs: 0.05 to 0.3 mm mean error.
    outlier_share, outlier_rotation_deg, outlier_translation_mm
        Share of studies with more, the greatest turn and the range of the shift. Chosen.
    distortion_mm
        Greatest displacement by distortion that differs between the images. Chosen.
    mask_dilation_mm
        By which the service grows the mask of its brain extraction.
    mask_error_mm
        Greatest error of that mask; it varies smoothly over the surface. Chosen.
    mask_hole_share, mask_hole_mm
        Share of masks with a hole, and the range of its radius. Chosen.
    """

    resolutions: tuple[Resolution, ...] = (
        Resolution(0.48, (0.8, 1.2), isotropic=True),
        Resolution(0.25, (0.8, 1.5), in_plane_mm=(0.45, 0.8)),
        Resolution(0.20, (1.5, 3.0)),
        Resolution(0.07, (3.0, 6.0)),
    )
    same_geometry_share: float = 0.7
    point_spread_mm: tuple[float, float] = (0.2, 0.5)
    cubic_share: float = 0.5
    bias_spread: tuple[float, float] = (0.0, 0.4)
    strong_bias_share: float = 0.1
    strong_bias_spread: float = 0.7
    common_bias: float = 0.8
    snr: tuple[float, float] = (12.0, 60.0)
    pair_snr_spread: float = 0.15
    noise_fwhm_mm: tuple[float, float] = (0.0, 1.2)
    g_factor_spread: float = 0.25
    truncation_share: float = 0.05
    truncation_kept: tuple[float, float] = (0.55, 0.85)
    motion_share: float = 0.05
    motion_deg: tuple[float, float] = (0.3, 2.0)
    motion_mm: tuple[float, float] = (0.3, 2.0)
    motion_moment: tuple[float, float] = (0.1, 0.6)
    ghost_share: float = 0.6
    ghost_amplitude: tuple[float, float] = (0.02, 0.08)
    ghost_random_share: float = 0.4
    field_of_view_mm: tuple[float, float] = (180.0, 256.0)
    gamma_spread: float = 0.05
    gain: tuple[float, float] = (0.5, 2.0)
    residual_rotation_deg: float = 0.15
    residual_translation_mm: float = 0.2
    outlier_share: float = 0.1
    outlier_rotation_deg: float = 0.7
    outlier_translation_mm: tuple[float, float] = (0.5, 1.0)
    distortion_mm: float = 0.5
    mask_dilation_mm: float = 3.0
    mask_error_mm: float = 3.0
    mask_hole_share: float = 0.02
    mask_hole_mm: tuple[float, float] = (4.0, 12.0)

    def __post_init__(self) -> None:
        """Accept the kinds of protocols as JSON gives them back."""
        kinds = tuple(
            kind if isinstance(kind, Resolution) else Resolution(**kind) for kind in self.resolutions
        )
        if not kinds or sum(kind.share for kind in kinds) <= 0:
            raise InvalidInput(f"resolutions {kinds!r}: expected at least one with a positive share")
        object.__setattr__(self, "resolutions", kinds)


@dataclass(frozen=True, slots=True, eq=False)
class ScanDraw:
    """The scanner of one image.

    Parameters
    ----------
    axes
        Sampling along k, j and i.
    bias, g_factor
        Weights of the cosines of the logarithm of the receiver's sensitivity and of the noise.
    noise, noise_fwhm_mm
        Standard deviation of each channel's noise relative to white matter, and its correlation.
    ghosts, motion
        Artefacts along ``phase_axis``; None for a head that lay still.
    phase_axis
        Slower in-plane axis of k-space: 0 k, 1 j, 2 i.
    gamma, gain
        Exponent and factor of the stored values.
    """

    axes: tuple[Axis, Axis, Axis]
    bias: NDArray[np.float32]
    g_factor: NDArray[np.float32]
    noise: float
    noise_fwhm_mm: float
    ghosts: tuple[Ghost, ...]
    motion: Motion | None
    phase_axis: int
    gamma: float
    gain: float


def draw_scans(settings: ScanSettings, rng: np.random.Generator) -> tuple[ScanDraw, ScanDraw]:
    """Draw the scanners of T1 and T1-post of one study: same coil and phase axis, mostly the same lattice."""
    lattice = _draw_lattice(settings, rng)
    other = lattice if rng.random() < settings.same_geometry_share else _draw_lattice(settings, rng)
    strong = rng.random() < settings.strong_bias_share
    spread = settings.strong_bias_spread if strong else rng.uniform(*settings.bias_spread)
    common = draw_field(rng)
    noise = float(np.exp(-rng.uniform(*np.log(settings.snr))))
    phase_axis = int(rng.choice(3, p=PHASE_AXIS_SHARES))
    draws = []
    for axes in (lattice, other):
        share = np.float32(settings.common_bias)
        bias = np.float32(spread) * (share * common + (1 - share) * draw_field(rng))
        draws.append(_draw_scan(axes, bias, noise, phase_axis, settings, rng))
    return draws[0], draws[1]


def _draw_scan(
    axes: tuple[Axis, Axis, Axis],
    bias: NDArray[np.float32],
    noise: float,
    phase_axis: int,
    settings: ScanSettings,
    rng: np.random.Generator,
) -> ScanDraw:
    return ScanDraw(
        axes=_finish_axes(axes, settings, rng),
        bias=bias,
        g_factor=np.float32(rng.uniform(0, settings.g_factor_spread)) * draw_field(rng),
        noise=noise * float(np.exp(rng.normal(0, settings.pair_snr_spread))),
        noise_fwhm_mm=float(rng.uniform(*settings.noise_fwhm_mm)),
        ghosts=_draw_ghosts(settings, rng),
        motion=_draw_motion(settings, rng) if rng.random() < settings.motion_share else None,
        phase_axis=phase_axis,
        gamma=float(np.exp(rng.normal(0, settings.gamma_spread))),
        gain=float(rng.uniform(*settings.gain)),
    )


def _draw_lattice(settings: ScanSettings, rng: np.random.Generator) -> tuple[Axis, Axis, Axis]:
    shares = np.array([kind.share for kind in settings.resolutions])
    kind = settings.resolutions[int(rng.choice(len(shares), p=shares / shares.sum()))]
    thickness = float(rng.uniform(*kind.slice_mm))
    in_plane = thickness if kind.isotropic else float(rng.uniform(*kind.in_plane_mm))
    spacings = [in_plane] * 3
    spacings[int(rng.integers(3))] = thickness
    first, second, third = (Axis(spacing, float(spacing * rng.uniform(-0.5, 0.5))) for spacing in spacings)
    return first, second, third


def _finish_axes(
    axes: tuple[Axis, Axis, Axis], settings: ScanSettings, rng: np.random.Generator
) -> tuple[Axis, Axis, Axis]:
    """Give a lattice the blur, the truncation and the interpolation of one image."""
    blur = float(rng.uniform(*settings.point_spread_mm))
    order = CUBIC if rng.random() < settings.cubic_share else LINEAR
    kept = [1.0, 1.0, 1.0]
    if rng.random() < settings.truncation_share:
        for axis in rng.choice(3, 2, replace=False):
            kept[int(axis)] = float(rng.uniform(*settings.truncation_kept))
    first, second, third = (
        Axis(axis.spacing, axis.offset, blur, share, order) for axis, share in zip(axes, kept, strict=True)
    )
    return first, second, third


def _draw_ghosts(settings: ScanSettings, rng: np.random.Generator) -> tuple[Ghost, ...]:
    if rng.random() >= settings.ghost_share:
        return ()
    field_of_view_mm = float(rng.uniform(*settings.field_of_view_mm))
    shift_mm = field_of_view_mm / int(rng.integers(2, 4))
    if rng.random() < settings.ghost_random_share:
        shift_mm = float(rng.uniform(LEAST_GHOST_SHIFT_MM, field_of_view_mm / 2))
    amplitude = float(rng.uniform(*settings.ghost_amplitude))
    return tuple(
        Ghost(
            amplitude if rng.random() < GHOST_ADDS_SHARE else -amplitude,
            round(direction * shift_mm),
            int(field_of_view_mm),
        )
        for direction in (-1, 1)
    )


def _draw_motion(settings: ScanSettings, rng: np.random.Generator) -> Motion:
    direction = rng.standard_normal(3)
    shift = direction / np.linalg.norm(direction) * rng.uniform(*settings.motion_mm)
    axis = rng.standard_normal(3)
    return Motion(
        axis_kji=(float(axis[0]), float(axis[1]), float(axis[2])),
        angle_deg=float(rng.uniform(*settings.motion_deg)),
        translation_kji_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
        moment=float(rng.uniform(*settings.motion_moment)),
    )
