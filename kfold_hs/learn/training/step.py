"""Forward, loss and gradients of one batch: as it is, compiled, or recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from kfold_hs.config.schema import Config
from kfold_hs.learn.device import autocast, check_device
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.training.cuda_graphs import Recorder

COVARIATES, PRESENT = " covariates", " present"
"""Names of what stands beside the targets of a batch; no task can be called so."""


class Step:
    """Calling it adds the gradients of a batch to those that are there.

    With train.backend=compile the network is compiled at its first batch; with cuda_graphs
    forward, loss and backward of a shape are recorded once and then replayed.

    Raises
    ------
    ConfigError
        CUDA graphs are asked for and the device is not CUDA.
    """

    def __init__(
        self, config: Config, model: HeartSoundNet, losses: TaskLosses, device: torch.device
    ) -> None:
        check_device(config.on(device.type))
        self._losses, self._device = losses, device
        self._precision = config.train.precision
        self._forward: Callable[..., dict[str, torch.Tensor]] = model
        if config.train.backend == "compile":
            from kfold_hs.learn.training.compiled import compiled

            self._forward = compiled(model, getattr(config.model, "backbone", config.model.kind))
        self._recorder = Recorder(model) if config.train.backend == "cuda_graphs" else None

    @property
    def keeps_gradients(self) -> bool:
        """Gradients must be set to zero after a step, not removed: recordings add to them."""
        return self._recorder is not None

    def __call__(
        self, x: torch.Tensor, beside: Mapping[str, torch.Tensor], n_bands: int, n_together: int
    ) -> torch.Tensor:
        """The loss of a batch, still on the device.

        Parameters
        ----------
        x : Tensor, shape (n, 1, n_mels, n_frames)
        beside : mapping of Tensor
            Targets by task (n, C) and, where there are any, `COVARIATES` and `PRESENT`.
        n_bands : int
            In how many bands crops are heard.
        n_together : int
            Gradients are divided by it: so many batches make a step of the optimizer.

        Raises
        ------
        ConfigError
            torch cannot compile this network here.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        if self._recorder is not None:
            return self._recorder(self._run, x, beside, n_bands, n_together)
        return self._run(x, beside, n_bands, n_together)

    def _run(
        self, x: torch.Tensor, beside: Mapping[str, torch.Tensor], n_bands: int, n_together: int
    ) -> torch.Tensor:
        with autocast(self._precision, self._device):
            logits = self._forward(x, beside.get(COVARIATES), beside.get(PRESENT), n_bands)
        loss = self._losses(logits, {name: beside[name] for name in logits})
        (loss / n_together).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
