"""Swings of a feeder's power, against waves whose strength is known."""

import math

import numpy as np
import pytest

from rules.arrays import Floats
from rules.models.oscillation import Oscillation, oscillation

RATE = 100.0
SECONDS = 60.0
MEAN = 7.5e6


def wave(*lines: tuple[float, float], seconds: float = SECONDS) -> Floats:
    """Mean power with waves of (frequency, amplitude over the mean)."""
    at = np.arange(int(seconds * RATE)) / RATE
    watts = np.full(len(at), MEAN)
    for hertz, amplitude in lines:
        watts += MEAN * amplitude * np.sin(2 * np.pi * hertz * at + hertz)
    return watts


@pytest.mark.parametrize("hertz", [0.4, 1.0, 2.33, 7.0, 19.0])
def test_one_wave_has_its_amplitude_over_root_two(hertz: float) -> None:
    assert oscillation(wave((hertz, 0.03)), RATE).band_ratio == pytest.approx(0.03 / math.sqrt(2), rel=0.02)


def test_waves_add_as_squares() -> None:
    found = oscillation(wave((0.5, 0.03), (5.0, 0.04)), RATE)
    assert found.band_ratio == pytest.approx(0.05 / math.sqrt(2), rel=0.02)


def test_outside_the_band_nothing_counts() -> None:
    assert oscillation(wave((30.0, 0.05), (45.0, 0.05)), RATE).band_ratio < 1e-4
    slow = oscillation(wave((0.02, 0.05), seconds=300.0), RATE)
    assert slow.band_ratio < 0.002


def test_a_ramp_is_no_oscillation() -> None:
    ramp = MEAN * np.linspace(0.9, 1.1, int(SECONDS * RATE))
    assert oscillation(ramp, RATE).band_ratio < 1e-6


def test_the_strongest_line_is_found_with_its_frequency() -> None:
    found = oscillation(wave((0.4, 0.02), (1.3, 0.01), (8.0, 0.06)), RATE)
    assert found.peak_ratio == pytest.approx(0.02 / math.sqrt(2), rel=0.03)
    assert found.peak_hertz == pytest.approx(0.4, abs=1 / SECONDS)


def test_noise_spread_over_the_band_has_no_peak_to_speak_of() -> None:
    noise = MEAN * (1.0 + 0.03 * np.random.default_rng(4).standard_normal(int(SECONDS * RATE)))
    found = oscillation(noise, RATE)
    assert found.band_ratio == pytest.approx(0.03 * math.sqrt(19.9 / 50.0), rel=0.1)
    assert found.peak_ratio < found.band_ratio / 3


def test_a_few_missing_samples_are_bridged_many_are_not() -> None:
    watts = wave((1.0, 0.03))
    watts[100:150] = np.nan
    assert oscillation(watts, RATE).band_ratio == pytest.approx(0.03 / math.sqrt(2), rel=0.05)
    watts[:400] = np.nan
    assert is_unknown(oscillation(watts, RATE))


def test_too_short_or_without_load_it_says_nothing() -> None:
    assert is_unknown(oscillation(wave((1.0, 0.03), seconds=29.0), RATE))
    assert is_unknown(oscillation(np.zeros(6_000), RATE))


def test_polled_values_are_refused() -> None:
    with pytest.raises(ValueError, match="do not show 20 Hz"):
        oscillation(wave((1.0, 0.03)), 39.0)


def is_unknown(found: Oscillation) -> bool:
    return math.isnan(found.band_ratio) and math.isnan(found.peak_ratio) and math.isnan(found.peak_hertz)
