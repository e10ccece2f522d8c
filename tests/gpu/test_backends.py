"""CUDA graphs and compiled networks train as plain steps do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.on_device import PLAIN, STEPS, check_same_training, trained
from support.training import config

from kfold_hs.cohort import Cohort

pytestmark = pytest.mark.gpu
Figure = Callable[..., None]
# A recorded step reads its rate in float32, which holds this one as it is.
EXACT = ["train.precision=float32", "train.deterministic=true", "augment=none", "track=[]",
         "sched=constant", f"optim.lr={2**-10}"]  # fmt: skip
SHAPES = ["train.accumulate=2", "train.first_crop_frames=16", "train.crops_per_recording=3",
          "train.average=ema", "train.average_decay=0.9"]  # fmt: skip
GRAPHS = {**STEPS, "dropout": ["model.dropout=0.3", "model.drop_path=0.2"], "shapes": SHAPES}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_train_as_steps_do(
    cohort: Cohort, cuda: torch.device, figure: Figure, name: str
) -> None:
    """The same kernels on the same numbers: what a graph may change is the order of launches."""
    words = [*EXACT, *([] if name == "dropout" else ["model.dropout=0"]), *GRAPHS[name]]
    plain = trained(cohort, config(*words), cuda, epochs=3, hooks=False)
    words.append("train.backend=cuda_graphs")
    recorded = trained(cohort, config(*words), cuda, epochs=3, hooks=False)
    figure(difference=check_same_training(recorded, plain, most=1e-4))


def test_graphs_learn(cohort: Cohort, cuda: torch.device, figure: Figure) -> None:
    """An empty graph would leave all as it was."""
    words = ["model.dropout=0", "train.backend=cuda_graphs", "optim.lr=3e-3", "augment=none"]
    losses = trained(cohort, config(*words), cuda, epochs=12, hooks=False).losses
    figure(first_loss=losses[0], last_loss=losses[-1])
    assert losses[-2:].mean() < 0.8 * losses[:2].mean()


def test_a_compiled_network_trains_alike(
    cohort: Cohort, cuda: torch.device, figure: Figure
) -> None:
    """Generated kernels add up in other orders: the first losses, before steps part ways."""
    words = [*PLAIN, "train.deterministic=true"]
    plain = trained(cohort, config(*words), cuda)
    words.append("train.backend=compile")
    compiled = trained(cohort, config(*words), cuda, hooks=False)
    first = float((compiled.losses[0] - plain.losses[0]).abs() / plain.losses[0])
    later = float((compiled.losses[-1] - plain.losses[-1]).abs() / plain.losses[-1])
    figure(first=first, later=later)
    assert first < 1e-4
    assert later < 1e-2
