"""What a fold writes for TensorBoard, one event file a fold, and for Weights & Biases.

Loss/train, Loss/val, Accuracy/<task>, LearningRate, by epoch (from 1), the
configuration as text, a precision-recall curve of each task at the last epoch, and a session
for the HParams dashboard. All folds, repeats and seeds of a variant share its group, so that
the dashboard itself averages them (torch's add_hparams leaves the group's name empty, and
every fold would stand alone).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from torch.utils.tensorboard import SummaryWriter

from kfold_hs.errors import ConfigError

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Tracker(Protocol):
    """Who is told what a fold does."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """One row of the history (see `kfold_hs.learn.fit`)."""

    def done(self, curves: Curves, epoch: int) -> None:
        """The fold is trained; see `TensorBoardTracker.done`."""

    def close(self) -> None:
        """Nothing more will come, whether the fold is done or not."""


class Trackers:
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    def epoch(self, row: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            tracker.epoch(row)

    def done(self, curves: Curves, epoch: int) -> None:
        for tracker in self._trackers:
            tracker.done(curves, epoch)

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.close()


def make_trackers(
    names: Sequence[str],
    folder: Path,
    config_yaml: str,
    settings: Mapping[str, Any],
    group: str,
    start_epoch: int,
) -> Trackers:
    """The trackers that `track` names, for one fold.

    Parameters
    ----------
    names : sequence of str
        tensorboard, wandb.
    folder : Path
        ``.../tensorboard/<fold>``; Weights & Biases writes to ``wandb`` beside ``tensorboard``.
    config_yaml, settings, group, start_epoch
        As `TensorBoardTracker`.

    Raises
    ------
    ConfigError
        wandb is asked for and not installed.
    """
    trackers: list[Tracker] = []
    if "tensorboard" in names:
        trackers.append(TensorBoardTracker(folder, config_yaml, settings, group, start_epoch))
    if "wandb" in names:
        trackers.append(WandbTracker(folder.parent.parent, folder.name, settings, group))
    return Trackers(trackers)


class WandbTracker:
    """A run of Weights & Biases for one fold; all folds of a run are a group.

    Written to the disk alone unless the environment says WANDB_MODE=online: nothing leaves
    the machine unasked. `wandb sync` uploads it later.

    Raises
    ------
    ConfigError
        wandb is not installed.
    """

    def __init__(self, folder: Path, fold: str, settings: Mapping[str, Any], group: str) -> None:
        check_wandb()
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project="kfold-hs",
            dir=str(folder),
            name=f"{group}-{fold}",
            group=group,
            job_type="fold",
            config=flat(settings),
            mode="online" if os.environ.get("WANDB_MODE") == "online" else "offline",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def epoch(self, row: Mapping[str, float]) -> None:
        self._run.log(scalars(row), step=int(row["epoch"]) + 1)

    def done(self, curves: Curves, epoch: int) -> None:
        for task, (is_positive, prob) in curves.items():
            self._run.summary[f"prevalence/{task}"] = float(is_positive.mean())
            self._run.summary[f"mean score/{task}"] = float(prob.mean())

    def close(self) -> None:
        self._run.finish()


def check_wandb() -> None:
    """Refuse when wandb is not installed.

    Raises
    ------
    ConfigError
        With the command that installs it.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            "track=[wandb] needs the package wandb: pip install 'kfold-hs[wandb]', or leave it out."
        )


def scalars(row: Mapping[str, float]) -> dict[str, float]:
    """Tags and values of a row of the history."""
    found = {"Loss/train": row["train_loss"], "Loss/val": row["val_loss"]}
    for name, value in row.items():
        if name.startswith("acc."):
            found[f"Accuracy/{name.removeprefix('acc.')}"] = value
    return {**found, "LearningRate": row["lr"]}


class TensorBoardTracker:
    """Scalars of one fold.

    Parameters
    ----------
    folder : Path
        The fold's own folder of events.
    config_yaml : str
        The run's configuration.
    settings : mapping
        The same, nested, for the HParams dashboard.
    group : str
        Name of the variant: sessions of one group are averaged.
    start_epoch : int
        First epoch that will be written, from 0. At 0 what lies there is removed; later,
        TensorBoard is told to forget what an interrupted run wrote past it.
    """

    def __init__(
        self,
        folder: Path,
        config_yaml: str,
        settings: Mapping[str, Any],
        group: str,
        start_epoch: int,
    ) -> None:
        if start_epoch == 0:
            shutil.rmtree(folder, ignore_errors=True)
        purge = start_epoch + 1 if start_epoch else None
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        if start_epoch == 0:
            self._writer.add_text("config", f"```yaml\n{config_yaml}\n```")
            start = SessionStartInfo(group_name=group, start_time_secs=time.time())
            for key, value in flat(settings).items():
                kind = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
                setattr(start.hparams[key], kind, value)
            self._summary(
                metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)
            )

    def epoch(self, row: Mapping[str, float]) -> None:
        """Write one row of the history (see `kfold_hs.learn.fit`)."""
        step = int(row["epoch"]) + 1
        for tag, value in scalars(row).items():
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def done(self, curves: Curves, epoch: int) -> None:
        """The fold is trained.

        Parameters
        ----------
        curves : mapping
            Task -> which patients are of its positive class (n,) bool, and their
            probability of it (n,) float.
        epoch : int
            The last one, from 0.
        """
        for task, (is_positive, prob) in curves.items():
            self._writer.add_pr_curve(f"PrecisionRecall/{task}", is_positive, prob, epoch + 1)
        end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
        self._summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))

    def close(self) -> None:
        self._writer.close()

    def _summary(self, tag: str, content: Any) -> None:
        # As tensorboard's own hparams.summary does, which needs tensorflow for it.
        summary = Summary()
        about = metadata.create_summary_metadata(content)
        summary.value.add(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
        self._writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, float | str | bool]:
    """Nested settings as ``optim.lr``: 0.001; lists and null as text, `data` left out."""
    found: dict[str, float | str | bool] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            if key != "data":
                found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, bool | str | int | float):
            found[prefix + key] = value if isinstance(value, bool | str) else float(value)
        else:
            found[prefix + key] = str(value)
    return found
