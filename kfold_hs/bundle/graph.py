"""A bundle's models as one graph, from the samples of a recording to probabilities.

    samples (n_samples,) float32 in [-1, 1], at `features.sample_rate_hz`
    -> mirrored by n_fft // 2 at either end, Hann windows, power of every DFT bin: a convolution
       with the windowed cosines and sines, by stride `hop_samples`
    -> mel filters -> 10 log10 with a floor [-> mean 0, variance 1 over the recording]
    -> rounded to float16, as the bank of features is
    -> crops that cover the recording evenly [at every gain] -> network -> softmax
    -> `predict.crop_pool` over the crops

A frame branch is a graph of its own: the same features -> every band of mean 0 and variance 1 over
the recording -> network -> log softmax of every frame's classes. The path through them, the numbers
of it and stacking stay outside.

Outside stays what comes before: one channel, the rate, `features.band_pass_hz`,
`features.remove_spikes`; and what comes after, which takes several recordings of a patient: their
pooling and stacking, calibration, decisions, conformal sets, and who is known to the bundle.
Computed in float32, whatever `train.precision` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kfold_hs.cohort import Task
from kfold_hs.config.features import WaveformConfig
from kfold_hs.config.schema import Config, FeatureConfig
from kfold_hs.errors import BundleError
from kfold_hs.learn.features.mel import FLOOR_POWER, LEAST_SPREAD, MelFeatures
from kfold_hs.learn.frames.branch import FrameBranch
from kfold_hs.learn.frames.network import band_scale
from kfold_hs.learn.models.network import HeartSoundNet

INPUT = "samples"
LOG_PROBS = "log_probs"
Pool = Callable[[torch.Tensor, int], torch.Tensor]


def check_graph(config: Config, run: Path) -> None:
    """Refuse settings that one graph of a recording cannot hold.

    Raises
    ------
    BundleError
        With all of them.
    """
    found = []
    if config.train.level == "patient":
        found.append("train.level=patient pools crops of several recordings")
    if config.model.covariates:
        names = ",".join(config.model.covariates)
        found.append(f"model.covariates=[{names}] are no sound")
    if not isinstance(config.features, FeatureConfig | WaveformConfig):
        found.append(f"features={config.features.kind} is Python code of a plug-in")
    elif isinstance(config.features, FeatureConfig) and config.features.compression != "log":
        found.append(f"features.compression={config.features.compression} goes from frame to frame")
    if config.predict.n_shifts > 1:
        found.append(
            f"predict.n_shifts={config.predict.n_shifts} gives another number of crops where two "
            "fall on one frame"
        )
    tasks = list(config.data.tasks)
    outputs = [INPUT, *tasks, *(_each(name) for name in tasks)]
    if twice := [name for name in dict.fromkeys(outputs) if outputs.count(name) > 1]:
        found.append(f"its input and outputs are named after the tasks, and {twice} would be two")
    if found:
        raise BundleError(
            f"{run} cannot be made one graph from samples to probabilities: {'; '.join(found)}. "
            "Export it without --onnx and --pt2."
        )


def _each(task: str) -> str:
    """Name of the output that holds every model's probabilities."""
    return f"{task}.models"


class LogMel(nn.Module):
    """Samples (n_samples,) -> features (n_frames, n_mels), as `learn.features.mel` and the bank.

    The Fourier transform is a convolution with the windowed cosines and sines, since those that
    run graphs know convolutions best. Only the window's samples are multiplied, not the zeros
    that pad it to `n_fft`.
    """

    basis: torch.Tensor
    filters: torch.Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        width, n_fft = config.window_samples, config.n_fft
        self.hop, self.padding = config.hop_samples, n_fft // 2
        self.left = (n_fft - width) // 2  # of the zeros that are left out
        self.right = n_fft - width - self.left
        self.over_recording = config.normalise == "recording"
        taps = torch.arange(width, dtype=torch.float64)
        bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)
        angle = 2 * math.pi / n_fft * bins[:, None] * taps
        window = torch.hann_window(width, dtype=torch.float64)
        basis = torch.cat([angle.cos(), angle.sin()]) * window
        self.register_buffer("basis", basis[:, None].float())
        self.register_buffer("filters", MelFeatures(config.of_recordings).filters)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        wave = nn.functional.pad(samples[None, None], (self.padding, self.padding), "reflect")
        wave = wave[..., self.left : wave.shape[-1] - self.right]
        parts = nn.functional.conv1d(wave, self.basis, stride=self.hop)[0].square()
        real, imaginary = parts.chunk(2)
        power = (real + imaginary).T @ self.filters
        level = 10 * power.clamp_min(FLOOR_POWER).log10()
        return _kept(level, self.over_recording)


class Wave(nn.Module):
    """Samples (n_samples,) -> features (n_samples, 1), as `features=waveform` and the bank."""

    def __init__(self, config: WaveformConfig) -> None:
        super().__init__()
        self.over_recording = config.normalise == "recording"

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return _kept(samples[:, None], self.over_recording)


def _kept(level: torch.Tensor, over_recording: bool) -> torch.Tensor:
    """As the bank keeps it: of mean 0 and variance 1 where asked for, rounded to float16."""
    if over_recording:
        mean = level.mean()
        spread = (level - mean).square().mean().sqrt()
        level = torch.where(spread > LEAST_SPREAD, (level - mean) / spread, 0.0)
    return level.half().float()


class CropsOf(nn.Module):
    """Features (n_frames, n_mels) -> crops (n_crops, 1, n_mels, crop_frames).

    Where they start is `learn.prediction.crops.crop_starts`, in the same arithmetic.
    """

    gains_db: torch.Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.n_frames = config.train.crop_frames
        self.stride = max(1, round(self.n_frames * (1 - config.predict.crop_overlap)))
        self.register_buffer("gains_db", torch.tensor(config.predict.gains_db))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        length = frames.shape[0]
        n_frames = torch.full((), length)
        room = (n_frames - self.n_frames).clamp_min(0)
        last = (room + self.stride - 1).div(self.stride, rounding_mode="floor")
        # Tracing takes a number read from a tensor for one that may be anything, 1 included, and a
        # number computed from the input's shape for one that is never 1.
        count: Any = (last + 1).item()
        torch._check(count >= 1)
        step = room.double() / last.clamp_min(1)
        starts = (torch.arange(count, dtype=torch.float64) * step).round().long()
        at = (starts[:, None] + torch.arange(self.n_frames)) % n_frames
        crops = frames[at].transpose(1, 2)
        signal = crops[:, None] + self.gains_db.view(-1, 1, 1)[None]
        return signal.flatten(0, 1)[:, None]


class Graph(nn.Module):
    """Fold models of recordings: samples -> for every task the mean of the models, (C,), and
    with several models each one's, (n_models, C).
    """

    def __init__(self, config: Config, tasks: Sequence[Task], models: Sequence[HeartSoundNet]):
        super().__init__()
        self.features = _features_of(config)
        self.crops = CropsOf(config)
        self.models = nn.ModuleList(models)
        self.pool = POOLS[config.predict.crop_pool]
        self.positive = {task.name: task.positive_index for task in tasks}

    @property
    def names(self) -> list[str]:
        """Of what `forward` gives, in its order."""
        each = [_each(task) for task in self.positive] if len(self.models) > 1 else []
        return [*self.positive, *each]

    def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, ...]:
        crops = self.crops(self.features(samples))
        found: dict[str, list[torch.Tensor]] = {name: [] for name in self.positive}
        for model in self.models:
            for name, logits in model(crops).items():
                probs = logits.float().softmax(dim=1)
                found[name].append(self.pool(probs, self.positive[name]))
        each = {name: torch.stack(found[name]) for name in self.positive}
        means = [probs.mean(dim=0) for probs in each.values()]
        return (*means, *each.values()) if len(self.models) > 1 else tuple(means)


class FrameGraph(nn.Module):
    """A frame branch: samples -> log probabilities of every frame's classes, (n_frames, C), as
    `FrameBranch.log_probs`.
    """

    names = (LOG_PROBS,)

    def __init__(self, config: Config, branch: FrameBranch) -> None:
        super().__init__()
        self.features, self.net = _features_of(config), branch.net

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        frames = self.features(samples)
        mean, spread = band_scale(frames)
        logits: torch.Tensor = self.net(((frames - mean) / spread).T[None])[0]
        return logits.T.log_softmax(dim=1)


def _features_of(config: Config) -> nn.Module:
    features = config.features
    if isinstance(features, WaveformConfig):
        return Wave(features)
    assert isinstance(features, FeatureConfig)  # `check_graph`
    return LogMel(features)


# The rules of `kfold_hs.config.poolings`, for (n, C) tensors.


def _mean(probs: torch.Tensor, positive: int) -> torch.Tensor:
    return probs.mean(dim=0)


def _max(probs: torch.Tensor, positive: int) -> torch.Tensor:
    return _with_positive(probs, positive, probs[:, positive].amax(dim=0))


def _mean_max(probs: torch.Tensor, positive: int) -> torch.Tensor:
    scores = probs[:, positive]
    return _with_positive(probs, positive, (scores.mean(dim=0) + scores.amax(dim=0)) / 2)


def _mean_logit(probs: torch.Tensor, positive: int) -> torch.Tensor:
    return probs.clamp_min(1e-12).log().mean(dim=0).softmax(dim=0)


def _noisy_or(probs: torch.Tensor, positive: int) -> torch.Tensor:
    # The logarithm's sum and not a product, which exporters know for fixed sizes only; a site
    # that is sure gives exp(-inf), which is 0.
    silent = (1 - probs[:, positive]).log().sum(dim=0).exp()
    return _with_positive(probs, positive, 1 - silent)


def _any_site(probs: torch.Tensor, positive: int) -> torch.Tensor:
    others = torch.cat([probs[:, :positive], probs[:, positive + 1 :]], dim=1)
    lead = probs[:, positive] - others.amax(dim=1)
    return probs.index_select(0, lead.argmax(dim=0, keepdim=True))[0]


def _with_positive(probs: torch.Tensor, positive: int, value: torch.Tensor) -> torch.Tensor:
    pooled = probs.mean(dim=0)
    rest = pooled.sum() - pooled[positive]
    scaled = torch.where(rest > 0, pooled * (1 - value) / rest, pooled)
    mine = torch.arange(len(pooled)) == positive
    whole = torch.where(mine, value, scaled)
    return whole / whole.sum()


POOLS: dict[str, Pool] = {
    "mean": _mean,
    "mean_logit": _mean_logit,
    "max": _max,
    "mean_max": _mean_max,
    "noisy_or": _noisy_or,
    "any_site": _any_site,
}
