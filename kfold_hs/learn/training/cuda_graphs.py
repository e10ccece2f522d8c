"""CUDA graphs: the kernels of a training step, recorded once and launched as one.

A small network on a GPU waits for Python to launch hundreds of kernels a step. A graph
launches them all at once, on inputs and gradients that always lie in the same place (Gray,
"Getting Started with CUDA Graphs", NVIDIA 2019; torch's notes on CUDA semantics).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Run = Callable[[torch.Tensor, Mapping[str, torch.Tensor], int, int], torch.Tensor]
_WARM_UP = 3
"""Runs before recording: libraries choose their kernels and take their memory in these."""


@dataclass(frozen=True)
class Recording:
    """A step of one shape: calling `replay` computes it again from what `x` and `beside` hold."""

    x: torch.Tensor
    beside: dict[str, torch.Tensor]
    loss: torch.Tensor
    replay: Callable[[], None]


class Recorder:
    """Runs a step, recorded at the first batch of each shape.

    Parameters
    ----------
    model : Module
        Whose gradients the step adds to.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._pool = model, Pool()
        self._recordings: dict[tuple[object, ...], Recording] = {}

    def __call__(
        self,
        run: Run,
        x: torch.Tensor,
        beside: Mapping[str, torch.Tensor],
        n_bands: int,
        n_together: int,
    ) -> torch.Tensor:
        """The loss of a batch.

        Parameters
        ----------
        run : callable
            (x, what stands beside it, n_bands, n_together) -> loss, having called `backward`; see
            `learn.training.step.Step`. Not kept: whoever owns both would never be freed with
            the memory of the graphs, but for a collection of garbage.
        """
        shapes = sorted((name, each.shape) for name, each in beside.items())
        key = (x.shape, *shapes, n_bands, n_together)
        if key not in self._recordings:
            self._recordings[key] = self._record(run, x, beside, n_bands, n_together)
        recording = self._recordings[key]
        recording.x.copy_(x)
        for name, each in beside.items():
            recording.beside[name].copy_(each)
        recording.replay()
        return recording.loss.clone()

    def _record(
        self,
        run: Run,
        x: torch.Tensor,
        beside: Mapping[str, torch.Tensor],
        n_bands: int,
        n_together: int,
    ) -> Recording:
        """Record, and leave gradients, batch statistics and random state as they were."""
        own = x.clone(), {name: each.clone() for name, each in beside.items()}
        for parameter in self._model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        touched = [*self._model.buffers(), *(p.grad for p in self._model.parameters())]
        kept = [each.clone() for each in touched if each is not None]
        loss, replay = capture(lambda: run(*own, n_bands, n_together), x.device, self._pool)
        for each, before in zip(touched, kept, strict=True):
            assert each is not None
            each.copy_(before)
        return Recording(*own, loss, replay)


class Pool:
    """Memory that the graphs of one model share: they are replayed one after another."""

    @functools.cached_property
    def handle(self) -> Any:
        return torch.cuda.graph_pool_handle()


def capture(
    run: Callable[[], torch.Tensor], device: torch.device, pool: Pool
) -> tuple[torch.Tensor, Callable[[], None]]:
    """Where the loss of `run` will lie, and what computes it.

    `device` is the current one (`kfold_hs.learn.device.exactness`).
    """
    random = torch.cuda.get_rng_state(device)
    here = torch.cuda.current_stream(device)
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(here)
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UP):
            run()
    here.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # On a stream of this device: torch's own for captures is of the first device that captured.
    with torch.cuda.graph(graph, pool=pool.handle, stream=beside):
        loss = run()
    torch.cuda.set_rng_state(random, device)
    return loss, graph.replay
