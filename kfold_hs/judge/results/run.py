"""From a run that is to be judged to its summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.cohort import UNKNOWN_PERSONS
from kfold_hs.config.schema import MEAN_ACCURACY
from kfold_hs.files.paths import FoldId
from kfold_hs.judge.results.abstention import abstention
from kfold_hs.judge.results.baselines import CHALLENGE_DATA, beside
from kfold_hs.judge.results.curves import curves
from kfold_hs.judge.results.for_papers import calls_and_fit
from kfold_hs.judge.results.headline import Answer
from kfold_hs.judge.results.labels import all_labels, each_class
from kfold_hs.judge.results.learning_curves import effort, learning
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, SYNTHETIC
from kfold_hs.judge.results.sources import sources
from kfold_hs.judge.results.subgroups import subgroups
from kfold_hs.judge.results.summary import SCHEMA, Summary
from kfold_hs.judge.selection.choices import choices_of, decided, summary_of_choices
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.selection.optimism import optimism
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import metrics_of, places_of, task_result, variance_of
from kfold_hs.judge.stats.expected_error import RECOMMENDED_RUNS
from kfold_hs.judge.stats.label_noise import label_noise
from kfold_hs.judge.stats.scored import Scored
from kfold_hs.judge.stats.variance_components import budget
from kfold_hs.predictions.epoch_rules import HONEST, RULES
from kfold_hs.predictions.table import Predictions


def summarise(record: RunRecord) -> Summary:
    """Judge a run on all its tasks and metrics."""
    selected, basis, config, split = record.selected, record.basis, record.config, record.split
    kept, single, positives = selected.scored, selected.single, selected.positives
    tasks = {task: task_result(kept, single, task, positives[task], basis) for task in kept.tasks}
    for task in record.stacking.sources:
        tasks[task]["unstacked"] = _values(selected.unstacked, task, positives[task])
    for task in tasks:
        tasks[task]["by_class"] = each_class(kept, task, basis)
        tasks[task] |= calls_and_fit(kept, task, positives[task], basis)
    made = choices_of(selected)
    choices = summary_of_choices(made, positives, basis)
    for task, result in tasks.items():
        result["decided"] = decided(choices, task)
    objective = Objective.among(str(config.get("headline", MEAN_ACCURACY)), kept, what="headline")
    answer = Answer.of(objective, selected, basis, tasks, config["target"])
    against = beside(selected, basis, tasks, made)
    if record.kind != CHALLENGE_DATA:
        against = {task: {**each, "official": None} for task, each in against.items()}
    incomplete = _missing(record)
    noise = {task: label_noise(kept, task) for task in kept.tasks}
    folds = _folds(single, record.history)
    held_out, simulated = sources(record), record.kind == SYNTHETIC
    sentence = " ".join(
        [
            *([SIMULATED_PEOPLE] if simulated else []),
            _sentence(record, answer, incomplete),
            *([] if held_out is None else [held_out.sentence]),
        ]
    )
    content = {
        "schema": SCHEMA,
        "run": record.provenance["run"],
        "simulated": simulated,
        "select": {
            "rule": config["select"],
            "text": RULES[config["select"]],
            "honest": HONEST[config["select"]],
        },
        "headline": answer.to_json(sentence, HONEST[config["select"]]),
        "target": answer.of_target(noise),
        "variance": variance_of(answer.found),
        "budget": budget(answer.found, _of_seeds(single, objective, positives, basis.layout)),
        "stacking": {
            "sources": {task: list(names) for task, names in record.stacking.sources.items()},
            "obstacles": record.stacking.obstacles(selected.rows),
        },
        "tasks": tasks,
        "labels": all_labels(selected, basis),
        "beside": against,
        "seeds": _seeds(single, positives, basis.layout.n_folds),
        "folds": folds,
        "effort": effort(folds),
        "incomplete": incomplete,
        "learning": learning(record.history, kept.tasks),
        "optimism": optimism(record.predictions, record.history, record.stacking, split),
        "choices": choices,
        "curves": curves(selected, choices, int(record.judging.get("band_resamples", 0))),
        "abstention": abstention(selected, int(record.judging.get("band_resamples", 0))),
        "subgroups": None
        if record.patients is None
        else subgroups(selected, basis, record.patients, record.described),
        "tried": {"n_variants": max(1, len(record.tried)), "runs": dict(record.tried)},
        "cohort": dict(record.cohort),
        "split": dict(split),
        "provenance": dict(record.provenance),
    } | ({} if held_out is None else {"sources": held_out.to_json()})
    return Summary.from_json(content)


def _values(scored: Predictions, task: str, positive: int) -> dict[str, float | None]:
    """Every metric over all rows at once, by name."""
    y_true, y_prob, ones = scored.y_true(task), scored.y_prob(task), np.ones((1, len(scored)))
    values = {
        metric.name: float(metric(y_true, y_prob, positive, ones)[0])
        for metric in metrics_of(scored, task)
    }
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _seeds(single: Predictions, positives: Mapping[str, int], n_folds: int) -> list[dict[str, Any]]:
    """Every seed's own models, apart: values without intervals; empty with one seed.

    Each is taken as the metric is of all seeds, so that what ranks patients is a mean over folds.
    """
    seeds = sorted(set(single.table["seed"]))
    found = []
    for seed in seeds if len(seeds) > 1 else []:
        mine = single.where(seed=seed)
        layout = Layout.of_predictions(mine, n_folds)
        tasks = {}
        for task, positive in positives.items():
            rows = Scored(mine.y_true(task), mine.y_prob(task), positive, layout)
            values = {
                metric.name: rows.influence(metric).value for metric in metrics_of(mine, task)
            }
            tasks[task] = {k: v if np.isfinite(v) else None for k, v in values.items()}
        found.append({"seed": int(seed), "tasks": tasks})
    return found


def _of_seeds(
    single: Predictions, objective: Objective, positives: Mapping[str, int], layout: Layout
) -> np.ndarray | None:
    """The headline of every seed's model in every fold, (n_seeds, J); None with one seed."""
    seeds = sorted(set(single.table["seed"]))
    found = []
    for seed in seeds if len(seeds) > 1 else []:
        mine = single.where(seed=seed)
        its = Layout.of_predictions(mine, layout.n_folds)
        if its.n_models != layout.n_models:  # unfinished: there is nothing to set side by side
            return None
        found.append(objective.influence(mine, positives, its).models)
    return np.array(found) if found else None


def _sentence(record: RunRecord, answer: Answer, incomplete: list[dict[str, Any]]) -> str:
    """The answer in words."""
    mean, places = answer.recipe, list(record.epochs)
    n_models = len(places)
    if mean.value is None:
        return f"The {answer.name[0].lower()}{answer.name[1:]} is unknown: {mean.method}."
    found = "; ".join(answer.phrases())
    trained = f"{record.split['train_share']:.0%}".replace("%", " %")
    n_seeds = len({seed for _, seed, _ in places})
    seeds = f", the mean of {n_seeds} seeds" if n_seeds > 1 else ""
    models = f"One model, trained on {trained}"
    if n_models > 1:
        models = f"{n_models} models, each trained on {trained}"
    sentence = (
        f"{answer.name} on {_whose(record.cohort)}: {found}. {models} of the people and scored at "
        f"{RULES[record.config['select']]}{seeds}."
    )
    sentence += f" {answer.alike}" if answer.alike else ""
    n_repeats = len({repeat for repeat, _, _ in places})
    can_repeat = "hold_out" not in record.split["settings"]
    if n_repeats == 1 and can_repeat and "conservative" in mean.method:
        sentence += (
            " One repeat: the interval is a conservative one; --repeats "
            f"{RECOMMENDED_RUNS} is recommended."
        )
    if incomplete:
        n_places = n_models + len(incomplete)
        sentence += f" Not finished: it rests on {n_models} of {n_places} folds."
    return sentence


def _whose(cohort: Mapping[str, Any]) -> str:
    if any(note["name"] == UNKNOWN_PERSONS for note in cohort.get("notes", ())):
        return (
            "recordings the models were not trained on (whose they are is not known: a person may "
            "be on both sides)"
        )
    return "people the models were not trained on"


def _folds(kept: Predictions, history: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for place, rows in places_of(kept):
        here = np.logical_and.reduce([history[name] == value for name, value in place.items()])
        epochs = history[here]
        over = epochs.loc[epochs["overfitting"], "epoch"]
        kept_row = epochs[epochs["kept"]].iloc[0]
        found.append(
            {
                **place,
                "n_patients": len(rows),
                "kept_epoch": int(kept_row["epoch"]),
                "best_epoch": int(epochs.loc[epochs["best"], "epoch"].iloc[0]),
                "overfitting_since": int(over.min()) if len(over) else None,
                "seconds": float(epochs["seconds"].sum()),
                "joules": _energy(epochs),
                "accuracies": {task: float(kept_row[f"acc.{task}"]) for task in kept.tasks},
            }
        )
    return found


def _energy(epochs: pd.DataFrame) -> float | None:
    """Joules of a fold, None unless every epoch's were measured."""
    if "joules" not in epochs or epochs["joules"].isna().any():
        return None
    return float(epochs["joules"].sum())


def _missing(record: RunRecord) -> list[dict[str, Any]]:
    """Folds of the split that no model was scored on, for every seed that there is, and why."""
    epochs, split, faults = record.epochs, record.split, record.faults
    seeds = {seed for _, seed, _ in [*epochs, *faults]}
    places = [
        FoldId(repeat, seed, fold)
        for repeat in range(split["n_repeats"])
        for seed in sorted(seeds)
        for fold in range(split["n_folds"])
        if FoldId(repeat, seed, fold) not in epochs
    ]
    return [
        place._asdict() | ({"cause": faults[place]} if place in faults else {}) for place in places
    ]
