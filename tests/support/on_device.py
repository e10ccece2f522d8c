"""Training steps on one device, to be held against the same steps on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.losses import LOSSES
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.device import exactness
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.setup import Training
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.splits import stratify

PLAIN = ["train.precision=float32", "model.dropout=0", "augment=none", "track=[]"]
"""Nothing is drawn by the device itself, whose random numbers are others than the CPU's."""

STEPS: dict[str, list[str]] = {
    **{f"loss {name}": [f"loss={name}"] for name in LOSSES},
    "balanced weights": ["loss.class_weights=balanced"],
    "ordinal smoothing": ["loss.ordinal_smoothing=true", "loss.label_smoothing=0.1"],
    "uncertain labels dropped": ["data.tasks.murmur.uncertain=Unknown", "train.uncertain=drop"],
    "mixup": ["augment.mixup_alpha=0.4"],
    "cutmix of frames": ["augment.cutmix_alpha=1"],
    "cutmix of bands": ["augment.cutmix_alpha=1", "augment.cutmix_axis=band"],
    "masks": ["augment.time_masks=1", "augment.time_mask_frames=8", "augment.band_masks=1",
              "augment.band_mask_bands=4"],
    "noise, gain, stops, stretch": ["features.normalise=band", "augment.noise_share=0.5",
              "augment.gain_db=6", "augment.band_stops=1", "augment.band_stop_bands=3",
              "augment.stretch=0.2"],
    "accumulation": ["train.accumulate=2"],
    "exponential average": ["train.average=ema", "train.average_decay=0.9"],
    "average of epochs": ["train.average=swa", "train.average_start=0.1"],
    "patients": ["train.level=patient", "train.sites_per_patient=2", "augment.mixup_alpha=0.4"],
    "growing crops and bands": ["train.first_crop_frames=16", "train.first_n_mels=8"],
    "covariates": ["model.covariates=[age]", "augment.mixup_alpha=0.4"],
    "binary heads": ["model.heads=binary"],
    "joint heads, attention, deltas": ["model.heads=joint", "model.pool=attention",
                                       "model.deltas=1"],
}  # fmt: skip
"""Settings of a training step, by what is tried with them."""


def fold_on(cohort: Cohort, settings: Config, device: torch.device) -> Fold:
    """The first of two folds, with its features on a device."""
    config = settings.on(device.type)
    inputs = RunInputs(cohort, stratify(cohort, 2, 0))
    bank = banks.build(cohort, config.features)
    context = RunContext(config, inputs, RunPaths("run"), {"config": "d"}, device, bank)
    return context.on_device().fold(FoldId(0, 0, 0))


@dataclass(frozen=True)
class Trained:
    """Losses of every batch, gradients of the first step and weights at the end; on the CPU."""

    losses: torch.Tensor
    gradients: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]
    averaged: dict[str, torch.Tensor]


def trained(
    cohort: Cohort, settings: Config, device: torch.device, epochs: int = 1, hooks: bool = True
) -> Trained:
    """Train the first fold for some epochs.

    `hooks`: look at the gradients, which a recorded or compiled step does not allow.
    """
    fold = fold_on(cohort, settings, device)
    with exactness(fold.config.train, device):
        training = Training.of(fold)
        gradients: dict[str, torch.Tensor] = {}
        if hooks:
            _watch(training.model, fold.config.train.accumulate, gradients)
        losses = epochs_of(training, epochs)
    averaged = training.averaged.model if training.averaged is not None else training.model
    return Trained(losses, gradients, state(training.model), state(averaged))


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: cpu(x) for name, x in model.state_dict().items()}


def epochs_of(training: Training, n: int) -> torch.Tensor:
    """The losses of every batch of `n` epochs."""
    found: list[torch.Tensor] = []
    past: list[float] = []
    for epoch in range(n):
        each = train_epoch(training, epoch, past)
        found += each
        past.append(float(torch.stack(each).mean()))
    return cpu(torch.stack(found))


def _watch(model: torch.nn.Module, accumulate: int, into: dict[str, torch.Tensor]) -> None:
    """Keep what the first step adds up, before it is clipped."""
    left = dict.fromkeys((name for name, _ in model.named_parameters()), accumulate)

    def keep(name: str, parameter: torch.Tensor) -> None:
        if left[name] and parameter.grad is not None:
            into[name] = cpu(parameter.grad)
            left[name] -= 1

    for name, parameter in model.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda p, name=name: keep(name, p))


def cpu(x: torch.Tensor) -> torch.Tensor:
    return x.detach().to("cpu", torch.float64, copy=True)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-12))


def gradient_difference(
    one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]
) -> tuple[float, str]:
    """The worst relative difference of a parameter's gradient, and the parameter's name.

    By norm. Gradients that are zero but for rounding, such as of a bias before a batch
    normalisation, count relative to a thousandth of all gradients' norm.

    Raises
    ------
    AssertionError
        Not the same parameters have gradients, or all are zero.
    """
    assert one.keys() == other.keys(), sorted(one.keys() ^ other.keys())
    whole = torch.stack([g.norm() for g in other.values()]).norm()
    assert whole > 0, "no parameter has a gradient"
    found = {
        name: float((one[name] - g).norm() / torch.maximum(g.norm(), 1e-3 * whole))
        for name, g in other.items()
    }
    worst = max(found, key=lambda name: found[name])
    return found[worst], worst


def check_same_step(
    cohort: Cohort, settings: Config, device: torch.device, most: float = 1e-3
) -> tuple[float, float]:
    """A step on the CPU and on `device`: relative differences of losses and of gradients.

    Raises
    ------
    AssertionError
        One is above `most`.
    """
    n = settings.train.accumulate
    here, there = (trained(cohort, settings, each) for each in (torch.device("cpu"), device))
    losses = difference(there.losses[:n], here.losses[:n])
    gradients, name = gradient_difference(there.gradients, here.gradients)
    assert losses < most, f"losses {there.losses[:n]} and on the CPU {here.losses[:n]}"
    assert gradients < most, f"the gradient of {name} differs by {gradients:.2g} of its norm"
    return losses, gradients


def check_same_training(one: Trained, other: Trained, most: float) -> float:
    """Losses, weights and averaged weights: the largest relative difference.

    Raises
    ------
    AssertionError
        It is above `most`, or there are not as many losses.
    """
    assert len(one.losses) == len(other.losses)
    found = {"losses": difference(one.losses, other.losses)}
    for what in ("weights", "averaged"):
        mine, theirs = vars(one)[what], vars(other)[what]
        found |= {f"{what} of {name}": difference(mine[name], theirs[name]) for name in theirs}
    worst = max(found, key=lambda name: found[name])
    assert found[worst] <= most, f"{worst}: they differ by {found[worst]:.2g} of the largest"
    return found[worst]


def check_optimizer(cohort: Cohort, settings: Config, device: torch.device) -> float:
    """The first step is AdamW's: by torch's plain one in float64, from the same gradients.

    Returns
    -------
    float
        The largest difference of a weight, in steps of a rate of learning.

    Raises
    ------
    AssertionError
        It is above 0.001 steps and what float32 rounds.
    """
    fold = fold_on(cohort, settings, device)
    gradients: dict[str, torch.Tensor] = {}
    with exactness(fold.config.train, device):
        training = Training.of(fold)
        _watch(training.model, fold.config.train.accumulate, gradients)
        before = state(training.model)
        assert training.plan.n_steps == 1, "an epoch of one step is needed"
        train_epoch(training, 0, [])
    after, config = state(training.model), fold.config.optim
    wanted = {name: before[name].clone().requires_grad_() for name in gradients}
    norm = torch.stack([g.norm() for g in gradients.values()]).norm()
    clip = min(1.0, fold.config.train.grad_clip / float(norm))
    for name, weight in wanted.items():
        weight.grad = clip * gradients[name]
    groups = [
        {"params": [w for w in wanted.values() if (w.ndim > 1) is is_filter], "weight_decay": decay}
        for is_filter, decay in ((True, config.weight_decay), (False, 0.0))
    ]
    lr = training.optimizer.param_groups[0]["lr"]
    torch.optim.AdamW(
        groups, lr=float(lr), betas=(config.beta1, config.beta2), fused=False, foreach=False
    ).step()
    worst = 0.0
    for name, weight in wanted.items():
        there = weight.detach()
        rounded = 2.0**-23 * float(there.abs().max())
        off = max(0.0, float((after[name] - there).abs().max()) - rounded) / float(lr)
        assert off < 1e-3, f"{name} is {off:.2g} steps from where AdamW goes"
        worst = max(worst, off)
    return worst


def check_average(cohort: Cohort, settings: Config, device: torch.device) -> float:
    """The exponential average is that of Polyak & Juditsky, with the warm-up of `Average`.

    Returns
    -------
    float
        The largest relative difference of a tensor.

    Raises
    ------
    AssertionError
        It is above 1e-6.
    """
    fold = fold_on(cohort, settings, device)
    decay = fold.config.train.average_decay
    with exactness(fold.config.train, device):
        training = Training.of(fold)
        assert training.plan.n_steps == 1, "an epoch of one step is needed"
        assert training.averaged is not None
        wanted = state(training.model)
        for n in range(3):
            train_epoch(training, n, [1.0] * n)
            share = 1 - min(decay, (1 + n) / (10 + n))
            now = state(training.model)
            wanted = {name: x + share * (now[name] - x) for name, x in wanted.items()}
    found = state(training.averaged.model)
    floats = {n for n, x in training.model.state_dict().items() if x.is_floating_point()}
    worst = max(difference(found[name], wanted[name]) for name in floats)
    assert worst < 1e-6, f"the average differs by {worst:.2g}"
    return worst
