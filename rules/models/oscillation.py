"""How much a feeder's power swings between 0.1 and 20 Hz, and whether one frequency stands out. Pure.

Training in step swings megawatts at the rhythm of its iterations; turbines and the grid answer to some of these rhythms.
20 Hz are seen from 40 samples a second on, so this takes waveforms of a power-quality meter, never polled values.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats

BAND_HERTZ: Final = (0.1, 20.0)
"""The band that utilities limit for large computing loads (Microsoft, OpenAI, NVIDIA: power stabilisation for training)."""
PEAK_BAND_HERTZ: Final = (0.1, 2.5)
"""Where inter-area and plant modes lie: a narrow peak there is worse than the same swing spread out."""
LEAST_SECONDS: Final = 30.0
"""Three turns of the slowest frequency; less tells it from the mean no more."""
MOST_MISSING: Final = 0.05
"""Share of samples that may be missing (drawn as straight lines between their neighbours): a default to tune."""
_LOBE: Final = 2
"""Bins to each side over which a Hann window spreads one frequency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillation:
    """What one stretch of a feeder's power shows; all NaN where it cannot be judged."""

    band_ratio: float
    """RMS between 0.1 and 20 Hz, over the mean."""
    peak_ratio: float
    """RMS of the strongest single frequency between 0.1 and 2.5 Hz, over the mean."""
    peak_hertz: float
    """That frequency."""


UNKNOWN: Final = Oscillation(band_ratio=np.nan, peak_ratio=np.nan, peak_hertz=np.nan)


def oscillation(watts: Floats, samples_per_second: float) -> Oscillation:
    """Judge evenly spaced samples of one feeder; missing ones are NaN.

    Raises `ValueError` where the samples are too slow for the band. `UNKNOWN` where they are too few, too many are missing,
    or the mean is not above 0.
    """
    if samples_per_second < 2 * BAND_HERTZ[1]:
        raise ValueError(f"{samples_per_second:g} samples a second do not show {BAND_HERTZ[1]:g} Hz, try 100")
    if len(watts) < LEAST_SECONDS * samples_per_second:
        return UNKNOWN
    missing = np.isnan(watts)
    if missing.mean() > MOST_MISSING:
        return UNKNOWN
    whole = _filled(watts, missing)
    mean = float(whole.mean())
    if mean <= 0:
        return UNKNOWN
    frequencies, variances = _spectrum(whole, samples_per_second)
    peak, hertz = _peak(frequencies, variances)
    band = variances[_within(frequencies, BAND_HERTZ)].sum()
    return Oscillation(band_ratio=float(np.sqrt(band)) / mean, peak_ratio=peak / mean, peak_hertz=hertz)


def _filled(watts: Floats, missing: Bools) -> Floats:
    if not missing.any():
        return watts
    at = np.arange(len(watts), dtype=np.float64)
    return np.interp(at, at[~missing], watts[~missing])


def _spectrum(watts: Floats, samples_per_second: float) -> tuple[Floats, Floats]:
    """Frequencies, and the variance in each bin: a trend is no oscillation, and a window keeps its ends out of the band."""
    count = len(watts)
    at = np.arange(count, dtype=np.float64)
    level = watts - np.polynomial.Polynomial.fit(at, watts, 1)(at)
    window = np.hanning(count)
    spectrum = np.abs(np.fft.rfft(level * window)) ** 2
    variances: Floats = 2.0 * spectrum / (count * float((window**2).sum()))
    frequencies: Floats = np.arange(len(variances), dtype=np.float64) * (samples_per_second / count)
    return frequencies, variances


def _peak(frequencies: Floats, variances: Floats) -> tuple[float, float]:
    """RMS and frequency of the strongest line, with what the window spread over its neighbours."""
    (bins,) = np.nonzero(_within(frequencies, PEAK_BAND_HERTZ))
    top = int(bins[np.argmax(variances[bins])])
    lobe = variances[max(top - _LOBE, 0) : top + _LOBE + 1]
    return float(np.sqrt(lobe.sum())), float(frequencies[top])


def _within(frequencies: Floats, band: tuple[float, float]) -> Bools:
    return (frequencies >= band[0]) & (frequencies <= band[1])
