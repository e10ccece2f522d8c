"""A batch's gradients and what follows them: as it is, compiled, or recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from kfold_hs.config.schema import Config
from kfold_hs.learn.cuda_graphs import Recorder
from kfold_hs.learn.device import autocast, check_device, device_kind
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.training.optimizer import Average

COVARIATES, PRESENT = " covariates", " present"
"""Names of what stands beside the targets of a batch; no task can be called so."""
_X = " x"


class Part(NamedTuple):
    """Which part of a step a batch is.

    Parameters
    ----------
    n_bands : int
        In how many bands crops are heard.
    n_together : int
        Gradients are divided by it: so many batches make a step of the optimizer.
    is_last : bool
        The optimizer's step follows.
    """

    n_bands: int
    n_together: int = 1
    is_last: bool = True


class Update:
    """What follows the gradients of a step: clipping, the optimizer, the mean of the weights.

    Parameters
    ----------
    averaged : Average or None
        Moved after every step.
    keeps_gradients : bool
        Set them to zero, where they lie, instead of removing them.
    """

    def __init__(
        self,
        config: Config,
        model: HeartSoundNet,
        optimizer: torch.optim.Optimizer,
        averaged: Average | None,
        keeps_gradients: bool = False,
    ) -> None:
        self._model, self._optimizer, self._averaged = model, optimizer, averaged
        self._grad_clip, self._keeps = config.train.grad_clip, keeps_gradients
        self._beta2 = config.optim.beta2
        self._share: float | torch.Tensor = 0.0
        if averaged is not None and config.train.backend == "cuda_graphs":
            self._share = torch.zeros((), device=next(model.parameters()).device)

    def prepare(self, lr: float, beta1: float) -> None:
        """What the step to come takes from the host; recorded steps read it from the device."""
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
            group["betas"] = (beta1, self._beta2)
        if self._averaged is None:
            return
        share = self._averaged.next_share()
        if isinstance(self._share, torch.Tensor):
            self._share.fill_(share)
        else:
            self._share = share

    def __call__(self) -> None:
        """On the device alone: nothing here waits for it, nothing is read from the host."""
        if self._grad_clip:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._grad_clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=not self._keeps)
        if self._averaged is not None:
            self._averaged.move(self._model, self._share)

    def tensors(self) -> Iterator[torch.Tensor]:
        """All that it changes, but for gradients."""
        yield from self._model.parameters()
        for state in self._optimizer.state.values():
            yield from (each for each in state.values() if isinstance(each, torch.Tensor))
        if self._averaged is not None:
            yield from self._averaged.model.parameters()
            yield from self._averaged.model.buffers()


class Step:
    """Calling it trains on a batch.

    With train.backend=compile the network is compiled at its first batch. With cuda_graphs all
    that a batch of a shape does is recorded once and then replayed: forward, loss, backward and,
    after the last batch of a step, clipping, optimizer and the mean of the weights. A momentum
    that changes from step to step would be recorded as it was: then the update is not recorded.

    Parameters
    ----------
    optimizer : Optimizer
        As `learn.training.optimizer.make_optimizer` makes it.
    averaged : Average or None
        A mean of the weights that is moved after every step.

    Raises
    ------
    ConfigError
        CUDA graphs are asked for and the device is not CUDA.
    """

    def __init__(
        self,
        config: Config,
        model: HeartSoundNet,
        losses: TaskLosses,
        optimizer: torch.optim.Optimizer,
        averaged: Average | None = None,
    ) -> None:
        self._device = next(model.parameters()).device
        check_device(config.on(device_kind(self._device)))
        self._model, self._losses = model, losses
        self._precision = config.train.precision
        self._forward: Callable[..., dict[str, torch.Tensor]] = model
        if config.train.backend == "compile":
            from kfold_hs.learn.training.compiled import compiled

            self._forward = compiled(model, getattr(config.model, "backbone", config.model.kind))
        self._recorder: Recorder | None = None
        self._records_update = True
        keeps_gradients = False
        if config.train.backend == "cuda_graphs":
            self._recorder = Recorder()
            self._records_update = not getattr(config.sched, "cycle_momentum", False)
            # From one recording to the next gradients stay where they are.
            keeps_gradients = config.train.accumulate > 1 or not self._records_update
        self._update = Update(config, model, optimizer, averaged, keeps_gradients)
        if keeps_gradients:
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)

    def forward_recorder(self) -> Recorder | None:
        """Of forward passes between steps, in the memory of the steps' own; None: not asked for."""
        return self._recorder and Recorder(self._recorder.pool)

    def prepare(self, lr: float, beta1: float) -> None:
        """Rates of the step that the next last batch ends."""
        self._update.prepare(lr, beta1)

    def __call__(
        self, x: torch.Tensor, beside: Mapping[str, torch.Tensor], part: Part
    ) -> torch.Tensor:
        """The loss of a batch, still on the device.

        Parameters
        ----------
        x : Tensor, shape (n, 1, n_mels, n_frames)
        beside : mapping of Tensor
            Targets by task (n, C) and, where there are any, `COVARIATES` and `PRESENT`.

        Raises
        ------
        ConfigError
            torch cannot compile this network here.
        DeviceError
            A recording computes nothing.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        if self._recorder is None:
            return self._run({_X: x, **beside}, part)
        loss: torch.Tensor = self._recorder(self._run, {_X: x, **beside}, part, self._tensors)
        if part.is_last and not self._records_update:
            self._update()
        return loss

    def _run(self, given: Mapping[str, torch.Tensor], part: Part) -> torch.Tensor:
        with autocast(self._precision, self._device):
            logits = self._forward(
                given[_X], given.get(COVARIATES), given.get(PRESENT), part.n_bands
            )
        loss = self._losses(logits, {name: given[name] for name in logits})
        (loss / part.n_together).backward()  # type: ignore[no-untyped-call]
        if part.is_last and self._records_update:
            self._update()
        return loss.detach()

    def _tensors(self) -> Iterator[torch.Tensor]:
        """All that a run changes."""
        yield from self._update.tensors()
        yield from self._model.buffers()
        yield from (p.grad for p in self._model.parameters() if p.grad is not None)
