"""Nested cross-validation: a search inside every outer fold, which scores what it chose."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pandas as pd

from kfold_hs.config.schema import Config
from kfold_hs.config.sweep import Variant
from kfold_hs.errors import ConfigError, UnfinishedError, listing
from kfold_hs.files.paths import RunPaths, write_text
from kfold_hs.files.room import check_writable
from kfold_hs.judge.metrics.own import judged_with
from kfold_hs.judge.results.search_result import SearchResult
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits.inner_folds import inner_split
from kfold_hs.workflows.cross_validation import Run, run_name
from kfold_hs.workflows.inputs import check_leaks, read_inputs
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.search.spec import Search
from kfold_hs.workflows.search.tuning import tune
from kfold_hs.workflows.variant_runs import tables_of_folds

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunInputs

INNER_FOLDS = 3
OuterFold = tuple[int, int]
"""Repeat and fold."""


@judged_with(lambda search: search.first.config.plugins)
def nested(
    search: Search,
    progress: Progress,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    inner_folds: int = INNER_FOLDS,
) -> Run:
    """Choose by searching within the training people of every outer fold, score on the fold.

    What is estimated is the whole procedure: search, then train what won. Each inner search is
    one of `tune`'s, on folds of the outer fold's training people; the chosen variant's fold model
    is the one that `kfold-hs run` of it would train. The same call goes on with what it left.

    Returns
    -------
    Run
        Its summary has `nested`; see `judge.results.nested`.

    Raises
    ------
    UnfinishedError
        Chosen variants could not be trained on an outer fold.
    KfoldHsError
        As `tuning.tune`.
    """
    started = time.time()
    from kfold_hs.judge.results.headline import check_judging
    from kfold_hs.judge.results.nested import nested_result
    from kfold_hs.judge.selection.objective import Objective
    from kfold_hs.judge.selection.selected import Selected
    from kfold_hs.judge.selection.stacking import Stacking
    from kfold_hs.learn.device import pick_device
    from kfold_hs.learn.training.checks import check_configs, try_parts
    from kfold_hs.orchestrator.context import RunInputs
    from kfold_hs.orchestrator.folder import locked, provenance, settle
    from kfold_hs.predictions.epoch_rules import kept_epochs
    from kfold_hs.workflows.judgement import judge_run

    _check_judged_alike(search)
    device, fleet = pick_device(options.device), options.fleet
    search = search.on(fleet.kind(device))
    config = search.first.config
    check_configs(each.config for each in search.each_value())
    try_parts(*(each.config for each in search.each_value()))
    check_writable(options.root, "Give another folder: --root DIR.")
    check_judging(config)
    inputs = read_inputs(config, progress)
    cohort = inputs.cohort
    tasks = {task.name: task.classes for task in cohort.tasks}
    objective = Objective.of(search.objective, tasks)
    paths = RunPaths(options.name or _name(search, inputs, inner_folds), options.root)
    with fleet.open(), locked(paths):
        inputs = settle(config, inputs, paths)
        split = inputs.split
        inner = {
            place: inner_split(cohort, split, *place, inner_folds)
            for place in product(range(split.n_repeats), range(split.n_folds))
        }
        for (repeat, fold), each in inner.items():
            within = f"within repeat {repeat}, fold {fold}: "
            RunInputs(cohort, each).check_folds(config, within)
        chosen: dict[OuterFold, SearchResult] = {}
        for (repeat, fold), each in inner.items():
            place = f"repeat {repeat}, fold {fold}" if split.n_repeats > 1 else f"fold {fold}"
            progress.note(f"outer {place}: searching among its training people")
            findings = check_leaks(config, cohort, each, progress)
            own = replace(options, name=f"{paths.name}-r{repeat}-f{fold}")
            found = tune(search, progress, own, RunInputs(cohort, each, findings))
            chosen[repeat, fold] = found.result
        parts = []
        for variant, places in _by_variant(search, chosen):
            progress.note(f"outer folds of {variant.name}")
            parts.append(_outer(variant, places, inputs, options, progress))
        progress.stage("report")
        predictions = Predictions.concat([part for part, _ in parts])
        history = pd.concat([each for _, each in parts], ignore_index=True)
        digests = {"config": config.digest, **inputs.digests}
        predictions.write(paths.predictions, digests)
        write_text(paths.history, history.to_csv(index=False), True)
        stacking = Stacking.of(config, cohort)
        epochs = kept_epochs(history)
        selected = Selected.of(predictions, epochs, inputs.positives, split.n_folds, stacking)
        result = nested_result(
            [_choice(place, content) for place, content in chosen.items()],
            selected.scored, objective, inputs.positives,
            {"n_folds": split.n_folds, "train_share": split.train_share},
        )  # fmt: skip
        result |= {"inner_folds": inner_folds, "n_trials": search.n_trials}
        origin = provenance(paths.name, options.command, digests, fleet.device(device), started)
        return Run(paths, judge_run(paths, config, inputs, origin, result))


def _choice(place: OuterFold, found: SearchResult) -> dict[str, Any]:
    """What an inner search chose, and what it claimed."""
    winner = found.winner
    assert winner.estimate is not None
    return {
        "repeat": place[0],
        "fold": place[1],
        "name": winner.name,
        "params": winner.params,
        "search": found.name,
        "n_trials": len(found.trials),
        "claimed": winner.estimate["value"],
        "corrected": winner.corrected["value"],
    }


def _by_variant(
    search: Search, chosen: Mapping[OuterFold, SearchResult]
) -> list[tuple[Variant, frozenset[OuterFold]]]:
    """Every variant that was chosen, and the outer folds that chose it."""
    params = {each.winner.name: each.winner.params for each in chosen.values()}
    return [
        (
            search.variant(point),
            frozenset(p for p, each in chosen.items() if each.winner.name == name),
        )
        for name, point in params.items()
    ]


def _outer(
    variant: Variant,
    folds: frozenset[OuterFold],
    inputs: RunInputs,
    options: RunOptions,
    progress: Progress,
) -> tuple[Predictions, pd.DataFrame]:
    """Train the outer folds that chose a variant; predictions and histories of all their seeds."""
    from kfold_hs.learn.device import pick_device
    from kfold_hs.orchestrator.context import RunContext
    from kfold_hs.orchestrator.folder import finished, locked, settle
    from kfold_hs.orchestrator.plan import Plan

    config, own = variant.config, inputs.for_tasks_of(variant.config)
    paths = RunPaths(run_name(config, own), options.root)
    device = pick_device(options.device)
    with locked(paths):
        own = settle(config, own, paths)
        context = RunContext.prepare(config, own, paths, device, progress)
        plan = Plan.of(config, own.split, folds)
        progress.training(len(plan), config.train.epochs)
        options.fleet.train(device)(plan, context, progress)
        done = finished(plan, paths)
        if len(done) < len(plan):
            raise UnfinishedError(f"{variant.name}: {len(plan) - len(done)} folds are missing.")
        return tables_of_folds(paths, done)


def _check_judged_alike(search: Search) -> None:
    """Refuse a space of settings that judging reads: one report has one of each."""
    for key, values in search.space.choices.items():
        point = {name: each[0] for name, each in search.space.choices.items()}
        judged = [_judging(search.variant({**point, key: value}).config) for value in values]
        if any(each != judged[0] for each in judged):
            raise ConfigError(
                f"{key} = {listing(values)} decides how predictions are judged, and nested "
                "cross-validation judges all folds alike: give it one value."
            )


def _judging(config: Config) -> list[Any]:
    stacks = {name: task.stack for name, task in config.data.tasks.items()}
    return [config.select, config.train.inner_share, config.target, config.predict.stack, stacks]


def _name(search: Search, inputs: RunInputs, inner_folds: int) -> str:
    """``nested-<data>-<digest8>``."""
    terms = {
        "space": {key: list(values) for key, values in search.space.choices.items()},
        "objective": search.objective,
        "config": search.first.config.digest,
        "inner_folds": inner_folds,
        "cohort": inputs.cohort.fingerprint,
        "split": inputs.split.assignment,
    }
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()
    return f"nested-{inputs.cohort.name}-{digest[:8]}"
