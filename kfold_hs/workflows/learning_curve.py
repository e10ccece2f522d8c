"""A learning curve over people: one recipe trained on shares of each fold's training people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from kfold_hs.config.sweep import Design, named_design
from kfold_hs.errors import ConfigError, shown
from kfold_hs.files.paths import LearningCurvePaths, write_json, write_text
from kfold_hs.files.room import check_writable
from kfold_hs.judge.metrics.own import judged_with
from kfold_hs.judge.results.comparison import Variants
from kfold_hs.judge.results.people_curve import SCHEMA, PeopleCurve, Sizes, people_curves, sentence
from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, SYNTHETIC
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.workflows.comparison import name_of_variants
from kfold_hs.workflows.cross_validation import run_name
from kfold_hs.workflows.inputs import read_inputs
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.variant_runs import VariantResult, VariantRunner

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunInputs

SHARES = (0.25, 0.5, 0.75, 1.0)
KEY = "train.people_share"


@dataclass(frozen=True)
class FinishedLearningCurve:
    """Where its files are, and what it found out."""

    paths: LearningCurvePaths
    result: PeopleCurve


def design_of(words: Sequence[str], shares: Sequence[float] = SHARES) -> Design:
    """A variant for every share, in ascending order.

    Raises
    ------
    ConfigError
        Fewer than two shares, one that is given twice or out of (0, 1], or `words` set it.
    """
    if any(word.lstrip("+").startswith(f"{KEY}=") for word in words):
        raise ConfigError(f"{KEY} is what a learning curve varies: give --shares in its place.")
    if len(set(shares)) < 2 or len(set(shares)) < len(shares):
        raise ConfigError(
            f"--shares {','.join(f'{each:g}' for each in shares)}: a learning curve takes two "
            "different shares or more, each given once; three draw a curve."
        )
    for each in shares:
        if not 0 < each <= 1:
            raise ConfigError(f"--shares {shown(each)}: a share is above 0 and at most 1.")
    return named_design({f"{each:g}": [f"{KEY}={each:g}"] for each in sorted(shares)}, words)


@judged_with(lambda design: list(design.variants[0].config.plugins))
def learning_curve(
    design: Design,
    progress: Progress,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> FinishedLearningCurve:
    """Run every share that is not finished yet, and draw the curve through them.

    Each share is what `kfold-hs run` makes of the settings with `train.people_share`, under the
    same name, so that a run that was made before is used, and an interrupted one goes on.

    Parameters
    ----------
    design : Design
        Of `design_of`.

    Raises
    ------
    UnfinishedError
        Folds of a share could not be trained; the others were run all the same.
    KfoldHsError
        As `cross_validation.run`.
    """
    from kfold_hs.judge.results.headline import check_judging
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_configs, try_parts
    from kfold_hs.learn.training.fold import check
    from kfold_hs.orchestrator.folder import provenance

    started = time.time()
    device = pick_device(options.device)
    design = design.on(options.fleet.kind(device))
    check_configs(each.config for each in design.variants)
    headline = check_judging(design.variants[0].config)
    try_parts(*(each.config for each in design.variants))
    check_writable(options.root, "Give another folder: --root DIR.")
    inputs = read_inputs(design.variants[0].config, progress)
    headline.check_folds(inputs.split.n_folds)
    for each in design.variants:
        check_device(each.config)
        check(each.config, inputs.cohort)
        inputs.check_folds(each.config)
    n_people = [_people(inputs, each.config) for each in design.variants]
    runs = {each.name: run_name(each.config, inputs) for each in design.variants}
    name = options.name or name_of_variants("learning-curve", runs, inputs)
    paths = LearningCurvePaths(name, options.root)
    if paths.is_other:
        raise ConfigError(f"{paths.folder} holds other results. Give another --name.")
    runner = VariantRunner(inputs, paths.predictions, options)
    n_sizes = len(design.variants)
    results = runner.run_all(
        design.variants,
        lambda k: (
            f"size {k + 1} of {n_sizes}: about {n_people[k]:.0f} training people "
            f"({design.variants[k].name} of each fold's)"
        ),
        progress,
    )
    progress.stage("learning curve")
    origin = provenance(paths.name, options.command, inputs.digests, str(device), started)
    result = _judge(design, results, inputs, n_people, origin)
    write_json(paths.content, result.to_json())
    from kfold_hs.report.people_curve_page import render_people_curve

    write_text(paths.page, render_people_curve(result))
    return FinishedLearningCurve(paths, result)


def _people(inputs: RunInputs, config: Any) -> float:
    """Persons that a fold model trains on, on average."""
    cohort, split = inputs.cohort, inputs.split
    owner = cohort.recordings["patient_id"].map(cohort.person_of)
    folds = product(range(split.n_repeats), range(split.n_folds))
    return float(
        np.mean([owner.iloc[inputs.fold_data(config, *place).train].nunique() for place in folds])
    )


def _judge(
    design: Design,
    results: dict[str, VariantResult],
    inputs: RunInputs,
    n_people: list[float],
    provenance: dict[str, Any],
) -> PeopleCurve:
    """The content of learning_curve.json."""
    first, split = design.variants[0].config, inputs.split
    shares = [each.config.train.people_share for each in design.variants]
    facts = {"n_folds": split.n_folds, "train_share": split.train_share}
    scored = {each.name: results[each.name].scored for each in design.variants}
    margins = first.judge.margins.model_dump()
    sizes = Sizes(shares, n_people, margins, first.headline, first.seed, first.target)
    found = people_curves(Variants.of(scored, inputs.positives, facts), sizes)
    simulated = first.data.kind == SYNTHETIC
    said = sentence(found["headline"])
    return PeopleCurve.from_json(
        {
            "schema": SCHEMA,
            "name": provenance["run"],
            "sizes": [
                {"share": share, "n_people": n, "run": results[each.name].run,
                 "digest": each.config.digest, "predicted_with": results[each.name].predicted_with}
                for each, share, n in zip(design.variants, shares, n_people, strict=True)
            ],
            **found,
            "sentences": [f"{SIMULATED_PEOPLE} {said}" if simulated else said],
            "simulated": simulated,
            "split": {
                "n_folds": split.n_folds, "n_repeats": split.n_repeats, "seed": split.seed,
                "digest": split.digest, "train_share": split.train_share,
            },
            "cohort": inputs.cohort.describe(),
            "provenance": provenance,
        }
    )  # fmt: skip
