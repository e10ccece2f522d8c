"""From predictions that another program made to a summary, as far as they go.

It is the summary of a run without what is not known: no epochs, no training, no configuration.
Where the folds are known, intervals are those of a run, and speak of models that are trained anew
on as many people. Where they are not, all intervals are of these fixed predictions: other people
are in them, other trainings are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.errors import counted
from kfold_hs.judge.results.abstention import abstention
from kfold_hs.judge.results.baselines import beside
from kfold_hs.judge.results.curves import curves
from kfold_hs.judge.results.for_papers import calls_and_fit
from kfold_hs.judge.results.headline import Answer, check_target
from kfold_hs.judge.results.labels import each_class
from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE
from kfold_hs.judge.results.subgroups import subgroups
from kfold_hs.judge.results.summary import SCHEMA, Summary
from kfold_hs.judge.selection.choices import choices_of, decided, summary_of_choices
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.estimates import Basis, metrics_of, task_result, variance_of
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.label_noise import label_noise
from kfold_hs.judge.stats.variance_components import budget
from kfold_hs.predictions.table import DECISIONS, PROBABILITIES, SCORES, Predictions

FIXED = (
    "The folds are not known, so this is about these predictions alone: how good they are on other "
    "people like these. How much models that are trained anew would differ is not in the interval"
)
ONE_FOLD = FIXED.replace(
    "The folds are not known", "All rows are of one fold, like those of a hold-out", 1
)
UNPROVED = (
    "The table implies that no model was trained on the people of its fold, and cannot prove it"
)
_HEADLINES = ("accuracy", "auroc")


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """Imported predictions that are to be judged.

    Parameters
    ----------
    predictions : Predictions
        A row a patient, repeat, seed and fold.
    positives : mapping
        Task -> index of its positive class.
    primary : sequence of str
        The tasks of the headline.
    known : set of str
        Which of person, fold, repeat and seed are known.
    facts : mapping
        source (its name), digest, notes, findings, provenance.
    patients : DataFrame
        patient_id, and a column for each group.
    judging : mapping
        headline, target, band_resamples, bca.
    """

    predictions: Predictions
    positives: Mapping[str, int]
    primary: Sequence[str]
    known: frozenset[str]
    facts: Mapping[str, Any]
    patients: pd.DataFrame
    judging: Mapping[str, Any]

    @property
    def n_folds(self) -> int | None:
        """Of a repeat; None where the folds are not known, or there is one."""
        n = int(self.predictions.table["fold"].nunique())
        return n if "fold" in self.known and n > 1 else None

    @cached_property
    def train_share(self) -> float | None:
        """Share of the people in the other folds, on average; None where folds are not known."""
        if self.n_folds is None:
            return None
        table = self.predictions.table
        tested = table.groupby(["repeat", "fold"])["person_id"].nunique()
        return 1 - float(tested.mean()) / int(table["person_id"].nunique())

    @cached_property
    def selected(self) -> Selected:
        return Selected(self.predictions, self.positives, self.n_folds or 1)

    def of_kind(self, kinds: Iterable[str]) -> Selected | None:
        """What is scored of the tasks of some kinds; None where there is none."""
        scored, kinds = self.selected.scored, set(kinds)
        tasks = [task for task in scored.tasks if scored.kind(task) in kinds]
        if not tasks:
            return None
        positives = {task: self.positives[task] for task in tasks}
        return Selected(scored.of_tasks(tasks), positives, self.selected.n_folds)

    @cached_property
    def objective(self) -> Objective:
        """What is asked for; by default the mean accuracy of the tasks that have one, else AUROC.

        Raises
        ------
        ConfigError
            There is no such score, or the target is outside of its range.
        """
        kept, asked = self.selected.scored, str(self.judging.get("headline") or "")
        if not asked:
            names = {m.name for task in self.primary for m in metrics_of(kept, task)}
            asked = next(name for name in _HEADLINES if name in names)
        found = Objective.among(asked, kept, self.primary, "headline")
        found.check_folds(self.n_folds or 1)
        check_target(self.judging.get("target"), found)
        return found

    @cached_property
    def basis(self) -> Basis:
        split = {"n_folds": self.n_folds or 1, "train_share": self.train_share or 1.0}
        return Basis.of(self.selected.scored, split, True, int(self.judging.get("bca", 0)))


def summarise_imported(record: EvaluationRecord) -> Summary:
    """Judge imported predictions on all their tasks, and the metrics that they allow."""
    selected, basis, positives = record.selected, record.basis, record.positives
    kept, single = selected.scored, selected.rows
    tasks = {task: task_result(kept, single, task, positives[task], basis) for task in kept.tasks}
    for task, result in tasks.items():
        result["kind"] = kept.kind(task)
        result["by_class"] = each_class(kept, task, basis)
        result |= calls_and_fit(kept, task, positives[task], basis)
        if result["kind"] == SCORES:
            result["confusion"], result["confusion_folds"] = [], []
    whole, judged = record.of_kind({PROBABILITIES}), record.of_kind({PROBABILITIES, DECISIONS})
    made = choices_of(whole) if whole else []
    choices = summary_of_choices(made, positives, basis)
    for task, result in tasks.items():
        result["decided"] = decided(choices, task)
    against = beside(judged, basis, tasks, made) if judged else {}
    drawn = record.of_kind({PROBABILITIES, SCORES})
    n_bands = int(record.judging.get("band_resamples", 0))
    objective = record.objective
    answer = Answer.of(objective, selected, basis, tasks, record.judging.get("target"))
    is_accuracy = objective.metric == "accuracy"
    noise = {task: label_noise(kept, task) for task in objective.tasks if is_accuracy}
    content = {
        "schema": SCHEMA,
        "run": record.facts["provenance"]["run"],
        "simulated": bool(record.facts.get("simulated")),
        "imported": _imported(record),
        "headline": answer.to_json(_sentence(record, answer), None),
        "target": answer.of_target(noise),
        "variance": variance_of(answer.found) if record.n_folds else None,
        "budget": _budget(answer.found) if is_accuracy else None,
        "tasks": tasks,
        "beside": {task: {**each, "official": None} for task, each in against.items()},
        "folds": [],
        "choices": choices,
        "subgroups": subgroups(selected, basis, record.patients)
        if len(record.patients.columns) > 1
        else None,
        "cohort": _cohort(record),
        "split": _split(record),
        "provenance": dict(record.facts["provenance"]),
    }
    if drawn:
        content["curves"] = curves(drawn, choices, n_bands)
    if whole:
        content["abstention"] = abstention(whole, n_bands)
    if record.n_folds is None:
        _leave_folds_out(content)
    return Summary.from_json(content)


def _leave_folds_out(content: dict[str, Any]) -> None:
    """Without folds there is no value of a fold: rows of a repeat are no fold model's."""
    for result in content["tasks"].values():
        result["confusion_folds"] = []
        for metric in result["metrics"].values():
            metric["folds"], metric["fold_mean"] = [], None
    for curve in content.get("curves", {}).get("tasks", {}).values():
        for name in ("roc", "pr", "cost"):
            if curve[name]:
                curve[name]["folds"] = []


def _budget(of_mean: Influence) -> dict[str, Any] | None:
    """Where the uncertainty comes from; repeats and seeds are no options of this command."""
    found = budget(of_mean)
    return found and found | {"text": re.sub(r" \(--\w+\)", "", found["text"])}


def _sentence(record: EvaluationRecord, answer: Answer) -> str:
    simulated = f"{SIMULATED_PEOPLE} " if record.facts.get("simulated") else ""
    if answer.recipe.value is None:
        return f"{simulated}{answer.name} is unknown: {answer.recipe.method}."
    found = "; ".join(answer.phrases())
    what = f"{simulated}{answer.name} of predictions that another program made"
    alike = f" {answer.alike}" if answer.alike else ""
    return f"{what}: {found}.{alike} {_says_of_folds(record)}."


def _says_of_folds(record: EvaluationRecord) -> str:
    if record.n_folds is None:
        return ONE_FOLD if "fold" in record.known else FIXED
    n_repeats = int(record.predictions.table["repeat"].nunique())
    leaks = [each["text"] for each in record.facts["findings"] if each["is_leak"]]
    proof = f"LEAK: {'; '.join(leaks)}: these numbers are too good" if leaks else UNPROVED
    share = f"{100 * (record.train_share or 0):.0f} % of the people"
    return (
        f"{counted(record.n_folds, 'fold')}, {counted(n_repeats, 'repeat')}, models trained on "
        f"{share} where each was trained on all other folds. {proof}"
    )


def _imported(record: EvaluationRecord) -> dict[str, Any]:
    """What is known of how the predictions came about, and what is not."""
    kept = record.predictions
    known = sorted(record.known - ({"fold"} if record.n_folds is None else set()))
    return {
        "source": record.facts["source"],
        "n_rows": len(kept),
        "kinds": {task: kept.kind(task) for task in kept.tasks},
        "primary": list(record.primary),
        "known": known,
        "unknown": [each for each in ("person", "fold", "repeat", "seed") if each not in known]
        + ["epoch", "training", "configuration"],
        "audited": bool(record.facts["audited"]),
        "leaks": sum(each["is_leak"] for each in record.facts["findings"]),
    }


def _cohort(record: EvaluationRecord) -> dict[str, Any]:
    table = record.predictions.table
    first = record.predictions.with_rows(
        table[~table["patient_id"].duplicated()].reset_index(drop=True)
    )
    return {
        "name": record.facts["source"],
        "n_persons": int(table["person_id"].nunique()),
        "n_patients": len(first),
        "tasks": [
            {
                "name": task,
                "classes": list(names),
                "positive": names[record.positives[task]],
                "counts": _counts(first, task),
            }
            for task, names in first.classes.items()
        ],
        "notes": list(record.facts["notes"]),
    }


def _counts(rows: Predictions, task: str) -> dict[str, int]:
    names = rows.classes[task]
    each = np.bincount(rows.y_true(task), minlength=len(names)).tolist()
    return dict(zip(names, each, strict=True))


def _split(record: EvaluationRecord) -> dict[str, Any]:
    """The split that the table implies, and what the audit found in it."""
    table = record.predictions.table
    names = sorted(table["fold"].unique()) if record.n_folds else []
    first = record.predictions.where(repeat=table["repeat"].min(), seed=table["seed"].min())
    by_fold = [_fold_counts(first, fold) for fold in names]
    return {
        "n_folds": record.n_folds,
        "n_repeats": int(table["repeat"].nunique()),
        "n_seeds": int(table["seed"].nunique()),
        "digest": record.facts["digest"],
        "train_share": record.train_share,
        "balance": [
            {
                "task": task,
                "class": name,
                "kind": "label",
                "counts": [each[task][name] for each in by_fold],
            }
            for task in record.primary
            for name in first.classes[task]
            if by_fold
        ],
        "findings": list(record.facts["findings"]),
    }


def _fold_counts(rows: Predictions, fold: int) -> dict[str, dict[str, int]]:
    mine = rows.where(fold=fold)
    return {task: _counts(mine, task) for task in mine.tasks}
