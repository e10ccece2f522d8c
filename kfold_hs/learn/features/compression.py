"""From power in mel bands to what a network can take: its logarithm, or PCEN."""

from __future__ import annotations

import math

import torch

from kfold_hs.config.schema import FeatureConfig

FLOOR_POWER = 2.0**-30
"""Power of one step of 16 bit, (1 / 32768)^2: about -90 dB."""


def log_level(power: torch.Tensor, config: FeatureConfig) -> torch.Tensor:
    """10 log10 of the power, in dB; digital silence is at `FLOOR_POWER`, not at minus infinity.

    Parameters
    ----------
    power : Tensor, shape (n_frames, n_mels)
    """
    return 10 * power.clamp_min(FLOOR_POWER).log10()


def pcen(power: torch.Tensor, config: FeatureConfig) -> torch.Tensor:
    """Per-channel energy normalisation: every band over its own recent past, then a root.

    Wang et al., "Trainable Frontend for Robust and Far-Field Keyword Spotting", ICASSP
    2017, eq. 1 and 2, with fixed parameters:

        M(t) = (1 - s) M(t - 1) + s E(t),  M(0) = E(0)
        PCEN = (E / (eps + M)^alpha + delta)^r - delta^r

    where E is the power, alpha `pcen_gain`, delta `pcen_bias`, r `pcen_root`, eps
    `pcen_floor`, and s = 1 - exp(-hop_s / `pcen_time_constant_s`): the paper's s = 0.025
    at frames of 10 ms is 0.395 s.

    Parameters
    ----------
    power : Tensor, shape (n_frames, n_mels)
    """
    from scipy import signal  # processes that only train do without

    share = 1 - math.exp(-config.hop_s / config.pcen_time_constant_s)
    energy = power.double().numpy()
    # The filter's state before frame 0 is such that M(0) = E(0).
    past, _ = signal.lfilter([share], [1, share - 1], energy, 0, zi=(1 - share) * energy[:1])
    gained = energy / (config.pcen_floor + past) ** config.pcen_gain
    bias, root = config.pcen_bias, config.pcen_root
    return torch.from_numpy((gained + bias) ** root - bias**root).float()


COMPRESSIONS = {"log": log_level, "pcen": pcen}
