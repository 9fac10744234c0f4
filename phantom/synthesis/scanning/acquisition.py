"""Slice profile, truncation and interpolation: what sampling does along each axis, as one small matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from phantom.fields import Floats

Matrix = NDArray[np.float32]

LEAST_BLUR = 1e-4
"""Voxels; stands for no blur where one is divided by."""

FWHM_PER_SIGMA = 2.3548
"""Full width at half maximum of a Gaussian of standard deviation 1."""

LEAST_NOISE_SIGMA = 0.2
"""Samples; a narrower filter changes nothing."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis of a volume is sampled. Lengths are in voxels of the canonical grid.

    Parameters
    ----------
    spacing
        Distance between the samples, and their thickness.
    offset
        Position of the first sample, from -spacing / 2 to spacing / 2.
    blur
        Standard deviation of the point spread besides the thickness.
    kept
        Share of k-space kept; less than 1 rings at edges.
    order
        Of the interpolation back to the grid: 1 linear, 3 cubic spline.
    """

    spacing: float = 1.0
    offset: float = 0.0
    blur: float = 0.0
    kept: float = 1.0
    order: int = 1

    def response(self, size: int) -> Matrix:
        """Return the (size, size) matrix of a signal that is sampled and interpolated back."""
        return self.interpolation(size) @ self.sampling(size)

    def noise_shaping(self, size: int, fwhm: float) -> Matrix:
        """Return the (size, n) matrix that makes of n values of white noise that of interpolated samples.

        Samples have noise of standard deviation 1 that is correlated over ``fwhm`` voxels. The matrix is a
        square root of the covariance of their interpolation, with at most as many values as voxels: what is
        sampled finely costs no more than what is not.
        """
        shaping = self.interpolation(size) @ _correlation(self._count(size), fwhm / self.spacing)
        _, root = np.linalg.qr(shaping.T)
        return np.asarray(root.T)

    def sampling(self, size: int) -> Matrix:
        """Return the (samples, size) matrix that averages voxels over the profile of each sample.

        The profile is a box blurred by a Gaussian, integrated over every voxel.
        """
        sigma = max(self.blur, LEAST_BLUR)
        edges = np.arange(size + 1) - 0.5
        centres = self.offset + self.spacing * np.arange(self._count(size))
        rise = _integral_of_step(edges, centres[:, None] - self.spacing / 2, sigma)
        fall = _integral_of_step(edges, centres[:, None] + self.spacing / 2, sigma)
        weights = np.diff(rise - fall, axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
        if self.kept < 1:
            weights = weights @ _truncation(size, self.kept)
        return np.asarray(weights, dtype=np.float32)

    def interpolation(self, size: int) -> Matrix:
        """Return the (size, samples) matrix that interpolates the samples at every voxel."""
        count = self._count(size)
        positions = (np.arange(size) - self.offset) / self.spacing
        where = np.stack(np.broadcast_arrays(positions[:, None], np.arange(count)[None, :]))
        kernel = ndimage.map_coordinates(np.eye(count), where, order=self.order, mode="mirror")
        return np.asarray(kernel, dtype=np.float32)

    def _count(self, size: int) -> int:
        return int((size - 1 - self.offset) / self.spacing + 0.5) + 1


def apply_along(matrix: Matrix, volume: Floats, axis: int) -> Floats:
    """Multiply a matrix to one axis of a volume."""
    match axis:
        case 0:
            product = matrix @ volume.reshape(volume.shape[0], -1)
            return np.asarray(product.reshape(-1, *volume.shape[1:]))
        case 1:
            return np.asarray(np.matmul(matrix, volume))
        case _:
            return np.asarray(volume @ matrix.T)


def _integral_of_step(
    x: NDArray[np.floating], centre: NDArray[np.floating], sigma: float
) -> NDArray[np.float64]:
    """Integrate the normal distribution function about a centre up to x."""
    z = (x - centre) / sigma
    return np.asarray(sigma * (z * special.ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)))


def _correlation(count: int, fwhm: float) -> Matrix:
    """Return the (count, count) matrix of a Gaussian filter that keeps the variance of white noise."""
    sigma = fwhm / FWHM_PER_SIGMA
    if sigma < LEAST_NOISE_SIGMA:
        return np.eye(count, dtype=np.float32)
    distance = np.subtract.outer(np.arange(count), np.arange(count)) / sigma
    kernel = np.exp(-(distance**2) / 2)
    return np.asarray(kernel / np.sqrt((kernel**2).sum(axis=1, keepdims=True)), dtype=np.float32)


def _truncation(size: int, kept: float) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(np.eye(size), axis=0)
    spectrum[int(np.ceil(kept * len(spectrum))) :] = 0
    return np.asarray(np.fft.irfft(spectrum, size, axis=0))
