"""The training of one fold, in three parts: set up, train epoch by epoch, save.

Every epoch draws crops from each training recording, trains, predicts all crops of
the held-out people, and keeps their probabilities: which epoch counts is decided
later, by rules that may not look at the fold they are scored on, or by training people
who are set aside (`select=inner`). `best_model.pt` is
the epoch with the highest mean of the tasks' accuracies on the held-out people, ties
by the lower validation loss; its score is optimistic by construction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldPaths, remove
from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.covariates import check_covariates
from kfold_hs.learn.data.examples import sampling_weights
from kfold_hs.learn.data.fold import Fold, People
from kfold_hs.learn.data.noise import noise_bank
from kfold_hs.learn.frames.branch import FrameBranch
from kfold_hs.learn.frames.cached import branch_of
from kfold_hs.learn.frames.out_of_fold import segmentation, with_cycle
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.heads import check_heads
from kfold_hs.learn.models.network import HeartSoundNet, check_network
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.learn.prediction.held_out import EpochProbs, fold_predictions, score
from kfold_hs.learn.tracking.energy import counters, joules_since
from kfold_hs.learn.tracking.trackers import Answers, Tracker, check_trackers
from kfold_hs.learn.training.divergence import (
    check_scored,
    check_training,
    loss_of_knowing_nothing,
)
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.history import (
    INNER,
    History,
    best_epoch,
    is_over,
    mean_accuracy,
    write_history,
)
from kfold_hs.learn.training.optimizer import scored_model, update_batch_statistics
from kfold_hs.learn.training.setup import Soft, Training
from kfold_hs.predictions.segmentation import write_segmentation

OnEpoch = Callable[[Mapping[str, float]], None]


def fit_fold(
    fold: Fold,
    paths: FoldPaths,
    tracking: Callable[[int], Tracker],
    on_epoch: OnEpoch,
    soft: Soft | None = None,
) -> int | None:
    """Train one fold and leave its files; predictions are written last.

    Goes on after the last whole epoch when an interrupted training left `resume.pt`. With `soft`,
    probabilities of every recording by task, (n_recordings, C), half of the targets are these.

    Returns
    -------
    int or None
        The epoch (from 0) from which the fold over-fits, if it does.

    Raises
    ------
    DivergedError
        The loss is not a finite number, or diverges.
    StorageError, WeightsError, ConfigError
        As the parts say.
    """
    course = _Course(Training.of(fold, soft), branch_of(fold), [], [])
    course.resume(paths)
    with checkpoint.Writer() as writer, closing(tracking(len(course.history))) as tracker:
        while not course.is_over:
            row = course.train_epoch()
            course.save_epoch(paths, writer)
            tracker.epoch(row)
            on_epoch(row)
        writer.save({paths.last_model: course.content()})
        answers = _answers(fold.cohort, fold.data.patients, course.kept[-1])
        tracker.done(answers, len(course.history) - 1)
    since = course.write_results(paths)
    remove(paths.resume)
    return since


@dataclass
class _Course:
    """A training and what it has come to: a row of history and the probabilities of each epoch."""

    training: Training
    branch: FrameBranch | None
    history: History
    kept: list[EpochProbs]
    _unwritten: dict[Path, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        config = self.training.fold.config.train
        return is_over(self.history, self.training.fold.cohort, config.epochs, config.patience)

    @property
    def best(self) -> int:
        """Epoch that is best on the held-out people."""
        return best_epoch(self.history, self.training.fold.cohort)

    @property
    def chosen(self) -> int | None:
        """Epoch that is best on the people who were set aside, if anybody was."""
        if not len(self.training.fold.data.inner):
            return None
        return best_epoch(self.history, self.training.fold.cohort, INNER)

    @property
    def scored(self) -> HeartSoundNet:
        return scored_model(self.training.model, self.training.averaged)

    def resume(self, paths: FoldPaths) -> None:
        """Go on where an interrupted training was, if there is one."""
        fold, training = self.training.fold, self.training
        if state := checkpoint.load_resumable(paths.resume, fold.device, fold.digests):
            training.model.load_state_dict(state["model"])
            training.optimizer.load_state_dict(state["optimizer"])
            if training.averaged is not None:
                training.averaged.load_state_dict(state["averaged"])
            self.history = state["history"]
            self.kept = [EpochProbs.from_state(each) for each in state["kept"]]

    def train_epoch(self) -> dict[str, float]:
        """One more epoch: trained, averaged, scored; its row of the history."""
        training, fold, config = self.training, self.training.fold, self.training.fold.config
        epoch, started, energy = len(self.history), time.perf_counter(), counters(fold.device)
        past = [row["train_loss"] for row in self.history]
        batch_losses = train_epoch(training, epoch, past)
        nothing = loss_of_knowing_nothing(training.losses, training.bag_targets)
        train_loss = check_training(batch_losses, past, nothing, config, fold.id)
        averaged = training.averaged
        if averaged is not None and epoch >= averaged.first_epoch:
            averaged.update(training.model)
            if config.train.average_update_bn:
                update_batch_statistics(averaged.model, fold.bank, fold.data.train, config)
        probs, values = self._score(fold.data.scored, "the held-out people")
        self.kept.append(probs)
        if len(fold.data.inner):
            _, inner = self._score(fold.data.set_aside, "those set aside")
            values |= {INNER + name: value for name, value in inner.items()}
        row = {
            "epoch": epoch,
            "train_loss": train_loss,
            **values,
            "lr": float(training.optimizer.param_groups[0]["lr"]),
            "seconds": time.perf_counter() - started,
            **joules_since(energy, counters(fold.device)),
        }
        self.history.append(row)
        return row

    def _score(self, people: People, who: str) -> tuple[EpochProbs, dict[str, float]]:
        """Probabilities of people, the loss over them as ``val_loss``, and ``acc.<task>``."""
        training, fold, epoch = self.training, self.training.fold, len(self.history)
        fill = _may_be_asked_again(fold.config, epoch)
        predictor = Predictor(
            self.scored, fold.bank, fold.config, training.covariates.values, fill,
            training.recorder,
        )  # fmt: skip
        probs, loss = score(predictor, fold.cohort, people, training.targets, training.losses)
        check_scored(loss, who, fold.config, fold.id, epoch)
        return probs, {"val_loss": loss, **probs.accuracies(fold.cohort, people.patients)}

    def save_epoch(self, paths: FoldPaths, writer: checkpoint.Writer) -> None:
        """The model, where it is the best so far, and all there is to go on from.

        While the files of an epoch before are still being written, training does not wait: those
        of this one are written with the next. Together, so that an interrupted training never
        goes on from before a best model that lies there.
        """
        epoch, best, chosen = len(self.history) - 1, self.best, self.chosen
        for path, at in ((paths.best_model, best), (paths.inner_model, chosen)):
            if at == epoch:
                self._unwritten[path] = checkpoint.snapshot(self.content())
        self.kept[-1].forget_recordings(unless=self.is_over or epoch in {best, chosen})
        if self.is_over or not writer.is_busy:
            writer.save({**self._unwritten, paths.resume: self._state()})
            self._unwritten = {}

    def content(self) -> dict[str, Any]:
        """A checkpoint of the last epoch."""
        training, fold, row = self.training, self.training.fold, self.history[-1]
        return {
            "epoch": int(row["epoch"]),
            "model_state_dict": self.scored.state_dict(),
            "optimizer_state_dict": training.optimizer.state_dict(),
            "val_acc": mean_accuracy(row, fold.cohort),
            "val_loss": row["val_loss"],
            "config": fold.config.as_dict(),
            "covariates": training.covariates.rules,
            "tasks": {task.name: list(task.classes) for task in fold.cohort.tasks},
            "place": fold.id._asdict(),
            "digests": dict(fold.digests),
            **({} if self.branch is None else {"frames": self.branch.to_state()}),
        }

    def _state(self) -> dict[str, Any]:
        """All there is to go on from: random streams start anew in every epoch."""
        averaged = self.training.averaged
        return {
            "model": self.training.model.state_dict(),
            "averaged": averaged.state_dict() if averaged is not None else None,
            "optimizer": self.training.optimizer.state_dict(),
            "history": self.history,
            "kept": [each.to_state() for each in self.kept],
            "digests": dict(self.training.fold.digests),
        }

    def write_results(self, paths: FoldPaths) -> int | None:
        """history.csv and, last, predictions; the epoch from which the fold over-fits."""
        fold, best, chosen = self.training.fold, self.best, self.chosen
        keep = {"last": len(self.history) - 1, "best": best, "inner": chosen}[fold.config.select]
        assert keep is not None
        since = write_history(paths, self.history, keep, best, chosen)
        found = fold_predictions(fold.cohort, fold.data.scored, fold.id, self.kept, keep)
        if self.branch is not None:
            cycles = self.branch.cycles(fold.bank, fold.data.held_out)
            found = with_cycle(found, fold.cohort, fold.data.scored, cycles)
            table = segmentation(fold, self.branch, cycles)
            write_segmentation(paths.segmentation, table, fold.digests)
        found.write(paths.predictions, fold.digests)
        return since


def check(config: Config, cohort: Cohort) -> None:
    """Refuse what can be known to fail before anything is computed.

    Raises
    ------
    ConfigError
        A backbone that timm does not have or that takes other crops; sampling by, or a weight
        for, a task that the cohort has not; a covariate that it has not; a tracker that is not
        installed; a folder without noise.
    """
    check_network(config)
    check_heads(config.model.heads, cohort.tasks)
    check_trackers(config.track)
    check_covariates(cohort, config.model.covariates)
    TaskLosses(
        config.loss, cohort.tasks, {t.name: torch.ones(1, t.n_classes) for t in cohort.tasks}
    )
    noise_bank(config.augment, config.features)
    sampling_weights(config.train.sampling, cohort, np.arange(cohort.n_recordings))


def _may_be_asked_again(config: Config, epoch: int) -> bool:
    """Whether this epoch's weights may be those that `select` names."""
    return config.select != "last" or epoch + 1 == config.train.epochs


def _answers(cohort: Cohort, patients: np.ndarray, last: EpochProbs) -> dict[str, Answers]:
    labels = cohort.patients.iloc[patients]
    return {
        task.name: Answers(
            task.classes,
            task.positive_index,
            task.encode(labels[task.name]),
            last.patients[task.name],
        )
        for task in cohort.tasks
    }
