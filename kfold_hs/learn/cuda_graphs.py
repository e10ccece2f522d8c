"""CUDA graphs: the kernels of a training step, recorded once and launched as one.

A small network on a GPU waits for Python to launch hundreds of kernels a step. A graph
launches them all at once, on inputs and results that always lie in the same place (Gray,
"Getting Started with CUDA Graphs", NVIDIA 2019; torch's notes on CUDA semantics).

What may be recorded: nothing that reads a value on the host, copies from it, or depends on a
number of Python that changes (a rate, a share of a mean). Such numbers lie in tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils._pytree import tree_leaves, tree_map

from kfold_hs.errors import DeviceError

Given = Mapping[str, torch.Tensor]
_Part = TypeVar("_Part", bound=Hashable)
_WARM_UP = 3
"""Runs before recording: libraries choose their kernels and take their memory in these."""
_UNWRITTEN = -1.2345e30
"""What no loss and no logit is."""


@dataclass(frozen=True)
class Recording:
    """A run of one shape: `replay` computes `found` again from what `given` holds."""

    given: dict[str, torch.Tensor]
    found: Any
    replay: Callable[[], None]


class Pool:
    """Memory that the graphs of one fold share: they are replayed one after another."""

    @functools.cached_property
    def handle(self) -> Any:
        return torch.cuda.graph_pool_handle()


class Recorder:
    """Runs functions of tensors, each recorded at the first call of a shape.

    Parameters
    ----------
    pool : Pool, optional
        Of another recorder of the same fold.
    """

    def __init__(self, pool: Pool | None = None) -> None:
        self.pool = pool or Pool()
        self._recordings: dict[tuple[object, ...], Recording] = {}

    def __call__(
        self,
        run: Callable[[Given, _Part], Any],
        given: Given,
        part: _Part,
        changed: Callable[[], Iterable[torch.Tensor]] = tuple,
    ) -> Any:
        """What `run(given, part)` gives: tensors, or mappings and sequences of them.

        Parameters
        ----------
        run : callable
            Not kept: whoever owns both would never be freed with the memory of the graphs, but
            for a collection of garbage.
        part : hashable
            What else decides what is computed.
        changed : callable
            All tensors that a run changes: recording leaves them as they were. Those that are
            new after the first run begin as zeros.

        Raises
        ------
        DeviceError
            The recording computes nothing.
        """
        key = (part, *sorted((name, each.shape, str(each.dtype)) for name, each in given.items()))
        is_new = key not in self._recordings
        if is_new:
            self._recordings[key] = self._record(run, given, part, changed)
        recording = self._recordings[key]
        for name, each in given.items():
            recording.given[name].copy_(each)
        if is_new:
            _check_computes(recording)
        else:
            recording.replay()
        return tree_map(torch.clone, recording.found)

    def _record(
        self,
        run: Callable[[Given, _Part], Any],
        given: Given,
        part: _Part,
        changed: Callable[[], Iterable[torch.Tensor]],
    ) -> Recording:
        """Record, and leave what a run changes, and the random state, as they were."""
        own = {name: each.clone() for name, each in given.items()}
        before = [(each, each.detach().clone()) for each in changed()]
        known = {id(each) for each, _ in before}
        device = next(iter(own.values())).device

        def restore() -> None:
            with torch.no_grad():
                for each, value in before:
                    each.copy_(value)
                for each in changed():
                    if id(each) not in known:
                        each.zero_()

        found, replay = capture(lambda: run(own, part), restore, device, self.pool)
        return Recording(own, found, replay)


def _check_computes(recording: Recording) -> None:
    """Replay, and refuse a graph without kernels: what lies there would be taken for results."""
    leaves = tree_leaves(recording.found)
    for each in leaves:
        each.fill_(_UNWRITTEN)
    before = [each.clone() for each in leaves]
    recording.replay()
    if all(torch.equal(each, was) for each, was in zip(leaves, before, strict=True)):
        raise DeviceError(
            "The CUDA graph of a training step was recorded and computes nothing, which is a fault "
            "of this torch with this driver. Set train.backend=eager."
        )


def capture(
    run: Callable[[], Any], restore: Callable[[], None], device: torch.device, pool: Pool
) -> tuple[Any, Callable[[], None]]:
    """Where what `run` gives will lie, and what computes it.

    `device` is the current one (`kfold_hs.learn.device.exactness`). `restore` undoes a run.
    """
    random = torch.cuda.get_rng_state(device)
    here = torch.cuda.current_stream(device)
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(here)
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UP):
            run()
            restore()
    here.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # On a stream of this device: torch's own for captures is of the first device that captured.
    # The thread that writes checkpoints waits for the GPU meanwhile, which spoils no recording
    # that is of this thread.
    with torch.cuda.graph(
        graph, pool=pool.handle, stream=beside, capture_error_mode="thread_local"
    ):
        found = run()
    torch.cuda.set_rng_state(random, device)
    return found, graph.replay
