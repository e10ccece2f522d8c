"""A training step as it is, compiled, and recorded: the same results, and clear refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.project import Silent
from support.training import config, fit
from torch.utils._pytree import tree_leaves, tree_map

from kfold_hs.cohort import Cohort
from kfold_hs.errors import ConfigError, DeviceError
from kfold_hs.learn import cuda_graphs
from kfold_hs.learn.training import compiled, step
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.options import RunOptions

EXACT = ["sched=constant", f"optim.lr={2**-10}"]
"""Rates that float32, in which a recorded step reads them, holds as they are."""


def on_the_cpu(
    run: Callable[[], Any],
    restore: Callable[[], None],
    device: torch.device,
    pool: cuda_graphs.Pool,
) -> tuple[Any, Callable[[], None]]:
    """Stands in for `cuda_graphs.capture`: warms up, then computes anew into the same place."""
    random = torch.get_rng_state()
    for _ in range(3):
        found = tree_map(torch.clone, run())
        restore()
    torch.set_rng_state(random)

    def replay() -> None:
        for place, new in zip(tree_leaves(found), tree_leaves(run()), strict=True):
            place.copy_(new)

    return found, replay


@pytest.mark.parametrize(
    ("words", "n_recordings", "atol"),
    [
        # A step, and the forward pass of the network that is scored.
        (["model.dropout=0.3"], 2, 0),
        # Crops of 16 and 32 frames: a step each.
        # A share on the device multiplies, where one of Python interpolates.
        pytest.param(
            ["train.first_crop_frames=16", "train.average=ema", "train.average_decay=0.9"],
            3,
            1e-7,
            marks=pytest.mark.slow,
        ),
        # The first batch of a step and the second; the scored mean of the weights is another.
        (["train.accumulate=2", "train.average=swa", "train.average_start=0.5"], 4, 0),
        # A momentum that changes is no part of the recording; its rates are rounded to float32.
        (["sched=onecycle", "sched.cycle_momentum=true", "sched.pct_start=0.5"], 2, 1e-4),
        (["train.level=patient"], 2, 0),
    ],
    ids=["dropout", "ema", "accumulate", "momentum", "patient"],
)
def test_recorded_steps_train_as_steps_do(
    words: list[str],
    n_recordings: int,
    atol: float,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [*EXACT, *words]
    _, plain = fit(cohort, tmp_path / "plain", *words)
    made = []

    def counted(*inputs: object) -> tuple[Any, Callable[[], None]]:
        made.append(inputs)
        return on_the_cpu(*inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(cuda_graphs, "capture", counted)
    monkeypatch.setattr(step, "check_device", lambda *_: None)
    _, recorded = fit(cohort, tmp_path / "recorded", *words, "train.backend=cuda_graphs")
    columns = [name for name in plain.table.columns if name.startswith("p.")]
    np.testing.assert_allclose(recorded.table[columns], plain.table[columns], rtol=0, atol=atol)
    # Of each of two folds.
    assert len(made) == 2 * n_recordings


def test_cuda_graphs_are_refused_on_the_cpu_before_anything_is_read(tmp_path: Path) -> None:
    asked = config("train.backend=cuda_graphs")
    with pytest.raises(ConfigError, match=r"train\.backend=cuda_graphs needs an NVIDIA GPU.*CPU"):
        run(asked, Silent(), RunOptions(root=tmp_path, device="cpu"))


@pytest.mark.slow
def test_a_compiled_network_trains_every_fold(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traced as always, and run without generated code, which would take minutes."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    _, plain = fit(cohort, tmp_path / "plain", "train.first_crop_frames=16")
    words = ["train.first_crop_frames=16", "train.backend=compile"]
    _, traced = fit(cohort, tmp_path / "traced", *words)
    np.testing.assert_allclose(traced.y_prob("murmur"), plain.y_prob("murmur"), atol=1e-6)


@pytest.mark.slow
def test_a_network_that_cannot_be_compiled_is_named(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(compiled, "BACKEND", broken)
    with pytest.raises(ConfigError, match=r"cannot compile model\.backbone=test_efficientnet.*"):
        fit(cohort, tmp_path, "train.backend=compile")


@pytest.mark.slow
def test_generated_code_trains_alike(cohort: Cohort, tmp_path: Path) -> None:
    _, plain = fit(cohort, tmp_path / "plain")
    _, generated = fit(cohort, tmp_path / "generated", "train.backend=compile")
    np.testing.assert_allclose(generated.y_prob("murmur"), plain.y_prob("murmur"), atol=0.02)


class Said(list[str]):
    """In place of torch.cuda: says what was called."""

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = self

        class Stream:
            def __init__(self, device: torch.device) -> None:
                said.append(f"stream on {device}")

            def wait_stream(self, other: object) -> None:
                said.append("wait")

        class Graph:
            def replay(self) -> None:
                said.append("replay")

        @contextmanager
        def graph(_: object, **how: Any) -> Iterator[None]:
            assert how["pool"] == "memory"
            assert isinstance(how["stream"], Stream)
            said.append(f"record, {how['capture_error_mode']}")
            yield

        fakes = {
            "Stream": Stream,
            "CUDAGraph": Graph,
            "graph": graph,
            "stream": lambda _: nullcontext(),
            "current_stream": Stream,
            "graph_pool_handle": lambda: "memory",
            "get_rng_state": lambda _: "random state",
            "set_rng_state": lambda state, _: said.append(f"set {state}"),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)


def test_a_recording_is_warmed_up_beside_undone_and_of_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = Said()
    said.patch(monkeypatch)

    def run() -> torch.Tensor:
        said.append("run")
        return torch.zeros(())

    _, replay = cuda_graphs.capture(
        run, lambda: said.append("undo"), torch.device("cuda", 1), cuda_graphs.Pool()
    )
    replay()
    assert said == [
        *("stream on cuda:1", "stream on cuda:1", "wait"),
        *("run", "undo") * 3,
        *("wait", "record, thread_local", "run", "set random state", "replay"),
    ]


def test_a_recording_that_computes_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a graph was recorded on another device than its tensors'."""

    def empty(run: Callable[[], Any], *_: object) -> tuple[Any, Callable[[], None]]:
        return run(), lambda: None

    monkeypatch.setattr(cuda_graphs, "capture", empty)
    with pytest.raises(DeviceError, match=r"computes nothing.*train\.backend=eager"):
        cuda_graphs.Recorder()(lambda given, _: 2 * given["x"], {"x": torch.ones(3)}, None)
    monkeypatch.setattr(cuda_graphs, "capture", on_the_cpu)
    recorder = cuda_graphs.Recorder()
    for value in (3.0, 5.0):  # the second is replayed
        given = {"x": torch.full((3,), value)}
        assert recorder(lambda each, _: 2 * each["x"], given, None).tolist() == [2 * value] * 3
