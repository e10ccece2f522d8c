"""What is done to a recording's samples before its spectrogram: band-pass, removal of spikes."""

from __future__ import annotations

import numpy as np

FILTER_ORDER = 2
SPIKE_WINDOW_S = 0.5
SPIKE_RATIO = 3.0


def band_pass(samples: np.ndarray, rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Butterworth band-pass, run forwards and backwards, so that nothing moves in time.

    Each edge is of second order and counts twice: 6 dB down at the edge, 24 dB an octave
    beyond it. 25 to 400 Hz, so filtered, is what Springer et al., "Logistic
    Regression-HSMM-Based Heart Sound Segmentation", IEEE Trans. Biomed. Eng. 63(4), 2016,
    take before they look for heart sounds.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,)
    rate_hz : int
    low_hz, high_hz : float
        0 < low_hz < high_hz < rate_hz / 2.

    Returns
    -------
    ndarray, shape (n_samples,), float64
    """
    from scipy import signal  # processes that only train do without

    sections = signal.butter(FILTER_ORDER, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
    # A period of the lowest frequency is mirrored at either end, for the filter to settle in.
    padding = min(len(samples) - 1, round(rate_hz / low_hz))
    return np.asarray(
        signal.sosfiltfilt(sections, samples.astype(np.float64), padlen=padding), dtype=np.float64
    )


def remove_spikes(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Zeros in place of spikes: knocks and rubbing that stand far above the heart sounds.

    Schmidt et al., "Segmentation of heart sound recordings by a duration-dependent hidden
    Markov model", Physiol. Meas. 31(4), 2010, section 2.2: in windows of 500 ms the
    maximum absolute amplitude (MAA) is found. While one is above three times the median of all,
    the spike whose top it is, from the last zero-crossing before it to the first one after it, is
    set to zero.

    The paper leaves open what is left over at the end, which here belongs to the last window, and
    recordings that are silent for more than half of their windows: the median says nothing
    about their sounds, and they stay as they are.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,)
    rate_hz : int

    Returns
    -------
    ndarray, shape (n_samples,), of the same type
    """
    width = max(1, round(SPIKE_WINDOW_S * rate_hz))
    begins = np.arange(max(1, len(samples) // width)) * width
    ends = np.append(begins[1:], len(samples))
    cleaned = samples.copy()
    size = np.abs(cleaned)
    heights = np.maximum.reduceat(size, begins)
    # Where the sign changes; a removed spike's zeros lie between two such places already.
    crossings = np.flatnonzero(np.diff(np.sign(samples))) + 1
    crossings = np.concatenate([[0], crossings, [len(samples)]])
    while 0 < SPIKE_RATIO * np.median(heights) < heights.max():
        window = int(heights.argmax())
        top = begins[window] + int(size[begins[window] : ends[window]].argmax())
        after = int(np.searchsorted(crossings, top, side="right"))
        start, stop = crossings[after - 1], crossings[after]
        cleaned[start:stop] = size[start:stop] = 0
        # A slow spike can reach into the windows beside its own.
        touched = slice(
            np.searchsorted(begins, start, side="right") - 1, np.searchsorted(begins, stop)
        )
        for each in range(touched.start, touched.stop):
            heights[each] = size[begins[each] : ends[each]].max()
    return cleaned
