"""The story of `tune`: points of a space, tried one after another; what the best is worth."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.config.space import Space
from kfold_hs.config.sweep import Variant
from kfold_hs.errors import KfoldHsError, TrainingError
from kfold_hs.files.paths import RunPaths, TunePaths, check_name, write_json, write_text
from kfold_hs.orchestrator.finished import variants_tried
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows.inputs import Ground, Listener
from kfold_hs.workflows.search.faults import TRIED_AGAIN, raise_unless_its_own
from kfold_hs.workflows.search.pruning import Rivals, StoppedError, Watch
from kfold_hs.workflows.search.spec import Search, settle
from kfold_hs.workflows.search.study import Study, Ticket, check_optuna
from kfold_hs.workflows.search.trials import COMPLETE, STOPPED, Trial, not_yet
from kfold_hs.workflows.variant_runs import Bench

if TYPE_CHECKING:
    from kfold_hs.judge.stats.objective import Objective
    from kfold_hs.judge.stats.sequential import Look
    from kfold_hs.orchestrator.executor import Fleet

SCHEMA = 1


@dataclass(frozen=True)
class Tuned:
    """A search: where its files are and what tune.json says."""

    paths: TunePaths
    content: dict[str, Any]


def tune(
    search: Search,
    listener: Listener,
    *,
    name: str | None = None,
    root: Path = Path(),
    device: str = "auto",
    command: str = "",
    ground: Ground | None = None,
    fleet: Fleet | None = None,
) -> Tuned:
    """Try points until there are as many trials as asked for, and judge the best.

    Every trial is what `kfold-hs run` makes of its settings, under the same name. The same call
    goes on with what an interrupted one left; several at once share the trials among them, and
    the last one to end sees all of them.

    Parameters
    ----------
    search : Search
    listener : Listener
    name : str, optional
        Of the search's folder; by default made of the data and a digest.
    root, device, command, ground, fleet
        As of `experiment.run`.

    Raises
    ------
    TrainingError
        Not one trial could be finished.
    KfoldHsError
        Optuna is missing, the name is taken, or as of `experiment.run` before the first trial.
    """
    started = time.time()
    from kfold_hs.judge.stats.objective import Objective
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_configs
    from kfold_hs.learn.training.fold import check
    from kfold_hs.orchestrator.executor import Fleet
    from kfold_hs.orchestrator.folder import provenance
    from kfold_hs.report.search_page import render_tune

    check_optuna()
    if name is not None:
        check_name(name)
    where, fleet = pick_device(device), fleet or Fleet()
    search = search.on(fleet.kind(where))
    first = search.first.config
    check_device(first)
    check_configs(each.config for each in search.each_value())
    ground = ground or Ground.of(first, listener)
    check(first, ground.cohort)
    tasks = {task.name: task.classes for task in ground.cohort.tasks}
    objective = Objective.of(search.objective, tasks)
    terms = search.terms(ground.cohort.fingerprint, ground.split.assignment)
    paths = TunePaths(name or _name(terms, ground), root)
    settle(paths, terms)
    bench = Bench(ground, paths.predictions, root, device, fleet)
    sampling = (search.sampler, objective.higher_is_better, first.seed)
    with fleet.open(), Study(paths, search.space, *sampling) as study:
        rivals = Rivals(bench, objective, _positives(ground))
        while (ticket := study.next(search.n_trials)) is not None:
            with ticket.handle:
                for each in study.records():  # also of other processes
                    _learn(each, search, bench, rivals)
                try:
                    outcome = _attempt(search, ticket, bench, objective, rivals, listener)
                except TRIED_AGAIN as error:
                    study.put_off(ticket)
                    listener.note(f"trial {ticket.place} is put off: {error!s}")
                else:
                    study.finish(ticket, outcome)
        records, importances = study.records(), study.importances()
        n_running = study.n_running()
    listener.stage("search")
    origin = provenance(paths.name, command, _digests(ground), fleet.device(where), started)
    content = _judge(search, objective, records, bench, paths, n_running)
    content |= {"importances": importances, "provenance": origin}
    write_json(paths.content, content)
    write_text(paths.page, render_tune(content))
    return Tuned(paths, content)


def _learn(trial: Trial, search: Search, bench: Bench, rivals: Rivals) -> None:
    """A finished trial lends its models, and races."""
    if trial.state != COMPLETE:
        return
    variant = search.variant(trial.params)
    rivals.add(variant, trial.predicted_with)
    if trial.predicted_with is None and trial.run is not None:
        bench.trained.setdefault(variant.config.training_digest, trial.run)


def _attempt(
    search: Search,
    ticket: Ticket,
    bench: Bench,
    objective: Objective,
    rivals: Rivals,
    listener: Listener,
) -> dict[str, Any]:
    """Run one trial; whatever is wrong with it alone is kept as its outcome."""
    started = time.perf_counter()
    label = " ".join(f"{key}={value}" for key, value in ticket.point.items())
    n_trials = min(search.n_trials, len(search.space))
    listener.note(f"trial {ticket.place} of {n_trials}: {label}")
    outcome = not_yet(label)
    try:
        from kfold_hs.learn.training.fold import check
        from kfold_hs.predictions.epoch_rules import HONEST

        variant = search.variant(ticket.point)
        check(variant.config, bench.ground_of(variant).cohort)
        outcome |= {
            "run": bench.run_name(variant),
            "digest": variant.config.digest,
            "honest": HONEST[variant.config.select],
            "command": shlex.join(["kfold-hs", "run", *variant.overrides]),
        }
        watch = _watch(variant, search, bench, rivals, listener)
        tried = bench.try_out(variant, watch)
        outcome["n_models"] = 0 if tried.predicted_with else n_models(variant, bench.ground)
        outcome["predicted_with"] = tried.predicted_with
        outcome["value"] = _value(tried.scored, objective, bench.ground)
        outcome["state"] = COMPLETE
    except StoppedError as stopped:
        outcome |= {"state": STOPPED, "cause": str(stopped), "n_models": stopped.n_trained}
        listener.note(f"trial {ticket.place} {stopped}")
    except (KfoldHsError, RuntimeError) as error:
        raise_unless_its_own(error)
        outcome["cause"] = str(error) or type(error).__name__
        listener.note(f"trial {ticket.place} failed: {outcome['cause']}")
    outcome["seconds"] = time.perf_counter() - started
    return outcome


def _watch(
    variant: Variant, search: Search, bench: Bench, rivals: Rivals, listener: Listener
) -> Listener:
    """Who follows the training: with racing, somebody who may end it."""
    race = rivals.race() if search.racing else None
    if race is None or (incumbent := race.incumbent) is None:
        return listener

    def look(kept: Predictions) -> Look:
        return rivals.look(race, incumbent, variant, kept)

    from kfold_hs.orchestrator.plan import Plan

    split, config = bench.ground.split, variant.config
    plan = Plan(config.seed, split.n_repeats, config.n_seeds, split.n_folds)
    places = [(p.repeat, p.seed, p.fold) for p in plan]
    return Watch(listener, RunPaths(bench.run_name(variant), bench.root), look, incumbent, places)


def n_models(variant: Variant, ground: Ground) -> int:
    """Fold models of a variant's run."""
    return ground.split.n_repeats * variant.config.n_seeds * ground.split.n_folds


def _value(scored: Predictions, objective: Objective, ground: Ground) -> float:
    """The objective of a trial's predictions.

    Raises
    ------
    TrainingError
        It is undefined.
    """
    from kfold_hs.judge.stats.clusters import Layout

    layout = Layout.of_predictions(scored, ground.split.n_folds)
    value = objective.influence(scored, _positives(ground), layout).value
    if math.isnan(value):
        raise TrainingError(
            f"{objective.label} is undefined: a fold or run lacks a class that it needs. Use fewer "
            "folds, or another --objective."
        )
    return value


def _judge(
    search: Search,
    objective: Objective,
    records: Sequence[Trial],
    bench: Bench,
    paths: TunePaths,
    n_open: int,
) -> dict[str, Any]:
    """The content of tune.json.

    schema, name, objective, space, sampler, n_trials (asked for), racing (fold models trained, and
    without stopping), trials (by number: params, state,
    value, estimate, run, what failed), winner (of the trials; with estimate, as measured and with
    the Bonferroni interval, and corrected, BBC-CV), n_tried (variants ever tried on the split),
    simulated, sentence, importances, n_running, split, cohort, provenance.
    """
    from kfold_hs.judge.results.comparison import Variants
    from kfold_hs.judge.results.search import judge_trials, sentence
    from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, SYNTHETIC
    from kfold_hs.judge.stats.sequential import ALPHA

    ground, split = bench.ground, bench.ground.split
    scored = {
        each.name: bench.read(search.variant(each.params), each.predicted_with)
        for each in records
        if each.state == COMPLETE
    }
    if not scored:
        causes = "".join(f" {each.name}: {each.cause}" for each in records)
        if n_open:
            causes += f" {n_open} more wait: the same command goes on with them."
        raise TrainingError(f"none of {len(records)} trials could be finished.{causes}")
    tried = set(variants_tried(paths.root / "reports", split))
    tried |= {each.digest for each in records if each.digest is not None}
    terms = {"n_folds": split.n_folds, "train_share": split.train_share}
    finished = Variants.of(scored, _positives(ground), terms)
    seed = search.first.config.seed
    found = judge_trials(finished, objective, n_tried=len(tried), seed=seed)
    trials = [
        {**each.model_dump(), "estimate": found["estimates"].get(each.name)} for each in records
    ]
    best = found["best"]
    n_raced = sum(each.n_models for each in records)
    n_whole = sum(
        n_models(search.variant(each.params), ground) if each.state == STOPPED
        else each.n_models
        for each in records
    )  # fmt: skip
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
        "cohort": ground.cohort.describe(),
        "n_running": n_open,
    }


def _positives(ground: Ground) -> dict[str, int]:
    return {task.name: task.positive_index for task in ground.cohort.tasks}


def _digests(ground: Ground) -> dict[str, str]:
    return {"cohort": ground.cohort.fingerprint, "split": ground.split.digest}


def _describe(space: Space) -> dict[str, Any]:
    choices = {key: list(values) for key, values in space.choices.items()}
    return {"name": space.name, "with": list(space.shared), "space": choices}


def _name(terms: Mapping[str, Any], ground: Ground) -> str:
    """``tune-<data>-<digest8>``."""
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()
    return f"tune-{ground.cohort.name}-{digest[:8]}"
