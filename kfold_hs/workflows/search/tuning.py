"""A search: points of a space, tried one after another; what the best is worth."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kfold_hs.config.space import Space
from kfold_hs.config.sweep import Variant
from kfold_hs.errors import KfoldHsError, TrainingError
from kfold_hs.files.paths import RunPaths, TunePaths, write_json, write_text
from kfold_hs.files.room import check_writable
from kfold_hs.judge.metrics.own import judged_with
from kfold_hs.judge.results.search_result import SCHEMA, SearchResult
from kfold_hs.orchestrator.finished import variants_tried
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows.inputs import read_inputs
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.search.faults import TRIED_AGAIN, raise_unless_its_own
from kfold_hs.workflows.search.pruning import FinishedTrials, PruningProgress, StoppedError
from kfold_hs.workflows.search.spec import Search, settle
from kfold_hs.workflows.search.study import Study, Ticket, check_optuna
from kfold_hs.workflows.search.trials import COMPLETE, STOPPED, Trial, not_yet
from kfold_hs.workflows.variant_runs import VariantRunner

if TYPE_CHECKING:
    from kfold_hs.judge.selection.objective import Objective
    from kfold_hs.judge.stats.sequential import InterimTest
    from kfold_hs.orchestrator.context import RunInputs


@dataclass(frozen=True)
class FinishedSearch:
    """Where its files are, and what it found out."""

    paths: TunePaths
    result: SearchResult


@judged_with(lambda search: search.first.config.plugins)
def tune(
    search: Search,
    progress: Progress,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    inputs: RunInputs | None = None,
) -> FinishedSearch:
    """Try points until there are as many trials as asked for, and judge the best.

    Every trial is what `kfold-hs run` makes of its settings, under the same name. The same call
    goes on with what an interrupted one left; several at once share the trials among them, and
    the last one to end sees all of them.

    Raises
    ------
    TrainingError
        Not one trial could be finished.
    KfoldHsError
        Optuna is missing, the name is taken, or as `cross_validation.run` before the first trial.
    """
    started = time.time()
    from kfold_hs.judge.results.headline import check_judging
    from kfold_hs.judge.selection.objective import Objective
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_configs, try_parts
    from kfold_hs.learn.training.fold import check
    from kfold_hs.orchestrator.folder import provenance
    from kfold_hs.report.search_page import render_tune

    check_optuna()
    device, fleet = pick_device(options.device), options.fleet
    search = search.on(fleet.kind(device))
    first = search.first.config
    check_device(first)
    check_configs(each.config for each in search.each_value())
    try_parts(*(each.config for each in search.each_value()))
    check_writable(options.root, "Give another folder: --root DIR.")
    check_judging(first)
    inputs = inputs or read_inputs(first, progress)
    check(first, inputs.cohort)
    inputs.check_folds(first)
    tasks = {task.name: task.classes for task in inputs.cohort.tasks}
    objective = Objective.of(search.objective, tasks)
    objective.check_folds(inputs.split.n_folds)
    if objective.is_decided and search.racing:
        search = replace(search, racing=False)
        progress.note(
            f"No trial is stopped early: {objective.label} is decided on the other folds, and an "
            "unfinished trial has few of them."
        )
    terms = search.terms(inputs.cohort.fingerprint, inputs.split.assignment)
    paths = TunePaths(options.name or _name(terms, inputs), options.root)
    settle(paths, terms)
    runner = VariantRunner(inputs, paths.predictions, options)
    sampling = (search.sampler, objective.higher_is_better, first.seed)
    with fleet.open(), Study(paths, search.space, *sampling) as study:
        job = _Search(search, objective, runner, FinishedTrials(runner, objective))
        while (ticket := study.next(search.n_trials)) is not None:
            with ticket.handle:
                for each in study.records():  # also of other processes
                    job.add(each)
                try:
                    outcome = job.attempt(ticket, progress)
                except TRIED_AGAIN as error:
                    study.put_off(ticket)
                    progress.note(f"trial {ticket.place} is put off: {error!s}")
                else:
                    study.finish(ticket, outcome)
        records, importances = study.records(), study.importances()
        n_open = study.n_running()
    progress.stage("search")
    origin = provenance(paths.name, options.command, inputs.digests, fleet.device(device), started)
    content = job.judge(records, paths, n_open)
    content |= {"importances": importances, "provenance": origin}
    result = SearchResult.from_json(content)
    write_json(paths.content, result.to_json())
    write_text(paths.page, render_tune(result))
    return FinishedSearch(paths, result)


@dataclass(frozen=True, eq=False)
class _Search:
    """A search while it runs."""

    search: Search
    objective: Objective
    runner: VariantRunner
    finished: FinishedTrials

    def add(self, trial: Trial) -> None:
        """A finished trial lends its models, and others are compared with it."""
        if trial.state != COMPLETE:
            return
        variant = self.search.variant(trial.params)
        self.finished.add(variant, trial.predicted_with)
        if trial.predicted_with is None and trial.run is not None:
            self.runner.trained.setdefault(self.runner.training_of(variant), trial.run)

    def attempt(self, ticket: Ticket, progress: Progress) -> dict[str, Any]:
        """Run one trial; whatever is wrong with it alone is kept as its outcome."""
        started = time.perf_counter()
        label = " ".join(f"{key}={value}" for key, value in ticket.point.items())
        n_trials = min(self.search.n_trials, len(self.search.space))
        progress.note(f"trial {ticket.place} of {n_trials}: {label}")
        outcome = not_yet(label)
        try:
            self._run(ticket, outcome, progress)
        except StoppedError as stopped:
            outcome |= {"state": STOPPED, "cause": str(stopped), "n_models": stopped.n_trained}
            progress.note(f"trial {ticket.place} {stopped}")
        except (KfoldHsError, RuntimeError) as error:
            raise_unless_its_own(error)
            outcome["cause"] = str(error) or type(error).__name__
            progress.note(f"trial {ticket.place} failed: {outcome['cause']}")
        outcome["seconds"] = time.perf_counter() - started
        return outcome

    def _run(self, ticket: Ticket, outcome: dict[str, Any], progress: Progress) -> None:
        """Fill in the outcome of a trial, as far as it comes."""
        from kfold_hs.learn.training.fold import check
        from kfold_hs.predictions.epoch_rules import HONEST

        runner, variant = self.runner, self.search.variant(ticket.point)
        inputs = runner.inputs_of(variant)
        check(variant.config, inputs.cohort)
        inputs.check_folds(variant.config)
        outcome |= {
            "run": runner.run_name(variant),
            "digest": variant.config.digest,
            "honest": HONEST[variant.config.select],
            "command": shlex.join(["kfold-hs", "run", *variant.overrides]),
        }
        result = runner.run(variant, self._pruning(variant, progress))
        outcome["n_models"] = 0 if result.predicted_with else n_models(variant, runner.inputs)
        outcome["predicted_with"] = result.predicted_with
        outcome["value"] = self._value(result.scored)
        outcome["state"] = COMPLETE

    def _pruning(self, variant: Variant, progress: Progress) -> Progress:
        """Who follows the training: with racing, somebody who may end it."""
        race = self.finished.race() if self.search.racing else None
        if race is None or (incumbent := race.incumbent) is None:
            return progress

        def look(kept: Predictions) -> InterimTest:
            return self.finished.look(race, incumbent, variant, kept)

        from kfold_hs.orchestrator.plan import Plan

        plan = Plan.of(variant.config, self.runner.inputs.split)
        paths = RunPaths(self.runner.run_name(variant), self.runner.options.root)
        return PruningProgress(progress, paths, look, incumbent, plan)

    def _value(self, scored: Predictions) -> float:
        """The objective of a trial's predictions.

        Raises
        ------
        TrainingError
            It is undefined.
        """
        from kfold_hs.judge.stats.clusters import Layout

        inputs = self.runner.inputs
        layout = Layout.of_predictions(scored, inputs.split.n_folds)
        value = self.objective.influence(scored, inputs.positives, layout).value
        if math.isnan(value):
            raise TrainingError(
                f"{self.objective.label} is undefined: a fold or run lacks a class that it needs. "
                "Use fewer folds, or another --objective."
            )
        return value

    def judge(self, records: Sequence[Trial], paths: TunePaths, n_open: int) -> dict[str, Any]:
        """The content of tune.json.

        schema, name, objective, space, sampler, n_trials (asked for), racing (fold models
        trained, and without stopping), trials (by number: params, state, value, estimate, run,
        what failed), winner (of the trials; with estimate, as measured and with the Bonferroni
        interval, and corrected, BBC-CV), n_tried (variants ever tried on the split),
        simulated, sentence, importances, n_running, split, cohort, provenance.
        """
        from kfold_hs.judge.results.comparison import Variants
        from kfold_hs.judge.results.search import judge_trials, sentence
        from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, SYNTHETIC
        from kfold_hs.judge.stats.sequential import ALPHA

        search, objective, runner = self.search, self.objective, self.runner
        inputs, split = runner.inputs, runner.inputs.split
        scored = {
            each.name: runner.read(search.variant(each.params), each.predicted_with)
            for each in records
            if each.state == COMPLETE
        }
        if not scored:
            causes = "".join(f" {each.name}: {each.cause}" for each in records)
            if n_open:
                causes += f" {n_open} more wait: the same command goes on with them."
            raise TrainingError(f"none of {len(records)} trials could be finished.{causes}")
        tried = set(variants_tried(paths.root / "reports", split))
        digests = {
            each.name: search.variant(each.params).config.variant_digest
            for each in records
            if each.digest is not None
        }
        tried |= set(digests.values())
        shares = {"n_folds": split.n_folds, "train_share": split.train_share}
        finished = Variants.of(scored, inputs.positives, shares)
        seed = search.first.config.seed
        found = judge_trials(finished, objective, n_tried=len(tried), seed=seed)
        trials = [
            {
                **each.model_dump(),
                "variant": digests.get(each.name),
                "estimate": found["estimates"].get(each.name),
            }
            for each in records
        ]
        best = found["best"]
        n_raced = sum(each.n_models for each in records)
        n_whole = sum(
            n_models(search.variant(each.params), inputs)
            if each.state == STOPPED
            else each.n_models
            for each in records
        )
        said = sentence(best, objective.label, len(records))
        simulated = search.first.config.data.kind == SYNTHETIC
        winner = next(each for each in trials if each["name"] == best["name"])
        return {
            "schema": SCHEMA,
            "name": paths.name,
            "objective": {
                "name": objective.name,
                "label": objective.label,
                "higher_is_better": objective.higher_is_better,
            },
            "space": _describe(search.space),
            "sampler": search.sampler,
            "n_trials": search.n_trials,
            "racing": {
                "alpha": ALPHA if search.racing else None,
                "n_stopped": sum(each["state"] == STOPPED for each in trials),
                "n_models": n_raced,
                "n_models_without": n_whole,
            },
            "trials": trials,
            "winner": {**winner, "estimate": best["estimate"], "corrected": best["corrected"]},
            "n_tried": best["n_tried"],
            "simulated": simulated,
            "sentence": f"{SIMULATED_PEOPLE} {said}" if simulated else said,
            "split": {
                "n_folds": split.n_folds,
                "n_repeats": split.n_repeats,
                "seed": split.seed,
                "digest": split.digest,
                "train_share": split.train_share,
            },
            "cohort": inputs.cohort.describe(),
            "n_running": n_open,
        }


def n_models(variant: Variant, inputs: RunInputs) -> int:
    """Fold models of a variant's run."""
    return inputs.split.n_repeats * variant.config.n_seeds * inputs.split.n_folds


def _describe(space: Space) -> dict[str, Any]:
    choices = {key: list(values) for key, values in space.choices.items()}
    return {"name": space.name, "with": list(space.shared), "space": choices}


def _name(terms: Mapping[str, Any], inputs: RunInputs) -> str:
    """``tune-<data>-<digest8>``."""
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()
    return f"tune-{inputs.cohort.name}-{digest[:8]}"
