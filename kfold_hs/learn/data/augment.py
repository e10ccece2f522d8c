"""Augmentation of a whole batch at once: gain, masks, mixup and CutMix on features.

A masked cell is set to what says least, a mean: see `neutral`.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from kfold_hs.config.schema import AugmentConfig
from kfold_hs.config.training import AUGMENTATIONS
from kfold_hs.errors import ConfigError
from kfold_hs.learn.device import to_device


def neutral(x: torch.Tensor, normalise: str, band_mean: torch.Tensor | None) -> torch.Tensor:
    """What says nothing, broadcast to `x`: with features.normalise=recording the recording's
    mean, which is 0; with band that of the band over the training people; with none the crop's.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames)
    band_mean : Tensor, shape (n_mels, 1), optional
        There with band.
    """
    if band_mean is not None:
        return band_mean
    return x.mean(dim=(2, 3), keepdim=True) if normalise == "none" else x.new_zeros(1)


def mask(
    x: torch.Tensor,
    config: AugmentConfig,
    rng: np.random.Generator,
    fill: torch.Tensor,
) -> torch.Tensor:
    """Time and band masks of random width and place, each example its own.

    Park et al., "SpecAugment", Interspeech 2019, without time warping.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames)
    rng : numpy Generator
        Widths are uniform in 0..widest, starts uniform where the mask fits.
    fill : Tensor, broadcast to x
        What a masked cell is set to.
    """
    n_mels, n_frames = x.shape[2:]
    stretches = [
        _stretch(x, axis, min(widest, size), rng)
        for count, widest, size, axis in (
            (config.time_masks, config.time_mask_frames, n_frames, 3),
            (config.band_masks, config.band_mask_bands, n_mels, 2),
        )
        for _ in range(count)
    ]
    return _fill(x, stretches, fill)


def band_stop(x: torch.Tensor, config: AugmentConfig, rng: np.random.Generator) -> torch.Tensor:
    """Stretches of bands of random width and place at the quietest level of the crop.

    As if a sensor let nothing of them through, where a mask of `mask` says that nothing is
    known. Widths are uniform in 0..`band_stop_bands`.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames)
        As they come from the bank: before bands are scaled.
    """
    if not config.band_stops:
        return x
    floor, widest = x.amin(dim=(2, 3), keepdim=True), min(config.band_stop_bands, x.shape[2])
    return _fill(x, [_stretch(x, 2, widest, rng) for _ in range(config.band_stops)], floor)


def gain(x: torch.Tensor, config: AugmentConfig, rng: np.random.Generator) -> torch.Tensor:
    """Each crop louder or softer, uniform in -`gain_db` to `gain_db`.

    Added to the levels: what a gain would push above full scale is not clipped, and what it
    would push below the floor of 16 bit does not stay there.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames), in dB
    """
    if not config.gain_db:
        return x
    drawn = rng.uniform(-config.gain_db, config.gain_db, len(x)).astype(np.float32)
    return x + to_device(drawn, x.device).view(-1, 1, 1, 1)


def extra(
    x: torch.Tensor, config: AugmentConfig, rng: np.random.Generator, is_first: bool = True
) -> torch.Tensor:
    """What plug-ins do to crops, one after another.

    Their numbers are looked at in each batch on the CPU, and in the first one (`is_first`) on a
    GPU, which would have to wait for them.

    Raises
    ------
    ConfigError
        One gives another shape, or numbers that are not finite.
    """
    for settings in config.extra:
        build = AUGMENTATIONS.of(settings).build
        assert build is not None
        found = build(x, rng, settings)
        looked_at = is_first or x.device.type == "cpu"
        if found.shape != x.shape or (looked_at and not found.isfinite().all()):
            raise ConfigError(
                f"the augmentation {settings.kind!r} made crops of shape {tuple(x.shape)} into "
                f"{tuple(found.shape)}, or numbers that are not finite: it must keep the shape."
            )
        x = found.to(x.dtype)
    return x


def _stretch(x: torch.Tensor, axis: int, widest: int, rng: np.random.Generator) -> torch.Tensor:
    """Which cells lie in a stretch of 0..`widest` along `axis`, of each example its own."""
    n, size = len(x), x.shape[axis]
    draw = rng.random((2, n))
    width = np.floor(draw[0] * (widest + 1))
    start = np.floor(draw[1] * (size - width + 1))
    bounds = to_device(np.stack([start, start + width]), x.device).view(2, n, 1, 1, 1)
    place = torch.arange(size, device=x.device)
    place = place.view([size if i == axis else 1 for i in range(4)])
    return (place >= bounds[0]) & (place < bounds[1])


def _fill(x: torch.Tensor, stretches: list[torch.Tensor], fill: torch.Tensor) -> torch.Tensor:
    """`x` with what lies in any of the stretches replaced, in one pass over it."""
    if not stretches:
        return x
    kept = functools.reduce(torch.mul, [(~inside).float() for inside in stretches])
    return torch.lerp(fill, x, kept)  # 0 and 1 give the ends exactly; `where` is many times slower


def mixup(
    x: torch.Tensor, targets: dict[str, torch.Tensor], alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Convex combinations of pairs of examples and of their targets.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018: shares from
    Beta(alpha, alpha), one an example; partners by a random permutation of the batch.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames)
    targets : dict of Tensor, each (n, C)
    alpha : float
        0 leaves everything as it is.
    """
    if alpha == 0:
        return x, targets
    n = len(x)
    share = to_device(rng.beta(alpha, alpha, n).astype(np.float32), x.device)
    partner = to_device(rng.permutation(n), x.device)
    mixed = {
        name: q.index_select(0, partner).lerp_(q, share.view(n, 1)) for name, q in targets.items()
    }
    return x.index_select(0, partner).lerp_(x, share.view(n, 1, 1, 1)), mixed


def cutmix(
    x: torch.Tensor,
    targets: dict[str, torch.Tensor],
    alpha: float,
    axis: str,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A stretch of each example, of frames or of bands, is that of another one.

    Yun et al., "CutMix", ICCV 2019, with a stretch across the whole other axis in place
    of a box: its share of the axis comes from Beta(alpha, alpha), and the targets mix by the share
    that was really exchanged.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames)
    targets : dict of Tensor, each (n, C)
    alpha : float
        0 leaves everything as it is.
    axis : "time" or "band"
    """
    if alpha == 0:
        return x, targets
    n, size = len(x), x.shape[3 if axis == "time" else 2]
    width = np.round(rng.beta(alpha, alpha, n) * size)
    start = np.floor(rng.random(n) * (size - width + 1))
    partner = to_device(rng.permutation(n), x.device)
    bounds = to_device(np.stack([start, start + width]), x.device)
    place = torch.arange(size, device=x.device)
    shape = [1, 1, 1, size] if axis == "time" else [1, 1, size, 1]
    inside = (place.view(shape) >= bounds[0].view(n, 1, 1, 1)) & (
        place.view(shape) < bounds[1].view(n, 1, 1, 1)
    )
    share = to_device((width / size).astype(np.float32), x.device).view(n, 1)
    mixed = {name: (1 - share) * q + share * q[partner] for name, q in targets.items()}
    return torch.lerp(x, x.index_select(0, partner), inside.float()), mixed


def speeds(
    n: int, stretch: float, rng: np.random.Generator, device: torch.device
) -> torch.Tensor | None:
    """Time stretch: how fast each of `n` crops plays, uniform in 1 - stretch to 1 + stretch."""
    if not stretch:
        return None
    return to_device(rng.uniform(1 - stretch, 1 + stretch, n), device)
