"""A training step as it is, compiled, and recorded: the same results, and clear refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.project import Silent
from support.training import config, fit

from kfold_hs.cohort import Cohort
from kfold_hs.errors import ConfigError
from kfold_hs.learn.training import compiled, cuda_graphs, step
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.options import RunOptions

SHAPES = ["train.accumulate=2", "train.first_crop_frames=16", "train.average=ema",
          "train.average_decay=0.9",
          "model.dropout=0.3", "train.crops_per_recording=3"]  # fmt: skip


def on_the_cpu(
    run: Callable[[], torch.Tensor], device: torch.device, pool: cuda_graphs.Pool
) -> tuple[torch.Tensor, Callable[[], None]]:
    """Stands in for `graphs.capture`: warms up, then computes anew into the same place."""
    random = torch.get_rng_state()
    for _ in range(3):
        loss = run()
    torch.set_rng_state(random)
    return loss, lambda: (loss.copy_(run()), None)[1]


def test_recorded_steps_train_as_steps_do(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, plain = fit(cohort, tmp_path / "plain", *SHAPES)
    made = []

    def counted(*inputs: object) -> tuple[torch.Tensor, Callable[[], None]]:
        made.append(inputs)
        return on_the_cpu(*inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(cuda_graphs, "capture", counted)
    monkeypatch.setattr(step, "check_device", lambda *_: None)
    _, recorded = fit(cohort, tmp_path / "recorded", *SHAPES, "train.backend=cuda_graphs")
    assert recorded.table.equals(plain.table)
    # Crops of 16 and 32 frames; steps of two batches and, at the end of an epoch, maybe of one.
    assert len(made) in {4, 8}


def test_cuda_graphs_are_refused_on_the_cpu_before_anything_is_read(tmp_path: Path) -> None:
    asked = config("train.backend=cuda_graphs")
    with pytest.raises(ConfigError, match=r"train\.backend=cuda_graphs needs an NVIDIA GPU.*cpu"):
        run(asked, Silent(), RunOptions(root=tmp_path, device="cpu"))


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
