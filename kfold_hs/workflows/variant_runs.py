"""A variant tried out: its own run, or its predictions by the models of one trained alike."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kfold_hs.config.sweep import Variant
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows.cross_validation import run, run_name
from kfold_hs.workflows.inputs import Ground, Listener

if TYPE_CHECKING:
    import torch

    from kfold_hs.orchestrator.executor import Fleet

Key = tuple[int, int, int]


@dataclass(frozen=True)
class Tried:
    """What came out.

    Parameters
    ----------
    run : str
        Name of the variant's run, or that it would have.
    scored : Predictions
        What the headline scores: a row a patient and repeat, seeds averaged, stacked.
    predicted_with : str or None
        The run whose models predicted, where the variant was not trained.
    """

    run: str
    scored: Predictions
    predicted_with: str | None = None


@dataclass(frozen=True)
class Bench:
    """Where variants are tried, all on one ground.

    Parameters
    ----------
    ground : Ground
    predictions : callable
        Name of a run -> where predictions are kept that another run's models made in its place.
    root, device, fleet
        As of `experiment.run`.
    trained : dict
        Training digest -> name of the finished run that has the models.
    """

    ground: Ground
    predictions: Callable[[str], Path]
    root: Path
    device: str
    fleet: Fleet | None = None
    trained: dict[str, str] = field(default_factory=dict)

    def ground_of(self, variant: Variant) -> Ground:
        """The ground with what the variant makes of the tasks."""
        return self.ground.for_tasks_of(variant.config)

    def run_name(self, variant: Variant) -> str:
        """Of the variant's run, made or not."""
        return run_name(variant.config, self.ground_of(variant).cohort, self.ground.split)

    def try_out(self, variant: Variant, listener: Listener) -> Tried:
        """Run the variant, unless its run is finished or a finished run has its models.

        Raises
        ------
        UnfinishedError
            Folds could not be trained.
        KfoldHsError
            As of `experiment.run`.
        """
        own = RunPaths(self.run_name(variant), self.root)
        models = self.trained.get(variant.config.training_digest)
        if models is not None and models != own.name and not own.predictions.exists():
            return Tried(own.name, self._predicted(variant, own.name, models, listener), models)
        words = shlex.join(["kfold-hs", "run", *variant.overrides])
        done = run(
            variant.config, listener, root=self.root, device=self.device, command=words,
            ground=self.ground_of(variant), fleet=self.fleet,
        )  # fmt: skip
        self.trained.setdefault(variant.config.training_digest, own.name)
        return Tried(own.name, self.stacked(variant, kept_predictions(done.paths)))

    def read(self, variant: Variant, predicted_with: str | None) -> Predictions:
        """What the headline of a variant scores that was tried out before."""
        return self.stacked(variant, self.kept(variant, predicted_with))

    def kept(self, variant: Variant, predicted_with: str | None) -> Predictions:
        """Patient rows of the epoch that counts, of a variant that was tried out before."""
        own = RunPaths(self.run_name(variant), self.root)
        if predicted_with is None:
            return kept_predictions(own)
        return Predictions.read(self.predictions(own.name)).where(level="patient")

    def stacked(self, variant: Variant, kept: Predictions) -> Predictions:
        """Rows of one epoch a fold as the headline scores them: seeds averaged, stacked.

        Not read from scored.parquet: variants that differ in stacking alone share a run.
        """
        from kfold_hs.judge.selection.selected import Selected
        from kfold_hs.judge.selection.stacking import Stacking

        cohort = self.ground_of(variant).cohort
        positives = {task.name: task.positive_index for task in cohort.tasks}
        stacking = Stacking.of(variant.config, cohort)
        return Selected(kept, positives, self.ground.split.n_folds, stacking).scored

    def _predicted(
        self, variant: Variant, name: str, models: str, listener: Listener
    ) -> Predictions:
        """What would be scored had the variant been run, by the models of another run."""
        from kfold_hs.learn.device import pick_device
        from kfold_hs.learn.features import bank as banks
        from kfold_hs.orchestrator.plan import Plan
        from kfold_hs.orchestrator.repredict import predict_plan

        ground, config = self.ground_of(variant), variant.config
        cohort, split = ground.cohort, ground.split
        trained, target = RunPaths(models, self.root), self.predictions(name)
        of_models = Predictions.digests(trained.predictions)
        digests = {**of_models, "config": config.digest, "models": of_models["config"]}
        if not target.exists() or Predictions.digests(target) != digests:
            listener.stage("features")
            channel = getattr(config.data, "channel", None)
            bank = banks.build(cohort, config.features, channel, listener.step)
            listener.stage("predictions")
            plan = Plan(config.seed, split.n_repeats, config.n_seeds, split.n_folds)
            where: torch.device = pick_device(self.device)
            predict_plan(
                plan, config, cohort, split, bank, trained, of_models, where, listener.step
            ).write(target, digests)
        return self.stacked(variant, Predictions.read(target).where(level="patient"))


def kept_predictions(run: RunPaths) -> Predictions:
    """Patient rows of the epoch that counts, of every fold of a finished run."""
    from kfold_hs.predictions.epoch_rules import kept_epochs

    history = stored.read_history(run.history)
    return Predictions.read(run.predictions).at(kept_epochs(history))


def kept_of_folds(run: RunPaths, places: Iterable[Key]) -> Predictions:
    """The same of some folds of a run, finished or not."""
    from kfold_hs.predictions.epoch_rules import kept_epochs

    predictions, history = tables_of_folds(run, places)
    return predictions.at(kept_epochs(history))


def tables_of_folds(run: RunPaths, places: Iterable[Key]) -> tuple[Predictions, pd.DataFrame]:
    """Predictions and histories of finished folds, by (repeat, seed, fold)."""
    parts, histories = [], []
    for place in sorted(places):
        files = run.fold(*place)
        named = dict(zip(("repeat", "seed", "fold"), place, strict=True))
        histories.append(stored.read_history(files.history, of_fold=True).assign(**named))
        parts.append(Predictions.read(files.predictions))
    return Predictions.concat(parts), pd.concat(histories, ignore_index=True)
