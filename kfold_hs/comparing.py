"""The story of `compare`: every variant a run of its own, on one ground; what it comes to."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.errors import ConfigError, UnfinishedError
from kfold_hs.experiment import run, run_name
from kfold_hs.ground import Ground, Listener
from kfold_hs.paths import ComparisonPaths, RunPaths, check_name, write_json, write_text
from kfold_hs.predictions import Predictions
from kfold_hs.runs import variants_tried
from kfold_hs.variants import Design, Variant

if TYPE_CHECKING:
    import torch

SCHEMA = 1


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: where its files are and what comparison.json says."""

    paths: ComparisonPaths
    content: dict[str, Any]


def compare(
    design: Design,
    listener: Listener,
    *,
    name: str | None = None,
    root: Path = Path(),
    device: str = "auto",
    command: str = "",
) -> Comparison:
    """Run every variant that is not finished yet, and compare them.

    A variant's run is what `kfold-hs run` makes of its settings, under the same name: one that
    was made before is used, and an interrupted one goes on. A variant that differs from an earlier
    one only in what predicting reads is not trained: that one's models predict anew.

    Parameters
    ----------
    design : Design
        The first variant is the baseline.
    listener : Listener
    name : str, optional
        Of the comparison's folder; by default made of the data and a digest.
    root, device, command
        As of `experiment.run`.

    Raises
    ------
    UnfinishedError
        Folds of a variant could not be trained; the other variants were run all the same.
    KfoldHsError
        As of `experiment.run`.
    """
    started = time.time()
    from kfold_hs.fleet.folder import provenance
    from kfold_hs.learn.fit import check
    from kfold_hs.learn.precision import check_device, pick_device

    if name is not None:
        check_name(name)
    where = pick_device(device)
    first = design.variants[0].config
    ground = Ground.of(first, listener)
    grounds = {each.name: ground.for_tasks_of(each.config) for each in design.variants}
    for each in design.variants:
        check_device(each.config.train, where)
        check(each.config, grounds[each.name].cohort)
    runs = {
        each.name: run_name(each.config, grounds[each.name].cohort, ground.split)
        for each in design.variants
    }
    paths = ComparisonPaths(name or _name(runs, ground), root)
    if paths.is_run:
        raise ConfigError(f"{paths.folder} is the folder of a run. Give another --name.")
    scored: dict[str, Predictions] = {}
    trained: dict[str, str] = {}  # training digest -> the run that has the models
    asked: dict[str, str] = {}  # variant -> the run whose models predicted it
    faults = []
    for number, each in enumerate(design.variants, start=1):
        listener.note(f"variant {number} of {len(design.variants)}: {each.name}")
        models, own = trained.get(each.config.training_digest), RunPaths(runs[each.name], root)
        if models is not None and not own.predictions.exists():
            scored[each.name] = _predicted(
                each, grounds[each.name], RunPaths(models, root), paths.predictions(own.name),
                where, listener,
            )  # fmt: skip
            asked[each.name] = models
            continue
        words = shlex.join(["kfold-hs", "run", *each.overrides])
        try:
            done = run(
                each.config, listener, root=root, device=device, command=words,
                ground=grounds[each.name],
            )  # fmt: skip
        except UnfinishedError as error:
            faults.append(f"{each.name}: {error}")
            continue
        # At once: variants that differ in stacking alone share a run, and its file.
        scored[each.name] = Predictions.read(done.paths.scored)
        trained.setdefault(each.config.training_digest, done.paths.name)
    if faults:
        raise UnfinishedError(
            f"nothing was compared: {len(faults)} of {len(design.variants)} variants are not "
            "finished. " + " ".join(faults)
        )
    listener.stage("comparison")
    origin = provenance(paths.name, command, _digests(ground), str(where), started)
    content = _judge(design, scored, runs, asked, ground, root, origin)
    write_json(paths.content, content)
    _render(paths, content)
    return Comparison(paths, content)


def _predicted(
    variant: Variant,
    ground: Ground,
    models: RunPaths,
    target: Path,
    device: torch.device,
    listener: Listener,
) -> Predictions:
    """What would be scored had the variant been run, by the models of another; kept in `target`."""
    from kfold_hs.fleet.again import predict_plan
    from kfold_hs.fleet.plan import Plan
    from kfold_hs.judge.stack import Stacking
    from kfold_hs.learn import bank as banks

    config, cohort, split = variant.config, ground.cohort, ground.split
    of_models = Predictions.digests(models.predictions)
    digests = {**of_models, "config": config.digest, "models": of_models["config"]}
    if not target.exists() or Predictions.digests(target) != digests:
        listener.stage("features")
        channel = getattr(config.data, "channel", None)
        bank = banks.build(cohort, config.features, channel, listener.step)
        listener.stage("predictions")
        plan = Plan(config.seed, split.n_repeats, config.n_seeds, split.n_folds)
        predict_plan(
            plan, config, cohort, split, bank, models, of_models, device, listener.step
        ).write(target, digests)
    found = Predictions.read(target).where(level="patient").mean_over_seeds()
    return Stacking.of(config, cohort)(found)


def _judge(
    design: Design,
    scored: Mapping[str, Predictions],
    runs: Mapping[str, str],
    asked: Mapping[str, str],
    ground: Ground,
    root: Path,
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """The content of comparison.json.

    schema, name, factors, variants (name, levels, run, digest of the configuration, honest,
    predicted_with: the run whose models were asked, or null), decided, sentences (one for each but
    the baseline), split, cohort, flips (by task and pair), provenance, and all that
    `judge.comparison.compare_variants` finds out.
    """
    from kfold_hs.judge.comparison import compare_variants
    from kfold_hs.judge.effects import Crossing
    from kfold_hs.judge.epochs import HONEST
    from kfold_hs.judge.flips import flips
    from kfold_hs.judge.paired import CANNOT_TELL
    from kfold_hs.judge.words import to_decide, verdict

    first, split = design.variants[0], ground.split
    found = compare_variants(
        scored,
        {task.name: task.positive_index for task in ground.cohort.tasks},
        {"n_folds": split.n_folds, "train_share": split.train_share},
        baseline=first.name,
        margins=first.config.judge.margins.model_dump(),
        n_tried=len(variants_tried(root / "reports", split)),
        seed=first.config.seed,
        crossing=Crossing(design.factors, {each.name: each.levels for each in design.variants}),
    )
    pairs = list(combinations(scored, 2))
    answers = found["headline"]["against_baseline"]
    return {
        "schema": SCHEMA,
        "name": provenance["run"],
        "factors": list(design.factors),
        **found,
        "variants": [
            {
                "name": each.name,
                "levels": list(each.levels),
                "run": runs[each.name],
                "digest": each.config.digest,
                "predicted_with": asked.get(each.name),
                "honest": HONEST[each.config.select],
            }
            for each in design.variants
        ],
        "decided": any(each["verdict"] != CANNOT_TELL for each in answers.values()),
        "sentences": [
            f"{verdict(found['headline']['label'], first.name, name, each)} "
            f"{to_decide(each, split.n_repeats)}".rstrip()
            for name, each in answers.items()
        ],
        "flips": {
            task.name: [
                {"first": a, "second": b, **flips(scored[a], scored[b], task.name)}
                for a, b in pairs
            ]
            for task in ground.cohort.tasks
        },
        "split": {
            "n_folds": split.n_folds,
            "n_repeats": split.n_repeats,
            "seed": split.seed,
            "digest": split.digest,
            "train_share": split.train_share,
        },
        "cohort": ground.cohort.describe(),
        "provenance": provenance,
    }


def _render(paths: ComparisonPaths, content: Mapping[str, Any]) -> None:
    from kfold_hs.judge.comparison_page import render_comparison

    write_text(paths.page, render_comparison(content))


def _digests(ground: Ground) -> dict[str, str]:
    return {"cohort": ground.cohort.fingerprint, "split": ground.split.digest}


def _name(runs: Mapping[str, str], ground: Ground) -> str:
    """``compare-<data>-<digest8>`` over the variants, in their order."""
    digest = hashlib.sha256(json.dumps(list(runs.items())).encode()).hexdigest()
    return f"compare-{ground.cohort.name}-{digest[:8]}"
