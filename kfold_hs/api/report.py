"""The report of a cross-validation as an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kfold_hs.api.card import estimate
from kfold_hs.api.progress import Shown, watching
from kfold_hs.api.results import Results
from kfold_hs.errors import KfoldHsError, counted, enumerated, unknown_name
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths, whose
from kfold_hs.judge.results.summary import Summary
from kfold_hs.predictions.table import Predictions

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from kfold_hs.api.models import Models

_ON_CARD = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc", "brier")


class Report(Results[Summary]):
    """A cross-validation: out-of-fold scores with intervals, predictions, figures and models.

    `kfold_hs.cross_validate` returns one, and `kfold_hs.read_report` opens an earlier one.

    Attributes
    ----------
    summary : Summary
        The content of summary.json, typed: `summary.headline.value`, `summary.tasks["murmur"]`.
    paths : RunPaths
        Every file of the run.
    predictions : DataFrame
        Out-of-fold probabilities that the headline scores: a row a patient and repeat, with
        `y.<task>` and `p.<task>.<class>`.
    history : DataFrame
        A row an epoch of every fold: losses, accuracies, learning rate.
    models : Models
        The fold models, loaded when they are first asked.
    """

    content, html = "summary.json", "report.html"
    kind = Summary

    @property
    def summary(self) -> Summary:
        return self.result

    @property
    def paths(self) -> RunPaths:
        return RunPaths(*whose(self.folder))

    def to_frame(self) -> pd.DataFrame:
        """Metrics with their 95 % intervals, a row a task and metric.

        Returns
        -------
        DataFrame
            task, metric, value; low, high: for the recipe (expected performance); models_low,
            models_high: for these models on other people (conditional performance);
            higher_is_better. NaN where an interval is unknown.
        """
        rows = []
        for task, result in self.summary.tasks.items():
            for name, metric in result.metrics.items():
                models = metric.get("these_models") or {}
                rows.append(
                    {
                        "task": task,
                        "metric": name,
                        **{key: metric[key] for key in ("value", "low", "high")},
                        **{f"models_{end}": models.get(end) for end in ("low", "high")},
                        "higher_is_better": metric["higher_is_better"],
                    }
                )
        numbers = ("value", "low", "high", "models_low", "models_high")
        return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))

    @property
    def predictions(self) -> pd.DataFrame:
        table = Predictions.read(self._file(self.paths.scored, "predictions")).table
        return table.drop(columns=["level", "seed", "epoch", "recording_id"])  # the same in all

    @property
    def history(self) -> pd.DataFrame:
        return stored.read_history(self._file(self.paths.history, "history of a training"))

    @cached_property
    def models(self) -> Models:
        return self.load_models()

    def load_models(self, progress: Shown = None) -> Models:
        """As `models`, with progress: the recordings are read again, to check whose they are.

        Parameters
        ----------
        progress : bool or Progress, optional
            As in `cross_validate`.

        Raises
        ------
        BundleError
            Folds are missing, or the run is of a nested search.
        KfoldHsError
            The recordings are not where they were, or are others.
        """
        from kfold_hs.api.models import exported

        self._file(self.paths.config, "models")
        return exported(self.folder, progress)

    def export(
        self,
        folder: str | Path,
        *,
        onnx: bool = False,
        pt2: bool = False,
        progress: Shown = None,
    ) -> Models:
        """Make a bundle: the models and all that predicting new people takes, in one folder.

        Parameters
        ----------
        folder : str or Path
            Must not exist yet.
        onnx, pt2 : bool
            Add ONNX or torch.export files, from samples to probabilities.
        progress : bool or Progress, optional
            As in `cross_validate`.

        Raises
        ------
        KfoldHsError
            As `load_models`; or the folder exists.
        """
        from kfold_hs.api.models import load_bundle
        from kfold_hs.config.compose import load_yaml
        from kfold_hs.config.plugins import refuse_typed_in
        from kfold_hs.workflows.bundles import export

        refuse_typed_in(load_yaml(self._file(self.paths.config, "models")).plugins)
        target = Path(folder).expanduser()
        graphs = [kind for kind, is_asked in (("onnx", onnx), ("pt2", pt2)) if is_asked]
        with watching(progress) as watcher:
            export(self.folder, target, watcher, graphs)
        return load_bundle(target)

    def plot_metrics(self, task: str | None = None) -> go.Figure:
        """Metrics with their intervals, and every fold's value.

        Parameters
        ----------
        task : str, optional
            It may be left out where there is one.
        """
        return self._plot("forest", task)

    def plot_confusion(self, task: str | None = None) -> go.Figure:
        """Confusion matrix: counts, a row a label.

        Parameters
        ----------
        task : str, optional
            It may be left out where there is one.
        """
        return self._plot("confusion", task)

    def plot_roc(self, task: str | None = None) -> go.Figure:
        """ROC curve of the positive class, with its band.

        Parameters
        ----------
        task : str, optional
            It may be left out where there is one.
        """
        return self._plot("roc", task)

    def plot_precision_recall(self, task: str | None = None) -> go.Figure:
        """Precision over recall of the positive class, with its band.

        Parameters
        ----------
        task : str, optional
            It may be left out where there is one.
        """
        return self._plot("pr", task)

    def plot_calibration(self, task: str | None = None) -> go.Figure:
        """Share of positives over predicted probability, as configured and scaled.

        Parameters
        ----------
        task : str, optional
            It may be left out where there is one.
        """
        return self._plot("calibration", task)

    def plot_decision(self, task: str | None = None) -> go.Figure:
        """Net benefit over the threshold probability.

        Parameters
        ----------
        task : str, optional
            It may be left out where there is one.
        """
        return self._plot("decision", task)

    def plot_loss(self) -> go.Figure:
        """Training and validation loss of every fold by epoch."""
        return self.figure("loss")

    def _plot(self, kind: str, task: str | None) -> go.Figure:
        tasks = list(self.summary.tasks)
        if task is None and len(tasks) > 1:
            raise KfoldHsError(
                f"{self.name} has the tasks {', '.join(tasks)}: name one, e.g. task={tasks[0]!r}."
            )
        if task is not None and task not in tasks:
            raise KfoldHsError(unknown_name("task", task, tasks))
        name = f"{kind}-{task or tasks[0]}"
        if name not in self.figures:
            raise KfoldHsError(f"{self.name} has no figure {name}: its files hold no such curve.")
        return self.figures[name]

    def _file(self, path: Path, what: str) -> Path:
        if not path.is_file():
            raise KfoldHsError(
                f"{self.folder} holds no {what}: {path.name} is not there. Results of predictions "
                "that were made elsewhere have none; otherwise repeat the call that made them."
            )
        return path

    def _lines(self) -> Iterator[str]:
        summary, tasks = self.summary, list(self.summary.tasks)
        head = summary.headline
        if head.value is None:  # of scores that are no probabilities
            yield head.sentence
            return
        label = head.label[0].upper() + head.label[1:]
        if "label" not in head.to_json():  # of an earlier version, which led with the accuracy
            label = "Accuracy" if len(tasks) == 1 else f"Accuracy, mean of {enumerated(tasks)}"
        found = estimate({"value": head.value, "low": head.low, "high": head.high})
        target = summary.target["value"]
        said = "" if target is None else f"; target {target:g}: {head.verdict}"
        yield f"{label}: {found}{said}."
        split, cohort = summary.split, summary.cohort
        repeats = f", {split.n_repeats} repeats" if split.n_repeats > 1 else ""
        folds = counted(split.n_folds, "fold") if split.n_folds else "folds unknown"
        yield f"{counted(cohort.n_persons, 'person')}, {folds}{repeats}, scored out of fold."
        if head.honest is False:
            yield "Optimistic: the epochs were chosen on the people that are scored."
        if summary.incomplete:
            n = counted(len(summary.incomplete), "fold model is", "fold models are")
            yield f"{n} missing; the page says why."

    def _rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        tasks = self.summary.tasks
        names = [name for name in _ON_CARD if any(name in task.metrics for task in tasks.values())]
        rows = []
        for name in names:
            found = [task.metrics.get(name) for task in tasks.values()]
            first = next(each for each in found if each is not None)
            note = "" if first["higher_is_better"] else " (lower is better)"
            values = ["" if each is None else estimate(each) for each in found]
            rows.append([f"{first['label']}{note}", *values])
        return ["", *tasks], rows
