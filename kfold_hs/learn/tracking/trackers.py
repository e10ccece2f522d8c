"""What a fold writes for TensorBoard, one event file a fold, and for Weights & Biases.

Loss/train, Loss/val, Accuracy/<task>, LearningRate, by epoch (from 1), the
configuration as text, a precision-recall curve and a confusion matrix of each task at the last
epoch, and a session for the HParams dashboard. All folds, repeats and seeds of a variant share
its group, so that the dashboard itself averages them (torch's add_hparams leaves the group's name
empty, and every fold would stand alone).

A confusion matrix as a picture, for trackers; the report draws its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch.utils.tensorboard import summary as summaries

from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, KfoldHsError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.files.stored import warn
from kfold_hs.learn.tracking.event_file import EventFile
from kfold_hs.learn.tracking.hparams import session_end, session_start

OPTIONAL = ("wandb", "mlflow")
"""Trackers that an extra of the same name installs; `mlflow` is written by the run's own process
(`kfold_hs.workflows.mlflow_runs`), not by its folds."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a fold's model said of its held-out patients, for one task.

    Parameters
    ----------
    classes : tuple of str
    positive : int
        Index of the positive class.
    y_true : ndarray of int64, shape (n,)
    y_prob : ndarray of float, shape (n, C)
    """

    classes: tuple[str, ...]
    positive: int
    y_true: np.ndarray
    y_prob: np.ndarray

    @property
    def is_positive(self) -> np.ndarray:
        return np.asarray(self.y_true == self.positive)

    @property
    def score(self) -> np.ndarray:
        """Probability of the positive class, (n,)."""
        return np.asarray(self.y_prob[:, self.positive])

    @property
    def called(self) -> np.ndarray:
        """Most probable class, (n,) int64."""
        return np.asarray(self.y_prob.argmax(axis=1))


class Tracker(Protocol):
    """Who is told what a fold does."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """One row of the history (see `kfold_hs.learn.training.fold`)."""

    def done(self, answers: Mapping[str, Answers], epoch: int) -> None:
        """The fold is trained; `answers` are of its last epoch (from 0), by task."""

    def close(self) -> None:
        """Nothing more will come, whether the fold is done or not."""


class Trackers:
    """Several trackers as one; one that fails is told of and left out.

    A full disk is no failure of a tracker: what is trained next would meet it as well.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)

    def epoch(self, row: Mapping[str, float]) -> None:
        self._each(lambda tracker: tracker.epoch(row))

    def done(self, answers: Mapping[str, Answers], epoch: int) -> None:
        self._each(lambda tracker: tracker.done(answers, epoch))

    def close(self) -> None:
        self._each(lambda tracker: tracker.close())

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            with _surviving(type(tracker).__name__, lambda: self._trackers.remove(tracker)):  # noqa: B023 - called at once
                tell(tracker)


@contextmanager
def _surviving(name: str, leave_out: Callable[[], None] = lambda: None) -> Iterator[None]:
    """No result depends on a tracker: whatever it raises ends no training."""
    try:
        yield
    except KfoldHsError:
        raise
    except Exception as error:  # of a library, its service, the network
        leave_out()
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")
        warn(
            f"{name} is left out of this fold from here on: {said[:300]}. No result depends on it."
        )


def make_trackers(config: Config, paths: RunPaths, fold: FoldId, start_epoch: int) -> Trackers:
    """The trackers that `track` names, for one fold.

    Weights & Biases writes to ``wandb`` beside ``tensorboard``.

    Parameters
    ----------
    start_epoch : int
        As in `TensorBoardTracker`.

    Raises
    ------
    ConfigError
        wandb is asked for and not installed.
    StorageError
        TensorBoard's events cannot be written; so do the methods.
    """
    folder, settings, group = paths.tensorboard(fold), config.as_dict(), paths.name
    trackers: list[Tracker] = []
    if "tensorboard" in config.track:
        trackers.append(TensorBoardTracker(folder, config.to_yaml(), settings, group, start_epoch))
    if "wandb" in config.track:
        with _surviving(WandbTracker.__name__):
            trackers.append(WandbTracker(folder.parent.parent, fold.name, settings, group))
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
        check_trackers(["wandb"])
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

    def done(self, answers: Mapping[str, Answers], epoch: int) -> None:
        import wandb

        plots = {}
        for task, each in answers.items():
            self._run.summary[f"prevalence/{task}"] = float(each.is_positive.mean())
            self._run.summary[f"mean score/{task}"] = float(each.score.mean())
            plots[f"Confusion/{task}"] = wandb.plot.confusion_matrix(
                y_true=each.y_true.tolist(), preds=each.called.tolist(),
                class_names=list(each.classes), title=f"Confusion/{task}",
            )  # fmt: skip
        self._run.log(plots, step=epoch + 1)

    def close(self) -> None:
        self._run.finish()


def check_trackers(track: Collection[str]) -> None:
    """Refuse trackers that are not installed.

    Raises
    ------
    ConfigError
        With the command that installs the first of them.
    """
    for name in OPTIONAL:
        if name in track and importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"track=[{name}] needs the package {name}: pip install 'kfold-hs[{name}]', or "
                "leave it out."
            )


def scalars(row: Mapping[str, float]) -> dict[str, float]:
    """Tags and values of a row of the history."""
    found = {"Loss/train": row["train_loss"], "Loss/val": row["val_loss"]}
    for name, value in row.items():
        if name.startswith("acc."):
            found[f"Accuracy/{name.removeprefix('acc.')}"] = value
    return {**found, "LearningRate": row["lr"]}


class TensorBoardTracker:
    """Events of one fold.

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
        self._events = EventFile(folder, start_epoch + 1 if start_epoch else None)
        if start_epoch == 0:
            self._events.add(summaries.text("config", f"```yaml\n{config_yaml}\n```"))  # type: ignore[no-untyped-call]
            self._events.add(session_start(group, flat(settings)))

    def epoch(self, row: Mapping[str, float]) -> None:
        """Write one row of the history (see `kfold_hs.learn.training.fold`)."""
        step = int(row["epoch"]) + 1
        for tag, value in scalars(row).items():
            self._events.add(summaries.scalar(tag, value), step)  # type: ignore[no-untyped-call]
        self._events.flush()

    def done(self, answers: Mapping[str, Answers], epoch: int) -> None:
        for task, each in answers.items():
            curve = summaries.pr_curve(  # type: ignore[no-untyped-call]
                f"PrecisionRecall/{task}", each.is_positive, each.score
            )
            counts = confusion_counts(each.y_true, each.called, len(each.classes))
            picture = confusion_picture(counts, each.classes)
            for summary in (
                curve,
                summaries.image(f"Confusion/{task}", picture, dataformats="HWC"),  # type: ignore[no-untyped-call]
            ):
                self._events.add(summary, epoch + 1)
        self._events.add(session_end())

    def close(self) -> None:
        self._events.close()


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


_CELL, _LEFT, _TOP = 96, 120, 64
_FULL = np.array([33, 102, 172])  # what a share of 1 is painted with


def confusion_counts(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Patients by label (row) and most probable class (column), (C, C) int."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (y_true, y_pred), 1)
    return counts


def confusion_picture(counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Counts, painted by their share of the label's row.

    Parameters
    ----------
    counts : ndarray of int, shape (C, C)
        A row a label, a column a most probable class.
    classes : sequence of str

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    n = len(classes)
    image = Image.new("RGB", (_LEFT + n * _CELL, _TOP + n * _CELL), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    draw.text((8, 8), "label (rows), called (columns)", fill="black", font=font)
    for i, name in enumerate(classes):
        at = _LEFT + i * _CELL + _CELL // 2, _TOP + i * _CELL + _CELL // 2
        draw.text((at[0], _TOP - 14), name, fill="black", font=font, anchor="mm")
        draw.text((_LEFT - 10, at[1]), name, fill="black", font=font, anchor="rm")
    for row in range(n):
        for column in range(n):
            share = shares[row, column]
            x, y = _LEFT + column * _CELL, _TOP + row * _CELL
            red, green, blue = (int(each) for each in 255 + share * (_FULL - 255))
            draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=(red, green, blue))
            text = f"{counts[row, column]}\n{share:.0%}"
            ink = "white" if share > 0.5 else "black"
            middle = (x + _CELL // 2, y + _CELL // 2)
            draw.text(middle, text, fill=ink, font=font, anchor="mm", align="center")
    return np.asarray(image)
