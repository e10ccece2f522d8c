"""A variant is run: trained, or predicted by the models of one that was trained alike."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kfold_hs.config.schema import Config
from kfold_hs.config.sweep import Variant
from kfold_hs.errors import UnfinishedError
from kfold_hs.files import stored
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows.cross_validation import run, run_name
from kfold_hs.workflows.options import RunOptions

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunInputs


@dataclass(frozen=True)
class VariantResult:
    """What running a variant gave.

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
class VariantRunner:
    """Runs variants, all on the same people.

    Parameters
    ----------
    inputs : RunInputs
        What they begin with.
    predictions : callable
        Name of a run -> where predictions are kept that another run's models made in its place.
    trained : dict
        What decides a training (`training_of`) -> name of the finished run that has the models.
    own : mapping
        Variant -> what it begins with, where its folds are its own.
    """

    inputs: RunInputs
    predictions: Callable[[str], Path]
    options: RunOptions
    trained: dict[str, str] = field(default_factory=dict)
    own: Mapping[str, RunInputs] = field(default_factory=dict)

    def inputs_of(self, variant: Variant) -> RunInputs:
        """The inputs with what the variant makes of the tasks."""
        return self.own.get(variant.name, self.inputs).for_tasks_of(variant.config)

    def training_of(self, variant: Variant) -> str:
        """What decides a variant's models: its settings, and who is in which fold."""
        return training_of(variant.config, self.inputs_of(variant))

    def run_name(self, variant: Variant) -> str:
        """Of the variant's run, made or not."""
        return run_name(variant.config, self.inputs_of(variant))

    def run(self, variant: Variant, progress: Progress) -> VariantResult:
        """Run the variant, unless its run is finished or a finished run has its models.

        Raises
        ------
        UnfinishedError
            Folds could not be trained.
        KfoldHsError
            As `cross_validation.run`.
        """
        own = RunPaths(self.run_name(variant), self.options.root)
        models = self.trained.get(self.training_of(variant))
        if models is not None and models != own.name and not own.predictions.exists():
            scored = self._predicted(variant, own.name, models, progress)
            return VariantResult(own.name, scored, models)
        words = shlex.join(["kfold-hs", "run", *variant.overrides])
        options = replace(self.options, name=None, command=words)
        done = run(variant.config, progress, options, self.inputs_of(variant))
        self.trained.setdefault(self.training_of(variant), own.name)
        return VariantResult(own.name, self.stacked(variant, kept_predictions(done.paths)))

    def run_all(
        self, variants: Sequence[Variant], announce: Callable[[int], str], progress: Progress
    ) -> dict[str, VariantResult]:
        """Run every variant, also where folds of another could not be trained.

        Parameters
        ----------
        announce : callable
            Number of a variant, from 0 -> what is said before it begins.

        Raises
        ------
        UnfinishedError
            With what is missing of each variant that is not finished.
        KfoldHsError
            As `cross_validation.run`.
        """
        results: dict[str, VariantResult] = {}
        faults = []
        for number, each in enumerate(variants):
            progress.note(announce(number))
            try:
                results[each.name] = self.run(each, progress)
            except UnfinishedError as error:
                faults.append(f"{each.name}: {error}")
        if faults:
            raise UnfinishedError(
                f"nothing was compared: {len(faults)} of {len(variants)} variants are not "
                "finished. " + " ".join(faults)
            )
        return results

    def read(self, variant: Variant, predicted_with: str | None) -> Predictions:
        """What the headline of a variant scores that was tried out before."""
        return self.stacked(variant, self.kept(variant, predicted_with))

    def kept(self, variant: Variant, predicted_with: str | None) -> Predictions:
        """Patient rows of the epoch that counts, of a variant that was tried out before."""
        own = RunPaths(self.run_name(variant), self.options.root)
        if predicted_with is None:
            return kept_predictions(own)
        return Predictions.read(self.predictions(own.name)).where(level="patient")

    def stacked(self, variant: Variant, kept: Predictions) -> Predictions:
        """Rows of one epoch a fold as the headline scores them: seeds averaged, stacked.

        Not read from scored.parquet: variants that differ in stacking alone share a run.
        """
        from kfold_hs.judge.selection.selected import Selected
        from kfold_hs.judge.selection.stacking import Stacking

        inputs = self.inputs_of(variant)
        stacking = Stacking.of(variant.config, inputs.cohort)
        return Selected(kept, inputs.positives, inputs.split.n_folds, stacking).scored

    def _predicted(
        self, variant: Variant, name: str, models: str, progress: Progress
    ) -> Predictions:
        """What would be scored had the variant been run, by the models of another run."""
        from kfold_hs.learn.device import pick_device
        from kfold_hs.learn.frames.targets import marks_digest
        from kfold_hs.orchestrator.context import RunContext
        from kfold_hs.orchestrator.repredict import predict_folds

        inputs, config = self.inputs_of(variant), variant.config
        trained, target = RunPaths(models, self.options.root), self.predictions(name)
        of_models = Predictions.digests(trained.predictions)
        digests = {**of_models, "config": config.digest, "models": of_models["config"]}
        digests |= marks_digest(config, inputs.cohort)
        if not target.exists() or Predictions.digests(target) != digests:
            device = pick_device(self.options.device)
            context = RunContext.prepare(config, inputs, trained, device, progress)
            progress.stage("predictions")
            found = predict_folds(replace(context, digests=of_models), trained, progress.step)
            found.write(target, digests)
        return self.stacked(variant, Predictions.read(target).where(level="patient"))


def training_of(config: Config, inputs: RunInputs) -> str:
    """What decides the models: settings, and folds that a file may give (not in the digest)."""
    return f"{config.training_digest} {inputs.split.assignment}"


def kept_predictions(run: RunPaths) -> Predictions:
    """Patient rows of the epoch that counts, of every fold of a finished run."""
    from kfold_hs.predictions.epoch_rules import kept_epochs

    history = stored.read_history(run.history)
    return Predictions.read(run.predictions).at(kept_epochs(history))


def kept_of_folds(run: RunPaths, folds: Iterable[FoldId]) -> Predictions:
    """The same of some folds of a run, finished or not."""
    from kfold_hs.predictions.epoch_rules import kept_epochs

    predictions, history = tables_of_folds(run, folds)
    return predictions.at(kept_epochs(history))


def tables_of_folds(run: RunPaths, folds: Iterable[FoldId]) -> tuple[Predictions, pd.DataFrame]:
    """Predictions and histories of finished folds, by (repeat, seed, fold)."""
    parts, histories = [], []
    for fold in sorted(folds):
        files = run.fold(fold)
        histories.append(stored.read_history(files.history, of_fold=True).assign(**fold._asdict()))
        parts.append(Predictions.read(files.predictions))
    return Predictions.concat(parts), pd.concat(histories, ignore_index=True)
